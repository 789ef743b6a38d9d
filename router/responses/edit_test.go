package responses

import (
	"slices"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

func TestEdit(t *testing.T) {
	const turns = `"input":[ {"role":"user", "content":"caf\u00e9 <b>", "new": [1.50, 1e2]} ]`
	sampling, reasoning := ledger.FeatureSampling, ledger.FeatureReasoning
	for _, tt := range []struct {
		name, body string
		features   []string
		want       string
		warnings   []string
	}{
		{"nothing but the names", `{ "model": "nova", ` + turns + `, "tools": [ {"type": "web_search"} ], "zzz": {"b":1,"a":2} }`, []string{sampling},
			`{"model":"up",` + turns + `,"tools":[ {"type": "web_search"} ],"zzz":{"b":1,"a":2},"max_output_tokens":77,"store":false}`, nil},
		{"in place", `{"store":false,"max_output_tokens":5,"include":["a.b"],"model":"nova",` + turns + `}`, []string{reasoning},
			`{"store":false,"max_output_tokens":77,"include":["a.b","reasoning.encrypted_content"],"model":"up",` + turns + `}`, nil},
		{"sealed reasoning, asked for", `{"include":[ "reasoning.encrypted_content" ],"model":"nova",` + turns + `}`, []string{reasoning},
			`{"include":[ "reasoning.encrypted_content" ],"model":"up",` + turns + `,"max_output_tokens":77,"store":false}`, nil},
		{"sealed reasoning, not asked for", `{"model":"nova",` + turns + `}`, []string{reasoning},
			`{"model":"up",` + turns + `,"max_output_tokens":77,"store":false,"include":["reasoning.encrypted_content"]}`, nil},
		{"nulls", `{"store":null,"include":null,"max_output_tokens":null,"model":"nova",` + turns + `}`, []string{reasoning},
			`{"store":false,"include":["reasoning.encrypted_content"],"max_output_tokens":77,"model":"up",` + turns + `}`, nil},
		{"sampling", `{"temperature":0.2,"top_p":1,"model":"nova",` + turns + `}`, []string{reasoning},
			`{"top_p":1,"model":"up",` + turns + `,"max_output_tokens":77,"store":false,"include":["reasoning.encrypted_content"]}`,
			[]string{"temperature: left out, openai/up refuses it"}},
		{"sampling without reasoning", `{"temperature":0.2,"reasoning":{"effort":"none"},"model":"nova",` + turns + `,"include":[]}`, []string{reasoning},
			`{"temperature":0.2,"reasoning":{"effort":"none"},"model":"up",` + turns + `,"include":["reasoning.encrypted_content"],"max_output_tokens":77,"store":false}`, nil},
		{"reasoning", `{"reasoning":{"effort":"high"},"model":"nova",` + turns + `}`, []string{sampling},
			`{"model":"up",` + turns + `,"max_output_tokens":77,"store":false}`, []string{"reasoning.effort: left out, openai/up refuses it"}},
		{"summaries", `{"reasoning":{"summary":"auto"},"model":"nova",` + turns + `}`, []string{sampling},
			`{"model":"up",` + turns + `,"max_output_tokens":77,"store":false}`, []string{"reasoning: left out, openai/up does not reason"}},
	} {
		got, warnings := edit(router.Call{Request: decode(t, tt.body), OutputCap: 77, Model: ledger.Model{ID: "up", Name: "openai/up", Features: tt.features}})
		if string(got) != tt.want || !slices.Equal(warnings, tt.warnings) {
			t.Errorf("%s\ngot  %s %q\nwant %s %q", tt.name, got, warnings, tt.want, tt.warnings)
		}
	}
}

func TestEditWithoutCapAndWithQuirks(t *testing.T) {
	r := decode(t, `{"model":"nova","input":"a","max_output_tokens":5,"metadata":{},"store":false}`)
	got, warnings := edit(router.Call{Request: r, Model: ledger.Model{ID: "up", Provider: "vllm", Features: []string{ledger.FeatureReasoning}},
		Quirks: router.Quirks{Drop: []string{"metadata", "store", "include"}}})
	if want := `{"model":"up","input":"a","max_output_tokens":5}`; string(got) != want || len(warnings) != 2 {
		t.Errorf("%s %q", got, warnings)
	}
}

// Reasoning travels with its seal, to the one who made it and to nobody else.
func TestEditLeavesReasoningBehind(t *testing.T) {
	sealed := `{"type":"reasoning","id":"rs_1","summary":[], "encrypted_content":"SEAL"}`
	ours := `{"type":"reasoning","id":"rs_2","summary":[],"encrypted_content":"` + router.MintSeal("req_1") + `"}`
	stored := `{"type":"reasoning","id":"rs_3","summary":[]}`
	open := `{"type":"reasoning","id":"rs_4","summary":[],"content":[{"type":"reasoning_text","text":"a"}]}`
	said := `{"role":"assistant", "content":"b"}`
	for _, tt := range []struct {
		input    []string
		foreign  bool
		want     []string
		warnings string
	}{
		{[]string{said, sealed, open}, false, []string{said, sealed, open}, ""},
		{[]string{sealed, said, strings.Replace(sealed, "SEAL", "OWN", 1)}, true, []string{said, strings.Replace(sealed, "SEAL", "OWN", 1)}, "input[0]: left out, it was sealed for another credential"},
		{[]string{said, sealed, said}, true, []string{said, said}, "input[1]: left out, it was sealed for another credential"},
		{[]string{ours, said, stored, open}, false, []string{said, open},
			"input[0]: left out, another provider thought it, and it cannot travel\ninput[2]: left out, reasoning without encrypted_content refers to what was stored, and nothing is"},
	} {
		r := decode(t, `{"model":"nova","input":[`+strings.Join(tt.input, ",")+`],"store":false}`)
		got, warnings := edit(router.Call{Request: r, Foreign: map[string]bool{"SEAL": tt.foreign}, Model: ledger.Model{ID: "up"}})
		if want := `{"model":"up","input":[` + strings.Join(tt.want, ",") + `],"store":false}`; string(got) != want || strings.Join(warnings, "\n") != tt.warnings {
			t.Errorf("%s: got %s %q", tt.input, got, warnings)
		}
	}
}

func TestEditCount(t *testing.T) {
	body := `{"model":"nova","input":"a","tools":[],"temperature":1.5,"reasoning":{"effort":"low"}}`
	r, err := Inbound{}.Decode(router.Incoming{Endpoint: router.EndpointCount, Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	got, warnings := edit(router.Call{Request: r, OutputCap: 77, Model: ledger.Model{ID: "up", Features: []string{ledger.FeatureReasoning, ledger.FeatureSampling}}})
	if want := strings.Replace(body, "nova", "up", 1); string(got) != want || len(warnings) > 0 {
		t.Errorf("%s %q", got, warnings)
	}
}
