package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// row is a requirement with all that is known of it.
type row struct {
	requirement
	tests    []string
	decision *decision
}

// state sums a row up.
type state int

const (
	tested state = iota
	decided
	notBuilt
	open    // something is missing
	nothing // and nothing is
)

func (r *row) state() state {
	switch {
	case len(r.tests) > 0:
		return tested
	case r.decision != nil && r.decision.notBuilt:
		return notBuilt
	case r.decision != nil:
		return decided
	case r.needsTest():
		return open
	}
	return nothing
}

// table is what the program shows.
type table struct {
	rows     []row
	mistakes []error // in tests and decisions
}

// load reads the module at root.
func load(root string) (*table, error) {
	read := func(name string) (string, error) {
		b, err := os.ReadFile(filepath.Join(root, name))
		return string(b), err
	}
	text, err := read(requirementsFile)
	if err != nil {
		return nil, err
	}
	list, err := parseRequirements(text)
	if err != nil {
		return nil, err
	}
	if text, err = read(decisionsFile); err != nil {
		return nil, err
	}
	decisions, err := parseDecisions(text)
	if err != nil {
		return nil, err
	}
	found, err := cites(root)
	if err != nil {
		return nil, err
	}
	return join(list, decisions, found), nil
}

// join puts together what belongs together.
func join(list []requirement, decisions map[string]*decision, found []cite) *table {
	t := &table{}
	index := map[string]int{}
	for i, r := range list {
		index[r.id] = i
		t.rows = append(t.rows, row{requirement: r, decision: decisions[r.id]})
	}
	for id := range decisions {
		if _, known := index[id]; !known {
			t.mistakes = append(t.mistakes, fmt.Errorf("%s names %s, which is no requirement", decisionsFile, id))
		}
	}
	for _, c := range found {
		i, known := index[c.id]
		if !known {
			t.mistakes = append(t.mistakes, fmt.Errorf("%s names %s, which is no requirement", c.at, c.id))
			continue
		}
		if r := &t.rows[i]; !slices.Contains(r.tests, c.test) {
			r.tests = append(r.tests, c.test)
		}
	}
	for i := range t.rows {
		slices.Sort(t.rows[i].tests)
	}
	slices.SortFunc(t.mistakes, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return t
}

// check returns an error if something is missing that must not be.
func (t *table) check() error {
	errs := slices.Clone(t.mistakes)
	for i := range t.rows {
		if r := &t.rows[i]; r.level == "MUST" && r.state() == open {
			errs = append(errs, fmt.Errorf("%s has neither a test nor a line in %s: %s", r.id, decisionsFile, r.text))
		}
	}
	return errors.Join(errs...)
}
