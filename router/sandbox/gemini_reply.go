package sandbox

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
)

// geminiSpeaker words generateContent answers.
type geminiSpeaker struct{}

type geminiUsage struct {
	Prompt        int              `json:"promptTokenCount"`
	Candidates    int              `json:"candidatesTokenCount,omitempty"`
	Total         int              `json:"totalTokenCount"`
	Cached        int              `json:"cachedContentTokenCount,omitempty"`
	Thoughts      int              `json:"thoughtsTokenCount,omitempty"`
	PromptDetails []geminiModality `json:"promptTokensDetails"`
	CacheDetails  []geminiModality `json:"cacheTokensDetails,omitempty"`
	Tier          string           `json:"trafficType,omitempty"`
}

type geminiModality struct {
	Modality string `json:"modality"`
	Tokens   int    `json:"tokenCount"`
}

// geminiUsageOf includes cached tokens in the prompt and leaves thoughts out of the
// candidates. Google's implicit cache has no writes: they are plain input here.
func geminiUsageOf(a *answer, t Tokens) *geminiUsage {
	if a.script.NoUsage {
		return nil
	}
	prompt := t.prompt()
	u := &geminiUsage{
		Prompt: prompt, Candidates: t.Output - t.Reasoning, Thoughts: t.Reasoning, Cached: t.CacheRead,
		Total: prompt + t.Output, PromptDetails: []geminiModality{{"TEXT", prompt}}, Tier: a.prompt.tier,
	}
	if t.CacheRead > 0 {
		u.CacheDetails = []geminiModality{{"TEXT", t.CacheRead}}
	}
	return u
}

type geminiAnswer struct {
	Candidates []geminiCandidate `json:"candidates,omitempty"`
	Feedback   *geminiFeedback   `json:"promptFeedback,omitempty"`
	Usage      *geminiUsage      `json:"usageMetadata,omitempty"`
	Version    string            `json:"modelVersion"`
	ID         string            `json:"responseId"`
}

type geminiFeedback struct {
	Reason string `json:"blockReason"`
}

type geminiCandidate struct {
	Content *geminiParts `json:"content,omitempty"`
	Finish  string       `json:"finishReason,omitempty"`
	Index   int          `json:"index"`
}

type geminiParts struct {
	Parts []any  `json:"parts"`
	Role  string `json:"role"`
}

type geminiTextPart struct {
	Text      string `json:"text"`
	Thought   bool   `json:"thought,omitempty"`
	Signature string `json:"thoughtSignature,omitempty"`
}

type geminiCallPart struct {
	Call struct {
		ID   string          `json:"id,omitempty"`
		Name string          `json:"name"`
		Args json.RawMessage `json:"args"`
	} `json:"functionCall"`
	Signature string `json:"thoughtSignature,omitempty"`
}

func (geminiSpeaker) answerID(id string) string { return id[:22] }

func (geminiSpeaker) callID(hash string) string { return hash[:8] }

func (geminiSpeaker) finish(c *choice) string {
	switch c.end {
	case endLength:
		return "MAX_TOKENS"
	case endRefusal, endFiltered:
		return "SAFETY"
	case endBlocked:
		return "" // there is no candidate
	}
	return "STOP"
}

// body is one response, whole or a chunk of a stream.
func (geminiSpeaker) body(a *answer, t Tokens, candidates []geminiCandidate) *geminiAnswer {
	body := &geminiAnswer{Candidates: candidates, Usage: geminiUsageOf(a, t), Version: a.prompt.model, ID: a.id}
	if a.choices[0].end == endBlocked {
		body.Candidates, body.Feedback = nil, &geminiFeedback{"PROHIBITED_CONTENT"}
	}
	return body
}

// content frame i of a candidate: a piece of its text or a call. The signature is on the first call, or
// on the last text of a model that has thought. A refused candidate has no content at all.
func (g geminiSpeaker) parts(a *answer, c *choice, frame int) *geminiParts {
	if c.end == endRefusal {
		return nil
	}
	content := &geminiParts{Parts: []any{}, Role: "model"}
	last := frame >= a.frames-1
	if last && a.script.Extras {
		defer func() { content.Parts = append(content.Parts, unknownPart) }()
	}
	call, _ := a.call(frame)
	switch {
	case call >= len(c.calls):
		return nil // another candidate had room for more
	case call >= 0:
		content.Parts = append(content.Parts, g.call(a, c, call))
		return content
	}
	part := geminiTextPart{Text: a.piece(c, frame)}
	if last && c.reasoning > 0 {
		part.Signature = a.prompt.seal.sign("")
	}
	content.Parts = append(content.Parts, part)
	return content
}

// unknownPart is what extras adds: a part with nothing that a client knows.
var unknownPart = map[string]any{"sandboxPart": map[string]int{"n": 1}}

func (geminiSpeaker) call(a *answer, c *choice, i int) geminiCallPart {
	var part geminiCallPart
	part.Call.Name, part.Call.Args = c.calls[i].name, json.RawMessage(c.calls[i].args)
	if a.script.CallIDs {
		part.Call.ID = c.calls[i].id
	}
	if i == 0 && (c.reasoning > 0 || a.prompt.signsCalls) {
		part.Signature = a.prompt.seal.sign("")
	}
	return part
}

func thoughtPart(c *choice) geminiTextPart { return geminiTextPart{Text: c.thought, Thought: true} }

func (g geminiSpeaker) unary(a *answer) any {
	candidates := make([]geminiCandidate, len(a.choices))
	for i := range a.choices {
		candidates[i] = geminiCandidate{Content: g.whole(a, &a.choices[i]), Finish: cmp.Or(a.script.Finish, g.finish(&a.choices[i])), Index: i}
	}
	return g.body(a, a.tokens(a.frames), candidates)
}

// whole are all parts of a candidate: thoughts that are shown, text, calls.
func (g geminiSpeaker) whole(a *answer, c *choice) *geminiParts {
	if c.end == endRefusal {
		return nil
	}
	content := &geminiParts{Parts: []any{}, Role: "model"}
	if c.thought != "" {
		content.Parts = append(content.Parts, thoughtPart(c))
	}
	if a.script.Extras {
		content.Parts = append(content.Parts, unknownPart)
	}
	if c.text != "" || len(c.calls) == 0 {
		part := geminiTextPart{Text: c.text}
		if c.reasoning > 0 && len(c.calls) == 0 {
			part.Signature = a.prompt.seal.sign("")
		}
		content.Parts = append(content.Parts, part)
	}
	for i := range c.calls {
		content.Parts = append(content.Parts, g.call(a, c, i))
	}
	return content
}

func (g geminiSpeaker) opening(out *frames, a *answer) {
	var candidates []geminiCandidate
	for i := range a.choices {
		if c := &a.choices[i]; c.thought != "" {
			content := &geminiParts{Parts: []any{thoughtPart(c)}, Role: "model"}
			candidates = append(candidates, geminiCandidate{Content: content, Index: i})
		}
	}
	if len(candidates) > 0 {
		out.event("", g.body(a, a.tokens(0), candidates))
	}
}

func (g geminiSpeaker) content(out *frames, a *answer, frame int) {
	candidates := make([]geminiCandidate, len(a.choices))
	for i := range a.choices {
		candidates[i] = geminiCandidate{Content: g.parts(a, &a.choices[i], frame), Index: i}
	}
	out.event("", g.body(a, a.tokens(frame+1), candidates))
}

func (g geminiSpeaker) closing(out *frames, a *answer) {
	candidates := make([]geminiCandidate, len(a.choices))
	for i := range a.choices {
		c := &a.choices[i]
		content := g.parts(a, c, max(0, a.frames-1))
		candidates[i] = geminiCandidate{Content: content, Finish: cmp.Or(a.script.Finish, g.finish(c)), Index: i}
	}
	out.event("", g.body(a, a.tokens(a.frames), candidates))
}

func (geminiSpeaker) terminator(out *frames, _ *answer) {
	if out.array {
		out.buf.WriteByte(']')
	}
}

// ping is an empty line: Google's own SDK takes no comment.
func (geminiSpeaker) ping(out *frames) { out.newline() }

var geminiHeaders = http.Header{"Server": {"sandbox"}, "X-Content-Type-Options": {"nosniff"}}

func (geminiSpeaker) header(h http.Header, _ string, _ *fault) {
	for name, value := range geminiHeaders {
		h[name] = value
	}
}

type geminiError struct {
	Error struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Status  string `json:"status"`
		Details []any  `json:"details,omitempty"`
	} `json:"error"`
}

const rpc = "type.googleapis.com/google.rpc."

func (geminiSpeaker) failure(f *fault, _ string) any {
	var body geminiError
	body.Error.Code, body.Error.Message, body.Error.Status = f.status, f.message, f.class
	type detail = map[string]any
	add := func(d detail) { body.Error.Details = append(body.Error.Details, d) }
	switch f.kind {
	case InvalidKey:
		add(detail{"@type": rpc + "ErrorInfo", "reason": f.code, "domain": "googleapis.com",
			"metadata": detail{"service": "generativelanguage.googleapis.com"}})
	case RateLimited:
		add(detail{"@type": rpc + "QuotaFailure", "violations": []detail{{
			"quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
			"quotaId":     "GenerateRequestsPerMinutePerProjectPerModel", "quotaValue": "1000"}}})
	case SpendLimit:
		add(detail{"@type": rpc + "QuotaFailure", "violations": []detail{{
			"quotaMetric": "generativelanguage.googleapis.com/monthly_spend",
			"quotaId":     "SpendPerMonthPerProject"}}})
	}
	if f.retry > 0 {
		seconds := strconv.FormatFloat(f.retry.Seconds(), 'f', -1, 64)
		add(detail{"@type": rpc + "RetryInfo", "retryDelay": seconds + "s"})
	}
	if f.invalid != "" {
		add(detail{"@type": rpc + "BadRequest", "fieldViolations": []detail{{"field": f.invalid, "description": f.message}}})
	}
	return &body
}
