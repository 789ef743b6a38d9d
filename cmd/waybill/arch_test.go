package main_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// rule is one sentence of the architecture: what is so, why, and what of a source tree breaks it.
type rule struct {
	name, why string
	broken    func(tree) []string
}

var rules = []rule{
	{"ledger is pure",
		"what follows from a log must be the same on every machine and at every replay, so the ledger reads nothing but its arguments: time, ids and chance come from its caller, and it needs no library that may change beneath it",
		func(t tree) []string { return t.imports(impure) }},
	{"ledger reads no clock",
		"the writer fixes the time of an event and hands it in: a second clock in the fold would make a replay differ from what happened",
		clocks},
	{"arrows",
		"a package that knows another cannot be read, tested or replaced without it: the ledger knows nobody, store and router never meet, http stands on the router, and only the command knows everything",
		func(t tree) []string { return t.imports(against) }},
	{"net/http beside our http",
		"two packages of one name in one file are read wrongly sooner or later: whoever serves uses waybill/http, whoever calls out uses net/http, and only tests call ours wbhttp next to it",
		twoHTTPs},
	{"package docs",
		"a reader starts at the package's comment: it says what the package is for and what it promises",
		undocumented},
	{"module",
		"waybill is built by its module file alone: a replace would build something else on the next machine, and cgo would need a compiler there",
		module},
	{"file length",
		"a file of more than 600 lines holds more than one noun",
		tooLong},
	{"file names",
		"a file is named for the noun in it; one named for a layer collects whatever has no name",
		layers},
	{"top level",
		"the tree is the first page of the manual: a new entry there is a decision, not an accident",
		strangers},
}

func TestArchitecture(t *testing.T) {
	tr, err := load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(tr.packages) < 3 {
		t.Fatalf("only %d packages found", len(tr.packages))
	}
	for _, r := range rules {
		for _, found := range r.broken(tr) {
			t.Errorf("%s: %s.\nThe rule is there because %s.", r.name, found, r.why)
		}
	}
}

// TestArchitectureCanFail breaks each rule once, on a tree that is otherwise in order.
func TestArchitectureCanFail(t *testing.T) {
	sound := map[string]string{
		"go.mod":                "module waybill\n\ngo 1.26\n",
		"ledger/doc.go":         "// Package ledger is for this test.\npackage ledger\nimport \"time\"\nvar _ time.Duration",
		"ledger/x_test.go":      "package ledger\nimport \"os\"\nvar _ = os.Args",
		"router/doc.go":         "// Package router is for this test.\npackage router\nimport \"waybill/ledger\"\nimport \"net/http\"",
		"store/doc.go":          "// Package store is for this test.\npackage store\nimport \"waybill/ledger\"\nimport \"waybill/migrations\"",
		"migrations/doc.go":     "// Package migrations is for this test.\npackage migrations\nimport _ \"embed\"",
		"http/doc.go":           "// Package http is for this test.\npackage http\nimport \"net/http\"\nimport \"waybill/router\"",
		"http/x_test.go":        "package http_test\nimport \"net/http\"\nimport wbhttp \"waybill/http\"",
		"cmd/waybill/main.go":   "// Command waybill is for this test.\npackage main\nimport wbhttp \"waybill/http\"\nimport \"waybill/store\"",
		"cmd/waybill/x_test.go": "package main\nimport \"net/http\"",
	}
	as := func(changes map[string]string) tree {
		files := fstest.MapFS{}
		for name, text := range sound {
			files[name] = &fstest.MapFile{Data: []byte(text)}
		}
		for name, text := range changes {
			files[name] = &fstest.MapFile{Data: []byte(text)}
		}
		tr, err := load(files)
		if err != nil {
			t.Fatal(err)
		}
		return tr
	}
	for _, r := range rules {
		if found := r.broken(as(nil)); len(found) > 0 {
			t.Errorf("%s: a sound tree is said to break it: %v", r.name, found)
		}
	}
	for _, c := range []struct{ rule, file, text string }{
		{"ledger is pure", "ledger/a.go", "package ledger\nimport \"os\""},
		{"ledger is pure", "ledger/a.go", "package ledger\nimport \"net/url\""},
		{"ledger is pure", "ledger/a.go", "package ledger\nimport \"context\""},
		{"ledger is pure", "ledger/a.go", "package ledger\nimport \"database/sql\""},
		{"ledger is pure", "ledger/a.go", "package ledger\nimport \"math/rand/v2\""},
		{"ledger is pure", "ledger/catalogue/a.go", "// Package catalogue is for this test.\npackage catalogue\nimport \"github.com/google/uuid\""},
		{"ledger reads no clock", "ledger/a.go", "package ledger\nimport \"time\"\nvar now = time.Now"},
		{"ledger reads no clock", "ledger/a.go", "package ledger\nimport clock \"time\"\nfunc f() { clock.Sleep(1) }"},
		{"ledger reads no clock", "ledger/a.go", "package ledger\nimport \"time\"\nvar here = time.Local"},
		{"arrows", "ledger/a.go", "package ledger\nimport \"waybill/migrations\""},
		{"arrows", "store/a.go", "package store\nimport \"waybill/router\""},
		{"arrows", "router/openai/a.go", "// Package openai is for this test.\npackage openai\nimport \"waybill/store\""},
		{"arrows", "router/a.go", "package router\nimport \"waybill/http\""},
		{"arrows", "http/a.go", "package http\nimport \"waybill/store\""},
		{"arrows", "migrations/a.go", "package migrations\nimport \"waybill/ledger\""},
		{"arrows", "http/a.go", "package http\nimport \"waybill/cmd/waybill/bench\""},
		{"net/http beside our http", "cmd/waybill/a.go", "package main\nimport \"net/http\""},
		{"package docs", "router/gemini/a.go", "package gemini"},
		{"module", "go.mod", "module waybill\n\ngo 1.26\n\nreplace (\n\texample.org/a => ../a\n)\n"},
		{"module", "go.mod", "module waybill\n\ngo 1.26\n\nreplace example.org/a => ../a\n"},
		{"module", "go.mod", "module example.org/waybill\n\ngo 1.26\n"},
		{"module", "store/a.go", "package store\nimport \"C\""},
		{"file length", "store/a.go", "package store\n" + strings.Repeat("\n", 600)},
		{"file names", "http/handlers.go", "package http"},
		{"file names", "ledger/utils_test.go", "package ledger"},
		{"top level", "pkg/a.go", "// Package pkg is for this test.\npackage pkg"},
		{"top level", "main.go", "// Command waybill is for this test.\npackage main"},
	} {
		i := slices.IndexFunc(rules, func(r rule) bool { return r.name == c.rule })
		if found := rules[i].broken(as(map[string]string{c.file: c.text})); len(found) == 0 {
			t.Errorf("%s: nothing is found in %s:\n%s", c.rule, c.file, c.text)
		}
	}
}

// tree is a module's sources, as the rules read them.
type tree struct {
	packages map[string]*pkg // by folder
	top      []string        // entries of the module's root
	mod      string
}

type pkg struct {
	folder string
	doc    bool
	files  []file
}

type file struct {
	path    string
	test    bool
	lines   int
	imports []string
	syntax  *ast.File
}

// load reads every Go file of a module but those in dot-folders and testdata.
func load(files fs.FS) (tree, error) {
	t := tree{packages: map[string]*pkg{}}
	mod, err := fs.ReadFile(files, "go.mod")
	if err != nil {
		return t, err
	}
	t.mod = string(mod)
	err = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path.Dir(name) == "." && name != "." {
			t.top = append(t.top, name)
		}
		if d.IsDir() {
			if base := path.Base(name); name != "." && (base[0] == '.' || base == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		return t.add(files, name)
	})
	return t, err
}

func (t *tree) add(files fs.FS, name string) error {
	src, err := fs.ReadFile(files, name)
	if err != nil {
		return err
	}
	syntax, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	f := file{path: name, test: strings.HasSuffix(name, "_test.go"), lines: strings.Count(string(src), "\n"), syntax: syntax}
	for _, i := range syntax.Imports {
		imported, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return err
		}
		f.imports = append(f.imports, imported)
	}
	folder := path.Dir(name)
	if t.packages[folder] == nil {
		t.packages[folder] = &pkg{folder: folder}
	}
	p := t.packages[folder]
	p.files = append(p.files, f)
	p.doc = p.doc || !f.test && syntax.Doc != nil && len(strings.Fields(syntax.Doc.Text())) > 3
	return nil
}

// code yields the files that are not tests, with their package's place: the first folder of its path.
func (t tree) code(each func(place string, f file)) {
	for _, folder := range slices.Sorted(maps.Keys(t.packages)) {
		place, _, _ := strings.Cut(folder, "/")
		for _, f := range t.packages[folder].files {
			if !f.test {
				each(place, f)
			}
		}
	}
}

// imports lists the imports that a rule forbids in a place.
func (t tree) imports(forbids func(place, imported string) bool) (found []string) {
	t.code(func(place string, f file) {
		for _, i := range f.imports {
			if forbids(place, i) {
				found = append(found, fmt.Sprintf("%s imports %s", f.path, i))
			}
		}
	})
	return found
}

// impure tells whether the ledger may not import a package: one that reaches out of the process, or of another module.
func impure(place, imported string) bool {
	if place != "ledger" {
		return false
	}
	for _, no := range []string{"os", "net", "database", "context", "math/rand", "crypto/rand", "syscall", "unsafe", "log"} {
		if imported == no || strings.HasPrefix(imported, no+"/") {
			return true
		}
	}
	first, _, _ := strings.Cut(imported, "/")
	return strings.Contains(first, ".")
}

// known is which of our packages each may know, itself and the folders under it aside.
var known = map[string][]string{
	"ledger":     {},
	"migrations": {},
	"store":      {"ledger", "migrations"},
	"router":     {"ledger"},
	"http":       {"router", "ledger"},
	"cmd":        {"ledger", "migrations", "store", "router", "http"},
}

func against(place, imported string) bool {
	ours, ok := strings.CutPrefix(imported, "waybill/")
	if !ok {
		return false
	}
	to, _, _ := strings.Cut(ours, "/")
	return to != place && !slices.Contains(known[place], to)
}

// clocks finds uses of package time's clock, timers and local zone in the ledger.
func clocks(t tree) (found []string) {
	forbidden := []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Sleep", "Local"}
	t.code(func(place string, f file) {
		if place != "ledger" || !slices.Contains(f.imports, "time") {
			return
		}
		name := "time"
		for _, i := range f.syntax.Imports {
			if i.Path.Value == `"time"` && i.Name != nil {
				name = i.Name.Name
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && slices.Contains(forbidden, s.Sel.Name) {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == name {
					found = append(found, fmt.Sprintf("%s uses time.%s", f.path, s.Sel.Name))
				}
			}
			return true
		})
	})
	return found
}

func twoHTTPs(t tree) (found []string) {
	for _, folder := range slices.Sorted(maps.Keys(t.packages)) {
		var std, ours string
		for _, f := range t.packages[folder].files {
			if f.test {
				continue
			}
			if slices.Contains(f.imports, "net/http") {
				std = f.path
			}
			if slices.Contains(f.imports, "waybill/http") {
				ours = f.path
			}
		}
		if std != "" && ours != "" {
			found = append(found, fmt.Sprintf("%s imports net/http and %s waybill/http", std, ours))
		}
	}
	return found
}

func undocumented(t tree) (found []string) {
	for _, folder := range slices.Sorted(maps.Keys(t.packages)) {
		p := t.packages[folder]
		testsOnly := !slices.ContainsFunc(p.files, func(f file) bool { return !f.test })
		if !p.doc && !testsOnly {
			found = append(found, folder+" has no package comment that says something")
		}
	}
	return found
}

func module(t tree) (found []string) {
	for i, line := range strings.Split(t.mod, "\n") {
		switch words := strings.Fields(line); {
		case len(words) > 0 && strings.TrimSuffix(words[0], "(") == "replace":
			found = append(found, fmt.Sprintf("go.mod:%d replaces a module", i+1))
		case len(words) > 0 && words[0] == "module" && strings.Join(words[1:], " ") != "waybill":
			found = append(found, "the module is not called waybill")
		}
	}
	t.code(func(_ string, f file) {
		if slices.Contains(f.imports, "C") {
			found = append(found, f.path+" uses cgo")
		}
	})
	return found
}

func tooLong(t tree) (found []string) {
	for _, p := range t.packages {
		for _, f := range p.files {
			if f.lines > 600 {
				found = append(found, fmt.Sprintf("%s has %d lines", f.path, f.lines))
			}
		}
	}
	return found
}

func layers(t tree) (found []string) {
	for _, p := range t.packages {
		for _, f := range p.files {
			base := strings.TrimSuffix(strings.TrimSuffix(path.Base(f.path), ".go"), "_test")
			if slices.Contains([]string{"util", "utils", "helper", "helpers", "handler", "handlers", "types", "common", "misc", "interfaces"}, base) {
				found = append(found, f.path+" is named for no noun")
			}
		}
	}
	return found
}

func strangers(t tree) (found []string) {
	expected := []string{"cmd", "ledger", "router", "store", "http", "migrations", "litestream.yml", "go.mod", "go.sum", "README.md", "LICENSE"}
	for _, name := range t.top {
		if name[0] != '.' && !slices.Contains(expected, name) {
			found = append(found, name+" stands at the top level")
		}
	}
	return found
}
