package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

const idPattern = `(?:8684|6356)-[A-Z0-9.]+-[0-9]{2}|T-[A-Z][0-9]+`

var (
	wholeID = regexp.MustCompile(`^(?:` + idPattern + `)$`)
	// citation finds an ID, or a short form as in "8684-3.1-11, -12", perhaps the end of a range
	// as in "8684-3.1-30 to -32" or "T-C1..T-C6".
	citation = regexp.MustCompile(`(\.\.|\bto\s+|,\s*|,?\s*\band\s+)?(?:\b(` + idPattern + `)|(-[0-9]{2}))\b`)
)

func isID(s string) bool { return wholeID.MatchString(s) }

// citations returns the IDs that a text names, in its order.
func citations(text string) []string {
	var ids []string
	end := -1 // of the last citation
	for _, m := range citation.FindAllStringSubmatchIndex(text, -1) {
		group := func(n int) string {
			if m[2*n] < 0 {
				return ""
			}
			return text[m[2*n]:m[2*n+1]]
		}
		before, id, short := strings.TrimSpace(group(1)), group(2), group(3)
		follows := end >= 0 && before != "" && strings.TrimSpace(text[end:m[0]]) == ""
		if short != "" {
			if !follows {
				continue // a number of something else
			}
			last := ids[len(ids)-1]
			id = last[:strings.LastIndex(last, "-")] + short
		}
		if follows && (before == ".." || before == "to") {
			ids = append(ids, between(ids[len(ids)-1], id)...)
		}
		ids = append(ids, id)
		end = m[1]
	}
	return ids
}

// between lists the IDs between two of one family.
func between(from, to string) (ids []string) {
	split := func(id string) (string, int) {
		stem := strings.TrimRight(id, "0123456789")
		n, _ := strconv.Atoi(id[len(stem):])
		return stem, n
	}
	stem, first := split(from)
	other, last := split(to)
	if stem != other {
		return nil
	}
	width := len(from) - len(stem)
	for n := first + 1; n < last; n++ {
		ids = append(ids, fmt.Sprintf("%s%0*d", stem, width, n))
	}
	return ids
}

// cite is a test that names a requirement.
type cite struct {
	id   string
	test string // package and function
	at   string // file and line
}

// cites finds what the tests of the module at root name: in the comment above each test
// function and in those inside it.
func cites(root string) (list []cite, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && path != root && (name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		found, err := fileCites(root, path)
		list = append(list, found...)
		return err
	})
	return list, err
}

func fileCites(root, path string) (list []cite, err error) {
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(root, path)
	if err != nil {
		return nil, err
	}
	rel = filepath.ToSlash(rel)
	dir := rel[:strings.LastIndex("/"+rel, "/")]
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || !isTest(fn) {
			continue
		}
		for _, group := range f.Comments {
			if group != fn.Doc && (group.Pos() < fn.Pos() || fn.End() < group.End()) {
				continue
			}
			for _, id := range citations(group.Text()) {
				list = append(list, cite{
					id: id, test: strings.TrimSuffix(dir, "/") + "." + fn.Name.Name,
					at: fmt.Sprintf("%s:%d", rel, files.Position(group.Pos()).Line),
				})
			}
		}
	}
	return list, nil
}

// isTest reports whether `go test` runs a function.
func isTest(fn *ast.FuncDecl) bool {
	for _, prefix := range []string{"Test", "Fuzz", "Example"} {
		if fn.Recv == nil && strings.HasPrefix(fn.Name.Name, prefix) {
			return true
		}
	}
	return false
}
