package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../../.."

// Tests and decisions of this module name no requirement that there is not, and every MUST has
// one of them. That docs/conformance.md is up to date is looked at by .ci/run only: who adds a
// test need not write it each time.
func TestThisModule(t *testing.T) {
	table, err := load(root)
	require.NoError(t, err)
	require.NoError(t, table.check())
	require.Greater(t, table.count("MUST").all, 100)
}

func TestCitations(t *testing.T) {
	for text, want := range map[string]string{
		"8684-3.1-01":                           "8684-3.1-01",
		"8684-3.1-11, -12, 8684-W-03":           "8684-3.1-11 8684-3.1-12 8684-W-03",
		"8684-3.1-30 to -32 and -40, 6356-3-01": "8684-3.1-30 8684-3.1-31 8684-3.1-32 8684-3.1-40 6356-3-01",
		"T-C1..T-C3, T-O1":                      "T-C1 T-C2 T-C3 T-O1",
		"T-K5 and T-K6 have the same one":       "T-K5 T-K6",
		"8684-3.4.1-12: a port, -13 degrees":    "8684-3.4.1-12",
		"(8684-3.3.1-08,\n-09)":                 "8684-3.3.1-08 8684-3.3.1-09",
		"8684-3.2: a section; -05; PORT-T-K1x":  "",
		"from 8684-W-01 to 8684-3.1-02":         "8684-W-01 8684-3.1-02",
		"8684-W-09 to 8684-W-11":                "8684-W-09 8684-W-10 8684-W-11",
	} {
		require.Equal(t, want, strings.Join(citations(text), " "), text)
	}
}

// write makes a small module.
func write(t *testing.T, files map[string]string) string {
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o777))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o666))
	}
	return dir
}

func module() map[string]string {
	return map[string]string{
		requirementsFile: `# Head
- no item

## First
- 8684-1-01 MUST both: be | so.
- 8684-1-02 MUST* client: be otherwise.
- 8684-1-03 SHOULD server: try.

## Second
- 8684-Q-01 READING both: (1) something.
- T-K1 VECTOR both: a key.
- 8684-W-01 FACT both: it is so.
`,
		decisionsFile: `# Decisions
- 8684-1-02: not built: nobody
  wants it.
`,
		"internal/a/a_test.go": `package a

// A helper, 8684-1-03, is no test.
func helper() {}

// 8684-1-01: on top.
func TestOne(t *testing.T) {
	// T-K1: inside.
	t.Log("8684-1-03")
}

// 8684-1-01, again.
func FuzzTwo(f *testing.F) {}
`,
		"b/b.go":               "package b\n\n// 8684-1-03\nfunc TestNot() {}\n",
		"b/testdata/c_test.go": "no Go at all",
		"top_test.go":          "package top\n\n// 8684-Q-01\nfunc ExampleTop() {}\n",
	}
}

func TestTable(t *testing.T) {
	dir := write(t, module())
	var out strings.Builder
	require.NoError(t, run(dir, &out))
	b, err := os.ReadFile(filepath.Join(dir, documentFile))
	require.NoError(t, err)
	doc := strings.TrimPrefix(string(b), head)
	require.Equal(t, `| level | all | tested | decided | not built | open |
|---|---|---|---|---|---|
| MUST | 2 | 1 | 0 | 1 | 0 |
| SHOULD | 1 | 0 | 0 | 0 | 1 |
| MAY | 0 | 0 | 0 | 0 | 0 |
| VECTOR | 1 | 1 | 0 | 0 | 0 |
| READING | 1 | 1 | 0 | 0 | 0 |
| FACT | 1 | 0 | 0 | 0 | 0 |

## First

| ID | level | | tests |
|---|---|---|---|
| 8684-1-01 | MUST | be \| so. | a.FuzzTwo, a.TestOne |

## Second

| ID | level | | tests |
|---|---|---|---|
| 8684-Q-01 | READING | (1) something. | .ExampleTop |
| T-K1 | VECTOR | a key. | a.TestOne |

## No test and no decision

| ID | level | | |
|---|---|---|---|
| 8684-1-03 | SHOULD | try. |  |

## Not built

| ID | level | | |
|---|---|---|---|
| 8684-1-02 | MUST* | be otherwise. | nobody wants it. |

## Nothing to test

| ID | level | | |
|---|---|---|---|
| 8684-W-01 | FACT | it is so. |  |
`, doc)
	require.Contains(t, out.String(), "8684-1-01      MUST     a.FuzzTwo, a.TestOne\n")
	require.Contains(t, out.String(), "Not built:\n8684-1-02      MUST*    Not built: nobody wants it.\n")
}

// What makes `make conformance` fail.
func TestFailures(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"MUST without anything":  {decisionsFile, "", "8684-1-02 has neither a test nor a line"},
		"unknown citation":       {"b/b_test.go", "package b\n\n// 8684-9-99\nfunc TestB() {}\n", "b/b_test.go:3 names 8684-9-99"},
		"unknown decision":       {decisionsFile, "- 8684-1-02, 8684-7-07: decided: so.\n", "decisions.md names 8684-7-07"},
		"decision twice":         {decisionsFile, "- 8684-1-02: decided: so.\n- 8684-1-02: not built: no.\n", "was decided before"},
		"decision without word":  {decisionsFile, "- 8684-1-02: so.\n", "decisions.md:1: want"},
		"decision without why":   {decisionsFile, "- 8684-1-02: not built: \n", "decisions.md:1: want"},
		"bad requirement":        {requirementsFile, "## A\n- 8684-1-01 OUGHT both: x\n", "requirements.md:2: want"},
		"the same ID twice":      {requirementsFile, "## A\n- T-K1 MUST both: x\n- T-K1 MUST both: x\n", "requirements.md:3: T-K1 is there twice"},
		"test that is no source": {"b/b_test.go", "no Go", "expected 'package'"},
	} {
		t.Run(name, func(t *testing.T) {
			files := module()
			files[c.file] = c.text
			require.ErrorContains(t, run(write(t, files), new(strings.Builder)), c.want)
		})
	}
}
