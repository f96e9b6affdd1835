package uplink

import (
	"os"
	"strings"
)

const sysctlDir = "/proc/sys/"

func readSysctl(name string) (value string, ok bool) {
	b, err := os.ReadFile(sysctlDir + name)
	return strings.TrimSpace(string(b)), err == nil
}

func writeSysctl(name, value string) error {
	if now, ok := readSysctl(name); ok && now == value {
		return nil // others get no notification of a change that is none
	}
	return os.WriteFile(sysctlDir+name, []byte(value), 0)
}

// restoreSysctl sets a variable to its old value, once no slot has a note of it any more but
// the one whose table is about to go. Forwarding stays on where it was turned on for all
// interfaces in the meantime.
func restoreSysctl(name, old string) error {
	const own, all = "net/ipv4/conf/", "net/ipv4/conf/all/forwarding"
	if v, _ := readSysctl(all); strings.HasPrefix(name, own) && v == "1" {
		return nil
	}
	return writeSysctl(name, old)
}
