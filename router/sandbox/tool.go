package sandbox

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// tool is one that a call offers to the model.
type tool struct{ name, schema string }

// toolChoice is what the caller wants of the model.
type toolChoice struct {
	none, forced bool
	allowed      []string // nil is every tool
	single       bool     // one call at most
}

// toolCall is one that the model makes.
type toolCall struct{ id, name, args string }

// toolResult is one that came back, in the order of the calls.
type toolResult struct {
	id, name, text string
	failed         bool
	media          []string // lines
}

// Result is the line with which an answer quotes a tool's result; an id of "" is left out.
func Result(name, id, text string, failed bool) string {
	word := "result"
	if failed {
		word = "error"
	}
	if id != "" {
		name += " (" + id + ")"
	}
	return fmt.Sprintf("%s of %s: %s", word, name, text)
}

// quoteResults is the text of an answer to tool results.
func quoteResults(results []toolResult) string {
	var lines []string
	for _, r := range results {
		text, _ := stripDirective(r.text)
		lines = append(lines, Result(r.name, r.id, text, r.failed))
		lines = append(lines, r.media...)
	}
	return strings.Join(lines, "\n")
}

// nameOK are the names that OpenAI and Anthropic take, as their messages print the pattern.
const namePattern = "^[a-zA-Z0-9_-]+$"

var (
	nameOK       = regexp.MustCompile(namePattern)
	geminiNameOK = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$`)
)

func (p *prompt) offer(name, schema string) bool {
	if slices.ContainsFunc(p.offered, func(t tool) bool { return t.name == name }) {
		return false
	}
	p.offered = append(p.offered, tool{name, schema})
	return true
}

// allowed are the offered tools that the choice leaves.
func (p *prompt) allowed() []tool {
	if p.choice.allowed == nil {
		return p.offered
	}
	return slices.DeleteFunc(slices.Clone(p.offered), func(t tool) bool { return !slices.Contains(p.choice.allowed, t.name) })
}

// callsUnder says which tools a script has the model call, with which arguments.
func (p *prompt) callsUnder(s *Script, anyText bool) ([]toolCall, error) {
	if p.choice.none {
		return nil, nil
	}
	wanted := s.Call != "" || s.Calls > 0
	if !wanted && (!p.choice.forced || len(p.results) > 0) {
		if s.Args != "" {
			return nil, fmt.Errorf("args: no tool is called")
		}
		return nil, nil
	}
	allowed := p.allowed()
	if len(allowed) == 0 {
		return nil, fmt.Errorf("call: no tool is offered")
	}
	names := []string{allowed[0].name}
	if s.Call != "" {
		names = strings.Split(s.Call, ",")
	}
	names = slices.Repeat(names, max(1, s.Calls))
	if p.choice.single {
		names = names[:1]
	}
	calls := make([]toolCall, len(names))
	seen := map[string]int{}
	for i, name := range names {
		at := slices.IndexFunc(allowed, func(t tool) bool { return t.name == name })
		if at < 0 {
			return nil, fmt.Errorf("call: the tool %q is not offered, or the tool choice does not allow it", name)
		}
		calls[i] = toolCall{name: name, args: s.Args}
		if s.Args == "" {
			calls[i].args = arguments(allowed[at].schema, seen[name])
		} else if _, isObject := parse([]byte(s.Args)); !isObject && !anyText {
			return nil, fmt.Errorf("args: this provider's arguments are JSON objects")
		}
		seen[name]++
	}
	return calls, nil
}

// arguments are an instance of a tool's schema; a tool without one takes nothing.
func arguments(schema string, n int) string {
	if v, ok := parse([]byte(schema)); !ok || len(v.Map()) == 0 {
		return "{}"
	}
	if args := Instance(schema, n); strings.HasPrefix(args, "{") {
		return args
	}
	return "{}"
}
