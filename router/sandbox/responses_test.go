package sandbox_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"waybill/router/sandbox"
)

const responsesPath = "/openai/v1/responses"

func (c *client) respond(input, extra string) reply {
	return c.post(sandbox.OpenAI, responsesPath, fmt.Sprintf(`{"model":"gpt-6-sol","input":%s%s}`, input, extra))
}

func TestResponsesEvents(t *testing.T) {
	c := start(t, sandbox.Options{})
	r := c.respond(`"[[sandbox reasoning=8 chunks=1 say=\"Well.\" call=city calls=2]] x"`, `,"stream":true,"reasoning":{"summary":"auto"},
		"tools":[{"type":"function","name":"city","strict":false,"parameters":`+citySchemaText+`}]`)
	all, _ := events(t, r.body)
	var names []string
	for i, e := range all {
		if v := gjson.Parse(e.data); v.Get("type").Str != e.name || v.Get("sequence_number").Int() != int64(i) {
			t.Errorf("event %d: %s %s", i, e.name, e.data)
		}
		names = append(names, strings.TrimPrefix(e.name, "response."))
	}
	want := strings.Fields(`created in_progress output_item.added reasoning_summary_part.added reasoning_summary_text.delta reasoning_summary_text.delta
		reasoning_summary_text.done reasoning_summary_part.done output_item.done
		output_item.added content_part.added output_text.delta output_text.done content_part.done output_item.done
		output_item.added function_call_arguments.delta function_call_arguments.done output_item.done
		output_item.added function_call_arguments.delta function_call_arguments.done output_item.done completed`)
	if !slices.Equal(names, want) {
		t.Fatalf("events %v", names)
	}
	final := gjson.Get(all[len(all)-1].data, "response")
	if final.Get("output.#.type").Raw != `["reasoning","message","function_call","function_call"]` || final.Get("output.2.arguments").Str != sandbox.Instance(citySchemaText, 0) ||
		final.Get("output.0.encrypted_content").Str == "" || final.Get("usage.output_tokens_details.reasoning_tokens").Int() != 8 {
		t.Errorf("%s", final.Raw)
	}
	// Every event about an item has its place in the output.
	for _, e := range all[2 : len(all)-1] {
		v := gjson.Parse(e.data)
		id := v.Get("item_id").Str + v.Get("item.id").Str
		if at := final.Get("output." + v.Get("output_index").Raw + ".id").Str; at != id {
			t.Errorf("%s is of %s, not of %s", e.data, at, id)
		}
	}
	if added := gjson.Get(all[2].data, "item.encrypted_content").Str; added != "" {
		t.Error("the contents are sealed before they are complete")
	}
}

// What a response says of how it ended: status, reason, error; and how a stream fails.
func TestResponsesEndings(t *testing.T) {
	c := start(t, sandbox.Options{})
	for _, test := range []struct{ words, extra, path, want, record string }{
		{"output=50", `,"max_output_tokens":20`, "incomplete_details.reason", "max_output_tokens", "max_output_tokens"},
		{"verdict=filtered", "", "incomplete_details.reason", "content_filter", "content_filter"},
		{"verdict=refusal", "", "output.0.content.0.refusal", "I cannot help with that.", "completed"},
		{"finish=failed", "", "error.code", "server_error", "failed"},
		{"finish=steered", "", "incomplete_details.reason", "steered", "steered"},
		{"tier=flex", "", "service_tier", "flex", "completed"},
		{"input=400 cached=128 cache_write=32 cache_write_long=16 output=4", "", "usage.@ugly", `{"input_tokens":400,"input_tokens_details":{"cached_tokens":128,"cache_write_tokens":48,` +
			`"cache_write_tokens_details":{"ttl_30m_tokens":32,"ttl_12h_tokens":16}},"output_tokens":4,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":404}`, "completed"},
		{"no_usage", "", "usage", "", "completed"},
	} {
		for _, stream := range []bool{false, true} {
			r := c.respond(fmt.Sprintf(`"[[sandbox %s]] x"`, test.words), fmt.Sprintf(`%s,"stream":%t`, test.extra, stream))
			v := gjson.Parse(r.body)
			if stream {
				all, _ := events(t, r.body)
				last := all[len(all)-1]
				if v = gjson.Get(last.data, "response"); last.name != "response."+v.Get("status").Str {
					t.Errorf("%s: %s with status %s", test.words, last.name, v.Get("status").Str)
				}
			}
			if got := v.Get(test.path).String(); got != test.want {
				t.Errorf("%s: %s is %q: %s", test.words, test.path, got, v.Raw)
			}
			calls := c.box.Calls()
			if last := calls[len(calls)-1]; last.Finish != test.record || last.Outcome != sandbox.Completed {
				t.Errorf("%s: record %+v", test.words, last)
			}
		}
	}
	if r := c.respond(`"[[sandbox verdict=blocked]] x"`, ""); r.status != 400 || r.get("error.code").Str != "invalid_prompt" {
		t.Errorf("blocked: %s", r.body)
	}
	for place, want := range map[string]string{"first": "error", "content": "response.failed"} {
		all, _ := events(t, c.respond(fmt.Sprintf(`"[[sandbox fail=server_error fail_at=%s]] x"`, place), `,"stream":true`).body)
		last := all[len(all)-1]
		if message := gjson.Get(last.data, "message").Str + gjson.Get(last.data, "response.error.message").Str; last.name != want || message == "" {
			t.Errorf("at %s: %s %s", place, last.name, last.data)
		}
	}
}

func TestResponsesStrictness(t *testing.T) {
	c := start(t, sandbox.Options{})
	reasoned := c.respond(`"[[sandbox reasoning=8]] x"`, "").get("output.0").Raw
	call := `{"type":"function_call","call_id":"a","name":"f","arguments":"{"}`
	user := `{"role":"user","content":"x"}`
	for _, test := range []struct{ input, extra, says string }{
		{`"x"`, `,"messages":[]`, "messages"}, {`"x"`, `,"max_tokens":5`, "max_tokens"}, {`"x"`, `,"max_output_tokens":5`, "integer_below_min_value"},
		{`"x"`, `,"temperature":1`, "'temperature' is not supported"}, {`"x"`, `,"temperature":0.5,"reasoning":{"effort":"none"}`, ""},
		{`"x"`, `,"tools":[{"type":"function","function":{"name":"f"}}]`, "tools[0]"}, {`"x"`, `,"tools":[{"type":"function","name":"f"}]`, "Missing required parameter: 'tools[0].parameters"},
		{`"x"`, `,"tools":[{"type":"function","name":"f","strict":1,"parameters":null}]`, "tools[0].strict"},
		{`"x"`, `,"tools":[{"type":"function","name":"f","strict":true,"parameters":{"type":"object"}}]`, "additionalProperties"},
		{`"x"`, `,"tools":[{"type":"function","name":"f","strict":null,"parameters":null}],"tool_choice":{"type":"function","name":"g"}`, "not found"},
		{`"x"`, `,"text":{"format":{"type":"json_schema","json_schema":{}}}`, "text.format"},
		{`"x"`, `,"instructions":"Answer in JSON.","text":{"format":{"type":"json_object"}}`, "must contain the word 'json'"}, {`"x"`, `,"previous_response_id":"resp_1"`, "previous_response_not_found"},
		{`"x"`, `,"reasoning":{"effort":"colossal"}`, "reasoning.effort"}, {`[]`, "", "empty_array"}, {`[{"role":"tool","content":"x"}]`, "", "input[0].role"},
		{`[{"type":"hologram"}]`, "", "input[0].type"}, {`[{"role":"user","content":[{"type":"text","text":"x"}]}]`, "", "input[0].content[0].type"},
		{"[" + user + "," + call + "]", "", "No tool output found for function call a"},
		{"[" + user + `,{"type":"function_call_output","call_id":"a","output":"x"}]`, "", "No tool call found"},
		{"[" + user + "," + call + `,{"type":"function_call_output","call_id":"a","output":"x"}]`, "", ""},
		{"[" + user + "," + call + `,{"type":"function_call_output","call_id":"a","output":"x"},` + user + "]", "", ""},
		{"[" + user + "," + reasoned + "]", "", "without its required following item"}, {"[" + user + "," + reasoned + "," + user + "]", "", "without its required following item"},
		{"[" + user + "," + reasoned + `,{"role":"assistant","content":"y"},` + user + "]", "", ""},
		{"[" + user + "," + strings.Replace(reasoned, `"encrypted_content":"`, `"encrypted_content":"A`, 1) + `,{"role":"assistant","content":"y"},` + user + "]", "", "could not be verified"},
	} {
		r := c.respond(test.input, test.extra)
		if test.says == "" && r.status != 200 || test.says != "" && (r.status != 400 || !strings.Contains(r.body, test.says)) {
			t.Errorf("%s%s: %d %s", test.input, test.extra, r.status, r.body)
		}
	}
	r := c.respond("["+user+","+call+`,{"type":"function_call_output","call_id":"a","output":"x"},`+user+"]", "")
	if got := r.get("output.0.content.0.text").Str; got != sandbox.Answer("x", 0) {
		t.Errorf("a question behind a result: %q", got)
	}
	if r := c.respond("["+user+`,{"type":"reasoning","id":"rs_1","summary":[]},{"role":"assistant","content":"y"},`+user+"]", ""); r.status != 404 {
		t.Errorf("reasoning without contents: %d %s", r.status, r.body)
	}
}

// A tool that does not say whether it is strict is made so, as far as that goes, and the answer says what was made of it.
func TestResponsesStrictUnlessTold(t *testing.T) {
	c := start(t, sandbox.Options{})
	open := `{"type":"object","properties":{"a":{"type":"string"},"b":{"anyOf":[{"type":"object","properties":{"c":{"type":"array","items":{"type":"object","properties":{"d":{}}}}}},{"type":"null"}]}},"required":["a"]}`
	shut := `{"type":"object","properties":{"a":{"type":"string"},"b":{"anyOf":[{"type":"object","properties":{"c":{"type":"array","items":{"type":"object","properties":{"d":{}},` +
		`"additionalProperties":false,"required":["d"]}}},"additionalProperties":false,"required":["c"]},{"type":"null"}]}},"additionalProperties":false,"required":["a","b"]}`
	loose := `{"type":"object","properties":{"a":{"oneOf":[{"type":"string"}]}}}`
	for _, test := range []struct{ parameters, says, strict, made string }{
		{open, "", "true", shut}, {open, `,"strict":null`, "true", shut}, {open, `,"strict":false`, "false", open}, {shut, `,"strict":true`, "true", shut},
		{loose, "", "false", loose}, {`null`, "", "false", `null`},
	} {
		r := c.respond(`"[[sandbox call=f]] x"`, `,"tools":[{"type":"function","name":"f","parameters":`+test.parameters+test.says+`}]`)
		tool := r.get("tools.0")
		if r.status != 200 || tool.Get("strict").Raw != test.strict || tool.Get("parameters").Raw != test.made || r.get("output.0.arguments").Str == "" {
			t.Errorf("%s%s: %s", test.parameters, test.says, r.body)
		}
	}
}

func TestSeals(t *testing.T) {
	c := start(t, sandbox.Options{})
	thinking := c.ask(sandbox.Anthropic, "[[sandbox reasoning=8]] x", false, "")
	redacted := c.ask(sandbox.Anthropic, "[[sandbox reasoning=8 redacted]] x", false, "")
	if redacted.get("content.0.type").Str != "redacted_thinking" {
		t.Fatalf("%s", redacted.body)
	}
	visible := c.ask(sandbox.Anthropic, "[[sandbox reasoning=8]] x", false, `"thinking":{"type":"adaptive","display":"summarized"}`)
	claude := func(model, block, rest string) (string, string) {
		return sandbox.Anthropic, fmt.Sprintf(`{"model":%q,"max_tokens":500,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[%s%s]},{"role":"user","content":"y"}]}`, model, block, rest)
	}
	text := `,{"type":"text","text":"z"}`
	argon := c.request(sandbox.Google, false, `{"contents":[{"parts":[{"text":"[[sandbox call=city]] x"}]}],`+offers[sandbox.Google]+`}`)
	argon.URL.Path = strings.Replace(argon.URL.Path, models[sandbox.Google], "gemini-4-argon", 1)
	part := c.do(argon).get("candidates.0.content.parts.0")
	if part.Get("thoughtSignature").Str == "" {
		t.Fatalf("%s", part.Raw)
	}
	gemini := func(model, part, before string) (string, string) {
		return sandbox.Google + "|" + model, fmt.Sprintf(`{"contents":[{"parts":[{"text":"x"}]},{"role":"model","parts":[%s]},{"parts":[{"functionResponse":{"name":"city","response":{}}}]}%s]}`, part, before)
	}
	bare := `{"functionCall":{"name":"city","args":{}}%s}`
	checkSeals(c, []sealed{
		{ask: func() (string, string) { return claude(models[sandbox.Anthropic], thinking.get("content.0").Raw, text) }},
		{ask: func() (string, string) { return claude(models[sandbox.Anthropic], visible.get("content.0").Raw, text) }},
		{ask: func() (string, string) { return claude(models[sandbox.Anthropic], redacted.get("content.0").Raw, text) }},
		{ask: func() (string, string) { return claude("claude-other", thinking.get("content.0").Raw, text) }},
		{ask: func() (string, string) { return claude(models[sandbox.Anthropic], thinking.get("content.0").Raw, text) }, key: "other", says: "Invalid `signature`"},
		{ask: func() (string, string) {
			return claude(models[sandbox.Anthropic], strings.Replace(visible.get("content.0").Raw, `"thinking":"`, `"thinking":"Altered `, 1), text)
		}, says: "Invalid `signature`"},
		{ask: func() (string, string) {
			return claude(models[sandbox.Anthropic], `{"type":"thinking","thinking":"","signature":"c2Vh"}`, text)
		}, says: "Invalid `signature`"},
		{ask: func() (string, string) {
			return claude(models[sandbox.Anthropic], `{"type":"redacted_thinking","data":"c2Vh"}`, text)
		}, says: "Invalid `data`"},
		{ask: func() (string, string) { return claude(models[sandbox.Anthropic], thinking.get("content.0").Raw, "") }, says: "final block"},
		{ask: func() (string, string) {
			return claude(models[sandbox.Anthropic], `{"type":"tool_use","id":"a","name":"f","input":{}},`+thinking.get("content.0").Raw, text)
		}, says: "must come before the `tool_use`"},
		{ask: func() (string, string) { return gemini("gemini-4-argon", part.Raw, "") }},
		{ask: func() (string, string) { return gemini("gemini-4-argon", fmt.Sprintf(bare, ""), "") }, says: "missing a thought_signature"},
		{ask: func() (string, string) {
			return gemini("gemini-4-argon", fmt.Sprintf(bare, ""), `,{"role":"model","parts":[{"text":"y"}]},{"parts":[{"text":"and?"}]}`)
		}},
		{ask: func() (string, string) {
			return gemini("gemini-4-argon", fmt.Sprintf(bare, `,"thoughtSignature":"skip_thought_signature_validator"`), "")
		}},
		{ask: func() (string, string) {
			return gemini("gemini-4-argon", fmt.Sprintf(bare, `,"thoughtSignature":"c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="`), "")
		}},
		{ask: func() (string, string) { return gemini("gemini-3.8-flash", part.Raw, "") }, says: "Corrupted thought signature"},
		{ask: func() (string, string) { return gemini("gemini-4-argon", part.Raw, "") }, key: "other", says: "Corrupted thought signature"},
		{ask: func() (string, string) { return gemini("gemini-2.5-flash", fmt.Sprintf(bare, ""), "") }},
	})
}

// sealed is a conversation that brings a seal back, and what its provider says: "" is that it is served.
type sealed struct {
	ask       func() (provider, body string)
	key, says string
}

func checkSeals(c *client, tests []sealed) {
	for i, test := range tests {
		provider, body := test.ask()
		provider, model, _ := strings.Cut(provider, "|")
		r := c.request(provider, false, body)
		if model != "" {
			r.URL.Path = strings.Replace(r.URL.Path, models[sandbox.Google], model, 1)
		}
		if test.key != "" {
			authorise(r, provider, test.key)
		}
		got := c.do(r)
		if test.says == "" && got.status != 200 || test.says != "" && (got.status != 400 || !strings.Contains(got.body, test.says)) {
			c.t.Errorf("%d: %s: %d %s", i, body, got.status, got.body)
		}
	}
}
