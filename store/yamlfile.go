package store

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// yamlFile is a YAML document that is read key by key, so that every error has its line and column.
type yamlFile struct {
	name string
	root ast.Node
}

// field takes the value of one key.
type field func(n ast.Node) error

func parseYAML(name string, text []byte) (*yamlFile, error) {
	y := &yamlFile{name: name}
	f, err := parser.ParseBytes(text, 0)
	if e := yaml.Error(nil); errors.As(err, &e) {
		return nil, y.at(e.GetToken(), errors.New(e.GetMessage()))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, d := range f.Docs {
		switch {
		case d.Body == nil:
		case y.root != nil:
			return nil, y.errorf(d.Body, "there is a second document")
		default:
			y.root = d.Body
		}
	}
	if y.root == nil {
		return nil, fmt.Errorf("%s is empty", name)
	}
	return y, nil
}

func (y *yamlFile) errorf(n ast.Node, format string, args ...any) error {
	return y.at(n.GetToken(), fmt.Errorf(format, args...))
}

func (y *yamlFile) at(t *token.Token, err error) error {
	if t == nil || t.Position == nil {
		return fmt.Errorf("%s: %w", y.name, err)
	}
	return fmt.Errorf("%s:%d:%d: %w", y.name, t.Position.Line, t.Position.Column, err)
}

// mapping reads a mapping that has no keys but these.
func (y *yamlFile) mapping(what string, n ast.Node, fields map[string]field) error {
	m, ok := n.(ast.MapNode)
	if !ok {
		return y.errorf(n, "%s must be a mapping", what)
	}
	for i := m.MapRange(); i.Next(); {
		key := i.Key()
		f, ok := fields[key.GetToken().Value]
		if !ok {
			return y.errorf(key, "%s is not a key that waybill reads: %s has %s", key.GetToken().Value, what,
				strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		}
		if err := f(i.Value()); err != nil {
			return err
		}
	}
	return nil
}

func (y *yamlFile) sequence(key string, n ast.Node, each field) error {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		return y.errorf(n, "%s must be a list", key)
	}
	for _, v := range s.Values {
		if err := each(v); err != nil {
			return err
		}
	}
	return nil
}

func (y *yamlFile) text(key string, n ast.Node) (string, error) {
	s, ok := n.(*ast.StringNode)
	if !ok || s.Value == "" {
		return "", y.errorf(n, "%s must be a text", key)
	}
	if _, rest, found := strings.Cut(s.Value, unset); found {
		name, _, _ := strings.Cut(rest, unset)
		return "", y.errorf(n, "%s names the environment variable %s, which is not set", key, name)
	}
	return s.Value, nil
}

// unset stands in a text around the name of a variable that is not set: where it is used, that is an error.
const unset = "\ufdd0"

// expand puts the environment's variables into a text, as the litestream command does.
func expand(text []byte, lookup func(string) (string, bool)) []byte {
	return []byte(os.Expand(string(text), func(name string) string {
		if v, ok := lookup(name); ok {
			return v
		}
		if name == "PID" {
			return strconv.Itoa(os.Getpid())
		}
		return unset + name + unset
	}))
}

func (y *yamlFile) boolean(key string, n ast.Node) (bool, error) {
	b, ok := n.(*ast.BoolNode)
	if !ok {
		return false, y.errorf(n, "%s must be true or false", key)
	}
	return b.Value, nil
}

func (y *yamlFile) duration(key string, n ast.Node) (time.Duration, error) {
	s, err := y.text(key, n)
	if err != nil {
		return 0, y.errorf(n, "%s must be a duration, such as 30s, 5m or 720h", key)
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, y.errorf(n, "%s must be a duration above zero, such as 30s, 5m or 720h", key)
	}
	return d, nil
}
