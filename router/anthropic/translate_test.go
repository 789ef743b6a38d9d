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
