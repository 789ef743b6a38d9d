package router

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"waybill/ledger"
)

var (
	legA = ledger.Choice{Model: "anthropic/claude-opus-5-5", Credential: "cred_a", Kind: ledger.BYOK}
	legB = ledger.Choice{Model: "anthropic/claude-opus-5-5", Credential: "cred_b", Kind: ledger.BYOK}
)

func conversation(parts ...Part) *Request {
	return &Request{Messages: []Message{{Role: RoleUser, Parts: []Part{Text("go on")}}, {Role: RoleAssistant, Parts: parts},
		{Role: RoleUser, Parts: []Part{{Kind: KindResult, ID: "call_1"}}}}}
}

func TestMemory(t *testing.T) {
	m := NewMemory()
	m.put(keysOf("org_a", "call_1", "seal"), &remembered{leg: legA, dialect: ledger.DialectAnthropicMessages, turn: []byte(`[{}]`), sealed: true})
	m.put(keysOf("org_a", "call_3"), &remembered{leg: legB, dialect: ledger.DialectOpenAIChat})
	for _, tt := range []struct {
		name, org string
		q         *Request
		found     bool
	}{
		{"by the id of a call", "org_a", conversation(Part{Kind: KindCall, ID: "call_1"}), true},
		{"by a seal", "org_a", conversation(Part{Kind: KindReasoning, Signature: "seal"}), true},
		{"by a seal on text, as Gemini has them", "org_a", conversation(Part{Kind: KindText, Text: "x", Signature: "seal"}), true},
		{"of another org", "org_b", conversation(Part{Kind: KindCall, ID: "call_1"}), false},
		{"of an org whose name runs into the id", "org_", conversation(Part{Kind: KindCall, ID: "acall_1"}), false},
		{"of no call", "org_a", conversation(Text("call_1")), false},
		{"of a call without seals", "org_a", conversation(Part{Kind: KindCall, ID: "call_3"}), false},
		{"of an unknown call", "org_a", conversation(Part{Kind: KindCall, ID: "call_2"}), false},
	} {
		if got := m.of(tt.org, tt.q).origin; (got != nil) != tt.found {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// What fills the memory goes with its generation, and never all of it at once.
func TestMemoryIsBounded(t *testing.T) {
	m := NewMemory()
	turn := make([]byte, 1<<20)
	for i := range 4 * maxMemory >> 20 {
		m.put(keysOf("org", fmt.Sprint("call_", i)), &remembered{leg: legA, turn: turn})
		if i > 0 && m.find("org", fmt.Sprint("call_", i-1)) == nil {
			t.Fatalf("call %d is forgotten when call %d comes", i-1, i)
		}
		if n := len(m.young) + len(m.old); n > 2*maxMemory>>20+2 {
			t.Fatalf("%d turns of 1 MiB are in memory", n)
		}
	}
	if m.find("org", "call_0") != nil {
		t.Error("the first is there for ever")
	}
}

// Only the leg that said a turn gets it back, in its own dialect and under its own ids.
func TestRecall(t *testing.T) {
	m := NewMemory()
	m.put(keysOf("org_a", "call_1"), &remembered{leg: legA, dialect: ledger.DialectAnthropicMessages, turn: []byte(`[1]`), ids: map[string]string{"call_1": "pay:0"}, sealed: true})
	q := conversation(Part{Kind: KindCall, ID: "call_1"})
	for _, tt := range []struct {
		leg      ledger.Choice
		dialect  ledger.Dialect
		turn, id string
	}{
		{legA, ledger.DialectAnthropicMessages, "[1]", "pay:0"},
		{legA, ledger.DialectOpenAIChat, "", "call_1"},
		{legB, ledger.DialectAnthropicMessages, "", "call_1"},
	} {
		r := &run{d: &Dispatcher{Memory: m}, task: Task{Org: "org_a", Request: q}, past: m.of("org_a", q)}
		a := &attempt{run: r, on: Leg{Model: &ledger.Model{Name: tt.leg.Model}, Credential: &ledger.Credential{ID: tt.leg.Credential, Org: "org_a"}}}
		c := Call{Request: q}
		a.recall(&c, tt.dialect)
		tr := &Translated{Request: *c.Request, Call: c}
		if got := string(tr.Remembered(c.Request.Messages[1])); got != tt.turn {
			t.Errorf("%v in %s: remembered %q", tt.leg, tt.dialect, got)
		}
		for i, id := range []string{c.Request.Messages[1].Parts[0].ID, c.Request.Messages[2].Parts[0].ID} {
			if id != tt.id || q.Messages[i+1].Parts[0].ID != "call_1" {
				t.Errorf("%v in %s: %q", tt.leg, tt.dialect, id)
			}
		}
		if n := r.past.size(tt.leg); (n > 0) != (tt.leg == legA) {
			t.Errorf("%v adds %d bytes", tt.leg, n)
		}
	}
}

// Two answers of one conversation whose provider called them by one id are told apart nowhere.
func TestRecallOfOneIDTwice(t *testing.T) {
	m := NewMemory()
	for _, id := range []string{"call_1", "call_2"} {
		m.put(keysOf("org_a", id), &remembered{leg: legA, dialect: ledger.DialectOpenAIChat, turn: []byte(id), ids: map[string]string{id: "pay:0"}})
	}
	q := conversation(Part{Kind: KindCall, ID: "call_1"})
	q.Messages = append(q.Messages, conversation(Part{Kind: KindCall, ID: "call_2"}).Messages...)
	a := &attempt{run: &run{d: &Dispatcher{Memory: m}, task: Task{Org: "org_a", Request: q}, past: m.of("org_a", q)},
		on: Leg{Model: &ledger.Model{Name: legA.Model}, Credential: &ledger.Credential{ID: legA.Credential, Org: "org_a"}}}
	c := Call{Request: q}
	if a.recall(&c, ledger.DialectOpenAIChat); c.Turn("pay:0") != nil {
		t.Errorf("%s", c.Turn("pay:0"))
	}
}

// Each seal stays where another leg made it. One that is forgotten is older than one that is not, and goes the way of the next.
func TestForeign(t *testing.T) {
	m := NewMemory()
	m.put(keysOf("org_a", "a1", "a2"), &remembered{leg: legA, sealed: true})
	m.put(keysOf("org_a", "b1"), &remembered{leg: legB, sealed: true})
	for _, tt := range []struct{ seals, atA, atB, atC string }{
		{"a1 b1 a2", "b1", "a1 a2", "a1 a2 b1"},
		{"x a1 y b1 z", "b1 y", "a1 x", "a1 b1 x y"},
		{"x y", "", "", ""},
	} {
		var parts []Part
		for s := range strings.FieldsSeq(tt.seals + " " + MintSeal("req_1")) {
			parts = append(parts, Part{Kind: KindReasoning, Signature: s})
		}
		p := m.of("org_a", conversation(parts...))
		for leg, want := range map[ledger.Choice]string{legA: tt.atA, legB: tt.atB, {Model: "other"}: tt.atC} {
			if got := strings.Join(slices.Sorted(maps.Keys(p.foreign(leg))), " "); got != want {
				t.Errorf("%s at %v: %s, want %s", tt.seals, leg, got, want)
			}
		}
	}
}

// A conversation stays on the leg that sealed its reasoning, whatever the order says.
func TestOriginGoesFirst(t *testing.T) {
	m := &ledger.Model{Name: legA.Model, Provider: "anthropic", Features: []string{ledger.FeatureChat}}
	own := []*ledger.Credential{{ID: "cred_a", Org: "org_a", Provider: "anthropic"}, {ID: "cred_b", Org: "org_a", Provider: "anthropic"}}
	s := ledger.NewState()
	ask := Ask{Endpoint: EndpointChat, Model: m.Name, Origin: legB}
	v := ViewOf(s, "org_a", "", nil, ask, 0)
	v.Own, v.Model, v.Permits = own, func(string) *ledger.Model { return m }, func(ledger.Lane, Leg) error { return nil }
	d, err := Route(ask, v)
	if err != nil || len(d.Legs) != 2 || d.Legs[0].Credential.ID != "cred_b" || d.Legs[1].Credential.ID != "cred_a" {
		t.Errorf("%+v %v", d.Legs, err)
	}
	ask.Origin.Credential = "cred_gone"
	if d, _ = Route(ask, v); d.Legs[0].Credential.ID != "cred_a" {
		t.Errorf("%+v", d.Legs)
	}
}

func TestMinted(t *testing.T) {
	if seal := MintSeal("req_1"); !IsMinted(seal) || IsMinted("EuYBCkQYAiJA") || IsMinted("") {
		t.Errorf("%q", seal)
	}
	seen := map[string]bool{}
	for _, attempt := range []string{"req_1.1", "req_1.2", "req_2.1"} {
		for answer := range 3 {
			for call := range 3 {
				id := MintID(attempt, answer, call)
				if seen[id] || CallID(id) != id || id != MintID(attempt, answer, call) {
					t.Errorf("%s, answer %d, call %d: %q", attempt, answer, call, id)
				}
				seen[id] = true
			}
		}
	}
	for _, id := range []string{"", "a b", strings.Repeat("a", 65), "rs:1", "é"} {
		if got := CallID(id); got == id || CallID(got) != got || got != CallID(id) {
			t.Errorf("%q becomes %q", id, got)
		}
	}
}
