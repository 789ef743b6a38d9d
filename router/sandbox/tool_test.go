package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"waybill/router/sandbox"
)

const citySchemaText = `{"type":"object","properties":{"name":{"type":"string"},"size":{"type":"integer"}},"required":["name"]}`

// offers are two tools in each provider's words: city takes a name, now takes nothing.
var offers = map[string]string{
	sandbox.OpenAI:    `"tools":[{"type":"function","function":{"name":"city","parameters":` + citySchemaText + `}},{"type":"function","function":{"name":"now"}}]`,
	sandbox.Anthropic: `"tools":[{"name":"city","input_schema":` + citySchemaText + `},{"name":"now","input_schema":{"type":"object"}}]`,
	sandbox.Google:    `"tools":[{"functionDeclarations":[{"name":"city","parametersJsonSchema":` + citySchemaText + `},{"name":"now"}]}]`,
}

// made is one call as a client sees it.
type made struct{ id, name, args string }

// calls reads the calls of an answer, and the fragments in which the arguments came.
func (r reply) toolCalls(t *testing.T, provider string, stream bool) (calls []made, fragments [][]string) {
	t.Helper()
	bodies := []string{r.body}
	if stream {
		bodies = nil
		all, _ := events(t, r.body)
		for _, e := range all {
			bodies = append(bodies, e.data)
		}
	}
	open := func(id, name string) {
		calls, fragments = append(calls, made{id: id, name: name}), append(fragments, nil)
	}
	add := func(text string) {
		calls[len(calls)-1].args += text
		fragments[len(calls)-1] = append(fragments[len(calls)-1], text)
	}
	for _, body := range bodies {
		v := gjson.Parse(body)
		switch {
		case provider == sandbox.Google:
			v.Get("candidates.0.content.parts.#.functionCall").ForEach(func(_, c gjson.Result) bool {
				open(c.Get("id").Str, c.Get("name").Str)
				add(c.Get("args").Raw)
				return true
			})
		case provider == sandbox.Anthropic && stream:
			if b := v.Get("content_block"); b.Get("type").Str == "tool_use" {
				open(b.Get("id").Str, b.Get("name").Str)
			}
			if d := v.Get("delta"); d.Get("type").Str == "input_json_delta" {
				add(d.Get("partial_json").Str)
			}
		case provider == sandbox.Anthropic:
			v.Get(`content.#(type=="tool_use")#`).ForEach(func(_, b gjson.Result) bool {
				open(b.Get("id").Str, b.Get("name").Str)
				add(b.Get("input").Raw)
				return true
			})
		default:
			path := "choices.0.message.tool_calls"
			if stream {
				path = "choices.0.delta.tool_calls"
			}
			v.Get(path).ForEach(func(_, c gjson.Result) bool {
				if c.Get("id").Exists() {
					if open(c.Get("id").Str, c.Get("function.name").Str); stream && c.Get("index").Int() != int64(len(calls)-1) {
						t.Errorf("call %d has index %s", len(calls)-1, c.Get("index").Raw)
					}
				}
				add(c.Get("function.arguments").Str)
				return true
			})
		}
	}
	return calls, fragments
}

func TestToolCalls(t *testing.T) {
	idStart := map[string]string{sandbox.OpenAI: "call_", sandbox.Anthropic: "toolu_"}
	finish := map[string]string{sandbox.OpenAI: "tool_calls", sandbox.Anthropic: "tool_use", sandbox.Google: "STOP"}
	each(t, func(t *testing.T, provider string, stream bool) {
		c := start(t, sandbox.Options{})
		r := c.ask(provider, `[[sandbox call=city,now,city say="Let me see."]] x`, stream, offers[provider])
		calls, fragments := r.toolCalls(t, provider, stream)
		told := r.understand(t, provider, stream)
		if len(calls) != 3 || told.finish != finish[provider] || !strings.Contains(r.body, "Let me see.") {
			t.Fatalf("%d calls, finish %q: %s", len(calls), told.finish, r.body)
		}
		seen := map[string]bool{}
		for i, want := range []made{
			{name: "city", args: sandbox.Instance(citySchemaText, 0)}, {name: "now", args: "{}"}, {name: "city", args: sandbox.Instance(citySchemaText, 1)},
		} {
			if calls[i].name != want.name || calls[i].args != want.args && !(calls[i].args == "" && want.args == "{}") {
				t.Errorf("call %d is %+v, want %+v", i, calls[i], want)
			}
			if !strings.HasPrefix(calls[i].id, idStart[provider]) || seen[calls[i].id] != (provider == sandbox.Google && i > 0) {
				t.Errorf("call %d has id %q", i, calls[i].id)
			}
			seen[calls[i].id] = true
		}
		output := sandbox.CountTokens("Let me see.") + sandbox.CountTokens(calls[0].args) + sandbox.CountTokens("{}") + sandbox.CountTokens(calls[2].args)
		if call := c.calls(1)[0]; call.Tokens.Output != output || call.Tools != 2 {
			t.Errorf("record %+v, want %d tokens", call, output)
		}
		if stream {
			switch n := len(fragments[1]); provider {
			case sandbox.Anthropic:
				if n != 0 || fragments[0][0] != "" || len(fragments[0]) < 3 {
					t.Errorf("fragments %q", fragments)
				}
			case sandbox.OpenAI:
				if fragments[0][0] != "" || len(fragments[0]) < 3 {
					t.Errorf("fragments %q", fragments)
				}
			}
		}
	})
}

// A choice that forces, forbids or allows one call, and what cannot be called.
func TestToolChoice(t *testing.T) {
	choices := map[string]map[string]string{
		sandbox.OpenAI: {"any": `"tool_choice":"required"`, "none": `"tool_choice":"none"`, "now": `"tool_choice":{"type":"function","function":{"name":"now"}}`,
			"one": `"parallel_tool_calls":false`},
		sandbox.Anthropic: {"any": `"tool_choice":{"type":"any"}`, "none": `"tool_choice":{"type":"none"}`, "now": `"tool_choice":{"type":"tool","name":"now"}`,
			"one": `"tool_choice":{"type":"auto","disable_parallel_tool_use":true}`},
		sandbox.Google: {"any": `"toolConfig":{"functionCallingConfig":{"mode":"ANY"}}`, "none": `"toolConfig":{"functionCallingConfig":{"mode":"NONE"}}`,
			"now": `"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["now"]}}`},
	}
	each(t, func(t *testing.T, provider string, stream bool) {
		c := start(t, sandbox.Options{})
		for _, test := range []struct{ words, choice, want string }{
			{"", "any", "city"}, {"", "now", "now"}, {"calls=2", "now", "now now"}, {"call=city", "none", ""}, {"", "", ""}, {"call=city,now", "one", "city"},
			{"calls=3", "", "city city city"}, {"call=city", "now", "!"}, {"call=town", "", "!"}, {`args="{}"`, "", "!"}, {"calls=999", "", "!"},
		} {
			extra := offers[provider]
			if test.choice != "" {
				if choices[provider][test.choice] == "" {
					continue
				}
				extra += "," + choices[provider][test.choice]
			}
			r := c.ask(provider, "[[sandbox "+test.words+"]] x", stream, extra)
			if test.want == "!" {
				if r.status != 400 || !strings.Contains(r.body, "sandbox: ") {
					t.Errorf("%+v: %d %s", test, r.status, r.body)
				}
				continue
			}
			calls, _ := r.toolCalls(t, provider, stream)
			var names []string
			for _, call := range calls {
				names = append(names, call.name)
			}
			if got := strings.Join(names, " "); got != test.want || r.status != 200 {
				t.Errorf("%+v: called %q: %s", test, got, r.body)
			}
		}
		if r := c.ask(provider, "[[sandbox calls=1]] x", stream, ""); r.status != 400 {
			t.Errorf("no tools: %s", r.body)
		}
		r := c.ask(provider, `[[sandbox call=city args="{\"name\": "]] x`, stream, offers[provider])
		if provider != sandbox.OpenAI {
			if r.status != 400 {
				t.Errorf("broken arguments: %s", r.body)
			}
		} else if calls, _ := r.toolCalls(t, provider, stream); calls[0].args != `{"name": ` {
			t.Errorf("verbatim arguments: %+v", calls)
		}
		// A cap of two tokens has no room for the arguments.
		r = c.ask(provider, "[[sandbox call=city]] x", stream, offers[provider]+","+fmt.Sprintf(limits[provider], 2))
		calls, _ := r.toolCalls(t, provider, stream)
		if got := r.understand(t, provider, stream).finish; got != finishes[provider][2] || (len(calls) == 1) != (provider == sandbox.OpenAI) {
			t.Errorf("capped: finish %q, calls %+v", got, calls)
		}
	})
}

func TestResults(t *testing.T) {
	c := start(t, sandbox.Options{})
	png := "iVBORw0KGgo="
	say := func(provider, body string) string {
		r := c.do(c.request(provider, false, body))
		if r.status != 200 {
			t.Errorf("%s: %s", provider, r.body)
		}
		return r.understand(t, provider, false).text
	}
	image := sandbox.Media("image/png", []byte("\x89PNG\r\n\x1a\n"))
	got := say(sandbox.Anthropic, `{"model":"m","max_tokens":500,"messages":[{"role":"user","content":"[[sandbox call=f]]"},
		{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}},{"type":"tool_use","id":"b","name":"g","input":{}}]},
		{"role":"user","content":[{"type":"tool_result","tool_use_id":"b","is_error":true,"content":"no"},
		{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"yes"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"`+png+`"}}]}]}]}`)
	if want := sandbox.Result("f", "a", "yes", false) + "\n" + image + "\n" + sandbox.Result("g", "b", "no", true); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	got = say(sandbox.Google, `{"contents":[{"parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f","id":"1","args":{}}},{"functionCall":{"name":"g","id":"2","args":{}}}]},
		{"parts":[{"functionResponse":{"name":"g","id":"2","response":{"error":"no"}}},{"functionResponse":{"name":"f","id":"1","response":{"a":1}}}]}]}`)
	if want := sandbox.Result("f", "1", `{"a":1}`, false) + "\n" + sandbox.Result("g", "2", "no", true); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	chat := `{"model":"m","messages":[{"role":"user","content":"[[sandbox call=f]]"},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":%s}%s]}`
	if got = say(sandbox.OpenAI, fmt.Sprintf(chat, `"sunny [[sandbox say=\"steered\"]]"`, "")); got != "steered" {
		t.Errorf("a directive in a result: %q", got)
	}
	if got = say(sandbox.OpenAI, fmt.Sprintf(chat, `"sunny"`, `,{"role":"user","content":"and now?"}`)); got != sandbox.Answer("and now?", 0) {
		t.Errorf("a question behind a result: %q", got)
	}
}

func TestInstances(t *testing.T) {
	for schema, want := range map[string]string{
		`{"type":"object","properties":{"b":{"type":"boolean"},"a":{"enum":["x","y"]},"c":{"const":5}}}`:                                         `{"b":true,"a":"x","c":5}`,
		`{"type":"OBJECT","properties":{"b":{"type":"INTEGER"},"a":{"type":"STRING","format":"date-time"}},"propertyOrdering":["a","b"]}`:        `{"a":"2026-11-25T12:00:00Z","b":7}`,
		`{"type":"array","items":{"type":["null","integer"],"maximum":3},"minItems":3}`:                                                          `[3,3,3]`,
		`{"$defs":{"n":{"type":"object","properties":{"next":{"$ref":"#/$defs/n"},"v":{"type":"number"}},"required":["v"]}},"$ref":"#/$defs/n"}`: `{"next":{"next":{"next":{"next":{"next":{"v":2.5},"v":2.5},"v":2.5},"v":2.5},"v":2.5},"v":2.5}`,
		`{"anyOf":[{"type":"null"},{"type":"integer","minimum":10,"multipleOf":4}]}`:                                                             `12`,
		`{"allOf":[{"properties":{"a":{"type":"null"}}},{"properties":{"b":{"type":"number","exclusiveMaximum":1}}}]}`:                           `{"a":null,"b":0.5}`,
		`{"type":"array","prefixItems":[{"type":"boolean"},{"type":"string","maxLength":0}],"maxItems":2}`:                                       `[true,""]`,
		`{"type":"object","additionalProperties":{"type":"integer"}}`:                                                                            `{"key":7}`,
		`{"type":"object"}`: `{}`, `true`: `"value \"é\" \\ 日本 <🚢>"`,
	} {
		if got := sandbox.Instance(schema, 0); got != want {
			t.Errorf("%s: %s, want %s", schema, got, want)
		}
	}
	endless := `{"$defs":{"n":{"type":"object","properties":{"n":{"$ref":"#/$defs/n"}},"required":["n"]}},"$ref":"#/$defs/n"}`
	if got := sandbox.Instance(endless, 0); !json.Valid([]byte(got)) {
		t.Errorf("a schema without an instance: %s", got)
	}
}

func TestStructuredOutput(t *testing.T) {
	const schema = `{"type":"object","properties":{"city":{"type":"string"},"n":{"type":"integer"}},"required":["city","n"],"additionalProperties":false}`
	asks := map[string][2]string{
		sandbox.OpenAI:    {`"response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":` + schema + `}}`, `"response_format":{"type":"json_object"}`},
		sandbox.Anthropic: {`"output_config":{"format":{"type":"json_schema","schema":` + schema + `}}`, ""},
		sandbox.Google:    {`"generationConfig":{"responseMimeType":"application/json","responseJsonSchema":` + schema + `}`, `"generationConfig":{"responseMimeType":"application/json"}`},
	}
	each(t, func(t *testing.T, provider string, stream bool) {
		c := start(t, sandbox.Options{})
		if got := c.ask(provider, "x", stream, asks[provider][0]).understand(t, provider, stream).text; got != sandbox.Instance(schema, 0) {
			t.Errorf("%q", got)
		}
		if got := c.ask(provider, `[[sandbox say="no JSON"]]`, stream, asks[provider][0]).understand(t, provider, stream).text; got != "no JSON" {
			t.Errorf("%q", got)
		}
		if object := asks[provider][1]; object != "" {
			got := c.ask(provider, "json please", stream, object).understand(t, provider, stream).text
			if gjson.Get(got, "answer").Str != sandbox.Answer("json please", 0) {
				t.Errorf("%q", got)
			}
		}
	})
}

func TestMediaAcknowledged(t *testing.T) {
	c := start(t, sandbox.Options{})
	png, pdf := sandbox.Media("image/png", []byte("image")), sandbox.Media("application/pdf", []byte("document"))
	url := sandbox.MediaURL("image", "https://example.com/a.png")
	bodies := map[string][2]string{
		sandbox.OpenAI: {`{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,aW1hZ2U="}},{"type":"text","text":"what?"},
			{"type":"image_url","image_url":{"url":"https://example.com/a.png"}},{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,ZG9jdW1lbnQ="}},
			{"type":"input_audio","input_audio":{"format":"wav","data":"aW1hZ2U="}}]}]}`, png + "\n" + url + "\n" + pdf + "\n" + sandbox.Media("audio/wav", []byte("image"))},
		sandbox.Anthropic: {`{"model":"m","max_tokens":500,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aW1hZ2U="}},
			{"type":"image","source":{"type":"url","url":"https://example.com/a.png"}},{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"ZG9jdW1lbnQ="}}]}]}`, png + "\n" + url + "\n" + pdf},
		sandbox.Google: {`{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"aW1hZ2U="}},{"inlineData":{"mimeType":"application/pdf","data":"ZG9jdW1lbnQ="}},{"text":"what?"}]}]}`, png + "\n" + pdf},
	}
	for provider, test := range bodies {
		r := c.do(c.request(provider, false, test[0]))
		if got := r.understand(t, provider, false).text; got != test[1] {
			t.Errorf("%s: %q, want %q: %s", provider, got, test[1], r.body)
		}
		described := strings.Replace(test[0], "]}]", `]},{"role":"user","content":"[[sandbox describe]]"}]`, 1)
		if provider == sandbox.Google {
			described = strings.Replace(test[0], "]}]", `]},{"parts":[{"text":"[[sandbox describe]]"}]}]`, 1)
		}
		if got := c.do(c.request(provider, false, described)).understand(t, provider, false).text; got != test[1] {
			t.Errorf("%s described: %q", provider, got)
		}
	}
}

// post asks an endpoint other than the usual one.
func (c *client) post(provider, path, body string) reply {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.root+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	authorise(r, provider, "secret")
	return c.do(r)
}
