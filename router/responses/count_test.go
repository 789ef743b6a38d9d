package responses

import (
	"context"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3/responses"

	"waybill/ledger"
	"waybill/router"
)

func TestCount(t *testing.T) {
	r, err := Inbound{}.Decode(router.Incoming{Endpoint: router.EndpointCount, Body: []byte(`{"model":"nova","input":"a","stream":true}`)})
	if err != nil || r.Stream {
		t.Fatalf("%+v %v", r, err)
	}
	const body = `{"object":"response.input_tokens", "input_tokens":1234}`
	steps, reply, sent, err := answer(t, router.Call{Request: r, Model: capable}, 200, body)
	if err != nil || len(steps) != 1 || steps[0].Tokens != 1234 || !steps[0].Content || steps[0].Finish != router.FinishStop || sent.URL.Path != "/responses/input_tokens" {
		t.Fatalf("%+v %v", steps, err)
	}
	if u, final := reply.Usage(); u != (ledger.Usage{}) || !final || reply.Turn() != nil {
		t.Errorf("%+v %t", u, final)
	}
	if got := string(Inbound{}.Writer(r, head, ledger.DialectOpenAIResponses).Body(steps, ledger.Usage{})); got != body {
		t.Errorf("forwarded %s", got)
	}
	written := string(Inbound{}.Writer(r, head, ledger.DialectGemini).Body([]router.Chunk{{Tokens: 77}}, ledger.Usage{}))
	n, err := client(t, 200, "application/json", written).Responses.InputTokens.Count(context.Background(), responses.InputTokenCountParams{})
	if err != nil || n.InputTokens != 77 || string(n.Object) != "response.input_tokens" {
		t.Errorf("%s: %+v %v", written, n, err)
	}
}

// A count takes what counts: no cap, nothing about sampling, storing or streaming.
func TestCountEncoded(t *testing.T) {
	c := translated(router.Request{Messages: []router.Message{said(router.RoleUser, router.Text("a"))}, Temperature: value(0.5), EndUser: "u", Effort: "low", Tools: []router.Tool{{Name: "f"}}})
	c.Request.Endpoint = router.EndpointCount
	body, warnings, err := encode(c)
	want := `{"model":"up","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"a"}]}],` +
		`"tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}},"strict":false}],"reasoning":{"effort":"low"}}`
	if err != nil || string(body) != want || len(warnings) > 0 {
		t.Errorf("%s %q %v", body, warnings, err)
	}
}

func TestOddCounts(t *testing.T) {
	c := translated(router.Request{Messages: []router.Message{said(router.RoleUser, router.Text("a"))}})
	c.Request.Endpoint = router.EndpointCount
	for body, want := range map[string]string{
		`{}`: "the count has no input_tokens", `{"input_tokens":-1}`: "the count has no input_tokens", `{"input_tokens":"1"}`: "the count has no input_tokens",
		`{"error":{"code":"slow_down","message":"m"}}`: "slow_down: m",
	} {
		if _, _, _, err := answer(t, c, 200, body); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", body, err)
		}
	}
	c.Request.Endpoint = router.EndpointEmbed
	if _, _, _, err := answer(t, c, 200, `{}`); err == nil || err.Error() != "model: is not reached by Responses for embeddings" {
		t.Error(err)
	}
}
