package anthropic

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

func compact(t *testing.T, b []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, b); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestEncode(t *testing.T) {
	hi := []router.Message{text(router.RoleUser, "Hi")}
	const plain = `"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}]`
	full := []string{ledger.FeatureSampling, ledger.FeatureReasoning}
	for _, tt := range []struct {
		name     string
		req      router.Request
		model    string
		features []string
		want     string
		warnings []string
	}{
		{"least", router.Request{Messages: hi}, "", full, `{"model":"up","max_tokens":77,` + plain + `}`, nil},
		{"conversation", router.Request{
			System:   []router.Part{router.Text("Be brief."), router.Text(""), router.Text("Be kind.")},
			Messages: []router.Message{text(router.RoleUser, "1", ""), text(router.RoleAssistant, "2"), text(router.RoleSystem, "3"), text(router.RoleUser, "4")},
		}, "", full, `{"model":"up","max_tokens":77,
			"system":[{"type":"text","text":"Be brief."},{"type":"text","text":"Be kind."}],
			"messages":[{"role":"user","content":[{"type":"text","text":"1"}]},{"role":"assistant","content":[{"type":"text","text":"2"}]},
			{"role":"user","content":[{"type":"text","text":"3"},{"type":"text","text":"4"}]}]}`, nil},
		{"settings", router.Request{Messages: hi, Stream: true, Temperature: ptr(0.0), TopK: ptr(int64(5)), Stop: []string{"x", "y"},
			EndUser: "u", ServiceTier: "default", Effort: "xhigh", N: 1, Presence: ptr(0.0)}, "", full,
			`{"model":"up","max_tokens":77,` + plain + `,"stream":true,"temperature":0,"top_k":5,"stop_sequences":["x","y"],
			"metadata":{"user_id":"u"},"service_tier":"standard_only","thinking":{"type":"adaptive"},"output_config":{"effort":"xhigh"}}`, nil},
		{"temperature above the scale", router.Request{Messages: hi, Temperature: ptr(1.7)}, "", full,
			`{"model":"up","max_tokens":77,` + plain + `,"temperature":1}`, []string{"temperature: cut to 1, the highest at p/m"}},
		{"top_p alone", router.Request{Messages: hi, TopP: ptr(0.9)}, "", full, `{"model":"up","max_tokens":77,` + plain + `,"top_p":0.9}`, nil},
		{"both samplings", router.Request{Messages: hi, Temperature: ptr(0.2), TopP: ptr(0.9)}, "", full,
			`{"model":"up","max_tokens":77,` + plain + `,"temperature":0.2}`, []string{"top_p: left out, p/m takes either temperature or top_p"}},
		{"both samplings, one of them idle", router.Request{Messages: hi, Temperature: ptr(0.2), TopP: ptr(1.0)}, "", full,
			`{"model":"up","max_tokens":77,` + plain + `,"temperature":0.2}`, nil},
		{"no sampling", router.Request{Messages: hi, Temperature: ptr(0.2)}, "", nil,
			`{"model":"up","max_tokens":77,` + plain + `}`, []string{"temperature: left out, p/m refuses it"}},
		{"no effort", router.Request{Messages: hi, Effort: "none"}, "", full,
			`{"model":"up","max_tokens":77,` + plain + `,"output_config":{"effort":"low"}}`, []string{"reasoning_effort: low at p/m, which has no none"}},
		{"minimal effort", router.Request{Messages: hi, Effort: "minimal"}, "", full,
			`{"model":"up","max_tokens":77,` + plain + `,"thinking":{"type":"adaptive"},"output_config":{"effort":"low"}}`, []string{"reasoning_effort: low at p/m, which has no minimal"}},
		{"effort without reasoning", router.Request{Messages: hi, Effort: "high"}, "", nil,
			`{"model":"up","max_tokens":77,` + plain + `}`, []string{"reasoning_effort: left out, p/m refuses it"}},
		{"no effort without reasoning", router.Request{Messages: hi, Effort: "none"}, "", nil, `{"model":"up","max_tokens":77,` + plain + `}`, nil},
		{"effort where budgets rule, without room", router.Request{Messages: hi, Effort: "high"}, "", append(full, ledger.FeatureBudget),
			`{"model":"up","max_tokens":77,` + plain + `}`, []string{"reasoning_effort: left out, an output of 77 tokens leaves no room to think"}},
	} {
		id := tt.model
		if id == "" {
			id = "up"
		}
		out, err := encode(router.Call{Request: &tt.req, OutputCap: 77, Model: ledger.Model{ID: id, Name: "p/m", Features: tt.features}})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got, warnings := out.body, out.warnings
		if string(got) != compact(t, []byte(tt.want)) || !slices.Equal(warnings, tt.warnings) {
			t.Errorf("%s:\ngot  %s %q\nwant %s %q", tt.name, got, warnings, compact(t, []byte(tt.want)), tt.warnings)
		}
	}
}
