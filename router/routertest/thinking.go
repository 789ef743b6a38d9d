package routertest

// reasons checks that what was thought is counted.
func reasons(s *Session, r *Reply) {
	s.Helper()
	if u := r.settled(s).Usage; u.Reasoning == 0 {
		s.Errorf("no reasoning is settled: %+v", u)
	}
}

// shows tells whether an upstream shows thoughts and the caller's dialect has a place for them. OpenAI shows none in Chat
// Completions; compatible servers do.
func shows(p Pair) bool { return p.In.Dialect() != chat && p.Up.Name != "openai-chat" }

var thinking = []Scenario{
	{Name: "effort", Feature: "Reasoning effort", Ask: Ask{Turns: user("[[sandbox reasoning=40]]"), Effort: "high"},
		Outcome: func(p Pair) Outcome {
			if p.Up.Strict {
				return Outcome{Approximate, "reasoning_effort", "the server has no efforts"}
			}
			return Outcome{}
		}, Check: reasons},
	{Name: "effort at a budget model", Model: modelBudget, For: func(p Pair) bool {
		return cross(p) && (p.Up.Dialect() == messages || p.Up.Dialect() == gemini)
	},
		Ask: Ask{Turns: user("[[sandbox reasoning=40]]"), Effort: "medium", Cap: 30_000},
		// Gemini's budgets are those that Google itself gives the efforts; Anthropic names none.
		Outcome: to(Outcome{Approximate, "reasoning_effort", ""}, messages), Check: reasons},
	{Name: "budget", Feature: "Reasoning budgets", Ask: Ask{Turns: user("[[sandbox reasoning=40]]"), Budget: 4096, Cap: 30_000},
		Outcome: func(p Pair) Outcome {
			if cross(p) {
				return Outcome{Approximate, "budget", "the nearest effort is sent"}
			}
			return Outcome{}
		}, Check: reasons},
	{Name: "hidden thoughts", Ask: Ask{Turns: user("[[sandbox reasoning=40]]" + question)}, Check: func(s *Session, r *Reply) {
		reasons(s, r)
		if cross(s.Pair) && r.Thought != "" {
			s.Errorf("thoughts that nobody asked for: %q", r.Thought)
		}
	}},
	{Name: "shown thoughts", Feature: "Thoughts shown", Ask: Ask{Turns: user("[[sandbox reasoning=40]]" + question), Thoughts: true},
		For: func(p Pair) bool { return p.In.Dialect() != chat }, Outcome: func(p Pair) Outcome {
			switch {
			case p.Up.Name == "openai-chat":
				return Outcome{Approximate, "thoughts", "there are none to show: OpenAI tells only how many tokens they were"}
			case p.Up.Dialect() == chat:
				return Outcome{Approximate, "thoughts", "as far as the provider shows them unasked"}
			}
			return Outcome{}
		}, Check: func(s *Session, r *Reply) {
			reasons(s, r)
			if shows(s.Pair) && r.Thought == "" {
				s.Errorf("no thoughts are shown\n%s", cut(r.body))
			}
		}},
	{Name: "shown thoughts come back", For: func(p Pair) bool { return p.In.Dialect() != chat }, Run: func(s *Session) {
		ask := Ask{Turns: user("[[sandbox reasoning=40]]" + question), Thoughts: true}
		r := s.Do(ask, modelAny)
		r.whole(s)
		ask.Turns = append(ask.Turns, Turn{Assistant: true, Raw: r.Turn}, Turn{Text: question})
		r = s.Do(ask, modelAny)
		r.whole(s)
		ends(s, r, "stop")
	}},
	{Name: "redacted thoughts", For: func(p Pair) bool { return p.Up.Dialect() == messages },
		Ask: Ask{Turns: user("[[sandbox reasoning=40 redacted]]" + question)}, Check: reasons},
}
