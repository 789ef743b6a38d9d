package openai

import (
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

const turns = `"messages": [ {"role":"user", "content":"caf\u00e9 <b>", "new": [1.50, 1e2]} ]`

func TestEdit(t *testing.T) {
	all := []string{ledger.FeatureSampling, ledger.FeatureReasoning, ledger.FeatureMaxTokens}
	for _, tt := range []struct {
		name, body string
		features   []string
		want       string
		warnings   []string
	}{
		{"nothing but the names", `{ "model": "luna", ` + turns + `, "tools": [ {"type": "function", "function":{"name":"f"}} ], "zzz": {"b":1,"a":2} }`, all,
			`{"model":"up","messages":[ {"role":"user", "content":"caf\u00e9 <b>", "new": [1.50, 1e2]} ],"tools":[ {"type": "function", "function":{"name":"f"}} ],"zzz":{"b":1,"a":2},"max_completion_tokens":77}`, nil},
		{"the cap where it was", `{"max_completion_tokens":5,"model":"luna",` + turns + `}`, all,
			`{"max_completion_tokens":77,"model":"up",` + bare(turns) + `}`, nil},
		{"the old cap, taken", `{"max_tokens":5,"model":"luna",` + turns + `}`, all,
			`{"max_tokens":77,"model":"up",` + bare(turns) + `}`, nil},
		{"the old cap, refused", `{"max_tokens":5,"model":"luna",` + turns + `}`, []string{ledger.FeatureSampling},
			`{"model":"up",` + bare(turns) + `,"max_completion_tokens":77}`, nil},
		{"both caps", `{"max_tokens":5,"max_completion_tokens":6,"model":"luna",` + turns + `}`, all,
			`{"max_completion_tokens":77,"model":"up",` + bare(turns) + `}`, nil},
		{"an empty cap", `{"max_completion_tokens":null,"max_tokens":null,"model":"luna",` + turns + `}`, all,
			`{"max_completion_tokens":77,"model":"up",` + bare(turns) + `}`, nil},
		{"a stream", `{"model":"luna","stream":true,` + turns + `}`, all,
			`{"model":"up","stream":true,` + bare(turns) + `,"max_completion_tokens":77,"stream_options":{"include_usage":true}}`, nil},
		{"a stream with options", `{"stream_options":{"include_obfuscation": false,"include_usage":false},"model":"luna","stream":true,` + turns + `}`, all,
			`{"stream_options":{"include_usage":true,"include_obfuscation":false},"model":"up","stream":true,` + bare(turns) + `,"max_completion_tokens":77}`, nil},
		{"no stream with options", `{"stream_options":{"include_usage":false},"model":"luna",` + turns + `}`, all,
			`{"stream_options":{"include_usage":false},"model":"up",` + bare(turns) + `,"max_completion_tokens":77}`, nil},
		{"what the model refuses", `{"temperature":0.2,"top_p":1,"reasoning_effort":"high","model":"luna",` + turns + `}`, nil,
			`{"top_p":1,"model":"up",` + bare(turns) + `,"max_completion_tokens":77}`,
			[]string{"temperature: left out, openai/up refuses it", "reasoning_effort: left out, openai/up refuses it"}},
		{"sampling without reasoning", `{"temperature":0.2,"reasoning_effort":"none","model":"luna",` + turns + `}`, []string{ledger.FeatureReasoning},
			`{"temperature":0.2,"reasoning_effort":"none","model":"up",` + bare(turns) + `,"max_completion_tokens":77}`, nil},
	} {
		r, err := Inbound{}.Decode(router.Incoming{Body: []byte(tt.body)})
		if err != nil {
			t.Fatal(err)
		}
		got, warnings := edit(router.Call{Request: r, OutputCap: 77, Model: ledger.Model{ID: "up", Name: "openai/up", Features: tt.features}})
		if string(got) != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got, tt.want)
		}
		if strings.Join(warnings, "|") != strings.Join(tt.warnings, "|") {
			t.Errorf("%s: warnings %q, want %q", tt.name, warnings, tt.warnings)
		}
	}
}

// bare is a member without the space between its name and its value.
func bare(member string) string { return strings.Replace(member, ": ", ":", 1) }

// What a provider departs in, by its quirks.
func TestEditQuirks(t *testing.T) {
	const schema = `"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}}`
	for _, tt := range []struct {
		name, body string
		quirks     router.Quirks
		want       string
		warnings   []string
	}{
		{"the old cap", `{"max_completion_tokens":5,"model":"luna",` + turns + `}`, router.Quirks{MaxTokens: true},
			`{"max_tokens":77,"model":"up",` + bare(turns) + `}`, nil},
		{"the old cap, unasked", `{"model":"luna",` + turns + `}`, router.Quirks{MaxTokens: true},
			`{"model":"up",` + bare(turns) + `,"max_tokens":77}`, nil},
		{"no stream options", `{"model":"luna","stream":true,"stream_options":{"include_usage":true},` + turns + `}`, router.Quirks{NoStreamOptions: true},
			`{"model":"up","stream":true,` + bare(turns) + `,"max_completion_tokens":77}`, nil},
		{"no developer", `{"model":"luna","messages":[{"role":"developer","content": "a","x":1}, {"content":"b","role":"user"}]}`, router.Quirks{NoDeveloper: true},
			`{"model":"up","messages":[{"role":"system","content":"a","x":1},{"content":"b","role":"user"}],"max_completion_tokens":77}`, nil},
		{"no schema", `{"model":"luna","messages":[{"role":"user","content":"b"}],` + schema + `}`, router.Quirks{NoSchema: true},
			`{"model":"up","messages":[{"role":"system","content":"Answer with one JSON value and nothing else. It must satisfy this JSON Schema: {\"type\":\"object\"}"},` +
				`{"role":"user","content":"b"}],"response_format":{"type":"json_object"},"max_completion_tokens":77}`,
			[]string{"response_format: sent as json_object with the schema as an instruction, since openai takes no schema: the answer may depart from it"}},
		{"no schema, none asked", `{"model":"luna",` + turns + `,"response_format":{"type":"json_object"}}`, router.Quirks{NoSchema: true},
			`{"model":"up",` + bare(turns) + `,"response_format":{"type":"json_object"},"max_completion_tokens":77}`, nil},
		{"left out", `{"model":"luna","user":"u","store":null,` + turns + `}`, router.Quirks{Drop: []string{"user", "store"}},
			`{"model":"up",` + bare(turns) + `,"max_completion_tokens":77}`, []string{"user: left out, openai refuses it"}},
	} {
		r, err := Inbound{}.Decode(router.Incoming{Body: []byte(tt.body)})
		if err != nil {
			t.Fatal(err)
		}
		m := ledger.Model{ID: "up", Name: "openai/up", Provider: "openai", Features: []string{ledger.FeatureSampling, ledger.FeatureReasoning}}
		got, warnings := edit(router.Call{Request: r, OutputCap: 77, Model: m, Quirks: tt.quirks})
		if string(got) != tt.want || strings.Join(warnings, "|") != strings.Join(tt.warnings, "|") {
			t.Errorf("%s:\ngot  %s %q\nwant %s %q", tt.name, got, warnings, tt.want, tt.warnings)
		}
	}
}
