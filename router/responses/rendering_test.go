package responses

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"

	"waybill/ledger"
	"waybill/router"
)

// client is OpenAI's own, which gets a body of ours.
func client(t *testing.T, status int, kind, body string) *sdk.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	c := sdk.NewClient(option.WithBaseURL(server.URL), option.WithAPIKey("k"), option.WithMaxRetries(0))
	return &c
}

// events are what OpenAI's client makes of a stream, in order.
func events(t *testing.T, stream string) ([]responses.ResponseStreamEventUnion, error) {
	t.Helper()
	s := client(t, 200, "text/event-stream", stream).Responses.NewStreaming(context.Background(), responses.ResponseNewParams{})
	defer s.Close()
	var out []responses.ResponseStreamEventUnion
	for s.Next() {
		e := s.Current()
		if e.SequenceNumber != int64(len(out)) {
			t.Errorf("event %d, %s, has the number %d", len(out), e.Type, e.SequenceNumber)
		}
		out = append(out, e)
	}
	return out, s.Err()
}

func render(w router.Writer, steps ...router.Chunk) string {
	var b strings.Builder
	for _, c := range steps {
		b.WriteString(written(w, w.Chunk(c)))
	}
	return b.String()
}

// written is what was returned first, and what is left.
func written(w router.Writer, first []byte) string {
	s := string(first)
	for b := w.More(); len(b) > 0; b = w.More() {
		s += string(b)
	}
	return s
}

// answered is an answer with everything that an answer can have, as a provider of another dialect gives it.
var answered = []router.Chunk{
	{ID: "msg_up", Model: "claude-haiku-5-5-20261007"}, {Frame: []byte(": ping\n\n")},
	{Kind: router.KindReasoning, Text: "Let me", Content: true}, {Kind: router.KindReasoning, Text: " see.", Content: true}, {Kind: router.KindReasoning, Signature: "SEAL"},
	{Kind: router.KindText, Text: "Hi <é> \"", Content: true}, {Kind: router.KindText, Text: "you\"\n", Content: true}, {Kind: router.KindRefusal, Text: "Not that.", Content: true},
	{Kind: router.KindCall, CallID: "toolu_1", Name: "look", Content: true}, {Kind: router.KindCall, Text: `{"at"`, Content: true},
	{Kind: router.KindCall, Call: 1, CallID: "toolu_2", Name: "stop", Content: true}, {Kind: router.KindCall, Text: `:1}`, Content: true},
	{Finish: router.FinishTool, Native: "tool_use", Tier: "standard"}, {Report: true}, {End: true},
}

const asked = `{"model":"nova","instructions":"Be brief.","stream":true,"reasoning":{"effort":"high","summary":"auto"},"temperature":0.5,
	"input":"a","tools":[{"type":"function","name":"look","parameters":{
	"type":"object"}},{"type":"function","name":"stop"}],"metadata":{"a":"b"},"parallel_tool_calls":null,"max_output_tokens":50}`

func TestRenderedStream(t *testing.T) {
	r := decode(t, asked)
	w := Inbound{}.Writer(r, head, ledger.DialectAnthropicMessages)
	stream := render(w, answered...) + written(w, w.End(usage))
	got, err := events(t, stream)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"response.created", "response.in_progress",
		"response.output_item.added 0 rs_req_1_0", "response.reasoning_summary_part.added 0 rs_req_1_0", "response.reasoning_summary_text.delta 0 rs_req_1_0",
		"response.reasoning_summary_text.delta 0 rs_req_1_0", "response.reasoning_summary_text.done 0 rs_req_1_0", "response.reasoning_summary_part.done 0 rs_req_1_0", "response.output_item.done 0 rs_req_1_0",
		"response.output_item.added 1 msg_req_1_1", "response.content_part.added 1 msg_req_1_1", "response.output_text.delta 1 msg_req_1_1", "response.output_text.delta 1 msg_req_1_1",
		"response.output_text.done 1 msg_req_1_1", "response.content_part.done 1 msg_req_1_1",
		"response.content_part.added 1 msg_req_1_1", "response.refusal.delta 1 msg_req_1_1", "response.refusal.done 1 msg_req_1_1", "response.content_part.done 1 msg_req_1_1", "response.output_item.done 1 msg_req_1_1",
		"response.output_item.added 2 fc_req_1_2", "response.function_call_arguments.delta 2 fc_req_1_2",
		"response.output_item.added 3 fc_req_1_3", "response.function_call_arguments.delta 2 fc_req_1_2",
		"response.function_call_arguments.done 2 fc_req_1_2", "response.output_item.done 2 fc_req_1_2",
		"response.function_call_arguments.delta 3 fc_req_1_3", "response.function_call_arguments.done 3 fc_req_1_3", "response.output_item.done 3 fc_req_1_3",
		"response.completed",
	}
	var seen []string
	texts := map[string]string{} // what deltas join to, and what the done events say
	for _, e := range got {
		id := e.ItemID
		if e.Item.ID != "" {
			id = e.Item.ID
		}
		if id == "" {
			seen = append(seen, e.Type)
			continue
		}
		seen = append(seen, fmt.Sprintf("%s %d %s", e.Type, e.OutputIndex, id))
		key := fmt.Sprintf("%s/%d", id, e.ContentIndex)
		switch {
		case strings.HasSuffix(e.Type, ".delta"):
			texts[key] += e.Delta
		case e.Type == "response.output_text.done" || e.Type == "response.reasoning_summary_text.done":
			texts[key] = strings.TrimPrefix(texts[key], e.Text) // nothing is left if they agree
		case e.Type == "response.refusal.done":
			texts[key] = strings.TrimPrefix(texts[key], e.Refusal)
		case e.Type == "response.function_call_arguments.done":
			texts[key] = strings.TrimPrefix(texts[key], e.Arguments)
		}
	}
	if !reflect.DeepEqual(seen, want) {
		t.Errorf("got  %s\nwant %s", strings.Join(seen, "\n"), strings.Join(want, "\n"))
	}
	for key, rest := range texts {
		if rest != "" {
			t.Errorf("%s: the deltas have %q more than the end", key, rest)
		}
	}
	checkWhole(t, got[len(got)-1].Response)
	for _, e := range got[:2] {
		if e.Response.Status != "in_progress" || len(e.Response.Output) > 0 || e.Response.JSON.Usage.Valid() || e.Response.ID != "resp_req_1" {
			t.Errorf("%s: %s", e.Type, e.Response.RawJSON())
		}
	}
}

// checkWhole checks the answer's object, which is the same streamed and unary.
func checkWhole(t *testing.T, r responses.Response) {
	t.Helper()
	if len(r.Output) != 4 {
		t.Fatalf("%s", r.RawJSON())
	}
	thought, message, call, stop := r.Output[0].AsReasoning(), r.Output[1].AsMessage(), r.Output[2].AsFunctionCall(), r.Output[3].AsFunctionCall()
	switch {
	case r.ID != "resp_req_1" || r.Status != "completed" || r.Model != head.Model || int64(r.CreatedAt) != head.Created || string(r.Object) != "response":
		t.Errorf("head: %s", r.RawJSON())
	case len(thought.Summary) != 1 || thought.Summary[0].Text != "Let me see." || !router.IsMinted(thought.EncryptedContent):
		t.Errorf("reasoning: %s", thought.RawJSON())
	case len(message.Content) != 2 || message.Content[0].Text != "Hi <é> \"you\"\n" || message.Content[1].Refusal != "Not that." || message.Status != "completed":
		t.Errorf("message: %s", message.RawJSON())
	case r.OutputText() != "Hi <é> \"you\"\n":
		t.Errorf("text: %q", r.OutputText())
	case call.CallID != "toolu_1" || call.Name != "look" || call.Arguments != `{"at":1}` || call.Status != "completed":
		t.Errorf("call: %s", call.RawJSON())
	case stop.CallID != "toolu_2" || stop.Name != "stop" || stop.Arguments != "{}":
		t.Errorf("call: %s", stop.RawJSON())
	case r.Instructions.OfString != "Be brief." || r.Temperature != 0.5 || r.TopP != 1 || len(r.Tools) != 2 || r.Tools[0].Name != "look" || r.Metadata["a"] != "b" || !r.ParallelToolCalls || r.MaxOutputTokens != 50 || r.Reasoning.Effort != "high":
		t.Errorf("echo: %s", r.RawJSON())
	case r.ServiceTier != "default":
		t.Errorf("tier: %s", r.ServiceTier)
	}
	if r.JSON.ExtraFields["store"].Raw() != "false" {
		t.Error("store is not false")
	}
	for name, field := range map[string]interface{ Valid() bool }{"metadata": r.JSON.Metadata, "tool_choice": r.JSON.ToolChoice, "text": r.JSON.Text, "usage": r.JSON.Usage} {
		if !field.Valid() {
			t.Errorf("%s is not there", name)
		}
	}
	// 412 + 9000 + 1000 + 2000 = 12412 of input, 1000 + 2000 = 3000 of them written, 12412 + 250 = 12662 in all.
	u := r.Usage
	in := u.InputTokensDetails
	if u.InputTokens != 12412 || u.OutputTokens != 250 || u.TotalTokens != 12662 || u.OutputTokensDetails.ReasoningTokens != 180 || in.CachedTokens != 9000 ||
		in.CacheWriteTokens != 3000 || in.CacheWriteTokensDetails.Ttl30mTokens != 1000 || in.CacheWriteTokensDetails.Ttl12hTokens != 2000 {
		t.Errorf("usage: %s", u.RawJSON())
	}
}

func TestRenderedBody(t *testing.T) {
	steps := append([]router.Chunk{}, answered...)
	body := Inbound{}.Writer(decode(t, asked), head, ledger.DialectGemini).Body(steps, usage)
	r, err := client(t, 200, "application/json", string(body)).Responses.New(context.Background(), responses.ResponseNewParams{})
	if err != nil {
		t.Fatal(err)
	}
	checkWhole(t, *r)
}

// What a caller did not ask to see is not shown, and its tokens are in the usage all the same.
func TestRenderedWithoutThoughts(t *testing.T) {
	w := Inbound{}.Writer(decode(t, `{"model":"nova","input":"a"}`), head, ledger.DialectGemini)
	got, err := events(t, render(w, answered...)+written(w, w.End(usage)))
	if err != nil {
		t.Fatal(err)
	}
	last := got[len(got)-1].Response
	if len(last.Output) != 3 || last.Output[0].ID != "msg_req_1_0" || last.Usage.OutputTokensDetails.ReasoningTokens != 180 {
		t.Errorf("%s", last.RawJSON())
	}
}

func TestRenderedIncomplete(t *testing.T) {
	for finish, reason := range map[router.Finish]string{router.FinishLength: "max_output_tokens", router.FinishFiltered: "content_filter"} {
		w := Inbound{}.Writer(decode(t, `{"model":"nova","input":"a"}`), head, ledger.DialectGemini)
		got, err := events(t, render(w, router.Chunk{Kind: router.KindText, Text: "a", Content: true}, router.Chunk{Kind: router.KindCall, CallID: "b", Name: "f", Text: `{}`, Content: true},
			router.Chunk{Kind: router.KindCall, Call: 1, CallID: "c", Name: "f", Text: `{"a`, Content: true}, router.Chunk{Index: 1, Kind: router.KindText, Text: "another answer"},
			router.Chunk{Finish: finish}, router.Chunk{Kind: router.KindText, Text: "too late"})+written(w, w.End(usage)))
		if err != nil {
			t.Fatal(err)
		}
		last := got[len(got)-1]
		if r := last.Response; last.Type != "response.incomplete" || r.Status != "incomplete" || r.IncompleteDetails.Reason != reason ||
			len(r.Output) != 3 ||
			r.Output[0].Status != "completed" || r.Output[1].Status != "completed" || r.Output[2].Status != "incomplete" || r.Output[2].Arguments.OfString != `{"a` {
			t.Errorf("%s: %s", last.Type, r.RawJSON())
		}
	}
	// Nothing at all, and an end.
	w := Inbound{}.Writer(decode(t, `{"model":"nova","input":"a"}`), head, ledger.DialectGemini)
	got, err := events(t, render(w, router.Chunk{Finish: router.FinishFiltered})+written(w, w.End(usage)))
	if err != nil || len(got) != 3 || len(got[2].Response.Output) != 0 {
		t.Errorf("%v %v", got, err)
	}
}

// An answer that breaks off is raised by the clients, and is never one that ends well.
func TestBreakOff(t *testing.T) {
	failure := router.Failure{Status: 502, Code: "upstream_failed", Message: "it broke \"off\""}
	rendered := Inbound{}.Writer(decode(t, `{"model":"nova","input":"a"}`), head, ledger.DialectGemini)
	relayed := Inbound{}.Writer(decode(t, `{"model":"nova","input":"a"}`), head, ledger.DialectOpenAIResponses)
	for name, stream := range map[string]string{
		"rendered": render(rendered, answered[:7]...) + string(rendered.Error(failure)),
		"relayed":  relay12(relayed) + string(relayed.Error(failure)),
	} {
		_, err := events(t, stream)
		raised, ok := errors.AsType[*ssestream.StreamError](err)
		if !ok || !strings.Contains(raised.Message, "upstream_failed") || raised.Event.Type != "error" {
			t.Errorf("%s: %v", name, err)
		}
		// The two events by themselves, as clients read them that do not stop at the first.
		rest := strings.Split(strings.TrimSpace(stream[strings.Index(stream, "event: error\n"):]), "\n\n")
		var event responses.ResponseErrorEvent
		var failed responses.ResponseFailedEvent
		if err := errors.Join(json.Unmarshal([]byte(data(rest[0])), &event), json.Unmarshal([]byte(data(rest[1])), &failed)); err != nil || len(rest) != 2 {
			t.Fatalf("%s: %v %q", name, err, rest)
		}
		before := strings.Count(stream, "event: ") - 2
		if event.Code != "upstream_failed" || event.Message != failure.Message || event.SequenceNumber != int64(before) {
			t.Errorf("%s: %s", name, rest[0])
		}
		if r := failed.Response; r.Status != "failed" || string(r.Error.Code) != "upstream_failed" || r.Error.Message != failure.Message || failed.SequenceNumber != int64(before)+1 || !strings.HasPrefix(r.ID, "resp_") {
			t.Errorf("%s: %s", name, rest[1])
		}
	}
}

// relay12 forwards the first twelve events of the fixture.
func relay12(w router.Writer) string {
	var b strings.Builder
	for i, e := range streamed[:12] {
		c := router.Chunk{Frame: []byte(frames(e))}
		if i == 0 {
			c.ID = "resp_1"
		}
		b.Write(w.Chunk(c))
	}
	return b.String()
}

func data(frame string) string {
	_, d, _ := strings.Cut(frame, "data: ")
	return d
}

// What a step returned stays as it was when the next is written.
func TestChunksStay(t *testing.T) {
	w := newRendering(decode(t, asked), head)
	var kept [][]byte
	var copies []string
	for range 200 {
		b := w.Chunk(router.Chunk{Kind: router.KindText, Text: "some text that fills the room", Content: true})
		kept, copies = append(kept, b), append(copies, string(b))
	}
	for i := range kept {
		if string(kept[i]) != copies[i] {
			t.Fatalf("%d: %s", i, kept[i])
		}
	}
}

func TestFailure(t *testing.T) {
	for status, kind := range map[int]string{401: "authentication_error", 402: "insufficient_quota", 403: "permission_error", 404: "invalid_request_error", 429: "rate_limit_error", 502: "server_error"} {
		body := Inbound{}.Failure(router.Failure{Status: status, Code: "c", Message: "m", Field: "input[0]"})
		_, err := client(t, status, "application/json", string(body)).Responses.New(context.Background(), responses.ResponseNewParams{})
		e, ok := errors.AsType[*sdk.Error](err)
		if !ok || e.StatusCode != status || e.Type != kind || e.Code != "c" || e.Message != "m" || e.Param != "input[0]" {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// What was rendered comes back as it went out: the next call of the conversation.
func TestRenderedComesBack(t *testing.T) {
	body := newRendering(decode(t, asked), head).Body(answered, usage)
	var answer struct{ Output json.RawMessage }
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	input := strings.TrimSuffix(string(answer.Output), "]") + `,{"type":"function_call_output","call_id":"toolu_1","output":"a cat"}]`
	r := decode(t, `{"model":"nova","input":`+input+`}`)
	bare(r)
	fieldless := r.Messages[0].Parts
	for i := range fieldless {
		fieldless[i].Field = ""
	}
	want := []router.Part{{Kind: router.KindReasoning, Text: "Let me see.", Signature: router.MintSeal("req_1")}, router.Text("Hi <é> \"you\"\n"),
		{Kind: router.KindRefusal, Text: "Not that."}, {Kind: router.KindCall, ID: "toolu_1", Name: "look", Text: `{"at":1}`}, {Kind: router.KindCall, ID: "toolu_2", Name: "stop", Text: "{}"}}
	if len(r.Messages) != 2 || !reflect.DeepEqual(fieldless, want) || len(r.Extra)+len(r.Hints) > 0 {
		t.Errorf("%+v", r.Messages)
	}
	sent, warnings := edit(router.Call{Request: r, Model: ledger.Model{ID: "up"}})
	if strings.Contains(string(sent), "encrypted_content") || len(warnings) != 1 {
		t.Errorf("%s %q", sent, warnings)
	}
}
