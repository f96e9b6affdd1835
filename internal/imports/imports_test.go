package imports

import (
	"errors"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/gomptcp/gomptcp"

// allowed says for each package which packages of this module it may import. Names
// stand without the module; one that ends in "/..." means all below it. A package that
// fits several lines has the first.
var allowed = []struct {
	pkg     string
	imports []string
}{
	// Pure: values in, values out.
	{"internal/seq", nil},
	{"internal/clock", nil},
	{"internal/mib", nil},
	{"internal/packet", nil},
	{"internal/rangeset", []string{"internal/seq"}},
	{"internal/sendbuf", []string{"internal/seq", "internal/rangeset"}},
	{"option", []string{"internal/seq"}},
	{"scheduler", nil},
	{"pathmgr", nil},
	{"pathmgr/endpoints", []string{"pathmgr"}}, // has a lock: what programs change while connections live
	{"subflow/congestion", nil},

	// Devices.
	{"tun", []string{"internal/packet", "internal/clock"}},
	{"tun/simnet", []string{"tun", "tun/pcap", "internal/packet", "internal/clock"}},
	{"tun/...", []string{"tun", "internal/packet", "internal/clock"}},
	{"internal/linkem", []string{"tun", "internal/packet", "internal/clock"}},

	// The two halves of a subflow, which do not know each other.
	{"subflow", []string{"subflow/congestion", "option", "tun", "internal/seq", "internal/rangeset", "internal/sendbuf",
		"internal/packet", "internal/clock", "internal/mib"}},
	{"internal/netstack", []string{"internal/netstack/...", "tun", "internal/packet", "internal/clock", "internal/seq"}},
	{"internal/netstack/...", []string{"internal/netstack/...", "tun", "internal/packet", "internal/clock", "internal/seq"}},

	// The connection, which ties all together.
	{"mptcp", []string{"subflow", "subflow/congestion", "option", "scheduler", "pathmgr", "tun", "internal/netstack", "internal/seq",
		"internal/rangeset", "internal/sendbuf", "internal/packet", "internal/clock", "internal/mib"}},

	// Its users.
	{"examples/...", []string{"mptcp", "scheduler", "pathmgr", "pathmgr/endpoints", "subflow/congestion", "tun", "tun/...", "internal/linkem"}},
	{"internal/interop", []string{"mptcp", "scheduler", "pathmgr", "pathmgr/endpoints", "subflow/congestion", "tun", "tun/...", "internal/linkem", "internal/packet"}},
	{"internal/imports", nil},
	{"internal/script", []string{"mptcp", "pathmgr", "option", "tun", "tun/simnet", "internal/clock", "internal/packet", "internal/seq"}},
	{"internal/conformance", nil}, // tests only
	{"internal/conformance/table", nil},
	{"internal/tracecheck", nil}, // judges the others, and so shares nothing with them
	{"internal/soak", nil},       // tests only
	{"internal/bench/...", []string{"..."}},
	{"internal/bench", []string{"..."}},
}

// pure are the packages without input, output, clock, goroutine or lock.
var pure = []string{"internal/seq", "option", "scheduler", "pathmgr", "subflow/congestion"}

// impureImports are what pure packages must not import.
var impureImports = []string{"net", "os", "syscall", "sync", "context", "log", "log/slog", "golang.org/x/sys/..."}

// impureTime are the functions of package time that pure packages must not call.
var impureTime = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}

func TestImportsRunDownwards(t *testing.T) {
	for _, goos := range []string{"linux", "windows"} {
		for _, p := range packages(t, goos) {
			may, known := allowedFor(p.name)
			if !known {
				t.Errorf("%s is not in the table of allowed imports: say there where it belongs", p.name)
				continue
			}
			for _, imported := range p.Imports {
				if own, ok := strings.CutPrefix(imported, module+"/"); ok && !matchesAny(own, may) {
					t.Errorf("%s (%s) must not import %s", p.name, goos, own)
				}
			}
		}
	}
}

func TestOnlyNetstackImportsGvisor(t *testing.T) {
	for _, goos := range []string{"linux", "windows"} {
		for _, p := range packages(t, goos) {
			if p.name == "internal/netstack" || strings.HasPrefix(p.name, "internal/netstack/") {
				continue
			}
			if p.name == "internal/bench" || strings.HasPrefix(p.name, "internal/bench/") {
				continue // compares with plain netstack
			}
			for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
				if strings.HasPrefix(imported, "gvisor.dev/") {
					t.Errorf("%s (%s) must not import %s: only internal/netstack may", p.name, goos, imported)
				}
			}
		}
	}
}

func TestPurePackages(t *testing.T) {
	for _, p := range packages(t, "linux") {
		if !slices.Contains(pure, p.name) {
			continue
		}
		for _, imported := range p.Imports {
			if matchesAny(imported, impureImports) {
				t.Errorf("%s is pure and must not import %s", p.name, imported)
			}
		}
		for _, file := range p.GoFiles {
			for _, f := range timeFunctions(t, filepath.Join(p.Dir, file)) {
				if slices.Contains(impureTime, f) {
					t.Errorf("%s is pure and must not use time.%s (%s): the caller passes the time in", p.name, f, file)
				}
			}
		}
	}
}

// pkg is a package of the module and its directory's name within it.
type pkg struct {
	*build.Package
	name string
}

// packages lists the packages of the module, but for the root's, as they are built for an
// operating system. It reads the files in this process, so that `go test` knows which
// changes make a cached result stale.
func packages(t *testing.T, goos string) (list []pkg) {
	const root = "../.."
	ctx := build.Default
	ctx.GOOS, ctx.CgoEnabled = goos, false
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || path == root {
			return err
		}
		if name := d.Name(); name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
			return fs.SkipDir
		}
		p, err := ctx.ImportDir(path, 0)
		if errors.As(err, new(*build.NoGoError)) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		list = append(list, pkg{p, filepath.ToSlash(name)})
		return err
	}))
	require.NotEmpty(t, list)
	return list
}

func allowedFor(name string) (imports []string, known bool) {
	for _, a := range allowed {
		if matchesAny(name, []string{a.pkg}) {
			return a.imports, true
		}
	}
	return nil, false
}

// matchesAny reports whether name is one of patterns or below one that ends in "...".
func matchesAny(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		below, ok := strings.CutSuffix(p, "...")
		return name == p || ok && strings.HasPrefix(name, below)
	})
}

// timeFunctions returns the names in package time that a file uses.
func timeFunctions(t *testing.T, file string) (names []string) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	local := ""
	for _, spec := range f.Imports {
		if path, _ := strconv.Unquote(spec.Path.Value); path == "time" {
			local = "time"
			if spec.Name != nil {
				local = spec.Name.Name
			}
		}
	}
	if local == "" {
		return nil
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == local {
				names = append(names, sel.Sel.Name)
			}
		}
		return true
	})
	return names
}

// realTime are the packages whose tests may depend on real time: those against the kernel,
// and those that measure.
var realTime = []string{"internal/interop", "internal/bench", "internal/bench/..."}

// Tests wait in virtual time: whoever waits by package time in a test needs a bubble or a
// simulated world. testify's Eventually polls in real time.
func TestNoTestWaitsInRealTime(t *testing.T) {
	bubbles := []string{"testing/synctest", module + "/tun/simnet", module + "/internal/script"}
	waits := []string{"Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Since", "Until"}
	for _, p := range packages(t, "linux") {
		if matchesAny(p.name, realTime) {
			continue
		}
		virtual := slices.ContainsFunc(slices.Concat(p.TestImports, p.XTestImports), func(imported string) bool {
			return slices.Contains(bubbles, imported)
		})
		for _, file := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
			path := filepath.Join(p.Dir, file)
			for _, f := range timeFunctions(t, path) {
				if slices.Contains(waits, f) && !virtual {
					t.Errorf("%s: time.%s in %s, and no test there runs in virtual time", p.name, f, file)
				}
			}
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			if strings.Contains(string(text), "require.Eventually"+"(") || strings.Contains(string(text), "assert.Eventually"+"(") {
				t.Errorf("%s: Eventually in %s polls in real time", p.name, file)
			}
		}
	}
}
