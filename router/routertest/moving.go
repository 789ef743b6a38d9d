package routertest

import "waybill/router/sandbox"

// either are the scenarios of OpenAI's models that reason: their tools go to Responses, whatever the caller speaks; all else goes
// in the caller's own dialect where OpenAI has it.
var either = []Scenario{
	{Name: "plain", Model: modelSealed, Ask: Ask{Turns: user(question)}, Check: func(s *Session, r *Reply) {
		want := chat
		if s.In.Dialect() == responses {
			want = responses
		}
		if got := r.calls[0].Dialect; got != string(want) {
			s.Errorf("the call went in %s", got)
		}
	}},
	{Name: "tools go to Responses", Model: modelSealed, Ask: Ask{Tools: toolbox, Turns: user("[[sandbox call=weather,time reasoning=20]]")},
		Check: all(calls("weather", "time"), func(s *Session, r *Reply) {
			if got := r.calls[0].Dialect; got != string(responses) {
				s.Errorf("the call went in %s", got)
			}
		})},
	{Name: "verbosity goes with tools to Responses", Model: modelSealed, Ask: Ask{Tools: toolbox, Verbosity: "low", Turns: user("[[sandbox call=weather]]")},
		Check: all(calls("weather"), terse)},
	{Name: "tools without reasoning stay", Model: modelSealed, For: func(p Pair) bool { return p.In.Dialect() == chat },
		Ask: Ask{Tools: toolbox, Effort: "none", Turns: user("[[sandbox call=time]]")}, Check: all(calls("time"), func(s *Session, r *Reply) {
			if got := r.calls[0].Dialect; got != string(chat) {
				s.Errorf("the call went in %s", got)
			}
		})},
	{Name: "results under seals", Run: loop(modelSealed, "reasoning=20", false)},
}

// moves are conversations that go on elsewhere than where their seals were made.
var moves = []Scenario{
	{Name: "seals stay behind on another credential", Feature: "Sealed reasoning that cannot travel is left behind", For: sealing, Run: func(s *Session) {
		ask := Ask{Tools: toolbox, Thoughts: s.In.Dialect() != chat, Turns: user("[[sandbox call=weather,time reasoning=20]]")}
		r := s.Do(ask, modelSealed)
		r.whole(s)
		ask.Turns = append(ask.Turns, Turn{Assistant: true, Raw: r.Turn}, Turn{Results: results(r)})
		defer s.bench.up.Script("", "", sandbox.Script{Key: s.keys[s.Up.credential(0)], Fail: sandbox.Overloaded})()
		defer s.bench.up.Script("", "", sandbox.Script{Key: s.keys[s.Up.credential(1)], Reasoning: 20})()
		r = s.Do(ask, modelSealed)
		r.whole(s)
		ends(s, r, "stop")
		if len(r.calls) != 2 {
			s.Errorf("%d calls", len(r.calls))
		}
		if s.Same() && len(r.facts.Warnings) == 0 {
			s.Error("no warning says that the seals stayed behind")
		}
		// And on, where the caller has seals of both: the conversation stays where it is, and only those of the first stay behind.
		ask.Turns = append(ask.Turns, Turn{Assistant: true, Raw: r.Turn}, Turn{Text: question})
		r = s.Do(ask, modelSealed)
		r.whole(s)
		ends(s, r, "stop")
		if s.Same() && len(r.calls) != 1 {
			s.Errorf("%d calls", len(r.calls))
		}
	}},
	{Name: "a conversation moves to another provider", For: sealing, Run: func(s *Session) {
		for _, to := range Upstreams {
			if to.Name == s.Up.Name {
				continue
			}
			ask := Ask{Tools: toolbox, Thoughts: s.In.Dialect() != chat, Turns: user("[[sandbox call=weather,time reasoning=20]]")}
			r := s.Do(ask, modelSealed)
			r.whole(s)
			ask.Turns = append(ask.Turns, Turn{Assistant: true, Raw: r.Turn}, Turn{Results: results(r)})
			there := *s
			there.Up = to
			kind := modelSealed
			if to.Sealing == "" {
				kind = modelAny
			}
			moved := there.Do(ask, kind)
			if moved.Fault != nil {
				s.Errorf("from %s to %s: %s", s.Up.Name, to.Name, describe(moved))
				continue
			}
			moved.whole(&there)
			// And back, where the seals are that the caller still has.
			ask.Turns = append(ask.Turns, Turn{Assistant: true, Raw: moved.Turn}, Turn{Text: question})
			back := s.Do(ask, modelSealed)
			if back.Fault != nil {
				s.Errorf("from %s back to %s: %s", to.Name, s.Up.Name, describe(back))
				continue
			}
			back.whole(s)
			ends(s, back, "stop")
		}
	}},
}

// results answer every call.
func results(r *Reply) (out []Result) {
	for _, c := range r.Calls {
		out = append(out, Result{ID: c.ID, Name: c.Name, Text: "as ever"})
	}
	return out
}
