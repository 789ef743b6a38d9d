package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

func TestDecode(t *testing.T) {
	body := fixture(t, "chat.json")
	r, err := Inbound{}.Decode(router.Incoming{Body: body})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(r.Body, body) || r.Dialect != ledger.DialectOpenAIChat {
		t.Error("the body was not kept")
	}
	r.Body = nil
	got, _ := json.Marshal(r)
	if g, w := indented(said(got)), indented(said(fixture(t, "chat.want.json"))); g != w {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func indented(b []byte) string {
	var out bytes.Buffer
	_ = json.Indent(&out, b, "", " ") // a text of ours
	return out.String()
}

// said is a JSON text without the members that say nothing.
func said(b []byte) []byte {
	var v any
	_ = json.Unmarshal(b, &v) // a text of ours
	var prune func(any) any
	prune = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for k, m := range v {
				if m = prune(m); m == nil {
					delete(v, k)
				}
			}
			if len(v) == 0 {
				return nil
			}
		case []any:
			for i := range v {
				v[i] = prune(v[i])
			}
		case string:
			if v == "" {
				return nil
			}
		case bool:
			if !v {
				return nil
			}
		}
		return v
	}
	b, _ = json.Marshal(prune(v))
	return b
}

func compact(t *testing.T, b []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	out, _ := json.Marshal(v)
	return string(out)
}

func TestDecodeOnlyTheOldCap(t *testing.T) {
	r, err := Inbound{}.Decode(router.Incoming{Body: []byte(`{"max_tokens":10,"max_completion_tokens":null,"model":"m","messages":[{"role":"user","content":""}],"stop":"x"}`)})
	if err != nil || r.OutputCap != 10 || len(r.Stop) != 1 || r.Stop[0] != "x" {
		t.Errorf("%+v %v", r, err)
	}
}

// A field that asks for nothing is in no other dialect's way; with any other value it is.
func TestNeutralValues(t *testing.T) {
	for name, values := range neutral {
		for _, value := range append(values, `"else"`) {
			body := `{"model":"m","messages":[{"role":"user","content":"a"}],"` + name + `": ` + strings.Replace(value, ":", " : ", 1) + ` }`
			r, err := Inbound{}.Decode(router.Incoming{Body: []byte(body)})
			if err != nil || (len(r.Extra) == 0) == (value == `"else"`) || len(r.Hints) > 0 {
				t.Errorf("%s %s: %v %v", name, value, r, err)
			}
		}
	}
	for name := range hints {
		r, err := Inbound{}.Decode(router.Incoming{Body: []byte(`{"model":"m","messages":[{"role":"user","content":"a"}],"` + name + `":"x"}`)})
		if err != nil || len(r.Extra) > 0 || len(r.Hints) != 1 || r.Hints[0].Field != name {
			t.Errorf("%s: %v %v", name, r, err)
		}
	}
}

func TestDecodeFaults(t *testing.T) {
	message := func(m string) string { return `{"model":"m","messages":[{"role":"user","content":"a"},` + m + `]}` }
	member := func(m string) string {
		return `{"model":"m","messages":[{"role":"user","content":"a"}],` + m + `}`
	}
	for body, want := range map[string]string{
		``:                     "body: is not JSON: unexpected end of JSON input at byte 0",
		`{"model":"m",}`:       "body: is not JSON: invalid character '}' looking for beginning of object key string at byte 14",
		`{} {}`:                "body: is not JSON: invalid character '{' after top-level value at byte 4",
		`[]`:                   "body: must be a JSON object",
		"{\"model\":\"\xff\"}": "body: is not UTF-8",
		strings.Repeat(`{"a":`, 200) + `1` + strings.Repeat("}", 200): "body: nests deeper than 128 levels",
		strings.Repeat(`[`, 1<<20):                                    "body: nests deeper than 128 levels",
		`{"messages":[{"role":"user","content":"a"}]}`:                "model: is required",
		`{"model":"","messages":[{"role":"user","content":"a"}]}`:     "model: is required",
		`{"model":7}`: "model: must be a string",
		`{"model":"` + strings.Repeat("m", 257) + `"}`: "model: is longer than 256 bytes",
		`{"model":"m"}`:                              "messages: is required",
		`{"model":"m","messages":[]}`:                "messages: must not be empty",
		`{"model":"m","messages":{}}`:                "messages: must be a list",
		`{"model":"m","model":"n"}`:                  "model: is given twice",
		`{"model":"m","mod\u0065l":"n"}`:             "model: is given twice",
		member(`"max_tokens":1,"max_tokens":100000`): "max_tokens: is given twice",
		member(`"stream_options":{"include_usage":true,"include_usage":false}`): "stream_options.include_usage: is given twice",
		message(`7`):                                           "messages[1]: must be an object",
		message(`{"content":"a"}`):                             "messages[1].role: must be a string",
		message(`{"role":"robot","content":"a"}`):              `messages[1].role: "robot" is not a role`,
		message(`{"role":"user"}`):                             "messages[1].content: is required",
		message(`{"role":"user","content":null}`):              "messages[1].content: is required",
		message(`{"role":"assistant","content":null}`):         "messages[1].content: is required",
		message(`{"role":"user","content":7}`):                 "messages[1].content: must be a string or a list of parts",
		message(`{"role":"user","content":["a"]}`):             "messages[1].content[0]: must be an object",
		message(`{"role":"user","content":[{"text":"a"}]}`):    "messages[1].content[0].type: must be a string",
		message(`{"role":"user","content":[{"type":"text"}]}`): "messages[1].content[0].text: must be a string",
		member(`"stream":"yes"`):                               "stream: must be true or false",
		member(`"stream_options":true`):                        "stream_options: must be an object",
		member(`"stream_options":{"include_usage":1}`):         "stream_options.include_usage: must be true or false",
		member(`"max_tokens":0`):                               "max_tokens: must be at least 1",
		member(`"max_tokens":-1`):                              "max_tokens: must be at least 1",
		member(`"max_tokens":"9"`):                             "max_tokens: must be a whole number",
		member(`"max_completion_tokens":1.5`):                  "max_completion_tokens: must be a whole number within 64 bits",
		member(`"max_completion_tokens":1e400`):                "max_completion_tokens: must be a whole number within 64 bits",
		member(`"temperature":"hot"`):                          "temperature: must be a number",
		member(`"temperature":2.1`):                            "temperature: must be between 0 and 2",
		member(`"top_p":-0.1`):                                 "top_p: must be between 0 and 1",
		member(`"presence_penalty":3`):                         "presence_penalty: must be between -2 and 2",
		member(`"stop":7`):                                     "stop: must be a string or a list of strings",
		member(`"stop":["a",7]`):                               "stop[1]: must be a string",
		member(`"n":0`):                                        "n: must be at least 1",
		member(`"n":129`):                                      "n: must be at most 128",
		member(`"seed":99999999999999999999`):                  "seed: must be a whole number within 64 bits",
		member(`"user":7`):                                     "user: must be a string",
		member(`"reasoning_effort":1`):                         "reasoning_effort: must be a string",
		member(`"tools":{}`):                                   "tools: must be a list",
		member(`"tools":[7]`):                                  "tools[0]: must be an object",
		member(`"tools":[{}]`):                                 "tools[0].type: must be a string",
		member(`"tools":[{"type":"function"}]`):                "tools[0].function: must be an object",
		member(`"tools":[{"type":"function","function":{}}]`):  "tools[0].function.name: is required",
		member(`"tools":[{"type":"function","function":{"name":"f","parameters":[]}}]`):                  "tools[0].function.parameters: must be a JSON Schema, an object",
		member(`"tools":[{"type":"function","function":{"name":"f","strict":"x"}}]`):                     "tools[0].function.strict: must be true or false",
		member(`"functions":[{"name":7}]`):                                                               "functions[0].name: must be a string",
		member(`"function_call":7`):                                                                      "function_call: must be a string or an object",
		member(`"tool_choice":7`):                                                                        "tool_choice: must be a string or an object",
		member(`"tool_choice":{}`):                                                                       "tool_choice.type: must be a string",
		member(`"tool_choice":{"type":"function"}`):                                                      "tool_choice.function.name: must be a string",
		member(`"tool_choice":{"type":"allowed_tools"}`):                                                 "tool_choice.allowed_tools.mode: must be a string",
		member(`"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto"}}`):                 "tool_choice.allowed_tools.tools: must be a list",
		member(`"parallel_tool_calls":1`):                                                                "parallel_tool_calls: must be true or false",
		member(`"response_format":"json"`):                                                               "response_format: must be an object",
		member(`"response_format":{}`):                                                                   "response_format.type: must be a string",
		member(`"response_format":{"type":"json_schema"}`):                                               "response_format.json_schema: must be an object",
		member(`"response_format":{"type":"json_schema","json_schema":{"schema":{}}}`):                   "response_format.json_schema.name: is required",
		member(`"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":1}}`):         "response_format.json_schema.schema: must be a JSON Schema, an object",
		message(`{"role":"tool","content":"a"}`):                                                         "messages[1].tool_call_id: must be a string",
		message(`{"role":"tool","tool_call_id":"c"}`):                                                    "messages[1].content: is required",
		message(`{"role":"function","content":"a"}`):                                                     "messages[1].name: is required",
		message(`{"role":"assistant","tool_calls":{}}`):                                                  "messages[1].content: is required",
		message(`{"role":"assistant","tool_calls":"x"}`):                                                 "messages[1].tool_calls: must be a list",
		message(`{"role":"assistant","tool_calls":[{}]}`):                                                "messages[1].tool_calls[0].id: must be a string",
		message(`{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":{}}}]}`): "messages[1].tool_calls[0].function.arguments: must be a string",
		message(`{"role":"assistant","content":"","refusal":7}`):                                         "messages[1].refusal: must be a string",
		member(`"":1`): `"": is not the name of a field`,
		member(`"` + strings.Repeat("é", 100) + `":1`): strings.Repeat("é", 64) + ": goes on beyond 128 bytes",
		member(many(300)): "x254: is one of more than 256 fields",
	} {
		r, err := Inbound{}.Decode(router.Incoming{Body: []byte(body)})
		if r != nil || err == nil || err.Error() != want {
			t.Errorf("%.80s: %v, want %s", body, err, want)
		}
		if _, ok := errors.AsType[*router.FieldError](err); !ok {
			t.Errorf("%.80s: %T", body, err)
		}
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"x%d":1,`, i)
	}
	return strings.TrimSuffix(b.String(), ",")
}

func FuzzDecode(f *testing.F) {
	f.Add(fixture(f, "chat.json"))
	f.Add(fixture(f, "encoded.json"))
	f.Add([]byte(`{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"x"}]}],"stream":true,"stream_options":{"include_usage":true},"n":2,"temperature":1,"tools":[{}]}`))
	f.Add([]byte(`{"model":"m","messages":[{"role":"assistant","content":null,"tool_calls":[{}]},{"role":"tool","content":"a"}],"max_tokens":5}`))
	f.Add([]byte(`{"model":"m","messages":[{"role":"assistant","function_call":{"name":"f","arguments":""}},{"role":"function","name":"f","content":""}],"functions":[{"name":"f"}],"function_call":"auto"}`))
	f.Add([]byte(`{"model":"m","input":[[1,2],[3]],"encoding_format":"base64","dimensions":3}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		fuzzEmbed(t, body)
		r, err := Inbound{}.Decode(router.Incoming{Body: body})
		if err != nil {
			faulty(t, err)
			return
		}
		m := ledger.Model{ID: "up", Name: "openai/up", Provider: "openai", Features: able}
		c := router.Call{Request: r, OutputCap: 77, Model: m}
		edited, _ := edit(c)
		again, err := Inbound{}.Decode(router.Incoming{Body: edited})
		if err != nil {
			t.Fatalf("%q became %q: %v", body, edited, err)
		}
		if again.Model != "up" || again.OutputCap != 77 || again.Stream != r.Stream || again.IncludeUsage != (r.Stream || r.IncludeUsage) {
			t.Fatalf("%q became %q", body, edited)
		}
		c.Quirks = router.Quirks{MaxTokens: true, NoStreamOptions: true, NoDeveloper: true, NoSchema: true, Drop: []string{"user"}}
		quirky, _ := edit(c)
		again, err = Inbound{}.Decode(router.Incoming{Body: quirky})
		if err != nil || again.Format.Kind == router.FormatSchema || again.OutputCap != 77 || again.IncludeUsage || bytes.Contains(quirky, []byte(`"max_completion_tokens":`)) {
			t.Fatalf("%q became %q: %v", body, quirky, err)
		}
		fuzzEncode(t, c, r)
	})
}

// fuzzEncode checks that what is encoded is decoded to the same, as often as it is encoded.
func fuzzEncode(t *testing.T, c router.Call, r *router.Request) {
	r.Dialect, r.Extra, c.Quirks = "other", nil, router.Quirks{}
	body, _, err := encode(c)
	if err != nil {
		faulty(t, err)
		return
	}
	first, err := Inbound{}.Decode(router.Incoming{Body: body})
	if err != nil {
		if len(r.Messages)+len(r.System) == 0 || strings.HasPrefix(err.Error(), "messages: ") { // nothing but thoughts
			return
		}
		t.Fatalf("%q: %v", body, err)
	}
	if len(first.Extra) > 0 {
		t.Fatalf("%q has %q", body, first.Extra)
	}
	again := *first
	again.Dialect = "other"
	c.Request = &again
	body, warnings, err := encode(c)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("again: %q %q %v", body, warnings, err)
	}
	second, err := Inbound{}.Decode(router.Incoming{Body: body})
	if err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	if a, b := meaning(t, first), meaning(t, second); a != b {
		t.Fatalf("%s became %s", a, b)
	}
}

func fuzzEmbed(t *testing.T, body []byte) {
	r, err := Inbound{}.Decode(router.Incoming{Endpoint: router.EndpointEmbed, Body: body})
	if err != nil {
		faulty(t, err)
		return
	}
	c := router.Call{Request: r, Model: ledger.Model{ID: "up", Name: "openai/up", Features: able}}
	edited, _ := editEmbed(c)
	again, err := Inbound{}.Decode(router.Incoming{Endpoint: router.EndpointEmbed, Body: edited})
	if err != nil || again.Model != "up" || !reflect.DeepEqual(again.Embed, r.Embed) {
		t.Fatalf("%q became %q: %v", body, edited, err)
	}
	r.Dialect, r.Extra = "other", nil
	if _, _, err := encodeEmbed(c); err != nil {
		faulty(t, err)
	}
}

// faulty checks that an error is the caller's and names a field.
func faulty(t *testing.T, err error) {
	t.Helper()
	if e, ok := errors.AsType[*router.FieldError](err); !ok || e.Field == "" || e.Reason == "" {
		t.Fatalf("%v names no field", err)
	}
}

func BenchmarkDecode(b *testing.B) {
	body := []byte(`{"model":"openai/gpt-6-luna","messages":[{"role":"system","content":"` + strings.Repeat("Be brief. ", 50) +
		`"},{"role":"user","content":"` + strings.Repeat("What is a waybill?\\n", 100) + `"}],"temperature":0.5,"stream":false}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (Inbound{}).Decode(router.Incoming{Body: body}); err != nil {
			b.Fatal(err)
		}
	}
}
