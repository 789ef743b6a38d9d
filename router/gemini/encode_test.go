package gemini

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

func text(role router.Role, s ...string) router.Message {
	m := router.Message{Role: role}
	for _, t := range s {
		m.Parts = append(m.Parts, router.Text(t))
	}
	return m
}

func ptr[T any](v T) *T { return &v }

func compact(t *testing.T, b string) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, []byte(b)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestEncode(t *testing.T) {
	hi := []router.Message{text(router.RoleUser, "Hi")}
	const plain = `"contents":[{"role":"user","parts":[{"text":"Hi"}]}]`
	full := []string{ledger.FeatureSampling, ledger.FeatureReasoning}
	for _, tt := range []struct {
		name     string
		req      router.Request
		features []string
		want     string
		warnings []string
	}{
		{"least", router.Request{Messages: hi}, full, `{` + plain + `,"generationConfig":{"maxOutputTokens":77}}`, nil},
		{"conversation", router.Request{
			System:   []router.Part{router.Text("Be brief."), router.Text(""), router.Text("Be kind.")},
			Messages: []router.Message{text(router.RoleUser, "1", ""), text(router.RoleAssistant, "2"), text(router.RoleSystem, "3"), text(router.RoleUser, "4")},
		}, full, `{"contents":[{"role":"user","parts":[{"text":"1"}]},{"role":"model","parts":[{"text":"2"}]},
			{"role":"user","parts":[{"text":"3"},{"text":"4"}]}],
			"systemInstruction":{"parts":[{"text":"Be brief."},{"text":"Be kind."}]},"generationConfig":{"maxOutputTokens":77}}`, nil},
		{"settings", router.Request{Messages: hi, Stream: true, Temperature: ptr(1.7), TopP: ptr(0.5), TopK: ptr(int64(5)), Stop: []string{"x", "y"},
			Seed: ptr(int64(-3)), N: 3, Frequency: ptr(-1.0), Presence: ptr(0.0), ServiceTier: "flex", Effort: "high"}, full,
			`{` + plain + `,"generationConfig":{"maxOutputTokens":77,"candidateCount":3,"temperature":1.7,"topP":0.5,"topK":5,
			"frequencyPenalty":-1,"presencePenalty":0,"stopSequences":["x","y"],"seed":-3,"thinkingConfig":{"thinkingLevel":"HIGH"}},"serviceTier":"flex"}`, nil},
		{"tier of nobody's choice", router.Request{Messages: hi, ServiceTier: "auto"}, full, `{` + plain + `,"generationConfig":{"maxOutputTokens":77}}`, nil},
		{"end user", router.Request{Messages: hi, EndUser: "u"}, full, `{` + plain + `,"generationConfig":{"maxOutputTokens":77}}`,
			[]string{"user: left out, there is no place for it at p/m"}},
		{"no sampling", router.Request{Messages: hi, Temperature: ptr(0.2), Effort: "low"}, nil, `{` + plain + `,"generationConfig":{"maxOutputTokens":77}}`,
			[]string{"temperature: left out, p/m refuses it", "reasoning_effort: left out, p/m refuses it"}},
	} {
		got, warnings, err := encode(router.Call{Request: &tt.req, OutputCap: 77, Model: ledger.Model{ID: "up", Name: "p/m", Features: tt.features}})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if string(got) != compact(t, tt.want) || !slices.Equal(warnings, tt.warnings) {
			t.Errorf("%s:\ngot  %s %q\nwant %s %q", tt.name, got, warnings, compact(t, tt.want), tt.warnings)
		}
	}
}

func TestThinking(t *testing.T) {
	const level, lowest, pro, flash = "gemini-4-argon", "gemini-3.5-flash", "gemini-2.5-pro", "gemini-2.5-flash"
	for _, tt := range []struct {
		model, effort, want string
		warned              bool
	}{
		{level, "", `null`, false},
		{level, "none", `{"thinkingLevel":"LOW"}`, true},
		{level, "minimal", `{"thinkingLevel":"LOW"}`, true},
		{level, "low", `{"thinkingLevel":"LOW"}`, false},
		{level, "medium", `{"thinkingLevel":"MEDIUM"}`, false},
		{level, "high", `{"thinkingLevel":"HIGH"}`, false},
		{level, "max", `{"thinkingLevel":"HIGH"}`, true},
		{lowest, "none", `{"thinkingLevel":"MINIMAL"}`, true},
		{lowest, "minimal", `{"thinkingLevel":"MINIMAL"}`, false},
		{pro, "none", `{"thinkingBudget":128}`, true},
		{pro, "low", `{"thinkingBudget":1024}`, false},
		{flash, "none", `{"thinkingBudget":0}`, false},
		{flash, "high", `{"thinkingBudget":24576}`, false},
		{flash, "xhigh", `{"thinkingBudget":24576}`, true},
	} {
		features := []string{ledger.FeatureReasoning}
		if tt.model == pro || tt.model == flash {
			features = append(features, ledger.FeatureBudget)
		}
		tr, err := router.Translate(router.Call{Request: &router.Request{Effort: tt.effort}, Model: ledger.Model{ID: tt.model, Features: features}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := think(tr)
		if b, _ := json.Marshal(got); err != nil || string(b) != tt.want || len(tr.Warnings) > 0 != tt.warned {
			t.Errorf("%s %s: %s %v %q, want %s", tt.model, tt.effort, b, err, tr.Warnings, tt.want)
		}
	}
}
