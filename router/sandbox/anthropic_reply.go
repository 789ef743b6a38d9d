package sandbox

import (
	"cmp"
	"encoding/json"
	"net/http"
)

// anthropicSpeaker words Messages answers.
type anthropicSpeaker struct{}

type anthropicUsage struct {
	Input         int                    `json:"input_tokens"`
	CacheCreation int                    `json:"cache_creation_input_tokens"`
	CacheRead     int                    `json:"cache_read_input_tokens"`
	ByLifetime    anthropicCacheCreation `json:"cache_creation"`
	Output        int                    `json:"output_tokens"`
	OutputDetails anthropicOutputDetails `json:"output_tokens_details"`
	Tier          string                 `json:"service_tier"`
	Speed         string                 `json:"speed,omitempty"`
	Geo           string                 `json:"inference_geo,omitempty"`
}

type anthropicCacheCreation struct {
	FiveMinutes int `json:"ephemeral_5m_input_tokens"`
	OneHour     int `json:"ephemeral_1h_input_tokens"`
}

type anthropicOutputDetails struct {
	Thinking int `json:"thinking_tokens"`
}

// anthropicDeltaUsage is what message_delta repeats, as running totals.
type anthropicDeltaUsage struct {
	Input         int                    `json:"input_tokens"`
	CacheCreation int                    `json:"cache_creation_input_tokens"`
	CacheRead     int                    `json:"cache_read_input_tokens"`
	Output        int                    `json:"output_tokens"`
	OutputDetails anthropicOutputDetails `json:"output_tokens_details"`
}

// anthropicUsageOf leaves both cache classes out of the input; output includes thinking.
func anthropicUsageOf(a *answer, t Tokens) *anthropicUsage {
	if a.script.NoUsage {
		return nil
	}
	return &anthropicUsage{
		Input: t.Input, CacheCreation: t.CacheWrite + t.CacheWriteLong, CacheRead: t.CacheRead,
		ByLifetime: anthropicCacheCreation{FiveMinutes: t.CacheWrite, OneHour: t.CacheWriteLong},
		Output:     t.Output, OutputDetails: anthropicOutputDetails{t.Reasoning},
		Tier: a.prompt.tier, Speed: a.prompt.speed, Geo: a.prompt.geo,
	}
}

type anthropicFull struct {
	ID           string               `json:"id"`
	Type         string               `json:"type"`
	Role         string               `json:"role"`
	Model        string               `json:"model"`
	Content      []any                `json:"content"`
	StopReason   *string              `json:"stop_reason"`
	StopSequence *string              `json:"stop_sequence"`
	StopDetails  *anthropicStopDetail `json:"stop_details,omitempty"`
	Usage        *anthropicUsage      `json:"usage,omitempty"`
}

type anthropicStopDetail struct {
	Type        string `json:"type"`
	Category    string `json:"category"`
	Explanation string `json:"explanation"`
}

type anthropicTextBlock struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type anthropicThinkingBlock struct {
	Type      string `json:"type"`
	Thinking  string `json:"thinking"`
	Signature string `json:"signature"`
}

func (anthropicSpeaker) answerID(id string) string { return "msg_" + id[:24] }

func (anthropicSpeaker) callID(hash string) string { return "toolu_01" + hash[:22] }

func (anthropicSpeaker) finish(c *choice) string {
	switch c.end {
	case endTools:
		return "tool_use"
	case endStop:
		return "stop_sequence"
	case endLength:
		return "max_tokens"
	case endRefusal, endFiltered, endBlocked:
		return "refusal"
	}
	return "end_turn"
}

// stop are the three fields that say why an answer ended.
func (s anthropicSpeaker) stop(a *answer) (reason string, sequence *string, detail *anthropicStopDetail) {
	c := &a.choices[0]
	reason = cmp.Or(a.script.Finish, s.finish(c))
	if c.end == endStop {
		sequence = &c.stop
	}
	if reason == "refusal" {
		detail = &anthropicStopDetail{"refusal", "sandbox", "Refused as scripted."}
	}
	return reason, sequence, detail
}

type anthropicToolUse struct {
	Type  string          `json:"type"`
	ID    string          `json:"id"`
	Name  string          `json:"name"`
	Input json.RawMessage `json:"input"`
}

// thought is the block with the thinking: sealed, and with its text only if that was asked for.
func (anthropicSpeaker) thought(a *answer) any {
	c := &a.choices[0]
	if a.script.Redacted {
		return map[string]string{"type": "redacted_thinking", "data": a.prompt.seal.sign("")}
	}
	return anthropicThinkingBlock{"thinking", c.thought, a.prompt.seal.sign(c.thought)}
}

var unknownBlock = map[string]any{"type": "sandbox_block", "sandbox": 1}

func (s anthropicSpeaker) unary(a *answer) any {
	c := &a.choices[0]
	body := anthropicFull{
		ID: a.id, Type: "message", Role: "assistant", Model: a.prompt.model, Content: []any{},
		Usage: anthropicUsageOf(a, a.tokens(a.frames)),
	}
	reason, sequence, detail := s.stop(a)
	body.StopReason, body.StopSequence, body.StopDetails = &reason, sequence, detail
	if c.reasoning > 0 {
		body.Content = append(body.Content, s.thought(a))
	}
	if c.text != "" {
		body.Content = append(body.Content, anthropicTextBlock{"text", c.text})
	}
	for _, call := range c.calls {
		body.Content = append(body.Content, anthropicToolUse{"tool_use", call.id, call.name, json.RawMessage(call.args)})
	}
	if a.script.Extras {
		body.Content = append(body.Content, unknownBlock)
	}
	return &body
}

type anthropicEvent struct {
	Type         string               `json:"type"`
	Message      *anthropicFull       `json:"message,omitempty"`
	Index        *int                 `json:"index,omitempty"`
	ContentBlock any                  `json:"content_block,omitempty"`
	Delta        any                  `json:"delta,omitempty"`
	Usage        *anthropicDeltaUsage `json:"usage,omitempty"`
}

type anthropicTextDelta struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type anthropicStopDelta struct {
	StopReason   string               `json:"stop_reason"`
	StopSequence *string              `json:"stop_sequence"`
	StopDetails  *anthropicStopDetail `json:"stop_details,omitempty"`
}

func (anthropicSpeaker) event(out *frames, e anthropicEvent) { out.event(e.Type, &e) }

// index is the place of the block with the text (call -1), or with a call.
func (anthropicSpeaker) index(a *answer, call int) (index int) {
	if a.choices[0].reasoning > 0 {
		index++
	}
	if call >= 0 && a.textFrames > 0 {
		index++
	}
	return index + max(0, call)
}

func (s anthropicSpeaker) opening(out *frames, a *answer) {
	c := &a.choices[0]
	start := anthropicFull{ID: a.id, Type: "message", Role: "assistant", Model: a.prompt.model, Content: []any{}}
	t := a.tokens(0)
	t.Output, t.Reasoning = min(1, c.tokens()), 0
	start.Usage = anthropicUsageOf(a, t)
	s.event(out, anthropicEvent{Type: "message_start", Message: &start})
	if a.script.Extras {
		out.event("sandbox_note", map[string]string{"type": "sandbox_note"})
	}
	if c.reasoning > 0 {
		s.thinking(out, a)
	}
	if index := s.index(a, -1); a.textFrames > 0 {
		s.event(out, anthropicEvent{Type: "content_block_start", Index: &index, ContentBlock: anthropicTextBlock{Type: "text"}})
	}
	s.ping(out)
}

// thinking is the first block: its text only if the caller asked to see it.
func (s anthropicSpeaker) thinking(out *frames, a *answer) {
	c, index := &a.choices[0], 0
	if a.script.Redacted {
		s.event(out, anthropicEvent{Type: "content_block_start", Index: &index, ContentBlock: s.thought(a)})
		s.event(out, anthropicEvent{Type: "content_block_stop", Index: &index})
		return
	}
	s.event(out, anthropicEvent{Type: "content_block_start", Index: &index, ContentBlock: anthropicThinkingBlock{Type: "thinking"}})
	if c.thought != "" {
		s.event(out, anthropicEvent{Type: "content_block_delta", Index: &index, Delta: map[string]string{"type": "thinking_delta", "thinking": c.thought}})
	}
	s.event(out, anthropicEvent{Type: "content_block_delta", Index: &index, Delta: map[string]string{"type": "signature_delta", "signature": a.prompt.seal.sign(c.thought)}})
	s.event(out, anthropicEvent{Type: "content_block_stop", Index: &index})
}

func (s anthropicSpeaker) content(out *frames, a *answer, frame int) {
	c := &a.choices[0]
	call, part := a.call(frame)
	index := s.index(a, call)
	if call < 0 {
		s.event(out, anthropicEvent{Type: "content_block_delta", Index: &index, Delta: anthropicTextDelta{"text_delta", a.piece(c, frame)}})
		return
	}
	fragment := ""
	if part == 0 {
		s.stopBlock(out, a, call-1)
		s.event(out, anthropicEvent{Type: "content_block_start", Index: &index,
			ContentBlock: anthropicToolUse{"tool_use", c.calls[call].id, c.calls[call].name, json.RawMessage("{}")}})
		if a.callFrames[call] == 1 {
			return // no arguments, no fragment
		}
	} else {
		fragment = a.fragment(call, c.calls[call].args, part)
	}
	s.event(out, anthropicEvent{Type: "content_block_delta", Index: &index, Delta: map[string]string{"type": "input_json_delta", "partial_json": fragment}})
}

// stopBlock ends the block with the text (call -1), if there is one, or with a call.
func (s anthropicSpeaker) stopBlock(out *frames, a *answer, call int) {
	if index := s.index(a, call); call >= 0 || a.textFrames > 0 {
		s.event(out, anthropicEvent{Type: "content_block_stop", Index: &index})
	}
}

func (s anthropicSpeaker) closing(out *frames, a *answer) {
	last := len(a.choices[0].calls) - 1
	s.stopBlock(out, a, last)
	if a.script.Extras {
		index := s.index(a, last)
		if last >= 0 || a.textFrames > 0 {
			index++
		}
		s.event(out, anthropicEvent{Type: "content_block_start", Index: &index, ContentBlock: unknownBlock})
		s.event(out, anthropicEvent{Type: "content_block_stop", Index: &index})
	}
	reason, sequence, detail := s.stop(a)
	delta := anthropicEvent{Type: "message_delta", Delta: anthropicStopDelta{reason, sequence, detail}}
	if !a.script.NoUsage {
		t := a.tokens(a.frames)
		delta.Usage = &anthropicDeltaUsage{t.Input, t.CacheWrite + t.CacheWriteLong, t.CacheRead, t.Output, anthropicOutputDetails{t.Reasoning}}
	}
	s.event(out, delta)
}

func (s anthropicSpeaker) terminator(out *frames, _ *answer) {
	s.event(out, anthropicEvent{Type: "message_stop"})
}

func (s anthropicSpeaker) ping(out *frames) { s.event(out, anthropicEvent{Type: "ping"}) }

var anthropicHeaders = http.Header{
	"Anthropic-Organization-Id":              {"sandbox"},
	"Anthropic-Ratelimit-Requests-Limit":     {"4000"},
	"Anthropic-Ratelimit-Requests-Remaining": {"3999"},
	"Anthropic-Ratelimit-Requests-Reset":     {"2026-01-01T00:00:00Z"},
	"Anthropic-Ratelimit-Tokens-Limit":       {"480000"},
	"Anthropic-Ratelimit-Tokens-Remaining":   {"479000"},
	"Anthropic-Ratelimit-Tokens-Reset":       {"2026-01-01T00:00:00Z"},
}

func (anthropicSpeaker) header(h http.Header, request string, f *fault) {
	for name, value := range anthropicHeaders {
		h[name] = value
	}
	h["Request-Id"] = []string{request}
	retryHeaders(h, f)
}

type anthropicError struct {
	Type  string `json:"type"`
	Error struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	} `json:"error"`
	RequestID string `json:"request_id"`
}

func (anthropicSpeaker) failure(f *fault, request string) any {
	body := anthropicError{Type: "error", RequestID: request}
	body.Error.Type, body.Error.Message = f.class, f.message
	return &body
}
