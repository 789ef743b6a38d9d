package anthropic

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// whole is what a model can do that bears everything but a budget.
var whole = []string{ledger.FeatureSampling, ledger.FeatureReasoning, ledger.FeatureTools, ledger.FeatureStructured, ledger.FeatureImages}

func part(kind router.Kind, field string, m *router.Media) router.Part {
	return router.Part{Kind: kind, Media: m, Field: field, Raw: json.RawMessage("{}")}
}

func made(id, name, args string) router.Part {
	return router.Part{Kind: router.KindCall, ID: id, Name: name, Text: args, Field: "messages[1].tool_calls[0]"}
}

func gave(id string, failed bool, parts ...router.Part) router.Part {
	return router.Part{Kind: router.KindResult, ID: id, Failed: failed, Parts: parts, Field: "messages[2]"}
}

func turnOf(role router.Role, parts ...router.Part) router.Message {
	return router.Message{Role: role, Parts: parts, Field: "messages[9]"}
}

var (
	asks    = text(router.RoleUser, "Hi")
	weather = router.Tool{Name: "weather", Description: "d", Schema: json.RawMessage(`{"type":"object","properties":{"city":{"type":"string"}}}`), Field: "tools[0]"}
	clock   = router.Tool{Name: "clock", Field: "tools[1]"}
)

// What is written of a request beside model, max_tokens and a plain conversation.
func TestEncodeWhole(t *testing.T) {
	const (
		hi     = `"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}]`
		tools  = `"tools":[{"name":"weather","description":"d","input_schema":{"type":"object","properties":{"city":{"type":"string"}}}},{"name":"clock","input_schema":{"type":"object"}}]`
		onlyW  = `"tools":[{"name":"weather","description":"d","input_schema":{"type":"object","properties":{"city":{"type":"string"}}}}]`
		budget = ledger.FeatureBudget
	)
	both := []router.Tool{weather, clock}
	choice := func(mode router.ToolMode, names ...string) router.ToolChoice {
		return router.ToolChoice{Mode: mode, Names: names}
	}
	schema := func(s string) router.Format {
		return router.Format{Kind: router.FormatSchema, Name: "n", Schema: json.RawMessage(s)}
	}
	image := func(m router.Media) []router.Message {
		return []router.Message{turnOf(router.RoleUser, part(router.KindImage, "messages[0].content[0]", &m))}
	}
	document := func(m router.Media) []router.Message {
		return []router.Message{turnOf(router.RoleUser, part(router.KindDocument, "messages[0].content[0]", &m))}
	}
	for _, tt := range []struct {
		name     string
		req      router.Request
		extra    string // feature beside whole
		want     string // of the body, after max_tokens
		warnings []string
		err      string
	}{
		{"tools", router.Request{Tools: both}, "", hi + `,` + tools, nil, ""},
		{"tools, auto", router.Request{Tools: both, ToolChoice: choice(router.ToolAuto)}, "", hi + `,` + tools + `,"tool_choice":{"type":"auto"}`, nil, ""},
		{"tools, one at a time", router.Request{Tools: both, Serial: true}, "", hi + `,` + tools + `,"tool_choice":{"type":"auto","disable_parallel_tool_use":true}`, nil, ""},
		{"tools, any, one at a time", router.Request{Tools: both, Serial: true, ToolChoice: choice(router.ToolRequired)}, "", hi + `,` + tools + `,"tool_choice":{"type":"any","disable_parallel_tool_use":true}`, nil, ""},
		{"tools, one", router.Request{Tools: both, ToolChoice: choice(router.ToolRequired, "weather")}, "", hi + `,` + tools + `,"tool_choice":{"type":"tool","name":"weather"}`, nil, ""},
		{"tools, none", router.Request{Tools: both, Serial: true, ToolChoice: choice(router.ToolNone)}, "", hi + `,` + tools + `,"tool_choice":{"type":"none"}`, nil, ""},
		{"tools, some", router.Request{Tools: both, ToolChoice: choice(router.ToolAuto, "weather")}, "", hi + `,` + onlyW + `,"tool_choice":{"type":"auto"}`, nil, ""},
		{"tools, two of them forced", router.Request{Tools: both, ToolChoice: choice(router.ToolRequired, "weather", "x")}, "", hi + `,` + onlyW + `,"tool_choice":{"type":"any"}`, nil, ""},
		{"tools, forced where they cannot be", router.Request{Tools: both, ToolChoice: choice(router.ToolRequired)}, ledger.FeatureAutoTools, "", nil, "tool_choice: a tool call cannot be forced at p/m"},
		{"choice among none", router.Request{ToolChoice: choice(router.ToolAuto)}, "", hi, nil, ""},
		{"a tool's name", router.Request{Tools: []router.Tool{{Name: "a.b", Field: "tools[0]"}}}, "", "", nil, `tools[0]: the name "a.b" must be of 1 to 128 letters, digits, _ and - at p/m`},
		{"a tool's schema without a type", router.Request{Tools: []router.Tool{{Name: "a", Schema: json.RawMessage(`{"properties":{}}`)}}}, "", hi + `,"tools":[{"name":"a","input_schema":{"type":"object","properties":{}}}]`, nil, ""},
		{"a tool's schema of a string", router.Request{Tools: []router.Tool{{Name: "a", Schema: json.RawMessage(`{"type":"string"}`), Field: "tools[0]"}}}, "", "", nil, "tools[0]: the schema of arguments must be an object's at p/m"},
		{"a tool's schema of choices", router.Request{Tools: []router.Tool{{Name: "a", Schema: json.RawMessage(`{"type":"object","anyOf":[]}`), Field: "tools[0]"}}}, "", "", nil, "tools[0]: the schema of arguments cannot have anyOf, oneOf or allOf at its top at p/m"},
		{"a strict tool", router.Request{Tools: []router.Tool{{Name: "a", Schema: json.RawMessage(`{"type":"object","properties":{"n":{"type":"integer","minimum":1}}}`), Strict: ptr(true), Field: "tools[0]"}}}, "",
			hi + `,"tools":[{"name":"a","input_schema":{"type":"object","properties":{"n":{"type":"integer"}},"additionalProperties":false},"strict":true}]`, []string{"tools[0]: minimum in the schema left out, p/m does not hold an answer to it"}, ""},

		{"results before text, in order", router.Request{Messages: []router.Message{asks,
			turnOf(router.RoleAssistant, router.Text("See"), made("a", "weather", `{"x": 1}`), made("b", "clock", "")),
			turnOf(router.RoleUser, gave("a", false, router.Text("1"), router.Text(""))), turnOf(router.RoleUser, router.Text("and?")), turnOf(router.RoleUser, gave("b", true))}}, "",
			`"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]},{"role":"assistant","content":[{"type":"text","text":"See"},{"type":"tool_use","id":"a","name":"weather","input":{"x":1}},{"type":"tool_use","id":"b","name":"clock","input":{}}]},` +
				`{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"1"}]},{"type":"tool_result","tool_use_id":"b","is_error":true},{"type":"text","text":"and?"}]}]`, nil, ""},
		{"arguments that are no object", router.Request{Messages: []router.Message{asks, turnOf(router.RoleAssistant, made("a", "weather", `{"x`)), turnOf(router.RoleUser, gave("a", false))}}, "",
			`"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"weather","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]}]`,
			[]string{"messages[1].tool_calls[0]: the arguments are left out, for they are not a JSON object"}, ""},
		{"a media type in a result", router.Request{Messages: []router.Message{asks, turnOf(router.RoleAssistant, made("a", "weather", `{}`)), turnOf(router.RoleUser, gave("a", false, part(router.KindAudio, "messages[2].content[0]", &router.Media{})))}}, "",
			"", nil, `messages[2].content[0]: content of type "audio" cannot be sent at p/m`},

		{"an image", router.Request{Messages: image(router.Media{Type: "image/png", Data: "iVBO", Detail: "auto"})}, "", `"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBO"}}]}]`, nil, ""},
		{"an image elsewhere", router.Request{Messages: image(router.Media{URL: "https://a/?b&c", Detail: "low"})}, "", `"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://a/?b&c"}}]}]`,
			[]string{"messages[0].content[0]: detail is left out, p/m sees an image in one way only"}, ""},
		{"an image of another type", router.Request{Messages: image(router.Media{Type: "image/tiff", Data: "iVBO"})}, "", "", nil, `messages[0].content[0]: an image of media type "image/tiff" cannot be sent at p/m`},
		{"an image uploaded elsewhere", router.Request{Messages: image(router.Media{File: "file-1"})}, "", "", nil, `messages[0].content[0]: a file that was uploaded to another provider cannot be had at p/m`},
		{"a PDF", router.Request{Messages: document(router.Media{Type: "application/pdf", Data: "JVBE", Name: "a.pdf"})}, "", `"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"},"title":"a.pdf"}]}]`, nil, ""},
		{"a document of text", router.Request{Messages: document(router.Media{Type: "text/plain", Data: "w6Ro"})}, "", `"messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"äh"}}]}]`, nil, ""},
		{"a document of words", router.Request{Messages: document(router.Media{Type: "application/msword", Data: "w6Ro"})}, "", "", nil, `messages[0].content[0]: a document of media type "application/msword" cannot be sent at p/m`},

		{"a schema", router.Request{Format: schema(`{"type":"object","properties":{"a":{"type":"string","maxLength":5,"format":"color"},"b":{"oneOf":[{"type":"null"},{"type":"array","items":{"type":"object","properties":{"c":{}},"required":["c"]},"minItems":2}]}},"additionalProperties":false}`)}, "",
			hi + `,"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"string"},"b":{"anyOf":[{"type":"null"},{"type":"array","items":{"type":"object","properties":{"c":{}},"required":["c"],"additionalProperties":false}}]}},"additionalProperties":false}}}`,
			[]string{"response_format: maxLength, format, oneOf, minItems in the schema left out, p/m does not hold an answer to it"}, ""},
		{"a schema of an open object", router.Request{Format: schema(`{"type":"object","properties":{"a":{}},"additionalProperties":true}`)}, "",
			hi + `,"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{}},"additionalProperties":false}}}`,
			[]string{"response_format: additionalProperties in the schema left out, p/m does not hold an answer to it"}, ""},
		{"a schema of a map", router.Request{Format: schema(`{"type":"object","additionalProperties":{"type":"string"}}`)}, "", "", nil, "response_format: the schema cannot have an object whose members it does not name at p/m"},
		{"a schema with conditions", router.Request{Format: schema(`{"type":"object","properties":{"a":{}},"if":{}}`)}, "", "", nil, `response_format: the schema cannot have "if" at p/m`},
		{"a schema of two kinds of choices", router.Request{Format: schema(`{"anyOf":[],"oneOf":[]}`)}, "", "", nil, "response_format: the schema cannot have anyOf and oneOf side by side at p/m"},
		{"a schema elsewhere", router.Request{Format: schema(`{"$ref":"https://a/b"}`)}, "", "", nil, `response_format: the schema cannot refer to "https://a/b" at p/m`},
		{"any JSON", router.Request{System: []router.Part{router.Text("s")}, Format: router.Format{Kind: router.FormatJSON}}, "", `"system":[{"type":"text","text":"s"},{"type":"text","text":"` + asJSON + `"}],` + hi,
			[]string{"response_format: asked for by an instruction, p/m cannot be held to any JSON without a schema"}, ""},

		{"effort", router.Request{Effort: "max", Thoughts: true}, "", hi + `,"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"max"}`, nil, ""},
		{"thoughts", router.Request{Thoughts: true}, "", hi + `,"thinking":{"type":"adaptive","display":"summarized"}`, nil, ""},
		{"a budget for an effort", router.Request{Budget: ptr(int64(5000))}, "", hi + `,"thinking":{"type":"adaptive"},"output_config":{"effort":"medium"}`, []string{"reasoning_effort: a budget of 5000 tokens taken for the effort medium, by which p/m reasons"}, ""},
		{"no budget for an effort", router.Request{Budget: ptr(int64(0))}, "", hi + `,"output_config":{"effort":"low"}`, []string{"reasoning_effort: a budget of 0 tokens taken for the effort low, by which p/m reasons"}, ""},
		{"a free budget", router.Request{Budget: ptr(int64(-1))}, "", hi + `,"thinking":{"type":"adaptive"}`, nil, ""},
		{"effort, forced", router.Request{Tools: both, ToolChoice: choice(router.ToolRequired), Effort: "low"}, "", hi + `,"output_config":{"effort":"low"},` + tools + `,"tool_choice":{"type":"any"}`, nil, ""},
		{"an effort nobody knows", router.Request{Effort: "huge"}, "", "", nil, "reasoning_effort: it has no counterpart at p/m"},
		{"a budget", router.Request{Budget: ptr(int64(5000)), Thoughts: true}, budget, hi + `,"thinking":{"type":"enabled","budget_tokens":5000,"display":"summarized"}`, nil, ""},
		{"too small a budget", router.Request{Budget: ptr(int64(5))}, budget, hi + `,"thinking":{"type":"enabled","budget_tokens":1024}`, []string{"reasoning_effort: taken for a budget of 1024 tokens, by which p/m reasons"}, ""},
		{"too large a budget", router.Request{Budget: ptr(int64(50000))}, budget, hi + `,"thinking":{"type":"enabled","budget_tokens":8000}`, []string{"reasoning_effort: taken for a budget of 8000 tokens, by which p/m reasons"}, ""},
		{"an effort for a budget", router.Request{Effort: "low", Temperature: ptr(0.3), TopK: ptr(int64(3))}, budget, hi + `,"thinking":{"type":"enabled","budget_tokens":1536}`,
			[]string{"reasoning_effort: taken for a budget of 1536 tokens, by which p/m reasons", "temperature: left out, p/m takes none when it thinks", "top_k: left out, p/m takes none when it thinks"}, ""},
		{"no effort for a budget", router.Request{Effort: "none"}, budget, hi, nil, ""},
		{"no budget for a budget", router.Request{Budget: ptr(int64(0)), Thoughts: true}, budget, hi, nil, ""},
		{"a budget, forced", router.Request{Tools: both, ToolChoice: choice(router.ToolRequired), Effort: "low"}, budget, hi + `,` + tools + `,"tool_choice":{"type":"any"}`, []string{"reasoning_effort: left out, p/m does not think when it is made to call a tool"}, ""},
		{"a budget in a loop of tools", router.Request{Effort: "low", Messages: []router.Message{asks, turnOf(router.RoleAssistant, made("a", "weather", `{}`)), turnOf(router.RoleUser, gave("a", false))}}, budget,
			`"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"weather","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]}]`,
			[]string{"reasoning_effort: left out, the calls that are being answered were not thought of by p/m"}, ""},

		{"prefill", router.Request{Messages: []router.Message{asks, text(router.RoleAssistant, "So ")}}, ledger.FeaturePrefill,
			`"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]},{"role":"assistant","content":[{"type":"text","text":"So"}]}]`, []string{"messages: white space at the end of the last turn is left out, p/m refuses it"}, ""},
		{"prefill refused", router.Request{Messages: []router.Message{asks, text(router.RoleAssistant, "So")}}, "", "", nil, "messages: a conversation cannot end with the assistant's turn at p/m"},
		{"reasoning of others", router.Request{Messages: []router.Message{asks, turnOf(router.RoleAssistant, router.Part{Kind: router.KindReasoning, Text: "x", Signature: "s", Field: "input[1]"}, router.Part{Kind: router.KindReasoning, Field: "input[2]"}, router.Text("a")), asks}}, "",
			`"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]},{"role":"assistant","content":[{"type":"text","text":"a"}]},{"role":"user","content":[{"type":"text","text":"Hi"}]}]`,
			[]string{"input[1]: left out, p/m cannot read thinking that was sealed elsewhere"}, ""},
		{"a refusal", router.Request{Messages: []router.Message{asks, turnOf(router.RoleAssistant, router.Part{Kind: router.KindRefusal, Text: "No."}), asks}}, "",
			`"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]},{"role":"assistant","content":[{"type":"text","text":"No."}]},{"role":"user","content":[{"type":"text","text":"Hi"}]}]`, nil, ""},
		{"a blank stop string", router.Request{Stop: []string{"\n\n"}}, "", "", nil, "stop: a stop string needs more than white space at p/m"},
		{"several answers", router.Request{N: 2}, "", "", nil, "n: only one answer can be had at p/m"},
		{"a seed", router.Request{Seed: ptr(int64(2))}, "", "", nil, "seed: it has no counterpart at p/m"},
		{"a penalty", router.Request{Frequency: ptr(0.2)}, "", "", nil, "frequency_penalty: it has no counterpart at p/m"},
		{"a long user", router.Request{EndUser: strings.Repeat("ü", 257)}, "", "", nil, "user: it cannot be longer than 256 characters at p/m"},
		{"a tier", router.Request{ServiceTier: "flex"}, "", "", nil, "service_tier: it has no counterpart at p/m"},
		{"sound", router.Request{Messages: []router.Message{turnOf(router.RoleUser, part(router.KindAudio, "messages[0].content[0]", &router.Media{}))}}, "", "", nil, `messages[0].content[0]: content of type "audio" cannot be sent at p/m`},
	} {
		if tt.req.Messages == nil {
			tt.req.Messages = []router.Message{asks}
		}
		out, err := encode(router.Call{Request: &tt.req, OutputCap: 10_000, Model: ledger.Model{ID: "up", Name: "p/m", Features: append(slices.Clone(whole), tt.extra)}})
		if tt.err != "" {
			if _, ok := err.(*router.FieldError); !ok || err.Error() != tt.err {
				t.Errorf("%s: %v, want %s", tt.name, err, tt.err)
			}
			continue
		}
		want := `{"model":"up","max_tokens":10000,` + tt.want + `}`
		if err != nil || string(out.body) != want || !slices.Equal(out.warnings, tt.warnings) {
			t.Errorf("%s: %v\ngot  %s %q\nwant %s %q", tt.name, err, out.body, out.warnings, want, tt.warnings)
		}
	}
}

// A model that thinks by a budget does not when its answer is begun for it.
func TestPrefillWithoutThinking(t *testing.T) {
	r := router.Request{Effort: "low", Messages: []router.Message{asks, text(router.RoleAssistant, "So")}}
	model := ledger.Model{ID: "up", Name: "p/m", Features: append(slices.Clone(whole), ledger.FeatureBudget, ledger.FeaturePrefill)}
	out, err := encode(router.Call{Request: &r, OutputCap: 10_000, Model: model})
	want := []string{"reasoning_effort: left out, p/m does not think when its answer is begun for it"}
	if err != nil || gjson.GetBytes(out.body, "thinking").Exists() || !slices.Equal(out.warnings, want) {
		t.Errorf("%v %s %q", err, out.body, out.warnings)
	}
}

// What a provider sealed into a turn goes back to it with the results of the tools, unless what came before has changed.
func TestRememberedTurn(t *testing.T) {
	first := router.Request{Dialect: ledger.DialectOpenAIChat, System: []router.Part{router.Text("s")}, Tools: []router.Tool{weather}, Messages: []router.Message{asks}, Stream: true}
	model := ledger.Model{ID: "up", Name: "p/m", Features: append(slices.Clone(whole), ledger.FeatureBudget)}
	_, reply, _, _, err := answered(t, router.Call{Request: &first, Model: model, OutputCap: 4000}, "text/event-stream", long)
	if err != nil {
		t.Fatal(err)
	}
	turn := reply.Turn()
	const said = `{"type":"thinking","thinking":"Let me see","signature":"c2ln"},{"type":"redacted_thinking","data":"ZGF0YQ"},{"type":"text","text":"I look <é>"},` +
		`{"type":"tool_use","id":"toolu_1","name":"weather","input":{"city":"Bonn"}},{"type":"tool_use","id":"toolu_2","name":"time","input":{}}`
	var content any
	if json.Unmarshal([]byte("["+said+"]"), &content); !reflect.DeepEqual(gjson.GetBytes(turn, "content").Value(), content) {
		t.Fatalf("%s", turn)
	}
	next := first
	next.Effort = "low"
	next.Messages = []router.Message{asks,
		turnOf(router.RoleAssistant, router.Text("I look <é>"), made("toolu_1", "weather", `{"city":"Bonn"}`), made("toolu_2", "time", `{}`)),
		turnOf(router.RoleUser, gave("toolu_1", false, router.Text("dry")), gave("toolu_2", false, router.Text("12")))}
	recall := func(id string) []byte {
		if id == "toolu_1" || id == "toolu_2" {
			return turn
		}
		return nil
	}
	send := func(r router.Request) (string, string, string) {
		t.Helper()
		out, err := encode(router.Call{Request: &r, Model: model, OutputCap: 4000, Turn: recall})
		if err != nil {
			t.Fatal(err)
		}
		body := gjson.ParseBytes(out.body)
		return body.Get("messages.1.content").Raw, body.Get("thinking").Raw, strings.Join(out.warnings, "; ")
	}
	const thinks = `{"type":"enabled","budget_tokens":1536}`
	got, thinking, warnings := send(next)
	got = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(got)
	if want := "[" + said + "]"; got != want || thinking != thinks || strings.Contains(warnings, "left out") {
		t.Errorf("got  %s %s %s\nwant %s", got, thinking, warnings, want)
	}
	const bare = `[{"type":"text","text":"I look <é>"},{"type":"tool_use","id":"toolu_1","name":"weather","input":{"city":"Bonn"}},{"type":"tool_use","id":"toolu_2","name":"time","input":{}}]`
	for name, change := range map[string]func(r *router.Request){
		"system": func(r *router.Request) { r.System = []router.Part{router.Text("t")} },
		"tools":  func(r *router.Request) { r.Tools = []router.Tool{weather, clock} },
		"earlier": func(r *router.Request) {
			r.Messages = append([]router.Message{text(router.RoleUser, "Ho")}, r.Messages[1:]...)
		},
	} {
		changed := next
		change(&changed)
		got, thinking, warnings := send(changed)
		if got != bare || thinking != "" || !strings.Contains(warnings, "since what came before it has changed") || !strings.Contains(warnings, "reasoning_effort: left out") {
			t.Errorf("%s: %s %s %s", name, got, thinking, warnings)
		}
	}
	fewer := next
	fewer.Messages = []router.Message{asks, turnOf(router.RoleAssistant, made("toolu_1", "weather", `{}`)), turnOf(router.RoleUser, gave("toolu_1", false))}
	if got, _, _ := send(fewer); strings.Contains(got, "toolu_2") || strings.Contains(got, "thinking") {
		t.Errorf("a call that the caller took out came back: %s", got)
	}
}

// An answer whose caller cannot carry it, but in which nothing was sealed, or of which a part is not understood, is not
// kept.
func TestNoTurn(t *testing.T) {
	unsealed := strings.NewReplacer(`"signature":"c2ln"`, `"signature":""`, `"redacted_thinking"`, `"other"`, "signature_delta", "text_delta").Replace(long)
	unknown := strings.Replace(long, "citations", "x", 1)
	unknown = strings.Replace(unknown, `{"type":"text_delta","text":"I look <é>"}`, `{"type":"brand_new_delta"}`, 1)
	for _, answer := range []string{unsealed, unknown} {
		r := router.Request{Dialect: ledger.DialectOpenAIChat, Messages: []router.Message{asks}, Stream: true}
		_, reply, _, _, err := answered(t, router.Call{Request: &r, OutputCap: 9}, "text/event-stream", answer)
		if err != nil || reply.Turn() != nil {
			t.Errorf("%v %s", err, reply.Turn())
		}
	}
	const whole = `{"type":"message","content":[{"type":"thinking","thinking":"","signature":"s"},{"type":"text","text":""},{"type":"tool_use","id":"t","name":"n","input":{"a": 1}}],"stop_reason":"tool_use","usage":{}}`
	d := decoder{turn: &turn{prefix: "p"}}
	if _, err := d.Body([]byte(whole), nil); err != nil || string(d.Turn()) != `{"prefix":"p","content":[{"type":"thinking","thinking":"","signature":"s"},{"type":"tool_use","id":"t","name":"n","input":{"a": 1}}]}` {
		t.Errorf("%v %s", err, d.Turn())
	}
}

// What one dialect can say comes back as it was said.
func TestRoundTrip(t *testing.T) {
	k := int64(4)
	for name, r := range map[string]router.Request{
		"everything": {
			System: []router.Part{router.Text("a"), router.Text("b")},
			Messages: []router.Message{asks, turnOf(router.RoleAssistant, router.Text("x"), made("i", "weather", `{"a":[1,"<é>"]}`)),
				turnOf(router.RoleUser, gave("i", true, router.Text("r"), part(router.KindImage, "", &router.Media{Type: "image/png", Data: "iVBO"})), router.Text("y"),
					part(router.KindImage, "", &router.Media{URL: "https://a/b"}), part(router.KindDocument, "", &router.Media{Type: "application/pdf", Data: "JVBE", Name: "t"}),
					part(router.KindDocument, "", &router.Media{Type: "text/plain", Data: "w6Ro"}), part(router.KindDocument, "", &router.Media{URL: "https://a/c"}))},
			Tools: []router.Tool{weather}, ToolChoice: router.ToolChoice{Mode: router.ToolRequired, Names: []string{"weather"}}, Serial: true,
			Format: router.Format{Kind: router.FormatSchema, Schema: json.RawMessage(`{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}`)},
			Stream: true, Temperature: ptr(0.25), TopK: &k, Stop: []string{"x"}, EndUser: "u", ServiceTier: "standard_only", Effort: "low",
		},
		"thoughts": {Messages: []router.Message{asks}, Thoughts: true, TopP: ptr(0.5)},
	} {
		r.Endpoint, r.OutputCap = router.EndpointChat, 500
		out, err := encode(router.Call{Request: &r, OutputCap: 500, Model: ledger.Model{ID: "up", Name: "p/m", Features: whole}})
		if err != nil || len(out.warnings) > 0 {
			t.Fatal(name, err, out.warnings)
		}
		got := *decode(t, string(out.body))
		want := r
		want.Model, want.Dialect = "up", ledger.DialectAnthropicMessages
		for _, q := range []*router.Request{&got, &want} {
			q.Body, q.Names = nil, nil
			q.Messages = bare(q.Messages)
			for i := range q.Tools {
				q.Tools[i].Field = ""
			}
		}
		if !reflect.DeepEqual(got, want) {
			a, _ := json.MarshalIndent(got, "", " ")
			b, _ := json.MarshalIndent(want, "", " ")
			t.Errorf("%s: got  %s\nwant %s", name, a, b)
		}
	}
}

// bare leaves out where things were written.
func bare(messages []router.Message) []router.Message {
	var strip func(parts []router.Part) []router.Part
	strip = func(parts []router.Part) []router.Part {
		parts = slices.Clone(parts)
		for i := range parts {
			parts[i].Raw, parts[i].Field, parts[i].Parts = nil, "", strip(parts[i].Parts)
		}
		return parts
	}
	messages = slices.Clone(messages)
	for i := range messages {
		messages[i].Field, messages[i].Parts = "", strip(messages[i].Parts)
	}
	return messages
}
