package openai

import (
	"encoding/json"
	"strings"
	"testing"

	"waybill/router"
)

// decoded reads a request of one user turn with further members.
func decoded(t *testing.T, members string) *router.Request {
	t.Helper()
	r, err := Inbound{}.Decode(router.Incoming{Body: []byte(`{"model":"m","messages":[{"role":"user","content":"a"}],` + members + `}`)})
	if err != nil {
		t.Fatalf("%s: %v", members, err)
	}
	return r
}

const twoTools = `"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}]`

func TestToolChoice(t *testing.T) {
	for choice, want := range map[string]string{
		`"auto"`:     `{"Mode":"auto","Names":null}`,
		`"none"`:     `{"Mode":"none","Names":null}`,
		`"required"`: `{"Mode":"required","Names":null}`,
		`null`:       `{"Mode":"","Names":null}`,
		`{"type":"function","function":{"name":"g"}}`:                                                                    `{"Mode":"required","Names":["g"]}`,
		`{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}}]}}`: `{"Mode":"auto","Names":["f"]}`,
	} {
		r := decoded(t, twoTools+`,"tool_choice":`+choice)
		if got, _ := json.Marshal(r.ToolChoice); string(got) != want || len(r.Extra) > 0 {
			t.Errorf("%s: %s %v", choice, got, r.Extra)
		}
	}
}

// What is this dialect's alone is named by where it stands.
func TestToolsOfThisDialectAlone(t *testing.T) {
	for members, want := range map[string]string{
		`"tools":[{"type":"custom","custom":{"name":"c"}}]`:                                                              "tools[0]",
		`"tools":[{"type":"function","function":{"name":"f","new":1}}]`:                                                  "tools[0].function.new",
		`"tools":[{"type":"function","new":1,"function":{"name":"f"}}]`:                                                  "tools[0].new",
		twoTools + `,"tool_choice":{"type":"custom","custom":{"name":"c"}}`:                                              "tool_choice",
		twoTools + `,"tool_choice":"any"`:                                                                                "tool_choice",
		twoTools + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"custom"}]}}`: "tool_choice.allowed_tools.tools[0]",
		`"tool_choice":"required"`:                                                                                       "tool_choice",
		`"function_call":{"name":"f"}`:                                                                                   "function_call",
		`"response_format":{"type":"grammar","grammar":"x"}`:                                                             "response_format",
		`"response_format":{"type":"json_schema","json_schema":{"name":"n","new":1}}`:                                    "response_format.json_schema.new",
		`"stream_options":{"new":1}`:                                                                                     "stream_options.new",
		`"messages":[{"role":"user","content":"a","new":1}]`:                                                             "messages[0].new",
		`"messages":[{"role":"user","content":"a","tool_call_id":"c"}]`:                                                  "messages[0].tool_call_id",
		`"messages":[{"role":"user","content":[{"type":"text","text":"a","new":1}]}]`:                                    "messages[0].content[0].new",
		`"messages":[{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f"},"new":1}]}]`:                    "messages[0].tool_calls[0].new",
		`"messages":[{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","new":1}}]}]`:                    "messages[0].tool_calls[0].function.new",
		`"messages":[{"role":"assistant","function_call":{"name":"f","new":1}}]`:                                         "messages[0].function_call.new",
		`"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://e.com/a","new":1}}]}]`:    "messages[0].content[0].image_url.new",
		`"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"f","file_url":"https://e.com/a"}}]}]`:   "messages[0].content[0].file.file_url",
		`"response_format":{"type":"json_object","schema":{"type":"object"}}`:                                            "response_format.schema",
		`"response_format":{"type":"text","new":1}`:                                                                      "response_format.new",
	} {
		body := `{"model":"m","messages":[{"role":"user","content":"a"}],` + members + `}`
		if members[:10] == `"messages"` {
			body = `{"model":"m",` + members + `}`
		}
		r, err := Inbound{}.Decode(router.Incoming{Body: []byte(body)})
		if err != nil || len(r.Extra) != 1 || r.Extra[0] != want {
			t.Errorf("%s: %v %v, want %s", members, r, err, want)
		}
	}
}

// Without tools, what would steer them asks for nothing.
func TestChoiceWithoutTools(t *testing.T) {
	for _, members := range []string{`"tools":[],"tool_choice":"auto","parallel_tool_calls":false`, `"tool_choice":"none"`, `"functions":[],"function_call":"auto"`,
		`"response_format":{"type":"text"}`, `"prediction":null`} {
		r := decoded(t, members)
		if len(r.Extra) > 0 || r.Serial || r.ToolChoice.Mode != "" || r.Format.Kind != "" {
			t.Errorf("%s: %+v", members, r)
		}
	}
}

// Parts that this dialect alone has never look like canonical ones, which come with what they promise.
func TestPartsOfThisDialectAlone(t *testing.T) {
	for part, want := range map[string]router.Kind{
		`{"type":"image","source":{}}`:                                          "image_part",
		`{"type":"document"}`:                                                   "document_part",
		`{"type":"result"}`:                                                     "result_part",
		`{"type":"video_url","video_url":{"url":"u"}}`:                          "video_url",
		`{"type":"image_url","image_url":"https://e.com/a"}`:                    "image_url",
		`{"type":"image_url","image_url":{"url":"gs://b/a"}}`:                   "image_url",
		`{"type":"image_url","image_url":{"url":"data:image/png,x"}}`:           "image_url",
		`{"type":"image_url","image_url":{"url":"https://e.com/a","detail":7}}`: "image_url",
		`{"type":"input_audio","input_audio":{}}`:                               "input_audio",
		`{"type":"file","file":{"filename":"a.pdf"}}`:                           "file",
		`{"type":"@pretty"}`:                                                    "@pretty",
	} {
		r, err := Inbound{}.Decode(router.Incoming{Body: []byte(`{"model":"m","messages":[{"role":"user","content":[` + part + `]}]}`)})
		if err != nil {
			t.Fatalf("%s: %v", part, err)
		}
		p := r.Messages[0].Parts[0]
		if p.Kind != want || p.Media != nil || string(p.Raw) != part || p.Field != "messages[0].content[0]" {
			t.Errorf("%s: %+v", part, p)
		}
	}
}

func TestFiles(t *testing.T) {
	for file, want := range map[string]router.Media{
		`{"file_data":"JVBERi0=","filename":"a.pdf"}`:               {Type: "application/pdf", Data: "JVBERi0=", Name: "a.pdf"},
		`{"file_data":"DATA:text/plain;charset=utf-8;base64,YQ=="}`: {Type: "text/plain", Data: "YQ=="},
		`{"file_id":"file-1"}`:                                      {File: "file-1"},
	} {
		r := decodedParts(t, `{"type":"file","file":`+file+`}`)
		if r.Kind != router.KindDocument || r.Media == nil || *r.Media != want {
			t.Errorf("%s: %+v", file, r.Media)
		}
	}
}

func decodedParts(t *testing.T, part string) router.Part {
	t.Helper()
	r, err := Inbound{}.Decode(router.Incoming{Body: []byte(`{"model":"m","messages":[{"role":"user","content":[` + part + `]}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	return r.Messages[0].Parts[0]
}

func TestDeprecatedFunctions(t *testing.T) {
	r, err := Inbound{}.Decode(router.Incoming{Body: []byte(`{"model":"m","messages":[
		{"role":"user","content":"a"},
		{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},
		{"role":"function","name":"f","content":"7"}],
		"functions":[{"name":"f","parameters":{"type":"object"}}],"function_call":{"name":"f"}}`)})
	if err != nil {
		t.Fatal(err)
	}
	call, result := r.Messages[1].Parts[0], r.Messages[2].Parts[0]
	if call.Kind != router.KindCall || call.ID == "" || call.ID != result.ID || result.Kind != router.KindResult || result.Name != "f" || r.Messages[2].Role != router.RoleUser {
		t.Errorf("%+v %+v", call, result)
	}
	if len(r.Tools) != 1 || r.Tools[0].Field != "functions[0]" || !r.Serial || r.ToolChoice.Names[0] != "f" || !deprecated(r) {
		t.Errorf("%+v", r)
	}
	if r.Name("tools") != "functions" || r.Name("tool_choice") != "function_call" || len(r.Extra) > 0 {
		t.Errorf("%v %v", r.Names, r.Extra)
	}
}

func TestNamesOfTheCap(t *testing.T) {
	if got := decoded(t, `"max_tokens":5`).Name("max_completion_tokens"); got != "max_tokens" {
		t.Error(got)
	}
	if got := decoded(t, `"max_tokens":5,"max_completion_tokens":6`).Name("max_completion_tokens"); got != "max_completion_tokens" {
		t.Error(got)
	}
}

// A member in many messages is one warning; different members are as many.
func TestHintsAreFew(t *testing.T) {
	r, err := Inbound{}.Decode(router.Incoming{Body: []byte(`{"model":"m","messages":[{"role":"user","content":"a","name":"x"},{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}],"name":"y"}],
		"prompt_cache_key":"k","prompt_cache_retention":"24h","cache_control":{"type":"ephemeral"},"stream_options":{"include_obfuscation":true}}`)})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range r.Hints {
		got = append(got, h.Field)
	}
	if want := "messages[0].name messages[1].content[0].cache_control prompt_cache_key prompt_cache_retention cache_control stream_options.include_obfuscation"; strings.Join(got, " ") != want || len(r.Extra) > 0 {
		t.Errorf("%q %q", got, r.Extra)
	}
	if !strings.HasSuffix(r.Hints[0].Reason, "; here and below") {
		t.Error(r.Hints[0].Reason)
	}
}

// Results in a row are one turn, and only those.
func TestResultsInARow(t *testing.T) {
	const result = `{"role":"tool","tool_call_id":"c","content":"7"}`
	r, err := Inbound{}.Decode(router.Incoming{Body: []byte(`{"model":"m","messages":[` + result + `,` + result + `,{"role":"user","content":"a"},` + result + `]}`)})
	if err != nil {
		t.Fatal(err)
	}
	if m := r.Messages; len(m) != 3 || len(m[0].Parts) != 2 || len(m[1].Parts) != 1 || len(m[2].Parts) != 1 {
		t.Errorf("%+v", r.Messages)
	}
}
