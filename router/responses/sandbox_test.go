package responses

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/ledger/secret"
	"waybill/router"
	"waybill/router/sandbox"
)

var sol = ledger.Model{ID: "gpt-6.2-sol", Name: "openai/gpt-6.2-sol", Provider: "openai", Features: []string{ledger.FeatureReasoning,
	ledger.FeatureTools, ledger.FeatureImages, ledger.FeatureStructured}}

// boxed makes calls to the sandbox, which is as strict as OpenAI.
type boxed struct {
	*testing.T
	box  *sandbox.Sandbox
	base string
}

func newBoxed(t *testing.T) boxed {
	box := sandbox.New(sandbox.Options{})
	s := httptest.NewServer(box)
	t.Cleanup(s.Close)
	return boxed{t, box, sandbox.BaseURL(s.URL, "openai")}
}

func (b boxed) call(c router.Call) ([]router.Chunk, router.Reply) {
	b.Helper()
	c.Model, c.BaseURL, c.Secret, c.Client = sol, b.base, secret.New("sk-good"), http.DefaultClient
	reply, err := Upstream{}.Open(context.Background(), c)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { reply.Close() })
	var steps []router.Chunk
	for {
		step, err := reply.Next()
		if err == io.EOF {
			b.agree(reply)
			return steps, reply
		}
		if err != nil {
			b.Fatal(err)
		}
		steps = append(steps, step)
	}
}

// agree compares what was read of the usage with the sandbox's own record.
func (b boxed) agree(reply router.Reply) {
	b.Helper()
	calls := b.box.Calls()
	w := calls[len(calls)-1].Tokens
	u, final := reply.Usage()
	want := ledger.Usage{Input: int64(w.Input), CacheRead: int64(w.CacheRead), CacheWrite: int64(w.CacheWrite), CacheWriteLong: int64(w.CacheWriteLong), Output: int64(w.Output), Reasoning: int64(w.Reasoning)}
	if !final || u != want || u == (ledger.Usage{}) {
		b.Errorf("usage %+v %t, the sandbox says %+v", u, final, want)
	}
}

func joined(steps []router.Chunk, kind router.Kind) (s string) {
	for _, c := range steps {
		if c.Kind == kind {
			s += c.Text
		}
	}
	return s
}

// A caller of another dialect goes on with what its tool gave, and the provider gets its sealed reasoning back.
func TestSandboxToolLoop(t *testing.T) {
	for _, stream := range []bool{false, true} {
		b := newBoxed(t)
		ask := said(router.RoleUser, router.Text(`Look. [[sandbox call=look,look reasoning=40 input=900 cached=300 cache_write=200 cache_write_long=100 extras]]`))
		r := router.Request{Stream: stream, Messages: []router.Message{ask}, Thoughts: true, Effort: "high", System: []router.Part{router.Text("Be brief.")}, EndUser: "u",
			Tools: []router.Tool{{Name: "look", Schema: []byte(`{"type":"object","properties":{"at":{"type":"string"}}}`), Field: "tools[0]"}}}
		c := translated(r)
		steps, reply := b.call(c)
		last := steps[len(steps)-1]
		if last.Finish != router.FinishTool || joined(steps, router.KindReasoning) == "" || reply.Turn() == nil {
			t.Fatalf("stream %t: %+v, turn %s", stream, told(steps), reply.Turn())
		}
		turn := router.Message{Role: router.RoleAssistant}
		results := router.Message{Role: router.RoleUser}
		for _, s := range steps {
			if s.CallID != "" {
				turn.Parts = append(turn.Parts, router.Part{Kind: router.KindCall, ID: s.CallID, Name: s.Name})
				results.Parts = append(results.Parts, router.Part{Kind: router.KindResult, ID: s.CallID, Parts: []router.Part{router.Text("a cat")}})
			}
			if s.Kind == router.KindCall {
				turn.Parts[s.Call].Text += s.Text
			}
		}
		results.Parts[1].Parts = append(results.Parts[1].Parts, router.Part{Kind: router.KindImage, Media: &router.Media{Type: "image/png", Data: "iVBORw0K"}})
		r.Messages = []router.Message{ask, turn, results}
		c = translated(r)
		sealed := withoutExtras(reply.Turn())
		c.Turn = func(string) []byte { return sealed }
		steps, _ = b.call(c)
		got := joined(steps, router.KindText)
		if !strings.Contains(got, "result of look ("+turn.Parts[0].ID+"): a cat") || !strings.Contains(got, "image/png") {
			t.Errorf("stream %t: %q", stream, got)
		}
		// The same from its parts, for a turn that is forgotten.
		c.Turn = nil
		if steps, _ = b.call(c); joined(steps, router.KindText) != got {
			t.Errorf("stream %t: %q", stream, joined(steps, router.KindText))
		}
	}
}

// withoutExtras takes out the item that no client knows: the sandbox gives it, and does not take it.
func withoutExtras(turn []byte) []byte {
	s := string(turn)
	i := strings.LastIndex(s, ",{")
	if i < 0 || !strings.Contains(s[i:], "sandbox_item") {
		return turn
	}
	return []byte(s[:i] + "]")
}

// A caller of this dialect brings its output back verbatim, at a provider that stores nothing.
func TestSandboxOwnLoop(t *testing.T) {
	b := newBoxed(t)
	const tools = `"tools":[{"type":"function","name":"look","parameters":{"type":"object","properties":{},"additionalProperties":false},"strict":true}]`
	question := `{"role":"user","content":"Look. [[sandbox call=look reasoning=40]]"}`
	steps, _ := b.call(router.Call{Request: decode(t, `{"model":"nova","temperature":0.3,"input":[`+question+`],`+tools+`}`), OutputCap: 500})
	body := string(Inbound{}.Writer(&router.Request{}, head, ledger.DialectOpenAIResponses).Body(steps, ledger.Usage{}))
	output := body[strings.Index(body, `"output":[`)+len(`"output":[`):]
	output = output[:strings.Index(output, `],"parallel_tool_calls"`)]
	id := steps[1].CallID
	r := decode(t, `{"model":"nova","input":[`+question+`,`+output+`,{"type":"function_call_output","call_id":"`+id+`","output":"a cat"}],`+tools+`}`)
	if steps, _ = b.call(router.Call{Request: r, OutputCap: 500}); joined(steps, router.KindText) == "" {
		t.Errorf("%+v", steps)
	}
	r = decode(t, strings.Replace(string(r.Body), "a cat", "a dog", 1))
	foreign := map[string]bool{}
	for _, p := range r.Messages[1].Parts {
		foreign[p.Signature] = true
	}
	if steps, _ = b.call(router.Call{Request: r, OutputCap: 500, Foreign: foreign}); joined(steps, router.KindText) == "" {
		t.Errorf("%+v", steps)
	}
}

func TestSandboxStrict(t *testing.T) {
	b := newBoxed(t)
	for _, r := range []router.Request{
		{Format: router.Format{Kind: router.FormatSchema, Schema: []byte(`{"type":"object","properties":{"a":{"type":"string"}}}`)}},
		{Format: router.Format{Kind: router.FormatSchema, Schema: []byte(`{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}`)}},
		{Format: router.Format{Kind: router.FormatJSON}},
		{Tools: []router.Tool{{Name: "f"}, {Name: "g", Strict: value(true), Schema: []byte(`{"type":"object","properties":{"a":{}}}`)}}, ToolChoice: router.ToolChoice{Mode: router.ToolRequired, Names: []string{"g"}}, Serial: true},
		{Tools: []router.Tool{{Name: "f"}, {Name: "g"}}, ToolChoice: router.ToolChoice{Names: []string{"g"}}},
		{Budget: value(int64(5000)), Thoughts: true, ServiceTier: "standard_only", EndUser: strings.Repeat("u", 200)},
	} {
		r.Messages = []router.Message{said(router.RoleUser, router.Text("Hello there")), said(router.RoleAssistant, router.Text("Hi."), router.Part{Kind: router.KindRefusal, Text: "No."}), said(router.RoleUser, router.Text("Go on"))}
		b.call(translated(r))
		c := translated(r)
		c.Request.Endpoint = router.EndpointCount
		reply, err := Upstream{}.Open(context.Background(), router.Call{Request: c.Request, Model: sol, BaseURL: b.base, Secret: secret.New("sk-good"), Client: http.DefaultClient, OutputCap: 50})
		if err != nil {
			t.Fatal(err)
		}
		if step, err := reply.Next(); err != nil || step.Tokens == 0 {
			t.Errorf("%+v %v", step, err)
		}
		reply.Close()
	}
}
