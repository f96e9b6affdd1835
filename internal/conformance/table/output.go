package main

import (
	"fmt"
	"io"
	"strings"
)

var levels = []string{"MUST", "SHOULD", "MAY", "VECTOR", "READING", "FACT"}

// groups are those without a test, for the end.
var groups = []struct {
	state state
	title string
}{
	{open, "No test and no decision"},
	{notBuilt, "Not built"},
	{decided, "Decided, without a test"},
	{nothing, "Nothing to test"},
}

// print writes the table for a terminal.
func (t *table) print(w io.Writer) {
	for i := range t.rows {
		if r := &t.rows[i]; r.state() == tested {
			fmt.Fprintf(w, "%-14s %-8s %s\n", r.id, r.star(), strings.Join(shorten(r.tests), ", "))
		}
	}
	for _, g := range groups {
		fmt.Fprintf(w, "\n%s:\n", g.title)
		for i := range t.rows {
			r := &t.rows[i]
			if r.state() != g.state {
				continue
			}
			text := r.text
			if r.decision != nil {
				text = r.decision.String()
			}
			fmt.Fprintf(w, "%-14s %-8s %s\n", r.id, r.star(), text)
		}
	}
	fmt.Fprintf(w, "\n%-8s %6s %6s %8s %10s %6s\n", "", "all", "tested", "decided", "not built", "open")
	for _, level := range levels {
		n := t.count(level)
		fmt.Fprintf(w, "%-8s %6d %6d %8d %10d %6d\n", level, n.all, n.states[tested], n.states[decided], n.states[notBuilt], n.states[open])
	}
}

// counts are the rows of one level.
type counts struct {
	all    int
	states [nothing + 1]int
}

func (t *table) count(level string) (n counts) {
	for i := range t.rows {
		if r := &t.rows[i]; r.level == level {
			n.all++
			n.states[r.state()]++
		}
	}
	return n
}

// shorten takes the folders that all packages have in common off the names of tests.
func shorten(tests []string) []string {
	short := make([]string, len(tests))
	for i, name := range tests {
		short[i] = strings.TrimPrefix(name, "internal/")
	}
	return short
}

const head = `# Conformance

Which test shows which requirement of RFC 8684 (MPTCP v1) and RFC 6356 (LIA). ` + "`make conformance`" + ` writes this file
from internal/conformance/requirements.md, which explains the words, internal/conformance/decisions.md and the comments
of the tests: do not edit it.

`

// document is docs/conformance.md.
func (t *table) document() string {
	var b strings.Builder
	b.WriteString(head)
	b.WriteString("| level | all | tested | decided | not built | open |\n|---|---|---|---|---|---|\n")
	for _, level := range levels {
		n := t.count(level)
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d |\n", level, n.all, n.states[tested], n.states[decided], n.states[notBuilt], n.states[open])
	}
	section := ""
	for i := range t.rows {
		r := &t.rows[i]
		if r.state() != tested {
			continue
		}
		if r.section != section {
			section = r.section
			fmt.Fprintf(&b, "\n## %s\n\n| ID | level | | tests |\n|---|---|---|---|\n", section)
		}
		text := r.text
		if r.decision != nil {
			text += " *" + r.decision.String() + "*"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.id, r.star(), cell(text), strings.Join(shorten(r.tests), ", "))
	}
	for _, g := range groups {
		t.group(&b, g.state, g.title)
	}
	return b.String()
}

// group writes those rows without a test that are in one state.
func (t *table) group(b *strings.Builder, s state, title string) {
	begun := false
	for i := range t.rows {
		r := &t.rows[i]
		if r.state() != s {
			continue
		}
		if !begun {
			begun = true
			fmt.Fprintf(b, "\n## %s\n\n| ID | level | | |\n|---|---|---|---|\n", title)
		}
		why := ""
		if r.decision != nil {
			why = r.decision.why
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", r.id, r.star(), cell(r.text), cell(why))
	}
}

// cell is text as it can stand in a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
