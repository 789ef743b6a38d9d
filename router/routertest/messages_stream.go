package routertest

import (
	"encoding/json"
	"errors"
	"fmt"
)

type messagesEvent struct {
	Type    string          `json:"type"`
	Message *messagesAnswer `json:"message"`
	Index   *int            `json:"index"`
	Block   *messagesBlock  `json:"content_block"`
	Delta   struct {
		Type      string  `json:"type"`
		Text      string  `json:"text"`
		JSON      string  `json:"partial_json"`
		Thinking  string  `json:"thinking"`
		Signature string  `json:"signature"`
		Stop      *string `json:"stop_reason"`
	} `json:"delta"`
	Usage *messagesUsage `json:"usage"`
}

// messagesStream is where a stream stands.
type messagesStream struct {
	a       *Answer
	begun   bool
	next    int            // the index of the next block
	block   *messagesBlock // that is open
	partial string
}

func (c messagesClient) Stream(body []byte, ask Ask) (*Answer, error) {
	all, err := events(body, true)
	s := messagesStream{a: &Answer{}}
	for _, e := range all {
		v, err := decode[messagesEvent]([]byte(e.data))
		if err != nil {
			return s.a, err
		}
		if v.Type != e.name {
			return s.a, fmt.Errorf("event %q has type %q", e.name, v.Type)
		}
		if s.a.Ended || s.a.Fault != nil {
			return s.a, fmt.Errorf("%s comes after the end", v.Type)
		}
		if v.Type == "error" {
			s.a.Faults++
			if s.a.Fault, err = c.Fault(200, []byte(e.data)); err != nil {
				return s.a, err
			}
			continue
		}
		if err := s.step(v); err != nil {
			return s.a, fmt.Errorf("%w: %s", err, e.data)
		}
	}
	return s.a, err
}

func (s *messagesStream) step(v messagesEvent) error {
	if !s.begun && v.Type != "message_start" && v.Type != "ping" {
		return errors.New("comes before message_start")
	}
	switch v.Type {
	case "message_start":
		if s.begun || v.Message == nil {
			return errors.New("a second start, or one without a message")
		}
		s.begun = true
		if u := v.Message.Usage; u != nil {
			s.a.Tier, s.a.Usage = u.Tier, u.read(nil)
		}
		if v.Message.Stop != nil {
			return errors.New("a message starts with its stop_reason")
		}
		return v.Message.proper()
	case "content_block_start":
		if s.block != nil || v.Index == nil || *v.Index != s.next || v.Block == nil || s.a.Finish != "" {
			return fmt.Errorf("block %d is to start now", s.next)
		}
		s.next++
		s.block, s.partial = v.Block, ""
	case "content_block_delta":
		if s.block == nil || v.Index == nil || *v.Index != s.next-1 {
			return errors.New("a delta of a block that is not open")
		}
		return s.delta(v)
	case "content_block_stop":
		if s.block == nil || v.Index == nil || *v.Index != s.next-1 {
			return errors.New("the end of a block that is not open")
		}
		b := s.block
		s.block = nil
		return s.close(b)
	case "message_delta":
		if s.block != nil {
			return errors.New("a message_delta within a block")
		}
		if v.Usage != nil {
			s.a.Usage = v.Usage.read(s.a.Usage)
		}
		if v.Delta.Stop != nil {
			s.a.Finish = finishOf(*v.Delta.Stop)
		}
	case "message_stop":
		if s.a.Finish == "" {
			return errors.New("the message stops without a stop_reason")
		}
		s.a.Ended = true
	}
	return nil
}

func (s *messagesStream) delta(v messagesEvent) error {
	b, d := s.block, v.Delta
	fits := map[string]string{"text_delta": "text", "input_json_delta": "tool_use", "thinking_delta": "thinking", "signature_delta": "thinking"}
	if kind, ok := fits[d.Type]; ok && kind != b.Type {
		return fmt.Errorf("a %s of a block of type %s", d.Type, b.Type)
	}
	b.Text += d.Text
	b.Thinking += d.Thinking
	b.Signature += d.Signature
	s.partial += d.JSON
	return nil
}

// close takes a block whose end has come.
func (s *messagesStream) close(b *messagesBlock) error {
	whole := object{"type": b.Type}
	switch b.Type {
	case "text":
		whole["text"] = b.Text
	case "thinking":
		whole["thinking"], whole["signature"] = b.Thinking, b.Signature
	case "redacted_thinking":
		whole["data"] = b.Data
	case "tool_use":
		if s.partial == "" {
			s.partial = "{}"
		}
		if !json.Valid([]byte(s.partial)) {
			return fmt.Errorf("the input of a tool is not JSON: %q", s.partial)
		}
		b.Input = json.RawMessage(s.partial)
		whole["id"], whole["name"], whole["input"] = b.ID, b.Name, b.Input
	default: // a client does not replay what it does not know
		return nil
	}
	return s.a.block(*b, raw(whole))
}
