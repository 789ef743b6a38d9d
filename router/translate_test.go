package router

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"waybill/ledger"
)

func say(role Role, texts ...string) Message {
	m := Message{Role: role}
	for _, s := range texts {
		m.Parts = append(m.Parts, Text(s))
	}
	return m
}

func TestTurns(t *testing.T) {
	const u, a, s = RoleUser, RoleAssistant, RoleSystem
	for _, tt := range []struct {
		name     string
		in, want []Message
		features []string
		err      string
	}{
		{"plain", []Message{say(u, "1"), say(a, "2"), say(u, "3")}, []Message{say(u, "1"), say(a, "2"), say(u, "3")}, nil, ""},
		{"later system text is the user's", []Message{say(u, "1"), say(s, "2"), say(a, "3"), say(s, "4")},
			[]Message{say(u, "1", "2"), say(a, "3"), say(u, "4")}, nil, ""},
		{"turns in a row", []Message{say(u, "1"), say(u, "2"), say(a, "3"), say(a, "4"), say(u, "5")},
			[]Message{say(u, "1", "2"), say(a, "3", "4"), say(u, "5")}, nil, ""},
		{"empty text", []Message{say(u, "", "1", ""), say(a, ""), say(u, "2")}, []Message{say(u, "1", "2")}, nil, ""},
		{"nothing said", []Message{say(u, "")}, []Message{say(u, " ")}, nil, ""},
		{"nothing said next to something", []Message{say(u, ""), say(u, "1")}, []Message{say(u, "1")}, nil, ""},
		{"nothing", nil, nil, nil, "messages: a conversation needs a turn that is not system text at p/m"},
		{"prefill", []Message{say(u, "1"), say(a, "2")}, nil, nil, "messages: a conversation cannot end with the assistant's turn at p/m"},
		{"prefill taken", []Message{say(u, "1"), say(a, "2")}, []Message{say(u, "1"), say(a, "2")}, []string{ledger.FeaturePrefill}, ""},
	} {
		before := fmt.Sprint(tt.in)
		tr, err := Translate(Call{Request: &Request{Messages: tt.in}, Model: ledger.Model{Name: "p/m", Features: tt.features}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := tr.Turns()
		if fmt.Sprint(got) != fmt.Sprint(tt.want) || (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
			t.Errorf("%s: %v %v, want %v %s", tt.name, got, err, tt.want, tt.err)
		}
		if fmt.Sprint(tt.in) != before {
			t.Errorf("%s: the request was changed, and the next leg needs it", tt.name)
		}
	}
}

func TestTranslateLeavesOutWhatTheModelRefuses(t *testing.T) {
	temperature, one, k := 0.3, 1.0, int64(40)
	r := &Request{Temperature: &temperature, TopP: &one, TopK: &k, Effort: "high", Hints: []FieldError{{"metadata", "labels"}}}
	got, err := Translate(Call{Request: r, Model: ledger.Model{Name: "p/m"}})
	want := []string{
		"metadata: left out (labels)", "temperature: left out, p/m refuses it", "top_k: left out, p/m refuses it",
		"reasoning_effort: left out, p/m refuses it",
	}
	if err != nil || !slices.Equal(got.Warnings, want) {
		t.Errorf("%q %v", got.Warnings, err)
	}
	if got.Temperature != nil || got.TopP != nil || got.TopK != nil || got.Effort != "" || r.Temperature == nil {
		t.Errorf("%+v", got)
	}
	got, _ = Translate(Call{Request: r, Model: ledger.Model{Name: "p/m", Features: []string{ledger.FeatureSampling, ledger.FeatureReasoning}}})
	if len(got.Warnings) != 1 || got.Temperature == nil || got.TopP == nil || got.TopK == nil || got.Effort != "high" {
		t.Errorf("%+v", got)
	}
	if _, err := Translate(Call{Request: &Request{Extra: []string{"tools", "x"}}, Model: ledger.Model{Name: "p/m"}}); err == nil || !strings.HasPrefix(err.Error(), "tools: ") {
		t.Error(err)
	}
}

// A model that sees no images is sent none, wherever they are.
func TestTranslateRefusesImages(t *testing.T) {
	image := Part{Kind: KindImage, Field: "messages[2].content[0].content[1]"}
	for _, p := range []Part{image, {Kind: KindResult, ID: "c", Parts: []Part{Text("as seen"), image}}} {
		c := Call{Request: &Request{Messages: []Message{{Role: RoleAssistant, Parts: []Part{{Kind: KindCall, ID: "c", Name: "look"}}}, {Role: RoleUser, Parts: []Part{Text("2"), p}}}}, Model: ledger.Model{Name: "p/m"}}
		if _, err := Translate(c); err == nil || !strings.HasPrefix(err.Error(), image.Field+": ") {
			t.Errorf("%s: %v", p.Kind, err)
		}
		c.Model.Features = []string{ledger.FeatureImages}
		if _, err := Translate(c); err != nil {
			t.Error(err)
		}
	}
}
