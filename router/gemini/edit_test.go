package gemini

import (
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

func TestEdit(t *testing.T) {
	const turns = `"contents": [ {"parts":[{"text":"caf\u00e9 <b>", "new": [1.50, 1e2]}]} ]`
	bare := strings.Replace(turns, ": [ ", ":[ ", 1)
	all := []string{ledger.FeatureSampling, ledger.FeatureReasoning}
	for _, tt := range []struct {
		name, body string
		features   []string
		want       string
		warnings   []string
	}{
		{"nothing but the cap", `{ ` + turns + `, "tools": [{"googleSearch":{}}], "safety_settings": [], "zzz": {"b":1,"a":2} }`, all,
			`{` + bare + `,"tools":[{"googleSearch":{}}],"safety_settings":[],"zzz":{"b":1,"a":2},"generationConfig":{"maxOutputTokens":77}}`, nil},
		{"the cap where it was", `{"generation_config":{"max_output_tokens": 90,"topK":1.50e1},"model":"models/x",` + turns + `}`, all,
			`{"generation_config":{"max_output_tokens":77,"topK":1.50e1},"model":"models/up",` + bare + `}`, nil},
		{"no settings", `{"generationConfig":null,` + turns + `}`, all, `{` + bare + `,"generationConfig":{"maxOutputTokens":77}}`, nil},
		{"an empty cap", `{"generationConfig":{"maxOutputTokens":null},` + turns + `}`, all, `{"generationConfig":{"maxOutputTokens":77},` + bare + `}`, nil},
		{"what the model refuses", `{"generationConfig":{"temperature":0.2,"top_p":0.5,"thinkingConfig":{"thinkingLevel":"HIGH","includeThoughts":true},"seed":7},` + turns + `}`, nil,
			`{"generationConfig":{"thinkingConfig":{"includeThoughts":true},"seed":7,"maxOutputTokens":77},` + bare + `}`,
			[]string{"generationConfig.temperature: left out, google/up refuses it", "generationConfig.topP: left out, google/up refuses it",
				"generationConfig.thinkingConfig: left out, google/up refuses it"}},
	} {
		got, warnings := edit(router.Call{Request: decode(t, tt.body), OutputCap: 77, Model: ledger.Model{ID: "up", Name: "google/up", Features: tt.features}})
		if string(got) != tt.want || strings.Join(warnings, "|") != strings.Join(tt.warnings, "|") {
			t.Errorf("%s:\ngot  %s %q\nwant %s %q", tt.name, got, warnings, tt.want, tt.warnings)
		}
	}
}

func TestEditOfCounts(t *testing.T) {
	for body, want := range map[string]string{
		`{"contents":[{"parts":[{"text":"a"}]}]}`:                                                          `{"contents":[{"parts":[{"text":"a"}]}]}`,
		`{"generateContentRequest":{"model":"models/x","contents":[{"parts":[{"text":"a"}]}],"tools":[]}}`: `{"generateContentRequest":{"model":"models/up","contents":[{"parts":[{"text":"a"}]}],"tools":[]}}`,
	} {
		r, err := Inbound{}.Decode(router.Incoming{Endpoint: router.EndpointCount, Model: "m", Body: []byte(body)})
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := edit(router.Call{Request: r, Model: ledger.Model{ID: "up"}}); string(got) != want {
			t.Errorf("%s", got)
		}
	}
}

// Seals stay on the leg that made them: ours never leave, those of another leg only where the conversation stays with it.
func TestEditOfSeals(t *testing.T) {
	ours := router.MintSeal("req_1")
	body := func(seal string) string {
		return `{"contents":[{"parts":[{"text":"1"}]},{"role":"model","parts":[{"functionCall":{"name":"old"},"thoughtSignature":"` + seal + `"}]},
			{"parts":[{"functionResponse":{"name":"old","response":{}}}]},{"role":"model","parts":[{"text":"done","thoughtSignature":"` + seal + `"}]},{"parts":[{"text":"2"}]},
			{"role":"model","parts":[{"text":"Hm","thought":true,"thoughtSignature":"` + seal + `"},{"text":"","thoughtSignature":"` + seal + `"},
			{"functionCall":{"name":"a"},"thoughtSignature":"` + seal + `"},{"functionCall":{"name":"b"}}]},
			{"parts":[{"functionResponse":{"name":"a","response":{}}},{"functionResponse":{"name":"b","response":{}}}]}],"generationConfig":{"maxOutputTokens":5}}`
	}
	const stripped = `{"contents":[{"parts":[{"text":"1"}]},{"role":"model","parts":[{"functionCall":{"name":"old"}}]},
			{"parts":[{"functionResponse":{"name":"old","response":{}}}]},{"role":"model","parts":[{"text":"done"}]},{"parts":[{"text":"2"}]},
			{"role":"model","parts":[{"functionCall":{"name":"a"},"thoughtSignature":"skip_thought_signature_validator"},{"functionCall":{"name":"b"}}]},
			{"parts":[{"functionResponse":{"name":"a","response":{}}},{"functionResponse":{"name":"b","response":{}}}]}],"generationConfig":{"maxOutputTokens":5}}`
	mixed := strings.Replace(body("c2VhbA=="), `{"functionCall":{"name":"a"},"thoughtSignature":"c2VhbA=="}`, `{"functionCall":{"name":"a"},"thoughtSignature":"bWluZQ=="}`, 1)
	levels, budgets := []string{ledger.FeatureReasoning}, []string{ledger.FeatureReasoning, ledger.FeatureBudget}
	for _, tt := range []struct {
		name, body string
		foreign    bool
		features   []string
		want       string
		warning    string
	}{
		{"its own", body("c2VhbA=="), false, levels, compact(t, body("c2VhbA==")), ""},
		{"another leg's", body("c2VhbA=="), true, levels, compact(t, stripped), "contents[1].parts[0]: left out, it was sealed for another model or credential, and 4 more like it"},
		{"another leg's, but the last", mixed, true, levels, compact(t, strings.Replace(stripped, "skip_thought_signature_validator", "bWluZQ==", 1)),
			"contents[1].parts[0]: left out, it was sealed for another model or credential, and 3 more like it"},
		{"ours", body(ours), false, levels, compact(t, stripped), "contents[5].parts[0]: left out, it was sealed for another model or credential"},
		{"to a model that demands none", body("c2VhbA=="), true, budgets,
			strings.Replace(compact(t, stripped), `,"thoughtSignature":"skip_thought_signature_validator"`, "", 1),
			"contents[1].parts[0]: left out, it was sealed for another model or credential, and 4 more like it"},
	} {
		var foreign map[string]bool
		if tt.foreign {
			foreign = map[string]bool{"c2VhbA==": true}
		}
		got, warnings := edit(router.Call{Request: decode(t, tt.body), Foreign: foreign, OutputCap: 5, Model: ledger.Model{ID: "up", Features: tt.features}})
		if compact(t, string(got)) != tt.want || strings.Join(warnings, "|") != tt.warning {
			t.Errorf("%s:\ngot  %s %q\nwant %s %q", tt.name, compact(t, string(got)), warnings, tt.want, tt.warning)
		}
	}
}

// What the upstream sent is what the caller gets.
func TestRelay(t *testing.T) {
	const one, two = "data: {\"candidates\":[],\"new\": 1.50}\r\n\r\n", "data: {\"a\":[1,\ndata: 2]}\n\n"
	steps := []router.Chunk{{}, {Frame: []byte(one)}, {Frame: []byte(": ping\n\n")}, {Frame: []byte(two), Finish: router.FinishStop}}
	w := Inbound{}.Writer(&router.Request{}, router.Head{}, ledger.DialectGemini)
	if got := write(w, steps...) + string(w.End(ledger.Usage{})); got != one+two {
		t.Errorf("%q", got)
	}
	w = Inbound{}.Writer(&router.Request{Stream: true, Array: true}, router.Head{}, ledger.DialectGemini)
	if got := write(w, steps...) + string(w.End(ledger.Usage{})); got != "[{\"candidates\":[],\"new\": 1.50},\r\n{\"a\":[1,\n2]}]" {
		t.Errorf("%q", got)
	}
	w = Inbound{}.Writer(&router.Request{Stream: true, Array: true}, router.Head{}, ledger.DialectGemini)
	got := write(w, steps[:2]...) + string(w.Error(router.Failure{Status: 502, Message: "cut"}))
	if !strings.HasPrefix(got, "[{\"candidates\":[],\"new\": 1.50},\r\n{\"error\":{\"code\":502,") || !strings.HasSuffix(got, "}]") {
		t.Errorf("%q", got)
	}
	w = Inbound{}.Writer(&router.Request{}, router.Head{}, ledger.DialectGemini)
	if got := w.Body([]router.Chunk{{}, {Frame: []byte("{ }\n")}}, ledger.Usage{}); string(got) != "{ }\n" {
		t.Errorf("%q", got)
	}
}
