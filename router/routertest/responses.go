package routertest

import (
	"encoding/json"
	"errors"
	"fmt"

	"waybill/ledger"
	"waybill/router"
)

// responsesClient speaks OpenAI Responses without stored state, from the types of openai-go v3.96.0.
type responsesClient struct{}

func (responsesClient) Dialect() ledger.Dialect { return ledger.DialectOpenAIResponses }

func (c responsesClient) Write(a Ask, model string) (router.Incoming, error) {
	in := router.Incoming{Endpoint: router.EndpointChat}
	switch {
	case a.Count:
		return in, unsaid("counts of tokens")
	case a.Embed:
		return in, unsaid("embeddings")
	case a.Stop != nil:
		return in, unsaid("stop strings")
	case a.N > 1:
		return in, unsaid("several answers")
	case a.Seed != 0, a.TopK != 0, a.Frequency != 0, a.Budget != 0:
		return in, unsaid("top_k, seeds, penalties and budgets")
	}
	b := object{"model": model, "input": c.items(a), "store": false}
	set(b, object{"instructions": a.System, "max_output_tokens": a.Cap, "temperature": a.Temperature, "top_p": a.TopP, "service_tier": a.Tier})
	if a.Tools != nil {
		var tools []object
		for _, t := range a.Tools {
			schema := t.Schema
			if schema == nil {
				schema = json.RawMessage(`{"type":"object","properties":{}}`)
			}
			tools = append(tools, object{"type": "function", "name": t.Name, "description": t.Description, "parameters": schema, "strict": false})
		}
		b["tools"] = tools
	}
	switch a.Choice {
	case "":
	case "auto", "none", "required":
		b["tool_choice"] = a.Choice
	default:
		b["tool_choice"] = object{"type": "function", "name": a.Choice}
	}
	if a.Serial {
		b["parallel_tool_calls"] = false
	}
	text := object{}
	if a.Schema != nil {
		text["format"] = object{"type": "json_schema", "name": "answer", "schema": a.Schema, "strict": true}
	}
	if a.JSON {
		text["format"] = object{"type": "json_object"}
	}
	if set(text, object{"verbosity": a.Verbosity}); len(text) > 0 {
		b["text"] = text
	}
	reasoning := object{}
	set(reasoning, object{"effort": a.Effort})
	if a.Thoughts {
		reasoning["summary"] = "auto"
		b["include"] = []string{"reasoning.encrypted_content"}
	}
	if len(reasoning) > 0 {
		b["reasoning"] = reasoning
	}
	if a.Unknown {
		b["unheard_of"] = object{"deep": []int{1, 2}}
	}
	if a.Stream {
		b["stream"] = true
	}
	in.Body = raw(b)
	return in, nil
}

func (c responsesClient) items(a Ask) (out []any) {
	for _, t := range a.Turns {
		for _, r := range t.Raw {
			out = append(out, r)
		}
		for _, r := range t.Results {
			item := object{"type": "function_call_output", "call_id": r.ID, "output": r.Text}
			if r.Media != nil {
				item["output"] = append([]object{{"type": "input_text", "text": r.Text}}, c.media(r.Media)...)
			}
			out = append(out, item)
		}
		var parts []object
		switch {
		case t.Text != "" && t.Assistant:
			parts = append(parts, object{"type": "output_text", "text": t.Text, "annotations": []any{}})
		case t.Text != "":
			parts = append(parts, object{"type": "input_text", "text": t.Text})
		}
		parts = append(parts, c.media(t.Media)...)
		switch {
		case parts == nil:
		case t.System:
			out = append(out, object{"type": "message", "role": "developer", "content": parts})
		case t.Assistant:
			out = append(out, object{"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": parts})
		default:
			out = append(out, object{"type": "message", "role": "user", "content": parts})
		}
		for _, k := range t.Calls {
			out = append(out, object{"type": "function_call", "call_id": k.ID, "name": k.Name, "arguments": k.Args})
		}
	}
	return out
}

func (responsesClient) media(all []Media) (parts []object) {
	for _, m := range all {
		at := m.URL
		if m.Data != "" {
			at = "data:" + m.Type + ";base64," + m.Data
		}
		switch {
		case !m.Document:
			parts = append(parts, object{"type": "input_image", "image_url": at, "detail": "auto"})
		case m.Data != "":
			parts = append(parts, object{"type": "input_file", "file_data": at, "filename": "a.pdf"})
		default:
			parts = append(parts, object{"type": "input_file", "file_url": at})
		}
	}
	return parts
}

type responsesItem struct {
	Type    string `json:"type"`
	ID      string `json:"id"`
	Role    string `json:"role"`
	Content []struct {
		Type    string `json:"type"`
		Text    string `json:"text"`
		Refusal string `json:"refusal"`
	} `json:"content"`
	Summary []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	} `json:"summary"`
	CallID    string `json:"call_id"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type responsesAnswer struct {
	ID         string            `json:"id"`
	Object     string            `json:"object"`
	Created    *json.Number      `json:"created_at"`
	Model      string            `json:"model"`
	Status     string            `json:"status"`
	Output     []json.RawMessage `json:"output"`
	Tier       string            `json:"service_tier"`
	Incomplete *struct {
		Reason string `json:"reason"`
	} `json:"incomplete_details"`
	Error *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
	Usage *struct {
		Input  int `json:"input_tokens"`
		Output int `json:"output_tokens"`
		Total  int `json:"total_tokens"`
		In     struct {
			Cached  int `json:"cached_tokens"`
			Written int `json:"cache_write_tokens"`
			Write   struct {
				Long int `json:"ttl_12h_tokens"`
			} `json:"cache_write_tokens_details"`
		} `json:"input_tokens_details"`
		Out struct {
			Reasoning int `json:"reasoning_tokens"`
		} `json:"output_tokens_details"`
	} `json:"usage"`
}

// answer understands a response that has come to its end.
func (v *responsesAnswer) answer() (*Answer, error) {
	if v.ID == "" || v.Object != "response" || v.Created == nil || v.Model == "" || v.Output == nil {
		return nil, fmt.Errorf("a response without id, object, created_at, model or output: %+v", v)
	}
	a := &Answer{Ended: true, Tier: v.Tier, Turn: v.Output}
	for _, whole := range v.Output {
		i, err := decode[responsesItem](whole)
		if err != nil {
			return nil, err
		}
		switch i.Type {
		case "message":
			if i.ID == "" || i.Role != "assistant" {
				return nil, fmt.Errorf("a message without id or role: %s", whole)
			}
			for _, p := range i.Content {
				if p.Type == "output_text" {
					a.add(0, p.Text)
				}
				a.Refusal += p.Refusal
			}
		case "function_call":
			if i.ID == "" || i.CallID == "" || i.Name == "" {
				return nil, fmt.Errorf("a call without id, call_id or name: %s", whole)
			}
			a.Calls = append(a.Calls, Call{i.CallID, i.Name, i.Arguments})
		case "reasoning":
			if i.ID == "" {
				return nil, fmt.Errorf("reasoning without id: %s", whole)
			}
			for _, s := range i.Summary {
				a.Thought += s.Text
			}
		}
	}
	if u := v.Usage; u != nil {
		if u.Total != u.Input+u.Output {
			return nil, fmt.Errorf("total_tokens is %d", u.Total)
		}
		a.Usage = &Usage{u.Input, u.In.Cached, u.In.Written, u.In.Write.Long, u.Output, u.Out.Reasoning}
	}
	switch v.Status {
	case "completed":
		a.Finish = "stop"
		if len(a.Calls) > 0 {
			a.Finish = "tool_calls" // this is how clients tell
		}
	case "incomplete":
		if v.Incomplete == nil {
			return nil, errors.New("an incomplete response that does not say why")
		}
		a.Finish = map[string]string{"max_output_tokens": "length", "content_filter": "content_filter"}[v.Incomplete.Reason]
	case "failed":
		if v.Error == nil || v.Error.Code == "" || v.Error.Message == "" {
			return nil, errors.New("a failed response that does not say why")
		}
		a.Fault, a.Faults, a.Ended = &Fault{Status: 200, Code: v.Error.Code, Message: v.Error.Message}, 1, false
	default:
		return nil, fmt.Errorf("the status is %q", v.Status)
	}
	return a, nil
}

func (c responsesClient) Read(body []byte, ask Ask) (*Answer, error) {
	v, err := decode[responsesAnswer](body)
	if err != nil {
		return nil, err
	}
	return v.answer()
}

func (responsesClient) Fault(status int, body []byte) (*Fault, error) {
	return chatClient{}.Fault(status, body)
}

func (responsesClient) Type(int) string { return "" }

func (responsesClient) Field(name string) string {
	words := map[string]string{"media": "input", "messages": "input", "results": "input", "response_format": "text", "reasoning_effort": "reasoning", "thoughts": "reasoning.summary",
		"max_completion_tokens": "max_output_tokens", "verbosity": "text.verbosity"}
	if word, ok := words[name]; ok {
		return word
	}
	return name
}
