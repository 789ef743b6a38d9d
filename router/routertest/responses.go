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
	if a.Schema != nil {
		b["text"] = object{"format": object{"type": "json_schema", "name": "answer", "schema": a.Schema, "strict": true}}
	}
	if a.JSON {
		b["text"] = object{"format": object{"type": "json_object"}}
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

func (responsesClient) items(a Ask) (out []any) {
	for _, t := range a.Turns {
		for _, r := range t.Raw {
			out = append(out, r)
		}
		for _, r := range t.Results {
			out = append(out, object{"type": "function_call_output", "call_id": r.ID, "output": r.Text})
		}
		var parts []object
		switch {
		case t.Text != "" && t.Assistant:
			parts = append(parts, object{"type": "output_text", "text": t.Text, "annotations": []any{}})
		case t.Text != "":
			parts = append(parts, object{"type": "input_text", "text": t.Text})
		}
		for _, m := range t.Media {
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

type responsesEvent struct {
	Type     string           `json:"type"`
	Sequence *int             `json:"sequence_number"`
	Response *responsesAnswer `json:"response"`
	Output   *int             `json:"output_index"`
	Item     json.RawMessage  `json:"item"`
	ItemID   string           `json:"item_id"`
	Delta    string           `json:"delta"`
	Text     string           `json:"text"`
	Refusal  string           `json:"refusal"`
	Args     string           `json:"arguments"`
	Code     *string          `json:"code"`
	Message  string           `json:"message"`
}

// responsesStream follows the events of a stream.
type responsesStream struct {
	sequence int
	created  bool
	ids      []string // of the items
	parts    map[string]int
	said     map[string]string // by item and kind of text, what the deltas came to
	items    []json.RawMessage
	failed   bool // the terminal event of a failure has come
	a        *Answer
}

func (c responsesClient) Stream(body []byte, ask Ask) (*Answer, error) {
	all, err := events(body, true)
	s := responsesStream{sequence: -1, parts: map[string]int{}, said: map[string]string{}, a: &Answer{}}
	for _, e := range all {
		v, err := decode[responsesEvent]([]byte(e.data))
		if err != nil {
			return s.a, err
		}
		switch {
		case v.Type != e.name:
			err = fmt.Errorf("event %q has type %q", e.name, v.Type)
		case s.a.Ended || s.failed || s.a.Fault != nil && v.Type != "response.failed":
			err = errors.New("comes after the end")
		case v.Sequence == nil || *v.Sequence <= s.sequence:
			err = fmt.Errorf("the sequence number does not follow on %d", s.sequence)
		default:
			s.sequence = *v.Sequence
			err = s.step(v)
		}
		if err != nil {
			return s.a, fmt.Errorf("%w: %s", err, e.data)
		}
	}
	if err == nil && s.created && !s.failed && !s.a.Ended {
		err = errors.New("a stream that has begun has no terminal event")
	}
	return s.a, err
}

func (s *responsesStream) step(v responsesEvent) error {
	if !s.created && v.Type != "response.created" && v.Type != "error" {
		return errors.New("comes before response.created")
	}
	switch v.Type {
	case "response.created":
		s.created = true
	case "response.output_item.added":
		i, err := decode[responsesItem](v.Item)
		if err != nil {
			return err
		}
		if v.Output == nil || *v.Output != len(s.ids) || i.ID == "" {
			return fmt.Errorf("item %d is to come now, with an id", len(s.ids))
		}
		s.ids = append(s.ids, i.ID)
		s.items = append(s.items, nil)
	case "response.output_item.done":
		if v.Output == nil || *v.Output >= len(s.items) || s.items[*v.Output] != nil {
			return errors.New("an item is done that is not open")
		}
		s.items[*v.Output] = v.Item
	case "response.content_part.added":
		s.parts[v.ItemID]++
	case "response.output_text.delta", "response.refusal.delta":
		if s.parts[v.ItemID] == 0 {
			return errors.New("text without a part")
		}
		s.said[v.ItemID+v.Type] += v.Delta
	case "response.function_call_arguments.delta":
		s.said[v.ItemID+v.Type] += v.Delta
	case "response.output_text.done", "response.refusal.done", "response.function_call_arguments.done":
		kind := v.Type[:len(v.Type)-len("done")] + "delta"
		if got := s.said[v.ItemID+kind]; got != v.Text+v.Refusal+v.Args {
			return fmt.Errorf("the deltas come to %q", got)
		}
	case "error":
		if v.Message == "" {
			return errors.New("an error without a message")
		}
		s.a.Faults++
		s.a.Fault = &Fault{Status: 200, Code: deref(v.Code), Message: v.Message}
	case "response.completed", "response.incomplete", "response.failed":
		return s.end(v)
	}
	return nil
}

// fail ends the stream. OpenAI's SDKs raise the event error, and whoever waits for a terminal event gets that behind it: both
// tell of the same failure.
func (s *responsesStream) fail(a *Answer) error {
	s.failed = true
	if s.a.Fault != nil && s.a.Fault.Code != a.Fault.Code {
		return fmt.Errorf("two failures, %q and %q", s.a.Fault.Code, a.Fault.Code)
	}
	s.a.Fault, s.a.Faults = a.Fault, 1
	return nil
}

// end compares the whole response with what its events said.
func (s *responsesStream) end(v responsesEvent) error {
	if v.Response == nil || "response."+v.Response.Status != v.Type {
		return errors.New("the last event has no response, or one of another status")
	}
	if v.Type == "response.failed" && v.Response.Output == nil {
		v.Response.Output = []json.RawMessage{}
	}
	a, err := v.Response.answer()
	if err != nil {
		return err
	}
	if v.Type == "response.failed" {
		return s.fail(a)
	}
	if len(s.items) != len(v.Response.Output) {
		return fmt.Errorf("%d items in the events, %d at the end", len(s.items), len(v.Response.Output))
	}
	for i := range s.items {
		if canonical(string(s.items[i])) != canonical(string(v.Response.Output[i])) {
			return fmt.Errorf("item %d was done as %s", i, s.items[i])
		}
	}
	said := ""
	for _, id := range s.ids {
		said += s.said[id+"response.output_text.delta"]
	}
	if said != a.Text() {
		return fmt.Errorf("the deltas come to %q", said)
	}

	s.a = a
	return nil
}

func (responsesClient) Fault(status int, body []byte) (*Fault, error) {
	return chatClient{}.Fault(status, body)
}

func (responsesClient) Type(int) string { return "" }

func (responsesClient) Field(name string) string {
	words := map[string]string{"media": "input", "messages": "input", "response_format": "text", "reasoning_effort": "reasoning",
		"max_completion_tokens": "max_output_tokens"}
	if word, ok := words[name]; ok {
		return word
	}
	return name
}
