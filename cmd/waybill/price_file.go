package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"waybill/ledger"
)

// priceRow is a price as a file has it.
type priceRow struct {
	ID           string           `yaml:"id" json:"id,omitzero"`
	Model        string           `yaml:"model" json:"model"`
	From         fileTime         `yaml:"from" json:"from,omitzero"`
	To           fileTime         `yaml:"to" json:"to,omitzero"`
	Tiers        []tierRow        `yaml:"tiers" json:"tiers"`
	ServiceTiers map[string]int64 `yaml:"service_tiers" json:"service_tiers,omitzero"`
}

type tierRow struct {
	Above          int64    `yaml:"above" json:"above"`
	Input          fileRate `yaml:"input" json:"input,omitzero"`
	CacheRead      fileRate `yaml:"cache_read" json:"cache_read,omitzero"`
	CacheWrite     fileRate `yaml:"cache_write" json:"cache_write,omitzero"`
	CacheWriteLong fileRate `yaml:"cache_write_long" json:"cache_write_long,omitzero"`
	Output         fileRate `yaml:"output" json:"output,omitzero"`
}

// fileRate is a rate as it was written, with quotes or without: it never becomes a float.
type fileRate string

// UnmarshalYAML takes the text of a number or of a string.
func (r *fileRate) UnmarshalYAML(n ast.Node) error {
	text, err := scalar(n)
	if err == nil {
		_, err = ledger.ParseRate(text)
	}
	if err != nil {
		return misread(n, err)
	}
	*r = fileRate(text)
	return nil
}

// fileTime is a moment as the control API takes it. A day in a file is the day's beginning, in UTC.
type fileTime string

// UnmarshalYAML takes a day or a moment.
func (t *fileTime) UnmarshalYAML(n ast.Node) error {
	text, err := scalar(n)
	if err != nil || n.Type() == ast.NullType {
		return err
	}
	if _, err := time.Parse(time.DateOnly, text); err == nil {
		text += "T00:00:00Z"
	}
	if _, err := time.Parse(time.RFC3339, text); err != nil {
		return misread(n, fmt.Errorf("%q is neither a day such as 2026-12-31 nor a time such as 2026-12-31T12:00:00Z", text))
	}
	*t = fileTime(text)
	return nil
}

func scalar(n ast.Node) (string, error) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, nil
	case *ast.FloatNode, *ast.IntegerNode, *ast.NullNode:
		return n.GetToken().Value, nil
	}
	return "", misread(n, errors.New("one value must stand here"))
}

// misread is an error at a place of a file.
func misread(n ast.Node, err error) error {
	return &yaml.SyntaxError{Message: err.Error(), Token: n.GetToken()}
}

// fileRow is a row of a file, and where it begins there.
type fileRow[T any] struct {
	value T
	place string // FILE:LINE
}

// readRows reads a file of YAML or JSON, or the standard input for "-": one row, or several in a list of this name.
func readRows[T any](w *work, name, list string) (rows []fileRow[T], several bool, err error) {
	text, err := w.file(name)
	if err != nil {
		return nil, false, err
	}
	name = named(name)
	nodes, several, err := rowNodes([]byte(text), list)
	for _, n := range nodes {
		r := fileRow[T]{place: fmt.Sprintf("%s:%d", name, line(n))}
		if err = yaml.NodeToValue(n, &r.value, yaml.Strict()); err != nil {
			break
		}
		rows = append(rows, r)
	}
	if err != nil {
		return nil, false, misplaced(name, err)
	}
	return rows, several, nil
}

// misplaced tells what is wrong in a file of YAML as compilers do: FILE:LINE:COLUMN, and the lines themselves below.
func misplaced(name string, err error) error {
	text := strings.TrimSpace(yaml.FormatError(err, false, true))
	if place, rest, ok := strings.Cut(text, "] "); ok && strings.HasPrefix(place, "[") {
		return fmt.Errorf("%s:%s: %s", name, place[1:], rest)
	}
	return fmt.Errorf("%s: %s", name, text)
}

// rowNodes finds the rows of a text.
func rowNodes(text []byte, list string) (nodes []ast.Node, several bool, err error) {
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, false, err
	}
	if len(f.Docs) != 1 || f.Docs[0].Body == nil {
		return nil, false, fmt.Errorf("it must have one document: a row, or a list of them named %s", list)
	}
	body := f.Docs[0].Body
	m, ok := body.(*ast.MappingNode)
	if !ok || len(m.Values) == 0 {
		return nil, false, misread(body, fmt.Errorf("a row must stand here, or a list of them named %s", list))
	}
	for _, v := range m.Values {
		if v.Key.GetToken().Value != list {
			continue
		}
		rows, ok := v.Value.(*ast.SequenceNode)
		switch {
		case len(m.Values) > 1:
			return nil, false, misread(v.Key, fmt.Errorf("beside the list %s nothing else can stand", list))
		case !ok || len(rows.Values) == 0:
			return nil, false, misread(v.Value, fmt.Errorf("%s must be a list of rows", list))
		}
		return rows.Values, true, nil
	}
	return []ast.Node{body}, false, nil
}

// line is where a row begins: at the first word in it, which a brace may stand before.
func line(n ast.Node) int {
	t := n.GetToken()
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 && t.Type != token.MappingStartType {
		t = m.Values[0].Key.GetToken()
	}
	return t.Position.Line
}
