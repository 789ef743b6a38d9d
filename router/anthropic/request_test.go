package anthropic

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

// What is written of a conversation that only asks, and of the tools there are.
const (
	hi    = `"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}]`
	tools = `"tools":[{"name":"weather","description":"d","input_schema":{"type":"object","properties":{"city":{"type":"string"}}}},{"name":"clock","input_schema":{"type":"object"}}]`
	onlyW = `"tools":[{"name":"weather","description":"d","input_schema":{"type":"object","properties":{"city":{"type":"string"}}}}]`
)

var both = []router.Tool{weather, clock}

func choice(mode router.ToolMode, names ...string) router.ToolChoice {
	return router.ToolChoice{Mode: mode, Names: names}
}

// writing is a request and what is written of it.
type writing struct {
	name     string
	req      router.Request
	extra    string // feature beside whole
	want     string // of the body, after model and max_tokens
	warnings []string
	err      string
}

func (tt writing) check(t *testing.T) {
	if tt.req.Messages == nil {
		tt.req.Messages = []router.Message{asks}
	}
	out, err := encode(router.Call{Request: &tt.req, OutputCap: 10_000, Model: ledger.Model{ID: "up", Name: "p/m", Features: append(slices.Clone(whole), tt.extra)}})
	if tt.err != "" {
		if _, ok := err.(*router.FieldError); !ok || err.Error() != tt.err {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.err)
		}
		return
	}
	want := `{"model":"up","max_tokens":10000,` + tt.want + `}`
	if err != nil || string(out.body) != want || !slices.Equal(out.warnings, tt.warnings) {
		t.Errorf("%s: %v\ngot  %s %q\nwant %s %q", tt.name, err, out.body, out.warnings, want, tt.warnings)
	}
}

func TestEncodeTools(t *testing.T) {
	for _, tt := range []writing{
		{"tools", router.Request{Tools: both}, "", hi + `,` + tools, nil, ""},
		{"tools, auto", router.Request{Tools: both, ToolChoice: choice(router.ToolAuto)}, "", hi + `,` + tools + `,"tool_choice":{"type":"auto"}`, nil, ""},
		{"tools, one at a time", router.Request{Tools: both, Serial: true}, "", hi + `,` + tools + `,"tool_choice":{"type":"auto","disable_parallel_tool_use":true}`, nil, ""},
		{"tools, any, one at a time", router.Request{Tools: both, Serial: true, ToolChoice: choice(router.ToolRequired)}, "", hi + `,` + tools + `,"tool_choice":{"type":"any","disable_parallel_tool_use":true}`, nil, ""},
		{"tools, one", router.Request{Tools: both, ToolChoice: choice(router.ToolRequired, "weather")}, "", hi + `,` + tools + `,"tool_choice":{"type":"tool","name":"weather"}`, nil, ""},
		{"tools, none", router.Request{Tools: both, Serial: true, ToolChoice: choice(router.ToolNone)}, "", hi + `,` + tools + `,"tool_choice":{"type":"none"}`, nil, ""},
		{"tools, some", router.Request{Tools: both, ToolChoice: choice(router.ToolAuto, "weather")}, "", hi + `,` + onlyW + `,"tool_choice":{"type":"auto"}`, nil, ""},
		{"tools, two of them forced", router.Request{Tools: both, ToolChoice: choice(router.ToolRequired, "weather", "clock")}, "", hi + `,` + tools + `,"tool_choice":{"type":"any"}`, nil, ""},
		{"tools, one that is not there", router.Request{Tools: both, ToolChoice: choice(router.ToolAuto, "weather", "x")}, "", "", nil, `tool_choice: "x" is none of the tools`},
		{"tools, forced where they cannot be", router.Request{Tools: both, ToolChoice: choice(router.ToolRequired)}, ledger.FeatureAutoTools, "", nil, "tool_choice: a tool call cannot be forced at p/m"},
		{"choice among none", router.Request{ToolChoice: choice(router.ToolAuto)}, "", hi, nil, ""},
		{"a tool's name", router.Request{Tools: []router.Tool{{Name: "a.b", Field: "tools[0]"}}}, "", "", nil, `tools[0]: the name "a.b" cannot be sent at p/m: it is to be of 1 to 128 letters, digits, _ and -`},
		{"a tool's schema without a type", router.Request{Tools: []router.Tool{{Name: "a", Schema: json.RawMessage(`{"properties":{}}`)}}}, "", hi + `,"tools":[{"name":"a","input_schema":{"type":"object","properties":{}}}]`, nil, ""},
		{"a tool's schema of a string", router.Request{Tools: []router.Tool{{Name: "a", Schema: json.RawMessage(`{"type":"string"}`), Field: "tools[0]"}}}, "", "", nil, "tools[0]: the schema of arguments must be an object's at p/m"},
		{"a tool's schema of choices", router.Request{Tools: []router.Tool{{Name: "a", Schema: json.RawMessage(`{"type":"object","anyOf":[]}`), Field: "tools[0]"}}}, "", "", nil, "tools[0]: the schema of arguments cannot have anyOf, oneOf or allOf at its top at p/m"},
		{"a strict tool", router.Request{Tools: []router.Tool{{Name: "a", Schema: json.RawMessage(`{"type":"object","properties":{"n":{"type":"integer","minimum":1}}}`), Strict: ptr(true), Field: "tools[0]"}}}, "",
			hi + `,"tools":[{"name":"a","input_schema":{"type":"object","properties":{"n":{"type":"integer"}},"additionalProperties":false},"strict":true}]`, []string{"tools[0]: minimum in the schema left out, p/m does not hold an answer to it"}, ""},
	} {
		tt.check(t)
	}
}

func TestEncodeResults(t *testing.T) {
	for _, tt := range []writing{
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
	} {
		tt.check(t)
	}
}

func TestEncodeMedia(t *testing.T) {
	image := func(m router.Media) []router.Message {
		return []router.Message{turnOf(router.RoleUser, part(router.KindImage, "messages[0].content[0]", &m))}
	}
	document := func(m router.Media) []router.Message {
		return []router.Message{turnOf(router.RoleUser, part(router.KindDocument, "messages[0].content[0]", &m))}
	}
	for _, tt := range []writing{
		{"an image", router.Request{Messages: image(router.Media{Type: "image/png", Data: "iVBO", Detail: "auto"})}, "", `"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBO"}}]}]`, nil, ""},
		{"an image elsewhere", router.Request{Messages: image(router.Media{URL: "https://a/?b&c", Detail: "low"})}, "", `"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://a/?b&c"}}]}]`,
			[]string{"messages[0].content[0]: detail is left out, p/m sees an image in one way only"}, ""},
		{"an image of another type", router.Request{Messages: image(router.Media{Type: "image/tiff", Data: "iVBO"})}, "", "", nil, `messages[0].content[0]: an image of media type "image/tiff" cannot be sent at p/m`},
		{"an image uploaded elsewhere", router.Request{Messages: image(router.Media{File: "file-1"})}, "", "", nil, `messages[0].content[0]: a file that was uploaded to another provider cannot be had at p/m`},
		{"a PDF", router.Request{Messages: document(router.Media{Type: "application/pdf", Data: "JVBE", Name: "a.pdf"})}, "", `"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"},"title":"a.pdf"}]}]`, nil, ""},
		{"a document of text", router.Request{Messages: document(router.Media{Type: "text/plain", Data: "w6Ro"})}, "", `"messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"äh"}}]}]`, nil, ""},
		{"a document of words", router.Request{Messages: document(router.Media{Type: "application/msword", Data: "w6Ro"})}, "", "", nil, `messages[0].content[0]: a document of media type "application/msword" cannot be sent at p/m`},
		{"an image with a name", router.Request{Messages: image(router.Media{Type: "image/png", Data: "iVBO", Name: "a.png"})}, "", `"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBO"}}]}]`,
			[]string{"messages[0].content[0]: its name is left out, an image has none at p/m"}, ""},
	} {
		tt.check(t)
	}
}

func TestEncodeFormats(t *testing.T) {
	schema := func(s string) router.Format {
		return router.Format{Kind: router.FormatSchema, Name: "n", Schema: json.RawMessage(s)}
	}
	for _, tt := range []writing{
		{"a schema", router.Request{Format: schema(`{"type":"object","properties":{"a":{"type":"string","maxLength":5,"format":"color"},"b":{"oneOf":[{"type":"null"},{"type":"array","items":{"type":"object","properties":{"c":{}},"required":["c"]},"minItems":2}]}},"additionalProperties":false}`)}, "",
			hi + `,"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"string"},"b":{"anyOf":[{"type":"null"},{"type":"array","items":{"type":"object","properties":{"c":{}},"required":["c"],"additionalProperties":false}}]}},"additionalProperties":false}}}`,
			[]string{"response_format: maxLength, format, oneOf, minItems in the schema left out, p/m does not hold an answer to it"}, ""},
		{"a schema of an open object", router.Request{Format: schema(`{"type":"object","properties":{"a":{}},"additionalProperties":true}`)}, "",
			hi + `,"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{}},"additionalProperties":false}}}`,
			[]string{"response_format: additionalProperties in the schema left out, p/m does not hold an answer to it"}, ""},
		{"no schema", router.Request{Format: router.Format{Kind: router.FormatSchema}}, "", "", nil, "response_format: has no schema that the answer is to satisfy"},
		{"a schema of a map", router.Request{Format: schema(`{"type":"object","additionalProperties":{"type":"string"}}`)}, "", "", nil, "response_format: the schema cannot have an object whose members it does not name at p/m"},
		{"a schema with conditions", router.Request{Format: schema(`{"type":"object","properties":{"a":{}},"if":{}}`)}, "", "", nil, `response_format: the schema cannot have "if" at p/m`},
		{"a schema of two kinds of choices", router.Request{Format: schema(`{"anyOf":[],"oneOf":[]}`)}, "", "", nil, "response_format: the schema cannot have anyOf and oneOf side by side at p/m"},
		{"a schema elsewhere", router.Request{Format: schema(`{"$ref":"https://a/b"}`)}, "", "", nil, `response_format: the schema cannot refer to "https://a/b" at p/m`},
		{"any JSON", router.Request{System: []router.Part{router.Text("s")}, Format: router.Format{Kind: router.FormatJSON}}, "", `"system":[{"type":"text","text":"s"},{"type":"text","text":"` + asJSON + `"}],` + hi,
			[]string{"response_format: asked for by an instruction, p/m cannot be held to any JSON without a schema"}, ""},
		{"a schema that is described", router.Request{Format: router.Format{Kind: router.FormatSchema, Description: `the "d"`, Schema: json.RawMessage(`{"type":"integer"}`)}}, "",
			hi + `,"output_config":{"format":{"type":"json_schema","schema":{"description":"the \"d\"","type":"integer"}}}`, nil, ""},
		{"a schema that is described twice", router.Request{Format: router.Format{Kind: router.FormatSchema, Description: "d", Schema: json.RawMessage(`{"type":"integer","description":"e"}`)}}, "",
			hi + `,"output_config":{"format":{"type":"json_schema","schema":{"description":"d\ne","type":"integer"}}}`, nil, ""},
		{"a reference that is described", router.Request{Format: router.Format{Kind: router.FormatSchema, Description: "d", Schema: json.RawMessage(`{"$ref":"#/$defs/a","$defs":{"a":{"type":"integer"}}}`)}}, "",
			hi + `,"output_config":{"format":{"type":"json_schema","schema":{"$ref":"#/$defs/a","$defs":{"a":{"type":"integer"}}}}}`,
			[]string{"response_format: the description of its schema is left out, there is no place for it at p/m"}, ""},
	} {
		tt.check(t)
	}
}

func TestEncodeReasoning(t *testing.T) {
	const budget = ledger.FeatureBudget
	for _, tt := range []writing{
		{"effort", router.Request{Effort: "max", Thoughts: true}, "", hi + `,"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"max"}`, nil, ""},
		{"thoughts", router.Request{Thoughts: true}, "", hi + `,"thinking":{"type":"adaptive","display":"summarized"}`, nil, ""},
		{"a budget for an effort", router.Request{Budget: ptr(int64(5000))}, "", hi + `,"thinking":{"type":"adaptive"},"output_config":{"effort":"medium"}`, []string{"reasoning_effort: a budget of 5000 tokens taken for the effort medium, by which p/m reasons"}, ""},
		{"no budget for an effort", router.Request{Budget: ptr(int64(0))}, "", hi + `,"output_config":{"effort":"low"}`, []string{"reasoning_effort: a budget of 0 tokens taken for the effort low, by which p/m reasons"}, ""},
		{"a free budget", router.Request{Budget: ptr(int64(-1))}, "", hi + `,"thinking":{"type":"adaptive"}`, nil, ""},
		{"effort, forced", router.Request{Tools: both, ToolChoice: choice(router.ToolRequired), Effort: "low"}, "", hi + `,"output_config":{"effort":"low"},` + tools + `,"tool_choice":{"type":"any"}`, nil, ""},
		{"an effort nobody knows", router.Request{Effort: "huge"}, "", "", nil, `reasoning_effort: "huge" is not an effort: none, minimal, low, medium, high, xhigh, max`},
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
	} {
		tt.check(t)
	}
}

func TestEncodeTurnsAndSettings(t *testing.T) {
	for _, tt := range []writing{
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
		tt.check(t)
	}
}
