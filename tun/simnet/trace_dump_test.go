package simnet_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
)

var dumpTrace = flag.Bool("dump", false, "write the trace of each run to a file in the system's folder for such")

var dumps int

func writeTrace(t *testing.T, b []byte) {
	dumps++
	require.NoError(t, os.WriteFile(fmt.Sprintf("%s/simnet-%d.txt", os.TempDir(), dumps), b, 0o644))
}

func describe(b []byte) string {
	p, ok := packet.ParseTCP(b)
	if !ok {
		return fmt.Sprintf("%x", b)
	}
	return fmt.Sprintf("%v>%v f=%x seq=%d ack=%d win=%d len=%d id=%x opts=%x", p.Src(), p.Dst(), p.Flags(), p.Seq(), p.Ack(), p.Window(), p.PayloadLen(), b[4:6], p.Options())
}
