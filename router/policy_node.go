package router

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a policy's text. The YAML parser takes time in the square of how deep a text nests and of how many tokens it
// has on a line, so both are bounded before it starts.
const (
	maxPolicyText   = 64 << 10 // bytes; the ledger takes no more either
	maxPolicyTokens = 16 << 10
	maxPolicyDepth  = 8  // of brackets and braces; of dashes on one line
	maxPolicyNotes  = 20 // errors that are told at once
)

// PolicyNote is one thing to say of a policy, and where in it.
type PolicyNote struct {
	Path    string `json:"path,omitzero"`   // such as routes[1].when.dialect
	Line    int    `json:"line,omitzero"`   // from 1; none where the policy did not come as text
	Column  int    `json:"column,omitzero"` // from 1
	Message string `json:"message"`
}

// String is "2:10: routes[0].when: …".
func (n PolicyNote) String() string {
	s := n.Message
	if n.Path != "" {
		s = n.Path + ": " + s
	}
	if n.Line > 0 {
		s = fmt.Sprintf("%d:%d: %s", n.Line, n.Column, s)
	}
	return s
}

// PolicyError is what is wrong with a policy: as much of it as could be found at once.
type PolicyError struct{ Notes []PolicyNote }

// Error has a line for each note.
func (e *PolicyError) Error() string {
	lines := make([]string, len(e.Notes))
	for i, n := range e.Notes {
		lines[i] = n.String()
	}
	return strings.Join(lines, "\n")
}

// place is where something stands in a text.
type place struct{ line, column int }

func placeOf(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{1, 1}
	}
	return place{max(1, t.Position.Line), max(1, t.Position.Column)}
}

// policyReader reads the nodes of a policy's text, and gathers what is wrong with them.
type policyReader struct {
	notes []PolicyNote
	at    map[string]place // where each path stands
}

func (r *policyReader) fault(at string, p place, format string, args ...any) {
	if len(r.notes) < maxPolicyNotes {
		r.notes = append(r.notes, PolicyNote{at, p.line, p.column, fmt.Sprintf(format, args...)})
	}
}

func (r *policyReader) wrong(at, format string, args ...any) { r.fault(at, r.at[at], format, args...) }

// parse gives the one node that a text is; nil if it is none.
func (r *policyReader) parse(text string) ast.Node {
	tokens := lexer.Tokenize(text)
	if r.screen(tokens); len(r.notes) > 0 {
		return nil
	}
	file, err := parseTokens(tokens)
	var e yaml.Error
	switch {
	case errors.As(err, &e):
		r.fault("", placeOf(e.GetToken()), "%s", e.GetMessage())
		return nil
	case err != nil:
		r.fault("", place{1, 1}, "%v", err)
		return nil
	}
	var body ast.Node
	for _, d := range file.Docs {
		switch {
		case d.Body == nil || d.Body.Type() == ast.CommentType:
		case body != nil:
			r.fault("", placeOf(d.Body.GetToken()), "a policy is one document, and here begins another")
		default:
			body = d.Body
		}
	}
	if body == nil && len(r.notes) == 0 {
		r.fault("", place{1, 1}, "the document is empty: {} is a policy that sets nothing")
	}
	return body
}

// parseTokens keeps a fault of the library's to an error: it reads what strangers wrote.
func parseTokens(tokens token.Tokens) (f *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("this is not YAML that can be read")
		}
	}()
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// screen refuses what no policy needs, and what would take the parser long.
func (r *policyReader) screen(tokens token.Tokens) {
	if len(tokens) > maxPolicyTokens {
		r.fault("", placeOf(tokens[maxPolicyTokens]), "there is more than a policy can have: over %d words and signs", maxPolicyTokens)
		return
	}
	depth, dashes, line := 0, 0, 0
	for _, t := range tokens {
		p := placeOf(t)
		if p.line != line {
			dashes, line = 0, p.line
		}
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			r.fault("", p, "anchors and aliases of YAML are not taken: write it out (a value that begins with * or & needs quotes)")
		case token.TagType:
			r.fault("", p, "tags of YAML are not taken (a value that begins with ! needs quotes)")
		case token.DirectiveType:
			r.fault("", p, "directives of YAML are not taken")
		case token.MappingKeyType:
			r.fault("", p, "a name with ? before it is not taken: write name: value")
		case token.MappingStartType, token.SequenceStartType:
			if depth++; depth > maxPolicyDepth {
				r.fault("", p, "nests deeper than %d levels", maxPolicyDepth)
				return
			}
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType:
			if dashes++; dashes > maxPolicyDepth {
				r.fault("", p, "nests deeper than %d levels", maxPolicyDepth)
				return
			}
		}
	}
}

// object reads the members of one. Known are the names that it may have; read is called once for each.
func (r *policyReader) object(n ast.Node, at string, known []string, read func(name, at string, v ast.Node)) {
	if n.Type() == ast.MappingValueType {
		n = ast.Mapping(n.GetToken(), false, n.(*ast.MappingValueNode))
	}
	m, ok := n.(*ast.MappingNode)
	if !ok {
		r.wrong(at, "must have members, name: value, and is %s", said(n))
		return
	}
	first := map[string]place{}
	for _, v := range m.Values {
		p := placeOf(v.Key.GetToken())
		key, ok := v.Key.(*ast.StringNode)
		if !ok {
			r.fault(at, p, "%s is no name: a name is text, in quotes if it looks like something else", v.Key.GetToken().Value)
			continue
		}
		name, path := key.Value, key.Value
		if at != "" {
			path = at + "." + name
		}
		if had, ok := first[name]; ok {
			r.fault(path, p, "is given twice: first on line %d", had.line)
			continue
		}
		first[name], r.at[path] = p, p
		if known != nil && !slices.Contains(known, name) {
			r.fault(path, p, "is not known: here may be %s", strings.Join(known, ", "))
			continue
		}
		if v.Value == nil || v.Value.Type() == ast.NullType {
			r.fault(path, p, "has no value: give it one, or leave the line out")
			continue
		}
		r.at[path] = placeOf(v.Value.GetToken())
		switch v.Value.(type) {
		case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode: // their own token is inside them
			r.at[path] = p
		}
		read(name, path, v.Value)
	}
}

// list reads the elements of one. Least and most are how many there may be.
func (r *policyReader) list(n ast.Node, at string, least, most int, read func(at string, v ast.Node)) {
	s, ok := n.(*ast.SequenceNode)
	switch {
	case !ok:
		r.wrong(at, "must be a list, and is %s", said(n))
		return
	case len(s.Values) < least:
		r.wrong(at, "is empty: leave it out")
	case len(s.Values) > most:
		r.wrong(at, "has %d elements: at most %d", len(s.Values), most)
		return
	}
	for i, v := range s.Values {
		path := at + "[" + strconv.Itoa(i) + "]"
		if v == nil || v.Type() == ast.NullType {
			r.fault(path, r.at[at], "has no value")
			continue
		}
		r.at[path] = placeOf(v.GetToken())
		if m, ok := v.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
			r.at[path] = placeOf(m.Values[0].Key.GetToken())
		}
		read(path, v)
	}
}

// text reads a string of at most so many bytes, all of them printable.
func (r *policyReader) text(n ast.Node, at string, most int) string {
	var s string
	switch v := n.(type) {
	case *ast.StringNode:
		s = v.Value
	case *ast.LiteralNode:
		s = strings.TrimRight(v.Value.Value, "\n")
	case ast.ScalarNode:
		r.wrong(at, "must be text, and is %s: write it in quotes, %q", said(n), n.GetToken().Value)
		return ""
	default:
		r.wrong(at, "must be text, and is %s", said(n))
		return ""
	}
	switch {
	case s == "":
		r.wrong(at, "is empty: leave it out")
	case len(s) > most:
		r.wrong(at, "has %d bytes: at most %d", len(s), most)
		return ""
	case !printable(s):
		r.wrong(at, "has characters that cannot be printed")
		return ""
	}
	return s
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) })
}

func (r *policyReader) integer(n ast.Node, at string, least, most int) int {
	v, ok := n.(*ast.IntegerNode)
	if !ok {
		r.wrong(at, "must be a whole number, and is %s", said(n))
		return 0
	}
	i, err := strconv.Atoi(v.Token.Value)
	if err != nil || i < least || i > most {
		r.wrong(at, "is %s: from %d to %d", v.Token.Value, least, most)
		return 0
	}
	return i
}

func (r *policyReader) boolean(n ast.Node, at string) *bool {
	v, ok := n.(*ast.BoolNode)
	if !ok {
		r.wrong(at, "must be true or false, and is %s", said(n))
		return nil
	}
	return &v.Value
}

func (r *policyReader) duration(n ast.Node, at string, least, most time.Duration) Duration {
	if n.Type() == ast.IntegerType || n.Type() == ast.FloatType {
		r.wrong(at, "needs a unit: %ss or %sms", n.GetToken().Value, n.GetToken().Value)
		return 0
	}
	s := r.text(n, at, 32)
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		r.wrong(at, "%q is no time, such as 5s or 1m30s", s)
		return 0
	case d < least || d > most:
		r.wrong(at, "is %s: from %s to %s", d, least, most)
		return 0
	}
	return Duration(d)
}

// choice reads one of some words.
func choice[T ~string](r *policyReader, n ast.Node, at string, words ...T) T {
	s := T(r.text(n, at, 128))
	if s != "" && !slices.Contains(words, s) {
		r.wrong(at, "%q is none of %s", s, joinWords(words))
		return ""
	}
	return s
}

func joinWords[T ~string](words []T) string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = string(w)
	}
	return strings.Join(all, ", ")
}

// said is what a node is, for people.
func said(n ast.Node) string {
	switch n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "an object"
	}
	return "something else"
}
