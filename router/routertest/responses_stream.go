package routertest

import (
	"encoding/json"
	"errors"
	"fmt"
)

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
