package routertest

import (
	"net/http"

	"waybill/ledger"
	"waybill/router/sandbox"
)

// declined checks that a caller sees that the model, or a filter, would not answer.
func declined(s *Session, r *Reply) {
	s.Helper()
	if s.In.Dialect() == gemini && r.Text() != "" && (s.Up.Dialect() == chat || s.Up.Dialect() == responses) {
		return // the model's own words: Gemini's models decline in text, too
	}
	if r.Refusal == "" && r.Finish != "content_filter" {
		s.Errorf("nothing tells of the refusal: finish %q\n%s", r.Finish, cut(r.body))
	}
}

var endings = []Scenario{
	{Name: "refusal", Feature: "Refusals", Ask: Ask{Turns: user("[[sandbox verdict=refusal]]")}, Check: declined,
		Outcome: func(p Pair) Outcome {
			if p.In.Dialect() == gemini && (p.Up.Dialect() == chat || p.Up.Dialect() == responses) {
				return Outcome{Carried, "", "as text: Gemini's own models decline in text"}
			}
			return Outcome{}
		}},
	{Name: "filtered", Ask: Ask{Turns: user("[[sandbox verdict=filtered]]")}, Check: declined},
	{Name: "blocked prompt", Feature: "Blocked prompts", Outcome: func(p Pair) Outcome {
		if p.Up.Dialect() == chat || p.Up.Dialect() == responses {
			return Outcome{Carried, "", "as an error with status 400, which is how OpenAI tells"}
		}
		return Outcome{}
	}, Run: func(s *Session) {
		r := s.Do(Ask{Turns: user("[[sandbox verdict=blocked]]")}, modelAny)
		if r.Fault == nil {
			r.whole(s)
			declined(s, r)
			return
		}
		// OpenAI says so with a status.
		if s.Up.Dialect() != chat && s.Up.Dialect() != responses || r.status != http.StatusBadRequest {
			s.Errorf("a blocked prompt is %s", describe(r))
		}
		r.void(s)
	}},
}

// void checks that a failed call costs nothing, and gives its attempts.
func (r *Reply) void(s *Session) []ledger.Attempt {
	s.Helper()
	for _, e := range r.events {
		if voided, ok := e.Event.(*ledger.RequestVoided); ok {
			return voided.Attempts
		}
	}
	s.Errorf("the call is not voided: %s", describe(r))
	return nil
}

var usages = []Scenario{
	{Name: "missing usage", Feature: "Usage estimated where none is given", Run: func(s *Session) {
		r := s.Do(Ask{Turns: user("[[sandbox no_usage]]" + question)}, modelAny)
		if r.Fault != nil || !r.Ended || r.Text() != sandbox.Answer(question, 0) {
			s.Fatalf("the answer is %q: %s", r.Text(), describe(r))
		}
		if e := r.settled(s); e.Source != ledger.UsageEstimate || e.Usage.Input == 0 || e.Usage.Output == 0 {
			s.Errorf("settled %+v by %s", e.Usage, e.Source)
		}
	}},
	{Name: "cached input", Feature: "Usage: cache reads", Ask: Ask{Turns: user("[[sandbox input=1000 cached=640]]" + question)}, Check: classes(ledger.Usage{Input: 360, CacheRead: 640})},
	{Name: "cache writes by lifetime", Feature: "Usage: cache writes by lifetime", For: writes, Outcome: func(p Pair) Outcome {
		if p.Up.Dialect() == chat {
			return Outcome{Carried, "", "as one figure, which is all that Chat Completions reports"}
		}
		return Outcome{}
	},
		Ask: Ask{Turns: user("[[sandbox input=1000 cached=600 cache_write=96 cache_write_long=40]]" + question)}, Check: func(s *Session, r *Reply) {
			want := ledger.Usage{Input: 264, CacheRead: 600, CacheWrite: 96, CacheWriteLong: 40}
			if s.Up.Dialect() == chat {
				want.CacheWrite, want.CacheWriteLong = 136, 0
			}
			classes(want)(s, r)
		}},
	{Name: "reported tier", Feature: "Usage: the tier that was used", Run: func(s *Session) {
		word := "flex"
		if s.Up.Dialect() == gemini {
			word = "ON_DEMAND_FLEX"
		}
		r := s.Do(Ask{Turns: user("[[sandbox tier=" + word + "]]" + question)}, modelAny)
		r.whole(s)
		if tier := r.settled(s).ServiceTier; tier != "flex" {
			s.Errorf("settled on the tier %q", tier)
		}
		if cross(s.Pair) && (s.In.Dialect() == chat || s.In.Dialect() == responses) && r.Tier != "flex" {
			s.Errorf("the caller is told the tier %q", r.Tier)
		}
	}},
}

// writes tells whether the upstream reports what it writes into its cache.
func writes(p Pair) bool {
	return p.Up.Dialect() != gemini && p.Up.Dialect() != chat || p.Up.Name == "openai-chat"
}

// classes checks the settled classes of the input.
func classes(want ledger.Usage) func(*Session, *Reply) {
	return func(s *Session, r *Reply) {
		s.Helper()
		got := r.settled(s).Usage
		got.Output, got.Reasoning = 0, 0
		if got != want {
			s.Errorf("settled %+v, want %+v", got, want)
		}
	}
}

var endpoints = []Scenario{
	{Name: "embedding", Feature: "Embeddings", Mode: Unary, Ask: Ask{Embed: true, Texts: []string{odd}}, Outcome: embeds, Run: embed(odd)},
	{Name: "embeddings", Mode: Unary, Ask: Ask{Embed: true, Texts: []string{"one", "two", odd}}, Outcome: embeds, Run: embed("one", "two", odd)},
	{Name: "token count", Feature: "Token counts", Mode: Unary, Ask: Ask{Count: true, Turns: user(question)},
		Outcome: func(p Pair) Outcome {
			if p.Up.Dialect() == chat {
				return Outcome{Refused, "model", "the provider does not count"}
			}
			return Outcome{}
		}, Run: count},
}

func embeds(p Pair) Outcome {
	if d := p.Up.Dialect(); d == messages || d == responses {
		return Outcome{Refused, "model", "the provider has no embeddings"}
	}
	return Outcome{}
}

func embed(texts ...string) func(*Session) {
	return func(s *Session) {
		ask := Ask{Embed: true, Texts: texts}
		r := s.Do(ask, modelAny)
		if embeds(s.Pair).Verdict == Refused {
			r.refused(s, s.In.Field("model"))
			return
		}
		if r.Fault != nil {
			s.Fatal(describe(r))
		}
		if len(r.Vectors) != len(texts) {
			s.Fatalf("%d vectors of %d texts", len(r.Vectors), len(texts))
		}
		for i, v := range r.Vectors {
			if len(v) == 0 || i > 0 && v[0] == r.Vectors[i-1][0] {
				s.Errorf("vector %d is %v", i, v[:min(len(v), 4)])
			}
		}
		want := tokensOf(r.calls[0].Tokens, s.Up.Dialect())
		e := r.settled(s)
		if e.Source == ledger.UsageProvider && e.Usage != want || e.Usage.Output != 0 || e.Usage.Input == 0 {
			s.Errorf("settled %+v by %s, the upstream served %+v", e.Usage, e.Source, want)
		}
		if e.Source == ledger.UsageEstimate && s.Up.Dialect() != gemini {
			s.Error("the usage is an estimate where the upstream gave one")
		}
	}
}

func count(s *Session) {
	ask := Ask{Count: true, Turns: user(question)}
	r := s.Do(ask, modelAny)
	if s.Up.Dialect() == chat {
		r.refused(s, s.In.Field("model"))
		return
	}
	if r.Fault != nil {
		s.Fatal(describe(r))
	}
	if r.Tokens != sandbox.CountTokens(question) {
		s.Errorf("%d tokens, want %d", r.Tokens, sandbox.CountTokens(question))
	}
	if e := r.settled(s); e.Usage != (ledger.Usage{}) || e.Source != ledger.UsageProvider {
		s.Errorf("a count is settled with %+v by %s", e.Usage, e.Source)
	}
}
