package ledger

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoFloats: no float is on any path from usage to balance, because a sum of them depends on its order and a bill
// must not.
func TestNoFloats(t *testing.T) {
	files := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files++
		for _, found := range floats(t, path, nil) {
			t.Errorf("%s: money and tokens are whole numbers", found)
		}
		return nil
	})
	if err != nil || files < 20 {
		t.Errorf("%d files read: %v", files, err)
	}
	probe := "package p\nimport \"math\"\nvar a = 1.5\nvar b float64\nvar c = complex64(0)\nvar d = math.Ceil(1)\nvar e = strconv.ParseFloat"
	if found := floats(t, "probe.go", probe); len(found) != 5 {
		t.Errorf("the check sees %v", found)
	}
}

func floats(t *testing.T, path string, src any) (found []string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, src, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if n.Kind == token.FLOAT || n.Kind == token.IMAG {
				found = append(found, set.Position(n.Pos()).String()+": "+n.Value)
			}
		case *ast.Ident:
			switch n.Name {
			case "float32", "float64", "complex64", "complex128", "ParseFloat":
				found = append(found, set.Position(n.Pos()).String()+": "+n.Name)
			}
		case *ast.SelectorExpr: // of package math nothing is whole but its limits
			if pkg, ok := n.X.(*ast.Ident); ok && pkg.Name == "math" && !strings.HasPrefix(n.Sel.Name, "Max") && !strings.HasPrefix(n.Sel.Name, "Min") {
				found = append(found, set.Position(n.Pos()).String()+": math."+n.Sel.Name)
			}
		}
		return true
	})
	return found
}
