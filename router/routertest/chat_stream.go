package routertest

import (
	"encoding/json"
	"errors"
	"fmt"
)

// chatStream is where a stream stands.
type chatStream struct {
	a      *Answer
	hush   bool         // no chunk of usage was asked for
	id     string       // of the answer
	spoken map[int]bool // the answers whose role has been told
}

func (c chatClient) Stream(body []byte, ask Ask) (*Answer, error) {
	all, err := events(body, true)
	if err != nil {
		return nil, err
	}
	s := chatStream{a: &Answer{}, hush: ask.Hush, spoken: map[int]bool{}}
	for _, e := range all {
		if s.a.Ended || s.a.Fault != nil && e.data != "[DONE]" {
			return s.a, fmt.Errorf("%q comes after the end", e.data)
		}
		if e.data == "[DONE]" {
			s.a.Ended = true
			continue
		}
		v, err := decode[chatAnswer]([]byte(e.data))
		if err != nil {
			return s.a, err
		}
		if v.Error != nil {
			s.a.Faults++
			if s.a.Fault, err = c.Fault(200, []byte(e.data)); err != nil {
				return s.a, err
			}
			continue
		}
		if err := s.chunk(v); err != nil {
			return s.a, fmt.Errorf("%w: %s", err, e.data)
		}
	}
	s.a.Turn = []json.RawMessage{chatTurn(s.a)}
	return s.a, nil
}

func (s *chatStream) chunk(v chatAnswer) error {
	if v.Choices != nil && len(v.Choices) == 0 && v.ID == "" {
		return nil // Azure's opening, which tells what its filter says of the prompt
	}
	if err := v.proper("chat.completion.chunk"); err != nil {
		return err
	}
	if s.id == "" {
		s.id = v.ID
	}
	if s.id != v.ID {
		return fmt.Errorf("the id changes from %q", s.id)
	}
	if v.Tier != "" {
		s.a.Tier = v.Tier
	}
	for _, choice := range v.Choices {
		if choice.Index == nil || choice.Delta == nil {
			return errors.New("a choice without index or delta")
		}
		if err := s.delta(*choice.Index, *choice.Delta); err != nil {
			return err
		}
		if choice.Finish != nil && *choice.Index == 0 {
			s.a.Finish = *choice.Finish
		}
	}
	u, err := v.Usage.read()
	switch {
	case err != nil:
		return err
	case u == nil:
	case s.hush && len(v.Choices) == 0:
		return errors.New("a chunk of usage that nobody asked for")
	default:
		s.a.Usage = u
	}
	return nil
}

func (s *chatStream) delta(i int, d chatSaid) error {
	if d.Role != "" {
		s.spoken[i] = true
	} else if !s.spoken[i] {
		return fmt.Errorf("the first delta of choice %d has no role", i)
	}
	s.a.add(i, deref(d.Content))
	if i > 0 {
		return nil
	}
	s.a.Refusal += deref(d.Refusal)
	return s.a.fragments(d.Calls)
}

// fragments adds what a delta says of calls.
func (a *Answer) fragments(calls []chatCall) error {
	for _, k := range calls {
		switch {
		case k.Index == nil || *k.Index > len(a.Calls):
			return errors.New("a fragment of a call without its index, or beyond the next")
		case *k.Index == len(a.Calls):
			if k.ID == "" || k.Function.Name == "" || k.Type != "function" {
				return errors.New("the first fragment of a call has no id, name or type")
			}
			a.Calls = append(a.Calls, Call{ID: k.ID, Name: k.Function.Name})
		case k.ID != "" || k.Function.Name != "":
			return errors.New("a later fragment of a call has id or name")
		}
		a.Calls[*k.Index].Args += k.Function.Arguments
	}
	return nil
}
