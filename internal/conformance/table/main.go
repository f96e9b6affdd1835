// Command table shows which tests show which requirement: `make conformance`.
//
// It reads the requirements (internal/conformance/requirements.md), what was decided of
// some by hand (internal/conformance/decisions.md) and the comments of all tests of the
// module, prints what it finds and writes docs/conformance.md. It fails if a test or a
// decision names a requirement that there is not, and if a MUST has neither a test nor an
// argument why it has none.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Where things are, from the root of the module.
const (
	requirementsFile = "internal/conformance/requirements.md"
	decisionsFile    = "internal/conformance/decisions.md"
	documentFile     = "docs/conformance.md"
)

func main() {
	root := flag.String("root", ".", "the root of the module")
	flag.Parse()
	if err := run(*root, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

// run prints the table of the module at root and writes its document.
func run(root string, out io.Writer) error {
	t, err := load(root)
	if err != nil {
		return err
	}
	t.print(out)
	path := filepath.Join(root, documentFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(t.document()), 0o666); err != nil {
		return err
	}
	return t.check()
}
