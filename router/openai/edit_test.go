package openai

import (
	"encoding/json"
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

func TestEncode(t *testing.T) {
	temperature, seed := 0.5, int64(7)
	r := &router.Request{
		Dialect: "other", Stream: true, Temperature: &temperature, Seed: &seed, N: 2, Stop: []string{"x"},
		EndUser: "u", ServiceTier: "standard", Effort: "low",
		System: []router.Part{router.Text("Be brief."), router.Text("Be kind.")},
		Messages: []router.Message{
			{Role: router.RoleUser, Parts: []router.Part{router.Text("<Hi>")}},
			{Role: router.RoleSystem, Parts: []router.Part{router.Text("Later.")}},
			{Role: router.RoleAssistant, Parts: []router.Part{router.Text("Yes")}},
		},
	}
	c := router.Call{Request: r, OutputCap: 77, Model: ledger.Model{ID: "up", Name: "openai/up",
		Features: []string{ledger.FeatureSampling, ledger.FeatureReasoning}}}
	got, warnings, err := encode(c)
	want := `{"model":"up","messages":[
		{"role":"system","content":[{"type":"text","text":"Be brief."},{"type":"text","text":"Be kind."}]},
		{"role":"user","content":"<Hi>"},
		{"role":"system","content":"Later."},
		{"role":"assistant","content":"Yes"}],
		"max_completion_tokens":77,"stream":true,"stream_options":{"include_usage":true},"temperature":0.5,"stop":["x"],
		"seed":7,"n":2,"safety_identifier":"u","service_tier":"default","reasoning_effort":"low"}`
	if err != nil || len(warnings) != 0 || compact(t, got) != compact(t, []byte(want)) {
		t.Errorf("%s %q %v", got, warnings, err)
	}
	if !json.Valid(got) {
		t.Error("not JSON")
	}
}
