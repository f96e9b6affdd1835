package main

import (
	"fmt"
	"regexp"
	"strings"
)

// requirement is one line of the list.
type requirement struct {
	id    string
	level string // MUST, SHOULD, MAY, FACT, READING or VECTOR
	plain bool   // demanded in plain words: the star
	actor string
	text  string
	// section is the heading that it stands under.
	section string
}

// needsTest reports whether something is missing if no test cites it.
func (r *requirement) needsTest() bool {
	return r.level == "MUST" || r.level == "SHOULD" || r.level == "MAY" || r.level == "VECTOR"
}

// star is the level as it is written.
func (r *requirement) star() string {
	if r.plain {
		return r.level + "*"
	}
	return r.level
}

var requirementLine = regexp.MustCompile(`^- (\S+) (MUST|SHOULD|MAY|FACT|READING|VECTOR)(\*?) (\w+): (.+)$`)

// parseRequirements reads the list; see its head for the form.
func parseRequirements(text string) ([]requirement, error) {
	var list []requirement
	seen := map[string]bool{}
	section := ""
	for i, line := range strings.Split(text, "\n") {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = title
			continue
		}
		if section == "" || !strings.HasPrefix(line, "- ") {
			continue // the head
		}
		m := requirementLine.FindStringSubmatch(line)
		if m == nil || !isID(m[1]) {
			return nil, fmt.Errorf("%s:%d: want `- ID LEVEL actor: text`, found %q", requirementsFile, i+1, line)
		}
		if seen[m[1]] {
			return nil, fmt.Errorf("%s:%d: %s is there twice", requirementsFile, i+1, m[1])
		}
		seen[m[1]] = true
		list = append(list, requirement{id: m[1], level: m[2], plain: m[3] != "", actor: m[4], text: m[5], section: section})
	}
	return list, nil
}
