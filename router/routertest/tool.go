package routertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

var toolbox = []Tool{
	{"weather", "Tells the weather.", json.RawMessage(`{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"]}`)},
	{"time", "Tells the time.", json.RawMessage(`{"type":"object","properties":{"zone":{"type":"string"}},"required":["zone"]}`)},
	{"stop", "Stops everything.", nil},
}

// arguments have what must survive two writings of JSON.
const arguments = `{"city":"Ærø \"日本\" \\ \n 🚢","days":3,"deep":{"a":[1,2.5,null,true,{}],"e":""}}`

// calls checks the names of the calls, that their ids differ and that their arguments are objects.
func calls(names ...string) func(*Session, *Reply) {
	return func(s *Session, r *Reply) {
		s.Helper()
		if len(r.Calls) != len(names) {
			s.Fatalf("%d calls, want %q\n%s", len(r.Calls), names, cut(r.body))
		}
		ids := map[string]bool{}
		for i, c := range r.Calls {
			if c.Name != names[i] {
				s.Errorf("call %d is of %q, want %q", i, c.Name, names[i])
			}
			if canonical(c.Args)[0] != '{' {
				s.Errorf("the arguments are %q", c.Args)
			}
			if c.ID != "" && ids[c.ID] || c.ID == "" && (s.In.Dialect() != gemini || !s.Same()) {
				s.Errorf("the id %q of call %d is not its own", c.ID, i)
			}
			ids[c.ID] = true
		}
		ends(s, r, "tool_calls")
	}
}

// args checks the arguments of all calls.
func args(text string) func(*Session, *Reply) {
	return func(s *Session, r *Reply) {
		s.Helper()
		for _, c := range r.Calls {
			if canonical(c.Args) != canonical(text) {
				s.Errorf("the arguments are %s, want %s", c.Args, text)
			}
		}
	}
}

// seal finds what providers seal into their answers.
var seal = regexp.MustCompile(`"(?:signature|thoughtSignature|encrypted_content)": ?"([^"]+)"`)

// sealed checks that what the provider sealed into its last answer came back to it, if it sealed anything.
func (s *Session) sealed(r *Reply, answer []byte) {
	s.Helper()
	seals := seal.FindAllSubmatch(answer, -1)
	if len(seals) == 0 {
		return
	}
	// A stream of Responses tells a seal twice, the first time perhaps in part.
	last, sent := seals[len(seals)-1][1], s.upstream(r).sent
	if !bytes.Contains(sent, last) || bytes.Contains(sent, []byte("skip_thought_signature_validator")) {
		s.Errorf("the seal %.40s… did not come back to the provider: %s", last, cut(sent))
	}
}

// loop plays a tool loop: calls, their results, and one more call with its result, so that what was sealed must come back twice.
func loop(kind, words string, thoughts bool) func(*Session) {
	return func(s *Session) {
		ask := Ask{Tools: toolbox, Thoughts: thoughts, Turns: user("[[sandbox call=weather,time " + words + "]]")}
		r := s.Do(ask, kind)
		r.whole(s)
		r.warned(s, "")
		calls("weather", "time")(s, r)
		results := []Result{{ID: r.Calls[0].ID, Name: "weather", Text: "[[sandbox call=time " + words + "]]"}, {ID: r.Calls[1].ID, Name: "time", Text: "noon"}}
		ask.Turns = append(ask.Turns, Turn{Assistant: true, Raw: r.Turn}, Turn{Results: results})
		made := s.upstream(r).got()
		r = s.Do(ask, kind)
		r.whole(s)
		r.warned(s, "")
		calls("time")(s, r)
		s.sealed(r, made)
		made = s.upstream(r).got()
		ask.Turns = append(ask.Turns, Turn{Assistant: true, Raw: r.Turn}, Turn{Results: []Result{{ID: r.Calls[0].ID, Name: "time", Text: "it is " + odd}}})
		r = s.Do(ask, kind)
		r.whole(s)
		r.warned(s, "")
		ends(s, r, "stop")
		s.sealed(r, made)
		if !strings.Contains(r.Text(), "result of time") || !strings.Contains(r.Text(), "it is "+strings.TrimSpace(odd)[:20]) {
			s.Errorf("the model read %q", r.Text())
		}
	}
}

var toolUse = []Scenario{
	{Name: "one tool", Feature: "Tools", Ask: Ask{Tools: toolbox, Turns: user("[[sandbox call=weather args=" + strconv.Quote(arguments) + "]]")},
		Check: all(calls("weather"), args(arguments))},
	{Name: "streamed arguments", Mode: Stream, Ask: Ask{Tools: toolbox, Turns: user("[[sandbox call=weather chunk_bytes=3 split=utf8 args=" + strconv.Quote(arguments) + "]]")},
		Check: all(calls("weather"), args(arguments))},
	{Name: "no arguments", Ask: Ask{Tools: toolbox, Turns: user(`[[sandbox call=stop args="{}"]]`)}, Check: all(calls("stop"), args("{}"))},
	{Name: "parallel tools", Feature: "Parallel calls", Ask: Ask{Tools: toolbox, Turns: user("[[sandbox calls=2 call=weather,time chunk_bytes=5]]")},
		Check: calls("weather", "time", "weather", "time")},
	{Name: "text and tools", Ask: Ask{Tools: toolbox, Turns: user(`[[sandbox say="Let me see." call=time]]`)}, Check: func(s *Session, r *Reply) {
		calls("time")(s, r)
		if r.Text() != "Let me see." {
			s.Errorf("the text is %q", r.Text())
		}
	}},
	{Name: "forced", Feature: "Forced call", Ask: Ask{Tools: toolbox, Choice: "required", Turns: user(question)}, Check: calls("weather")},
	{Name: "forced by name", Feature: "Call forced by name", Ask: Ask{Tools: toolbox, Choice: "time", Turns: user(question)}, Check: calls("time")},
	{Name: "none", Feature: "No call", Ask: Ask{Tools: toolbox, Choice: "none", Turns: user(question)}, Check: func(s *Session, r *Reply) {
		if len(r.Calls) > 0 {
			s.Errorf("%d calls where none is allowed", len(r.Calls))
		}
		ends(s, r, "stop")
	}},
	{Name: "serial", Feature: "One call at a time", Ask: Ask{Tools: toolbox, Serial: true, Turns: user("[[sandbox call=weather,time]]")},
		Outcome: func(p Pair) Outcome {
			switch {
			case p.Up.Dialect() == gemini:
				return Outcome{Warned, "parallel_tool_calls", "Gemini has no switch for it"}
			case p.Up.Strict:
				return Outcome{Warned, "parallel_tool_calls", "the server has no switch for it"}
			}
			return Outcome{}
		}, Check: calls("weather")},
	{Name: "forced where the model refuses it", Model: modelAuto, For: cross, Ask: Ask{Tools: toolbox, Choice: "required", Turns: user(question)},
		Outcome: func(Pair) Outcome { return Outcome{Refused, "tool_choice", "the model calls tools as it sees fit"} }},
	{Name: "results", Feature: "Results of tools", Run: loop(modelAny, "", false)},
	{Name: "results under seals", Feature: "Sealed reasoning in tool loops", For: sealing, Run: loop(modelSealed, "reasoning=20", false)},
	{Name: "results under shown seals", For: func(p Pair) bool { return sealing(p) && p.In.Dialect() != chat }, Run: loop(modelSealed, "reasoning=20", true)},
	{Name: "results one by one", For: cross, Run: oneByOne},
	{Name: "failed result", Feature: "Failed results", Run: failedResult,
		Outcome: to(Outcome{Approximate, "results", "the failure is said in front of the result: OpenAI has no mark for it"}, chat, responses),
		For:     func(p Pair) bool { return p.In.Dialect() == messages || p.In.Dialect() == gemini }},
	{Name: "history from elsewhere", Run: func(s *Session) {
		k := Call{"call_1", "weather", `{"city":"Oslo"}`}
		r := s.Do(Ask{Tools: toolbox, Turns: []Turn{{Text: "Weather?"}, {Assistant: true, Calls: []Call{k}}, {Results: []Result{{ID: "call_1", Name: "weather", Text: "sunny"}}}, {Text: question}}}, modelAny)
		r.whole(s)
		ends(s, r, "stop")
		sends("sunny", "Oslo")(s, r)
		if names := gjson.GetBytes(s.upstream(r).sent, "contents.#.parts.#.functionResponse.name|@flatten"); s.Up.Dialect() == gemini && names.Raw != `["weather"]` {
			s.Errorf("the result goes to Gemini under the name %s", names.Raw)
		}
	}},
}

// oneByOne brings the calls of one answer back as if they had been made in turn, and leaves the last of them out in the end: what
// the provider said as one must not come back to it twice, nor with calls that nothing answers.
func oneByOne(s *Session) {
	kind := modelSealed
	if !sealing(s.Pair) {
		kind = modelAny
	}
	ask := Ask{Tools: toolbox, Turns: user("[[sandbox call=weather,time reasoning=20]]")}
	r := s.Do(ask, kind)
	r.whole(s)
	calls("weather", "time")(s, r)
	for _, c := range r.Calls {
		ask.Turns = append(ask.Turns, Turn{Assistant: true, Calls: []Call{c}}, Turn{Results: []Result{{ID: c.ID, Name: c.Name, Text: "as ever"}}})
	}
	for _, n := range []int{2, 1} {
		ask.Turns = ask.Turns[:1+2*n]
		again := s.Do(ask, kind)
		again.whole(s)
		ends(s, again, "stop")
		if want := "result of " + r.Calls[n-1].Name; !strings.Contains(again.Text(), want) {
			s.Errorf("the model read %q, want the %s", again.Text(), want)
		}
	}
}

func sealing(p Pair) bool { return p.Up.Sealing != "" }

func failedResult(s *Session) {
	ask := Ask{Tools: toolbox, Turns: user("[[sandbox call=weather]]")}
	r := s.Do(ask, modelAny)
	r.whole(s)
	calls("weather")(s, r)
	ask.Turns = append(ask.Turns, Turn{Assistant: true, Raw: r.Turn}, Turn{Results: []Result{{ID: r.Calls[0].ID, Name: "weather", Text: "no such city", Failed: true}}})
	r = s.Do(ask, modelAny)
	r.whole(s)
	word, field := "result of weather", s.In.Field("results")
	if s.Up.Dialect() == messages || s.Up.Dialect() == gemini {
		word, field = "error of weather", ""
	}
	r.warned(s, field)
	if field != "" {
		sends("The tool failed.")(s, r)
	}
	if !strings.Contains(r.Text(), word) || !strings.Contains(r.Text(), "no such city") {
		s.Errorf("the model read %s", fmt.Sprintf("%q", r.Text()))
	}
}
