package routertest

import (
	"encoding/json"
	"errors"
	"fmt"

	"waybill/ledger"
	"waybill/router"
)

// chatClient speaks OpenAI Chat Completions, from the types of openai-go v3.96.0.
type chatClient struct{}

func (chatClient) Dialect() ledger.Dialect { return ledger.DialectOpenAIChat }

func (c chatClient) Write(a Ask, model string) (router.Incoming, error) {
	in := router.Incoming{Endpoint: router.EndpointChat}
	b := object{"model": model}
	switch {
	case a.Count:
		return in, unsaid("counts of tokens")
	case a.Embed:
		in.Endpoint = router.EndpointEmbed
		b["input"] = a.Texts
		in.Body = raw(b)
		return in, nil
	case a.TopK != 0:
		return in, unsaid("top_k")
	case a.shown():
		return in, unsaid("results of tools that are not text")
	case a.Budget != 0:
		return in, unsaid("budgets of reasoning")
	}
	b["messages"] = c.messages(a)
	if a.Stream {
		b["stream"] = true
		if !a.Hush {
			b["stream_options"] = object{"include_usage": true}
		}
	}
	if a.Tools != nil {
		var tools []object
		for _, t := range a.Tools {
			f := object{"name": t.Name, "description": t.Description}
			if t.Schema != nil {
				f["parameters"] = t.Schema
			}
			tools = append(tools, object{"type": "function", "function": f})
		}
		b["tools"] = tools
	}
	switch a.Choice {
	case "":
	case "auto", "none", "required":
		b["tool_choice"] = a.Choice
	default:
		b["tool_choice"] = object{"type": "function", "function": object{"name": a.Choice}}
	}
	if a.Serial {
		b["parallel_tool_calls"] = false
	}
	if a.Schema != nil {
		b["response_format"] = object{"type": "json_schema", "json_schema": object{"name": "answer", "schema": a.Schema, "strict": true}}
	}
	if a.JSON {
		b["response_format"] = object{"type": "json_object"}
	}
	set(b, object{"max_completion_tokens": a.Cap, "temperature": a.Temperature, "top_p": a.TopP, "n": a.N, "seed": a.Seed,
		"frequency_penalty": a.Frequency, "reasoning_effort": a.Effort, "service_tier": a.Tier, "verbosity": a.Verbosity})
	if a.Stop != nil {
		b["stop"] = a.Stop
	}
	if a.Unknown {
		b["unheard_of"] = object{"deep": []int{1, 2}}
	}
	in.Body = raw(b)
	return in, nil
}

// set writes what is not zero.
func set(b object, fields object) {
	for name, v := range fields {
		if v != 0 && v != 0.0 && v != "" {
			b[name] = v
		}
	}
}

func (c chatClient) messages(a Ask) (out []any) {
	if a.System != "" {
		out = append(out, object{"role": "system", "content": a.System})
	}
	for _, t := range a.Turns {
		for _, r := range t.Raw {
			out = append(out, r)
		}
		for _, r := range t.Results {
			out = append(out, object{"role": "tool", "tool_call_id": r.ID, "content": r.Text})
		}
		switch {
		case t.Raw != nil, t.Text == "" && t.Media == nil && t.Calls == nil:
		case t.System:
			out = append(out, object{"role": "system", "content": t.Text})
		case t.Assistant:
			m := object{"role": "assistant", "content": t.Text}
			var calls []object
			for _, k := range t.Calls {
				calls = append(calls, object{"id": k.ID, "type": "function", "function": object{"name": k.Name, "arguments": k.Args}})
			}
			if calls != nil {
				m["tool_calls"] = calls
			}
			out = append(out, m)
		case t.Media == nil:
			out = append(out, object{"role": "user", "content": t.Text})
		default:
			parts := []object{{"type": "text", "text": t.Text}}
			for _, m := range t.Media {
				at := m.URL
				if m.Data != "" {
					at = "data:" + m.Type + ";base64," + m.Data
				}
				if m.Document {
					parts = append(parts, object{"type": "file", "file": object{"file_data": at, "filename": "a.pdf"}})
				} else {
					parts = append(parts, object{"type": "image_url", "image_url": object{"url": at}})
				}
			}
			out = append(out, object{"role": "user", "content": parts})
		}
	}
	return out
}

type chatUsage struct {
	Prompt     *int `json:"prompt_tokens"`
	Completion int  `json:"completion_tokens"`
	Total      int  `json:"total_tokens"`
	In         struct {
		Cached  int `json:"cached_tokens"`
		Written int `json:"cache_write_tokens"`
	} `json:"prompt_tokens_details"`
	Out struct {
		Reasoning int `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

func (u *chatUsage) read() (*Usage, error) {
	if u == nil || u.Prompt == nil {
		return nil, nil
	}
	if u.Total != *u.Prompt+u.Completion {
		return nil, fmt.Errorf("total_tokens %d of %d and %d", u.Total, *u.Prompt, u.Completion)
	}
	return &Usage{Input: *u.Prompt, Cached: u.In.Cached, Written: u.In.Written, Output: u.Completion, Reasoning: u.Out.Reasoning}, nil
}

type chatCall struct {
	Index    *int   `json:"index"`
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

type chatSaid struct {
	Role    string     `json:"role"`
	Content *string    `json:"content"`
	Refusal *string    `json:"refusal"`
	Calls   []chatCall `json:"tool_calls"`
}

type chatAnswer struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created *int64 `json:"created"`
	Model   string `json:"model"`
	Choices []struct {
		Index   *int            `json:"index"`
		Message json.RawMessage `json:"message"`
		Delta   *chatSaid       `json:"delta"`
		Finish  *string         `json:"finish_reason"`
	} `json:"choices"`
	Usage *chatUsage      `json:"usage"`
	Tier  string          `json:"service_tier"`
	Error json.RawMessage `json:"error"`
}

func (v *chatAnswer) proper(object string) error {
	switch {
	case v.ID == "" || v.Created == nil || v.Model == "":
		return errors.New("an answer without id, created or model")
	case v.Object != object:
		return fmt.Errorf("object is %q", v.Object)
	}
	return nil
}

func (c chatClient) Read(body []byte, ask Ask) (*Answer, error) {
	if ask.Embed {
		return c.vectors(body)
	}
	v, err := decode[chatAnswer](body)
	if err == nil {
		err = v.proper("chat.completion")
	}
	if err != nil {
		return nil, err
	}
	a := &Answer{Tier: v.Tier, Ended: true}
	for i, choice := range v.Choices {
		m, err := decode[chatSaid](choice.Message)
		if err != nil {
			return nil, err
		}
		if choice.Index == nil || *choice.Index != i || m.Role != "assistant" || choice.Finish == nil {
			return nil, fmt.Errorf("choice %d: index, role or finish_reason is missing: %s", i, body)
		}
		if m.Content == nil && m.Calls == nil && m.Refusal == nil {
			return nil, errors.New("a message without content, calls and refusal")
		}
		a.add(i, deref(m.Content))
		if i == 0 {
			a.Refusal, a.Finish = deref(m.Refusal), *choice.Finish
			for _, k := range m.Calls {
				if k.Type != "function" || k.ID == "" {
					return nil, fmt.Errorf("a call of type %q with id %q", k.Type, k.ID)
				}
				a.Calls = append(a.Calls, Call{k.ID, k.Function.Name, k.Function.Arguments})
			}
		}
	}
	a.Turn = []json.RawMessage{chatTurn(a)}
	a.Usage, err = v.Usage.read()
	return a, err
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func chatTurn(a *Answer) json.RawMessage {
	m := object{"role": "assistant", "content": a.Text()}
	var calls []object
	for _, k := range a.Calls {
		calls = append(calls, object{"id": k.ID, "type": "function", "function": object{"name": k.Name, "arguments": k.Args}})
	}
	if calls != nil {
		m["tool_calls"], m["content"] = calls, nil
	}
	return raw(m)
}

func (chatClient) Fault(status int, body []byte) (*Fault, error) {
	v, err := decode[struct {
		Error *struct {
			Message string  `json:"message"`
			Type    string  `json:"type"`
			Param   *string `json:"param"`
			Code    *string `json:"code"`
		} `json:"error"`
	}](body)
	if err != nil {
		return nil, err
	}
	if v.Error == nil || v.Error.Message == "" || v.Error.Type == "" {
		return nil, fmt.Errorf("no error of OpenAI's shape: %.200s", body)
	}
	return &Fault{status, v.Error.Type, deref(v.Error.Code), deref(v.Error.Param), v.Error.Message}, nil
}

// Type is empty: OpenAI's SDKs go by the status.
func (chatClient) Type(int) string { return "" }

func (chatClient) Field(name string) string {
	if name == "media" {
		return "messages"
	}
	return name
}
