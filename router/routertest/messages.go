package routertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"waybill/ledger"
	"waybill/router"
)

// messagesClient speaks Anthropic Messages, from the types of anthropic-sdk-go v1.84.0.
type messagesClient struct{}

func (messagesClient) Dialect() ledger.Dialect { return ledger.DialectAnthropicMessages }

func (c messagesClient) Write(a Ask, model string) (router.Incoming, error) {
	in := router.Incoming{Endpoint: router.EndpointChat, Header: http.Header{"Anthropic-Version": {"2023-06-01"}}}
	switch {
	case slices.ContainsFunc(a.Turns, func(t Turn) bool { return t.System }):
		return in, unsaid("system text in the middle")
	case a.Embed:
		return in, unsaid("embeddings")
	case a.JSON:
		return in, unsaid("JSON without a schema")
	case a.N > 1:
		return in, unsaid("several answers")
	case a.Seed != 0:
		return in, unsaid("a seed")
	case a.Frequency != 0, a.Verbosity != "":
		return in, unsaid("penalties and verbosity")
	}
	b := object{"model": model, "messages": c.messages(a)}
	if a.System != "" {
		b["system"] = a.System
	}
	if a.Tools != nil {
		b["tools"] = c.tools(a.Tools)
	}
	if choice := c.choice(a); len(choice) > 0 {
		b["tool_choice"] = choice
	}
	config := object{}
	if a.Schema != nil {
		config["format"] = object{"type": "json_schema", "schema": a.Schema}
	}
	set(config, object{"effort": a.Effort})
	if len(config) > 0 {
		b["output_config"] = config
	}
	switch {
	case a.Budget > 0:
		b["thinking"] = object{"type": "enabled", "budget_tokens": a.Budget}
	case a.Thoughts:
		b["thinking"] = object{"type": "adaptive", "display": "summarized"}
	}
	if a.Unknown {
		b["unheard_of"] = object{"deep": []int{1, 2}}
	}
	if a.Count {
		in.Endpoint = router.EndpointCount
		in.Body = raw(b)
		return in, nil
	}
	b["max_tokens"] = 4096
	set(b, object{"max_tokens": a.Cap, "temperature": a.Temperature, "top_p": a.TopP, "top_k": a.TopK, "service_tier": a.Tier})
	if a.Stop != nil {
		b["stop_sequences"] = a.Stop
	}
	if a.Stream {
		b["stream"] = true
	}
	in.Body = raw(b)
	return in, nil
}

func (messagesClient) choice(a Ask) object {
	choice := object{}
	switch a.Choice {
	case "":
	case "auto", "none":
		choice["type"] = a.Choice
	case "required":
		choice["type"] = "any"
	default:
		choice["type"], choice["name"] = "tool", a.Choice
	}
	if a.Serial {
		choice["disable_parallel_tool_use"] = true
		if a.Choice == "" {
			choice["type"] = "auto"
		}
	}
	return choice
}

func (messagesClient) tools(list []Tool) (out []object) {
	for _, t := range list {
		schema := t.Schema
		if schema == nil {
			schema = json.RawMessage(`{"type":"object"}`)
		}
		out = append(out, object{"name": t.Name, "description": t.Description, "input_schema": schema})
	}
	return out
}

func (c messagesClient) messages(a Ask) (out []any) {
	for _, t := range a.Turns {
		role, blocks := "user", []any{}
		if t.Assistant {
			role = "assistant"
		}
		for _, r := range t.Raw {
			blocks = append(blocks, r)
		}
		for _, r := range t.Results {
			block := object{"type": "tool_result", "tool_use_id": r.ID, "content": r.Text}
			if r.Media != nil {
				block["content"] = append([]any{object{"type": "text", "text": r.Text}}, c.media(r.Media)...)
			}
			if r.Failed {
				block["is_error"] = true
			}
			blocks = append(blocks, block)
		}
		blocks = append(blocks, c.media(t.Media)...)
		if t.Text != "" {
			blocks = append(blocks, object{"type": "text", "text": t.Text})
		}
		for _, k := range t.Calls {
			blocks = append(blocks, object{"type": "tool_use", "id": k.ID, "name": k.Name, "input": json.RawMessage(k.Args)})
		}
		if len(blocks) > 0 {
			out = append(out, object{"role": role, "content": blocks})
		}
	}
	return out
}

func (messagesClient) media(all []Media) (blocks []any) {
	for _, m := range all {
		kind, source := "image", object{"type": "url", "url": m.URL}
		if m.Document {
			kind = "document"
		}
		if m.Data != "" {
			source = object{"type": "base64", "media_type": m.Type, "data": m.Data}
		}
		blocks = append(blocks, object{"type": kind, "source": source})
	}
	return blocks
}

type messagesUsage struct {
	Input   *int `json:"input_tokens"`
	Written *int `json:"cache_creation_input_tokens"`
	Cached  *int `json:"cache_read_input_tokens"`
	Write   *struct {
		Short int `json:"ephemeral_5m_input_tokens"`
		Long  int `json:"ephemeral_1h_input_tokens"`
	} `json:"cache_creation"`
	Output *int `json:"output_tokens"`
	Out    struct {
		Thinking int `json:"thinking_tokens"`
	} `json:"output_tokens_details"`
	Tier string `json:"service_tier"`
}

// read makes one usage of the figures: what a later event says replaces what an earlier one said.
func (u messagesUsage) read(into *Usage) *Usage {
	if into == nil {
		into = &Usage{}
	}
	plain := into.Input - into.Cached - into.Written
	for _, f := range []struct {
		from *int
		to   *int
	}{{u.Input, &plain}, {u.Cached, &into.Cached}, {u.Written, &into.Written}, {u.Output, &into.Output}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if u.Write != nil {
		into.WrittenLong = u.Write.Long
	}
	if u.Out.Thinking > 0 {
		into.Reasoning = u.Out.Thinking
	}
	into.Input = plain + into.Cached + into.Written
	return into
}

type messagesBlock struct {
	Type      string          `json:"type"`
	Text      string          `json:"text"`
	Thinking  string          `json:"thinking"`
	Signature string          `json:"signature"`
	Data      string          `json:"data"`
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Input     json.RawMessage `json:"input"`
}

type messagesAnswer struct {
	ID      string            `json:"id"`
	Type    string            `json:"type"`
	Role    string            `json:"role"`
	Model   string            `json:"model"`
	Content []json.RawMessage `json:"content"`
	Stop    *string           `json:"stop_reason"`
	Usage   *messagesUsage    `json:"usage"`
}

func (v *messagesAnswer) proper() error {
	if v.ID == "" || v.Type != "message" || v.Role != "assistant" || v.Model == "" || v.Content == nil {
		return fmt.Errorf("a message without id, type, role, model or content: %+v", v)
	}
	return nil
}

// finishes are the canonical words for Anthropic's.
var finishes = map[string]string{"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls",
	"refusal": "content_filter", "model_context_window_exceeded": "length"}

func finishOf(word string) string {
	if f, ok := finishes[word]; ok {
		return f
	}
	return "unknown word " + word
}

// block adds a whole block of content.
func (a *Answer) block(b messagesBlock, whole json.RawMessage) error {
	switch b.Type {
	case "text":
		a.add(0, b.Text)
	case "thinking":
		if b.Signature == "" {
			return errors.New("a thinking block without a signature")
		}
		a.Thought += b.Thinking
	case "redacted_thinking":
		if b.Data == "" {
			return errors.New("redacted thinking without data")
		}
	case "tool_use":
		if b.ID == "" || b.Name == "" || len(b.Input) == 0 || b.Input[0] != '{' {
			return fmt.Errorf("a tool use without id, name or an object as input: %s", whole)
		}
		a.Calls = append(a.Calls, Call{b.ID, b.Name, string(b.Input)})
	}
	a.Turn = append(a.Turn, whole)
	return nil
}

func (c messagesClient) Read(body []byte, ask Ask) (*Answer, error) {
	if ask.Count {
		v, err := decode[struct {
			Input *int `json:"input_tokens"`
		}](body)
		if err != nil || v.Input == nil {
			return nil, fmt.Errorf("no count: %s", body)
		}
		return &Answer{Tokens: *v.Input, Ended: true}, nil
	}
	v, err := decode[messagesAnswer](body)
	if err == nil {
		err = v.proper()
	}
	if err != nil {
		return nil, err
	}
	a := &Answer{Ended: true}
	if v.Usage != nil {
		a.Tier, a.Usage = v.Usage.Tier, v.Usage.read(nil)
	}
	if v.Stop == nil {
		return nil, errors.New("a message without stop_reason")
	}
	a.Finish = finishOf(*v.Stop)
	for _, whole := range v.Content {
		b, err := decode[messagesBlock](whole)
		if err != nil {
			return nil, err
		}
		if err := a.block(b, whole); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (messagesClient) Fault(status int, body []byte) (*Fault, error) {
	v, err := decode[struct {
		Type  string `json:"type"`
		Error *struct {
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"error"`
	}](body)
	if err != nil {
		return nil, err
	}
	if v.Type != "error" || v.Error == nil || v.Error.Type == "" || v.Error.Message == "" {
		return nil, fmt.Errorf("no error of Anthropic's shape: %.200s", body)
	}
	return &Fault{Status: status, Type: v.Error.Type, Message: v.Error.Message}, nil
}

func (messagesClient) Type(status int) string {
	switch status {
	case 400:
		return "invalid_request_error"
	case 401:
		return "authentication_error"
	case 402:
		return "billing_error"
	case 403:
		return "permission_error"
	case 404:
		return "not_found_error"
	case 413:
		return "request_too_large"
	case 429:
		return "rate_limit_error"
	}
	return "api_error"
}

func (messagesClient) Field(name string) string {
	switch name {
	case "media", "results":
		return "messages"
	case "response_format":
		return "output_config.format"
	case "stop":
		return "stop_sequences"
	case "reasoning_effort":
		return "output_config"
	case "parallel_tool_calls":
		return "tool_choice"
	case "budget":
		return "thinking"
	case "thoughts":
		return "thinking.display"
	case "max_completion_tokens":
		return "max_tokens"
	}
	return name
}
