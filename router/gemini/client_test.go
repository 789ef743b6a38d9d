package gemini

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/genai"

	"waybill/ledger"
	"waybill/router"
)

// client is Google's own SDK against a server that answers with one body.
func client(t *testing.T, status int, kind, body string) *genai.Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	c, err := genai.NewClient(context.Background(), &genai.ClientConfig{APIKey: "k", Backend: genai.BackendGeminiAPI, HTTPOptions: genai.HTTPOptions{BaseURL: s.URL}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// An answer of another provider's: thoughts, text, two calls whose arguments come in pieces.
var foreign = []router.Chunk{
	{Kind: router.KindReasoning, Text: "Hm.", Content: true, Signature: "sealed-elsewhere"},
	{Kind: router.KindText, Text: "Let me <look>.", Content: true},
	{Kind: router.KindCall, CallID: "call_1", Name: "weather", Content: true},
	{Kind: router.KindCall, Text: `{"city":`, Content: true}, {Kind: router.KindCall, Text: `"Köln"}`, Content: true},
	{Kind: router.KindCall, Call: 1, CallID: "call_2", Name: "now", Content: true},
	{Finish: router.FinishTool},
}

var spent = ledger.Usage{Input: 100, CacheRead: 20, CacheWrite: 3, Output: 50, Reasoning: 30}

func checkForeign(t *testing.T, name string, parts []*genai.Part, finish genai.FinishReason, u *genai.GenerateContentResponseUsageMetadata) {
	t.Helper()
	var text, thought string
	var calls []*genai.FunctionCall
	for i, p := range parts {
		switch {
		case p.Thought:
			thought += p.Text
		case p.FunctionCall != nil:
			if calls = append(calls, p.FunctionCall); (len(calls) == 1) != (len(p.ThoughtSignature) > 0) {
				t.Errorf("%s: part %d: seal %q", name, i, p.ThoughtSignature)
			}
		default:
			text += p.Text
		}
	}
	if text != "Let me <look>." || thought != "Hm." || len(calls) != 2 {
		t.Fatalf("%s: %q %q %d calls", name, text, thought, len(calls))
	}
	if calls[0].ID != "call_1" || calls[0].Name != "weather" || calls[0].Args["city"] != "Köln" || calls[1].ID != "call_2" || len(calls[1].Args) != 0 {
		t.Errorf("%s: %+v %+v", name, calls[0], calls[1])
	}
	// 100 + 20 + 3 of input; 50 of output, of which 30 are thoughts; 173 together.
	if finish != genai.FinishReasonStop || u.PromptTokenCount != 123 || u.CachedContentTokenCount != 20 || u.CandidatesTokenCount != 20 ||
		u.ThoughtsTokenCount != 30 || u.TotalTokenCount != 173 {
		t.Errorf("%s: %s %+v", name, finish, u)
	}
}

func TestClientReadsRendering(t *testing.T) {
	ctx := context.Background()
	req := &router.Request{Thoughts: true}
	head := router.Head{Request: "req_1", Model: "anthropic/claude-haiku-5-5"}

	w := Inbound{}.Writer(req, head, ledger.DialectAnthropicMessages)
	got, err := client(t, 200, "application/json", string(w.Body(foreign, spent))).Models.GenerateContent(ctx, "m", genai.Text("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	checkForeign(t, "whole", got.Candidates[0].Content.Parts, got.Candidates[0].FinishReason, got.UsageMetadata)
	if got.ResponseID != "req_1" || got.ModelVersion != "anthropic/claude-haiku-5-5" {
		t.Errorf("%q %q", got.ResponseID, got.ModelVersion)
	}

	w = Inbound{}.Writer(req, head, ledger.DialectAnthropicMessages)
	stream := write(w, foreign...) + string(w.End(spent))
	var parts []*genai.Part
	var last *genai.GenerateContentResponse
	for r, err := range client(t, 200, "text/event-stream", stream).Models.GenerateContentStream(ctx, "m", genai.Text("x"), nil) {
		if err != nil {
			t.Fatal(err)
		}
		parts, last = append(parts, r.Candidates[0].Content.Parts...), r
	}
	checkForeign(t, "stream", parts, last.Candidates[0].FinishReason, last.UsageMetadata)
}

func write(w router.Writer, chunks ...router.Chunk) string {
	var b strings.Builder
	for _, c := range chunks {
		b.Write(w.Chunk(c))
	}
	return b.String()
}

func TestClientRaisesFailures(t *testing.T) {
	ctx := context.Background()
	for status, word := range map[int]string{
		400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 402: "FAILED_PRECONDITION", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
		409: "ALREADY_EXISTS", 413: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 502: "UNAVAILABLE", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
	} {
		f := router.Failure{Status: status, Code: "insufficient_funds", Message: `say "why"`, Field: "contents[0]", Request: "req_1", RetryAfter: 1500 * time.Millisecond}
		_, err := client(t, status, "application/json", string(Inbound{}.Failure(f))).Models.GenerateContent(ctx, "m", genai.Text("x"), nil)
		e, ok := errors.AsType[genai.APIError](err)
		if !ok || e.Code != status || e.Status != word || e.Message != `say "why"` || len(e.Details) != 4 ||
			e.Details[0]["reason"] != "INSUFFICIENT_FUNDS" || e.Details[2]["retryDelay"] != "1.5s" || e.Details[3]["requestId"] != "req_1" {
			t.Errorf("%d: %v", status, err)
		}
	}
	w := Inbound{}.Writer(&router.Request{}, router.Head{}, ledger.DialectOpenAIChat)
	stream := write(w, router.Chunk{Kind: router.KindText, Text: "Hi", Content: true}) + string(w.Error(router.Failure{Status: 502, Code: "upstream_failed", Message: "cut"}))
	var said string
	var raised error
	for r, err := range client(t, 200, "text/event-stream", stream).Models.GenerateContentStream(ctx, "m", genai.Text("x"), nil) {
		if err != nil {
			raised = err
			break
		}
		said += r.Text()
	}
	if e, ok := errors.AsType[genai.APIError](raised); !ok || e.Code != 502 || said != "Hi" {
		t.Errorf("%q %v", said, raised)
	}
}

func TestClientReadsVectorsAndCounts(t *testing.T) {
	ctx := context.Background()
	w := Inbound{}.Writer(&router.Request{Endpoint: router.EndpointEmbed, Embed: &router.Embed{Many: true}}, router.Head{}, ledger.DialectOpenAIChat)
	body := w.Body([]router.Chunk{{Vector: []float32{0.5, -1}}, {Index: 1, Vector: []float32{3}, Finish: router.FinishStop}}, ledger.Usage{Input: 7})
	got, err := client(t, 200, "application/json", string(body)).Models.EmbedContent(ctx, "m", genai.Text("x"), nil)
	if err != nil || len(got.Embeddings) != 2 || got.Embeddings[0].Values[1] != -1 || got.Embeddings[1].Values[0] != 3 {
		t.Errorf("%s: %+v %v", body, got, err)
	}
	w = Inbound{}.Writer(&router.Request{Endpoint: router.EndpointCount}, router.Head{}, ledger.DialectAnthropicMessages)
	n, err := client(t, 200, "application/json", string(w.Body([]router.Chunk{{Tokens: 12, Content: true, Finish: router.FinishStop}}, ledger.Usage{}))).
		Models.CountTokens(ctx, "m", genai.Text("x"), nil)
	if err != nil || n.TotalTokens != 12 {
		t.Errorf("%+v %v", n, err)
	}
}

// What the SDK sends is read for what it means.
func TestReadsTheClient(t *testing.T) {
	var body []byte
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body = make([]byte, r.ContentLength)
		_, _ = r.Body.Read(body)
		w.WriteHeader(400)
	}))
	defer s.Close()
	c, err := genai.NewClient(context.Background(), &genai.ClientConfig{APIKey: "k", Backend: genai.BackendGeminiAPI, HTTPOptions: genai.HTTPOptions{BaseURL: s.URL}})
	if err != nil {
		t.Fatal(err)
	}
	seal := []byte("waybill-unsealed-req_1")
	_, _ = c.Models.GenerateContent(context.Background(), "m", []*genai.Content{
		{Role: "user", Parts: []*genai.Part{{Text: "Look"}, {InlineData: &genai.Blob{MIMEType: "image/png", Data: []byte{255, 254, 253}}}}},
		{Role: "model", Parts: []*genai.Part{{FunctionCall: &genai.FunctionCall{Name: "f", Args: map[string]any{"a": 1}}, ThoughtSignature: seal}, {FunctionCall: &genai.FunctionCall{Name: "f"}}}},
		{Role: "user", Parts: []*genai.Part{
			{FunctionResponse: &genai.FunctionResponse{Name: "f", Response: map[string]any{"output": "one"}}},
			{FunctionResponse: &genai.FunctionResponse{Name: "f", Response: map[string]any{"error": "two"}}}}},
	}, &genai.GenerateContentConfig{
		SystemInstruction: genai.NewContentFromText("Be brief.", "user"), Temperature: genai.Ptr[float32](0.5), TopK: genai.Ptr[float32](40), MaxOutputTokens: 99,
		Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{Name: "f", Parameters: &genai.Schema{Type: genai.TypeObject,
			Properties: map[string]*genai.Schema{"a": {Type: genai.TypeInteger, Nullable: genai.Ptr(true)}}, Required: []string{"a"}}}}}},
		ToolConfig:     &genai.ToolConfig{FunctionCallingConfig: &genai.FunctionCallingConfig{Mode: genai.FunctionCallingConfigModeAny, AllowedFunctionNames: []string{"f"}}},
		ThinkingConfig: &genai.ThinkingConfig{IncludeThoughts: true, ThinkingLevel: genai.ThinkingLevelLow},
	})
	r := decode(t, string(body))
	if len(r.Extra)+len(r.Hints) > 0 || r.Effort != "low" || !r.Thoughts || *r.TopK != 40 || r.OutputCap != 99 || r.System[0].Text != "Be brief." ||
		r.ToolChoice.Mode != router.ToolRequired || r.ToolChoice.Names[0] != "f" {
		t.Errorf("%+v", r)
	}
	if got := string(r.Tools[0].Schema); got != `{"required":["a"],"type":"object","properties":{"a":{"type":["integer","null"]}}}` {
		t.Error(got)
	}
	image, calls, results := r.Messages[0].Parts[1], r.Messages[1].Parts, r.Messages[2].Parts
	if image.Kind != router.KindImage || image.Media.Data != "//79" || image.Field != "contents[0].parts[1]" {
		t.Errorf("%+v", image)
	}
	if calls[0].Text != `{"a":1}` || calls[1].Text != "{}" || calls[0].ID == calls[1].ID || !router.IsMinted(calls[0].Signature) {
		t.Errorf("%+v", calls)
	}
	if results[0].ID != calls[0].ID || results[1].ID != calls[1].ID || results[0].Parts[0].Text != "one" || results[0].Failed || !results[1].Failed {
		t.Errorf("%+v", results)
	}
}
