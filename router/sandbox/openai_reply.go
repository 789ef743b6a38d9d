package sandbox

import (
	"cmp"
	"net/http"
)

// openaiSpeaker words Chat Completions answers: OpenAI's, or a compatible server's.
type openaiSpeaker struct {
	compatible bool // reasoning is shown, usage comes with the last choice
	azure      bool // but here it comes as OpenAI's; the first chunk is about filters alone
}

type openaiUsage struct {
	Prompt        int `json:"prompt_tokens"`
	Completion    int `json:"completion_tokens"`
	Total         int `json:"total_tokens"`
	PromptDetails struct {
		Cached     int `json:"cached_tokens"`
		CacheWrite int `json:"cache_write_tokens"`
		Audio      int `json:"audio_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionDetails struct {
		Reasoning int `json:"reasoning_tokens"`
		Audio     int `json:"audio_tokens"`
		Accepted  int `json:"accepted_prediction_tokens"`
		Rejected  int `json:"rejected_prediction_tokens"`
	} `json:"completion_tokens_details"`
}

// openaiUsageOf includes cached tokens in the prompt and reasoning in the completion.
func openaiUsageOf(t Tokens) *openaiUsage {
	var u openaiUsage
	u.Prompt = t.prompt()
	u.Completion = t.Output
	u.Total = u.Prompt + u.Completion
	u.PromptDetails.Cached, u.PromptDetails.CacheWrite = t.CacheRead, t.CacheWrite+t.CacheWriteLong
	u.CompletionDetails.Reasoning = t.Reasoning
	return &u
}

type openaiCompletion struct {
	ID          string             `json:"id"`
	Object      string             `json:"object"`
	Created     int64              `json:"created"`
	Model       string             `json:"model"`
	Choices     []openaiFullChoice `json:"choices"`
	Usage       *openaiUsage       `json:"usage,omitempty"`
	Tier        string             `json:"service_tier"`
	Fingerprint string             `json:"system_fingerprint"`
}

type openaiFullChoice struct {
	Index   int `json:"index"`
	Message struct {
		Role        string           `json:"role"`
		Content     *string          `json:"content"`
		Refusal     *string          `json:"refusal"`
		Reasoning   string           `json:"reasoning_content,omitempty"`
		Calls       []openaiToolCall `json:"tool_calls,omitempty"`
		Annotations []string         `json:"annotations"`
	} `json:"message"`
	Logprobs *struct{} `json:"logprobs"`
	Finish   string    `json:"finish_reason"`
}

type openaiToolCall struct {
	Index    *int           `json:"index,omitempty"` // in a stream
	ID       string         `json:"id,omitempty"`
	Type     string         `json:"type,omitempty"`
	Function openaiFunction `json:"function"`
}

type openaiFunction struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

const openaiFingerprint = "fp_sandbox"

func (openaiSpeaker) answerID(id string) string { return "chatcmpl-" + id }

func (openaiSpeaker) callID(hash string) string { return "call_" + hash[:24] }

func (openaiSpeaker) finish(c *choice) string {
	switch c.end {
	case endTools:
		return "tool_calls"
	case endLength:
		return "length"
	case endFiltered:
		return "content_filter"
	}
	return "stop"
}

func (o openaiSpeaker) unary(a *answer) any {
	body := openaiCompletion{
		ID: a.id, Object: "chat.completion", Created: a.created, Model: a.prompt.model,
		Tier: a.prompt.tier, Fingerprint: openaiFingerprint, Choices: make([]openaiFullChoice, len(a.choices)),
	}
	for i := range a.choices {
		c, full := &a.choices[i], &body.Choices[i]
		full.Index, full.Finish = i, cmp.Or(a.script.Finish, o.finish(c))
		full.Message.Role, full.Message.Annotations = "assistant", []string{}
		if c.end == endRefusal {
			full.Message.Refusal = &c.text
		} else if c.text != "" || len(c.calls) == 0 {
			full.Message.Content = &c.text
		}
		if o.compatible {
			full.Message.Reasoning = c.thought
		}
		for _, call := range c.calls {
			full.Message.Calls = append(full.Message.Calls, openaiToolCall{ID: call.id, Type: "function", Function: openaiFunction{call.name, call.args}})
		}
	}
	if !a.script.NoUsage {
		body.Usage = openaiUsageOf(a.tokens(a.frames))
	}
	return &body
}

type openaiChunk struct {
	ID          string              `json:"id"`
	Object      string              `json:"object"`
	Created     int64               `json:"created"`
	Model       string              `json:"model"`
	Tier        string              `json:"service_tier"`
	Fingerprint string              `json:"system_fingerprint"`
	Choices     []openaiDeltaChoice `json:"choices"`
	Obfuscation string              `json:"obfuscation,omitempty"`
}

// openaiMeteredChunk also has usage, null until the last one, as all chunks do once a
// caller asks for it.
type openaiMeteredChunk struct {
	openaiChunk
	Usage *openaiUsage `json:"usage"`
}

type openaiDeltaChoice struct {
	Index    int         `json:"index"`
	Delta    openaiDelta `json:"delta"`
	Logprobs *struct{}   `json:"logprobs"`
	Finish   *string     `json:"finish_reason"`
}

type openaiDelta struct {
	Role      string           `json:"role,omitempty"`
	Content   *string          `json:"content,omitempty"`
	Refusal   *string          `json:"refusal,omitempty"`
	Reasoning string           `json:"reasoning_content,omitempty"`
	Calls     []openaiToolCall `json:"tool_calls,omitempty"`
}

// padding makes every chunk of a call about equally long, so that its text cannot be
// guessed from lengths on the wire.
const padding = "0123456789abcdefghijklmnopqrstuvwxyz"

func (o openaiSpeaker) chunk(out *frames, a *answer, choices []openaiDeltaChoice, usage *openaiUsage) {
	chunk := openaiChunk{
		ID: a.id, Object: "chat.completion.chunk", Created: a.created, Model: a.prompt.model,
		Tier: a.prompt.tier, Fingerprint: openaiFingerprint, Choices: choices,
	}
	if a.prompt.obfuscate {
		text := 0
		for _, c := range choices {
			if c.Delta.Content != nil {
				text += len(*c.Delta.Content)
			}
		}
		chunk.Obfuscation = padding[text%(len(padding)-1):]
	}
	if a.prompt.includeUsage && !a.script.NoUsage || usage != nil {
		out.event("", openaiMeteredChunk{chunk, usage})
		return
	}
	out.event("", chunk)
}

func (o openaiSpeaker) opening(out *frames, a *answer) {
	empty := ""
	if o.azure {
		out.event("", map[string]any{"choices": []any{}, "created": 0, "id": "", "model": "", "object": "",
			"prompt_filter_results": []any{map[string]any{"prompt_index": 0, "content_filter_results": map[string]any{}}}})
	}
	for i := range a.choices {
		delta := openaiDelta{Role: "assistant", Content: &empty}
		if len(a.choices[i].calls) > 0 && a.textFrames == 0 {
			delta.Content = nil
		}
		o.chunk(out, a, []openaiDeltaChoice{{Index: i, Delta: delta}}, nil)
		if thought := a.choices[i].thought; o.compatible && thought != "" {
			o.chunk(out, a, []openaiDeltaChoice{{Index: i, Delta: openaiDelta{Reasoning: thought}}}, nil)
		}
	}
}

func (o openaiSpeaker) content(out *frames, a *answer, frame int) {
	for i := range a.choices {
		c := &a.choices[i]
		var delta openaiDelta
		switch call, part := a.call(frame); {
		case call >= len(c.calls):
			continue // another choice had room for more
		case call >= 0 && part == 0:
			delta.Calls = []openaiToolCall{{Index: &call, ID: c.calls[call].id, Type: "function", Function: openaiFunction{Name: c.calls[call].name}}}
		case call >= 0:
			delta.Calls = []openaiToolCall{{Index: &call, Function: openaiFunction{Arguments: a.fragment(call, c.calls[call].args, part)}}}
		case c.end == endRefusal:
			text := a.piece(c, frame)
			delta.Refusal = &text
		default:
			text := a.piece(c, frame)
			delta.Content = &text
		}
		o.chunk(out, a, []openaiDeltaChoice{{Index: i, Delta: delta}}, nil)
	}
}

func (o openaiSpeaker) closing(out *frames, a *answer) {
	for i := range a.choices {
		finish := cmp.Or(a.script.Finish, o.finish(&a.choices[i]))
		var usage *openaiUsage
		if o.compatible && !o.azure && !a.script.NoUsage && i == len(a.choices)-1 {
			usage = openaiUsageOf(a.tokens(a.frames))
		}
		o.chunk(out, a, []openaiDeltaChoice{{Index: i, Finish: &finish}}, usage)
	}
	if a.prompt.includeUsage && !a.script.NoUsage {
		o.chunk(out, a, []openaiDeltaChoice{}, openaiUsageOf(a.tokens(a.frames)))
	}
}

func (openaiSpeaker) terminator(out *frames, a *answer) {
	if !a.script.NoDone {
		out.raw("[DONE]")
	}
}

func (openaiSpeaker) ping(out *frames) { out.comment() }

var openaiHeaders = http.Header{
	"Openai-Version":                 {"2020-10-01"},
	"Openai-Organization":            {"sandbox"},
	"X-Ratelimit-Limit-Requests":     {"10000"},
	"X-Ratelimit-Remaining-Requests": {"9999"},
	"X-Ratelimit-Reset-Requests":     {"6ms"},
	"X-Ratelimit-Limit-Tokens":       {"30000000"},
	"X-Ratelimit-Remaining-Tokens":   {"29999000"},
	"X-Ratelimit-Reset-Tokens":       {"2ms"},
}

func (openaiSpeaker) header(h http.Header, request string, f *fault) {
	for name, value := range openaiHeaders {
		h[name] = value
	}
	h["X-Request-Id"] = []string{request}
	retryHeaders(h, f)
}

type openaiError struct {
	Error struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	} `json:"error"`
}

func (openaiSpeaker) failure(f *fault, _ string) any {
	var body openaiError
	body.Error.Message, body.Error.Type = f.message, f.class
	if f.param != "" {
		body.Error.Param = &f.param
	}
	if f.code != "" {
		body.Error.Code = &f.code
	}
	return &body
}

// modelsCreated is when the sandbox says that its models were made: 2026-01-01, in
// Unix seconds.
const modelsCreated = 1767225600
