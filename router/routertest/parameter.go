package routertest

import (
	"cmp"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/ledger"
)

// unsent checks that a leg left out what the model refuses, whatever its dialect calls it.
func unsent(names ...string) func(*Session, *Reply) {
	return func(s *Session, r *Reply) {
		s.Helper()
		sent := gjson.ParseBytes(s.upstream(r).sent)
		for _, n := range names {
			if sent.Get(n).Exists() || sent.Get("generationConfig."+n).Exists() {
				s.Errorf("%s went upstream: %s", n, sent.Raw)
			}
		}
	}
}

// value checks a number in the upstream's body, under any of the names.
func value(want float64, names ...string) func(*Session, *Reply) {
	return func(s *Session, r *Reply) {
		s.Helper()
		sent := gjson.ParseBytes(s.upstream(r).sent)
		for _, n := range names {
			if v := sent.Get(n); v.Exists() {
				if v.Num != want {
					s.Errorf("%s went upstream as %s, want %g", n, v.Raw, want)
				}
				return
			}
		}
		s.Errorf("none of %q went upstream: %s", names, sent.Raw)
	}
}

// unknownField is forwarded where the upstream speaks the caller's dialect; what the upstream makes of it is its own affair. The
// sandbox is as strict as its providers, so that the three refuse it by its name.
func unknownField(s *Session) {
	r := s.Do(Ask{Turns: user(question), Unknown: true}, modelAny)
	if cross(s.Pair) {
		r.refused(s, s.In.Field("unheard_of"))
		return
	}
	if sent := s.upstream(r).sent; !strings.Contains(string(sent), s.In.Field("unheard_of")+`":{"deep":[1,2]}`) {
		s.Errorf("the field did not go upstream: %s", cut(sent))
	}
	if r.Fault == nil {
		r.whole(s)
	} else if r.status != 400 || !strings.Contains(r.Fault.Message, s.In.Field("unheard_of")) {
		s.Errorf("the provider's own refusal does not reach the caller: %s", describe(r))
	}
}

// terse checks that the wish for a short answer went upstream.
func terse(s *Session, r *Reply) {
	s.Helper()
	sent := gjson.ParseBytes(s.upstream(r).sent)
	if word := sent.Get("verbosity").Str + sent.Get("text.verbosity").Str; word != "low" {
		s.Errorf("the verbosity %q went upstream: %s", word, cut([]byte(sent.Raw)))
	}
}

// edits are the members that a same-dialect leg may change.
var edits = map[ledger.Dialect][]string{
	chat:      {"model", "stream_options", "max_completion_tokens", "max_tokens"},
	responses: {"model", "max_output_tokens", "include"},
	messages:  {"model", "max_tokens"},
	gemini:    {"generationConfig"},
}

var parameters = []Scenario{
	{Name: "temperature", Feature: "temperature", Ask: Ask{Turns: user(question), Temperature: 0.5},
		Check: value(0.5, "temperature", "generationConfig.temperature")},
	{Name: "top_p", Feature: "top_p", Ask: Ask{Turns: user(question), TopP: 0.25}, Check: value(0.25, "top_p", "generationConfig.topP")},
	{Name: "temperature and top_p", Feature: "temperature and top_p together", For: func(p Pair) bool { return p.In.Dialect() != messages },
		Ask:     Ask{Turns: user(question), Temperature: 0.5, TopP: 0.25},
		Outcome: to(Outcome{Approximate, "top_p", "Anthropic's models take one of them: top_p is left out"}, messages),
		Check:   value(0.5, "temperature", "generationConfig.temperature")},
	{Name: "sampling that the model refuses", Model: modelFixed, Ask: Ask{Turns: user(question), Temperature: 0.5},
		Outcome: func(Pair) Outcome { return Outcome{Approximate, "temperature", ""} }, Check: unsent("temperature")},
	{Name: "hot", Feature: "temperature above 1", Ask: Ask{Turns: user(question), Temperature: 1.5},
		For:     func(p Pair) bool { return p.In.Dialect() != messages },
		Outcome: to(Outcome{Approximate, "temperature", "Anthropic's scale ends at 1: 1 is sent"}, messages),
		Check: func(s *Session, r *Reply) {
			want := 1.5
			if s.Up.Dialect() == messages {
				want = 1
			}
			value(want, "temperature", "generationConfig.temperature")(s, r)
		}},
	{Name: "top_k", Feature: "top_k", Ask: Ask{Turns: user(question), TopK: 20},
		Outcome: to(Outcome{Refused, "top_k", "OpenAI has none"}, chat, responses), Check: value(20, "top_k", "generationConfig.topK")},
	{Name: "seed", Feature: "seed", Ask: Ask{Turns: user(question), Seed: 7},
		Outcome: to(Outcome{Refused, "seed", "the provider has none"}, messages, responses), Check: value(7, "seed", "generationConfig.seed")},
	{Name: "penalty", Feature: "penalties", Ask: Ask{Turns: user(question), Frequency: 0.5},
		Outcome: to(Outcome{Refused, "frequency_penalty", "the provider has none"}, messages, responses),
		Check:   value(0.5, "frequency_penalty", "generationConfig.frequencyPenalty")},
	{Name: "two answers", Feature: "several answers (n)", Ask: Ask{Turns: user(question), N: 2},
		Outcome: to(Outcome{Refused, "n", "the provider gives one"}, messages, responses), Check: func(s *Session, r *Reply) {
			if len(r.Texts) != 2 || r.Texts[0] == "" || r.Texts[1] == "" || r.Texts[0] == r.Texts[1] {
				s.Errorf("the answers are %q", r.Texts)
			}
		}},
	{Name: "service tier", Feature: "service tier", Ask: Ask{Turns: user(question), Tier: "priority"},
		For: func(p Pair) bool { return p.In.Dialect() != messages },
		Outcome: first(to(Outcome{Refused, "service_tier", "Anthropic's tiers are others"}, messages), func(p Pair) Outcome {
			if p.Up.Strict {
				return Outcome{Warned, "service_tier", "the server has none"}
			}
			return Outcome{}
		}), Check: func(s *Session, r *Reply) {
			sent := gjson.ParseBytes(s.upstream(r).sent)
			if tier := sent.Get("service_tier").Str + sent.Get("serviceTier").Str; tier != "priority" {
				s.Errorf("the tier %q went upstream", tier)
			}
		}},
	{Name: "verbosity", Feature: "verbosity", Ask: Ask{Turns: user(question), Verbosity: "low"},
		Outcome: to(Outcome{Warned, "verbosity", "the provider has no word for the length of an answer"}, messages, gemini), Check: terse},
	{Name: "default verbosity", For: func(p Pair) bool { return p.Up.Dialect() == messages || p.Up.Dialect() == gemini }, // which is nothing to tell of
		Ask: Ask{Turns: user(question), Verbosity: "medium"}},
	{Name: "unknown field", Feature: "fields that waybill does not know", Ask: Ask{Turns: user(question), Unknown: true},
		Outcome: func(p Pair) Outcome {
			if cross(p) {
				return Outcome{Refused, "unheard_of", "only the caller's own dialect can carry it"}
			}
			return Outcome{}
		}, Run: unknownField},
	{Name: "same bytes", For: same,
		Run: func(s *Session) {
			ask := Ask{System: "Be brief.", Turns: []Turn{{Text: odd}, {Assistant: true, Text: "An answer."}, {Text: question}}, Tools: toolbox, Cap: 900, Stream: s.Streamed}
			in, err := s.In.Write(ask, s.model(""))
			if err != nil {
				s.Fatal(err)
			}
			r := s.send(in, ask)
			r.whole(s)
			if id := cmp.Or(r.facts.Header.Get("X-Request-Id"), r.facts.Header.Get("Request-Id")); id == "" && s.Up.Dialect() != gemini {
				s.Error("the provider's id of the request does not reach the caller")
			}
			if d := sameBody(s.upstream(r).sent, in.Body, edits[s.In.Dialect()]...); d != "" {
				s.Errorf("the body: %s", d)
			}
			if s.Up.Provider.Quirks.NoStreamOptions {
				return
			}
			if s.Streamed && s.In.Dialect() == chat && !gjson.GetBytes(s.upstream(r).sent, "stream_options.include_usage").Bool() {
				s.Error("usage is not asked for upstream")
			}
		}},
	{Name: "headers", For: func(p Pair) bool { return p.In.Dialect() == messages && p.Same() }, Run: func(s *Session) {
		ask := Ask{Turns: user(question), Stream: s.Streamed}
		in, err := s.In.Write(ask, s.model(""))
		if err != nil {
			s.Fatal(err)
		}
		in.Header["Anthropic-Beta"] = []string{"one-2026-01-01,two-2026-02-02", "three-2026-03-03"}
		r := s.send(in, ask)
		r.whole(s)
		got := strings.Join(s.upstream(r).header["Anthropic-Beta"], ",")
		for _, beta := range []string{"one-2026-01-01", "two-2026-02-02", "three-2026-03-03"} {
			if !strings.Contains(got, beta) {
				s.Errorf("the betas that went upstream are %q", got)
			}
		}
	}},
}
