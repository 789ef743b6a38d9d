package routertest

import (
	"bytes"
	"strconv"
	"strings"

	"waybill/router/sandbox"
)

// says checks the text of the first answer and that it ended by itself.
func says(text string) func(*Session, *Reply) {
	return func(s *Session, r *Reply) {
		s.Helper()
		if r.Text() != text {
			s.Errorf("the text is %q, want %q", r.Text(), text)
		}
		ends(s, r, "stop")
	}
}

func ends(s *Session, r *Reply, finish string) {
	s.Helper()
	if r.Finish != finish {
		s.Errorf("the answer ends with %q, want %q", r.Finish, finish)
	}
}

// sends checks that the upstream was told all of some words.
func sends(words ...string) func(*Session, *Reply) {
	return func(s *Session, r *Reply) {
		s.Helper()
		for _, w := range words {
			if sent := s.upstream(r).sent; !bytes.Contains(sent, []byte(w)) {
				s.Errorf("%q did not go upstream:\n%s", w, cut(sent))
			}
		}
	}
}

// all makes one check of several.
func all(checks ...func(*Session, *Reply)) func(*Session, *Reply) {
	return func(s *Session, r *Reply) {
		s.Helper()
		for _, c := range checks {
			c(s, r)
		}
	}
}

// odd is text that breaks careless code: runes of all lengths, marks that join, quotes, what looks like markup or an end of line.
const odd = "Ærø — 日本語 🚢👩‍👩‍👧 \"q\" \\ back\\slash <b>&amp;</b> \u2028 \ttab\r\nline\n\x7f e\u0301 "

var long = strings.Repeat(odd, 40)

const question = "How is freight counted, please?"

var texts = []Scenario{
	{Name: "plain", Feature: "Text", Ask: Ask{Turns: user(question)}, Check: says(sandbox.Answer(question, 0))},
	{Name: "usage not asked for", Mode: Stream, For: func(p Pair) bool { return p.In.Dialect() == chat },
		Ask: Ask{Turns: user(question), Hush: true}, Check: says(sandbox.Answer(question, 0))},
	{Name: "system", Feature: "System text", Ask: Ask{System: "Speak as a harbour master.", Turns: user(question)},
		Check: all(says(sandbox.Answer(question, 0)), sends("Speak as a harbour master."))},
	{Name: "multi-turn", Feature: "Conversations", Ask: Ask{Turns: []Turn{{Text: "First words."}, {Assistant: true, Text: "An answer."}, {Text: question}}},
		Check: all(says(sandbox.Answer(question, 0)), sends("First words.", "An answer."))},
	{Name: "system text in the middle", Feature: "System text in the middle",
		Ask:     Ask{Turns: []Turn{{Text: "First words."}, {Assistant: true, Text: "An answer."}, {System: true, Text: "From now on be brief."}, {Text: question}}},
		Outcome: to(Outcome{Carried, "", "in its place, as the user's words: the provider takes system text at the beginning only"}, messages, gemini),
		Check:   sends("First words.", "An answer.", "From now on be brief.", question)},
	{Name: "array", Mode: Stream, For: func(p Pair) bool { return p.In.Dialect() == gemini }, Ask: Ask{Turns: user(question), Array: true},
		Check: says(sandbox.Answer(question, 0))},
	{Name: "stop string", Feature: "Stop strings", Ask: Ask{Turns: user(`[[sandbox say="one two HALT three"]]`), Stop: []string{"HALT"}},
		Outcome: to(Outcome{Refused, "stop", "Responses has no stop strings"}, responses), Check: says("one two ")},
	{Name: "cap reached", Feature: "Output cap", Ask: Ask{Turns: user("[[sandbox output=200]]"), Cap: 32}, Check: func(s *Session, r *Reply) {
		ends(s, r, "length")
		if u := r.settled(s).Usage; u.Output != 32 {
			s.Errorf("%d tokens of output under a cap of 32", u.Output)
		}
	}},
	{Name: "long unicode", Ask: Ask{Turns: user("[[sandbox chunk_bytes=701 say=" + strconv.Quote(long) + "]]")}, Check: says(long)},
	{Name: "odd boundaries", Mode: Stream, Ask: Ask{Turns: user("[[sandbox split=utf8 crlf pings chunk_bytes=7 say=" + strconv.Quote(odd) + "]]"), Pings: true}, Check: says(odd)},
	{Name: "byte by byte", Mode: Stream, Ask: Ask{Turns: user("[[sandbox split=1 pings output=8]]" + question), Pings: true}, Check: says(sandbox.Answer(question, 8))},
	{Name: "extras", Ask: Ask{Turns: user("[[sandbox extras]]" + question)}, Check: says(sandbox.Answer(question, 0))},
}
