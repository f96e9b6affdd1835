package main

import (
	"fmt"
	"strings"
)

// decision is what was settled by hand about a requirement.
type decision struct {
	notBuilt bool   // a deviation; otherwise how it was decided
	why      string // or how
}

func (d *decision) String() string {
	if d.notBuilt {
		return "Not built: " + d.why
	}
	return "Decided: " + d.why
}

// parseDecisions reads items `- ID, ID: not built: why` and `- ID: decided: how`, which go on
// in indented lines.
func parseDecisions(text string) (map[string]*decision, error) {
	all := map[string]*decision{}
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		item, ok := strings.CutPrefix(lines[i], "- ")
		if !ok {
			continue
		}
		at := i + 1
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "  ") {
			i++
			item += " " + strings.TrimSpace(lines[i])
		}
		ids, rest, _ := strings.Cut(item, ": ")
		kind, why, ok := strings.Cut(rest, ": ")
		list := citations(ids)
		if !ok || len(list) == 0 || kind != "not built" && kind != "decided" || strings.TrimSpace(why) == "" {
			return nil, fmt.Errorf("%s:%d: want `- ID, ID: not built: why` or `- ID: decided: how`, found %q", decisionsFile, at, item)
		}
		for _, id := range list {
			if all[id] != nil {
				return nil, fmt.Errorf("%s:%d: %s was decided before", decisionsFile, at, id)
			}
			all[id] = &decision{notBuilt: kind == "not built", why: why}
		}
	}
	return all, nil
}
