package routertest

import (
	"slices"
	"time"

	"waybill/ledger"
)

// Scenario is one thing that callers do, the same in every dialect.
type Scenario struct {
	Name    string
	Feature string // the row of the table that it proves; empty: it is in none
	Model   string
	Ask     Ask
	Mode    Mode
	Idle    time.Duration        // between two bytes of the upstream's; 0: ample
	For     func(p Pair) bool    // the pairs that it is about; nil: all
	Outcome func(p Pair) Outcome // nil: carried
	// Check says what more holds of an answer that came to its end; Run replaces the one call and all checks.
	Check func(s *Session, r *Reply)
	Run   func(s *Session)
}

// Mode says which answers a scenario is about.
type Mode int

// The modes.
const (
	Both Mode = iota
	Unary
	Stream
)

// Result of a feature with a pair.
type Verdict string

// The verdicts.
const (
	Carried     Verdict = "carried"
	Approximate Verdict = "approximate" // carried as something near, with a warning
	Warned      Verdict = "left out"    // with a warning
	Refused     Verdict = "refused"     // with an error that names the field
	Unsaid      Verdict = "unsaid"      // the caller's dialect has no words for it
)

// Outcome is what becomes of a scenario with a pair.
type Outcome struct {
	Verdict Verdict
	Field   string // of an Ask, that the warning or the error names
	Why     string // for people
}

// unknown are the dialects' names of the field of Ask.Unknown, which the table does not speak of.
var unknown = []string{"unheard_of", "unheardOf"}

// Scenarios are all of them. A new one is a line in one of the lists.
var Scenarios = slices.Concat(texts, parameters, toolUse, structures, mediaParts, thinking, endings, usages, failures, endpoints, moves)

// outcome is what becomes of a scenario with a pair.
func (s *Scenario) outcome(p Pair) Outcome {
	if _, err := p.In.Write(s.Ask, "m"); err != nil {
		return Outcome{Verdict: Unsaid}
	}
	if s.Outcome == nil {
		return Outcome{Verdict: Carried}
	}
	o := s.Outcome(p)
	if o.Verdict == "" {
		o.Verdict = Carried
	}
	return o
}

// to makes an outcome of the pairs whose upstream speaks one of the dialects and does not speak the caller's.
func to(o Outcome, dialects ...ledger.Dialect) func(Pair) Outcome {
	return func(p Pair) Outcome {
		if !p.Same() && slices.Contains(dialects, p.Up.Dialect()) {
			return o
		}
		return Outcome{}
	}
}

// first is the first outcome that is one.
func first(of ...func(Pair) Outcome) func(Pair) Outcome {
	return func(p Pair) Outcome {
		for _, f := range of {
			if o := f(p); o.Verdict != "" {
				return o
			}
		}
		return Outcome{}
	}
}

func cross(p Pair) bool { return !p.Same() }
func same(p Pair) bool  { return p.Same() }

const (
	chat      = ledger.DialectOpenAIChat
	responses = ledger.DialectOpenAIResponses
	messages  = ledger.DialectAnthropicMessages
	gemini    = ledger.DialectGemini
)

// user is a conversation of one turn.
func user(text string) []Turn { return []Turn{{Text: text}} }
