package routertest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"waybill/ledger"
	"waybill/router/sandbox"
)

// schema is what a structured answer is to satisfy: within every provider's subset.
const schema = `{"type":"object","properties":{"title":{"type":"string"},"count":{"type":"integer"},"tags":{"type":"array","items":{"type":"string"}}},"required":["title","count","tags"],"additionalProperties":false}`

var structures = []Scenario{
	{Name: "JSON schema", Feature: "Answers by a JSON schema", Ask: Ask{Turns: user(question), Schema: json.RawMessage(schema)},
		Outcome: func(p Pair) Outcome {
			if p.Up.Strict {
				return Outcome{Approximate, "response_format", "the server knows JSON, but no schemas"}
			}
			return Outcome{}
		},
		Check: func(s *Session, r *Reply) {
			if s.Up.Strict {
				return
			}
			v, err := decode[struct {
				Title *string
				Count *int
				Tags  []string
			}]([]byte(r.Text()))
			if err != nil || v.Title == nil || v.Count == nil || v.Tags == nil {
				s.Errorf("the text does not satisfy the schema: %s", r.Text())
			}
			ends(s, r, "stop")
		}},
	{Name: "JSON object", Feature: "Answers in any JSON", Ask: Ask{Turns: user("As JSON: " + question), JSON: true},
		Outcome: to(Outcome{Approximate, "response_format", "an instruction stands in for it"}, messages), Check: isObject},
	{Name: "JSON object, asked for by the system text", Ask: Ask{System: "Answer in JSON.", Turns: user(question), JSON: true},
		For:     func(p Pair) bool { return p.In.Dialect() != responses || p.Up.Dialect() != responses }, // which does not look there
		Outcome: to(Outcome{Verdict: Approximate, Field: "response_format"}, messages), Check: isObject},
	{Name: "JSON object, without the word that OpenAI wants", Ask: Ask{Turns: user(question), JSON: true}, For: func(p Pair) bool { return p.In.Dialect() == gemini || !openAIs(p.Up.Dialect()) },
		Outcome: to(Outcome{Verdict: Approximate, Field: "response_format"}, messages, chat, responses), Check: isObject},
	// OpenAI's own callers are told what OpenAI tells them.
	{Name: "JSON object, without the word, for OpenAI's callers", For: func(p Pair) bool { return openAIs(p.In.Dialect()) && openAIs(p.Up.Dialect()) },
		Ask: Ask{Turns: user(question), JSON: true}, Run: func(s *Session) {
			r := s.Do(Ask{Turns: user(question), JSON: true}, modelAny)
			if r.status != http.StatusBadRequest || r.Fault == nil || !strings.Contains(r.Fault.Message, "json") {
				s.Errorf("want OpenAI's refusal: %s\n%s", describe(r), cut(r.body))
			}
		}},
}

func openAIs(d ledger.Dialect) bool { return d == chat || d == responses }

func isObject(s *Session, r *Reply) {
	s.Helper()
	if s.Up.Dialect() != messages && canonical(r.Text())[0] != '{' {
		s.Errorf("the text is no JSON object: %s", r.Text())
	}
}

// pixel is a PNG of one pixel, paper a PDF of nothing.
var (
	pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
	paper = base64.StdEncoding.EncodeToString([]byte("%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"))
)

func bytesOf(data string) []byte {
	b, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		panic(err) // the data are above
	}
	return b
}

func sees(line string) func(*Session, *Reply) {
	return func(s *Session, r *Reply) {
		s.Helper()
		if strings.TrimSpace(r.Text()) != line {
			s.Errorf("the model saw %q, want %q", r.Text(), line)
		}
		ends(s, r, "stop")
	}
}

const picture = "https://example.com/a.png"

// showing is a conversation in which a tool gave back more than text.
func showing(m ...Media) Ask {
	return Ask{Tools: toolbox, Turns: []Turn{{Text: "Weather?"}, {Assistant: true, Calls: []Call{{"call_1", "weather", `{"city":"Oslo"}`}}},
		{Results: []Result{{ID: "call_1", Name: "weather", Text: "as seen", Media: m}}}}}
}

// reads checks that the model was given the text of a result and its media.
func reads(lines ...string) func(*Session, *Reply) {
	return func(s *Session, r *Reply) {
		s.Helper()
		for _, line := range append(lines, "as seen") {
			if !strings.Contains(r.Text(), line) {
				s.Errorf("the model read %q, and not %q", r.Text(), line)
			}
		}
		ends(s, r, "stop")
	}
}

// seen is what becomes of media in the results of tools.
var seen = to(Outcome{Refused, "results", "the provider's tools give back text alone"}, chat)

var mediaParts = []Scenario{
	{Name: "image", Feature: "Images", Ask: Ask{Turns: []Turn{{Text: "What is this?", Media: []Media{{Type: "image/png", Data: pixel}}}}},
		Check: sees(sandbox.Media("image/png", bytesOf(pixel)))},
	{Name: "image by address", For: func(p Pair) bool { return cross(p) || p.In.Dialect() != gemini }, Feature: "Images by address", Ask: Ask{Turns: []Turn{{Text: "What is this?", Media: []Media{{Type: "image/png", URL: picture}}}}},
		Outcome: to(Outcome{Refused, "media", "Gemini fetches no addresses, and waybill none for it"}, gemini), Check: sees(sandbox.MediaURL("image", picture))},
	{Name: "two images", Ask: Ask{Turns: []Turn{{Text: "And these?", Media: []Media{{Type: "image/png", Data: pixel}, {Type: "image/png", Data: pixel}}}}},
		Check: sees(strings.Repeat(sandbox.Media("image/png", bytesOf(pixel))+"\n", 1) + sandbox.Media("image/png", bytesOf(pixel)))},
	{Name: "document", Feature: "Documents", Ask: Ask{Turns: []Turn{{Text: "Read this.", Media: []Media{{Document: true, Type: "application/pdf", Data: paper}}}}},
		Outcome: func(p Pair) Outcome {
			if p.Up.Dialect() == gemini && (p.In.Dialect() == chat || p.In.Dialect() == responses) {
				return Outcome{Approximate, "media", "its name is left out"}
			}
			return Outcome{}
		}, Check: sees(sandbox.Media("application/pdf", bytesOf(paper)))},
	{Name: "image in a result", Feature: "Images in results of tools", Ask: showing(Media{Type: "image/png", Data: pixel}),
		Outcome: seen, Check: reads(sandbox.Media("image/png", bytesOf(pixel)))},
	{Name: "images in a result", Ask: showing(Media{Type: "image/png", Data: pixel}, Media{Type: "image/png", Data: pixel}),
		Outcome: seen, Check: reads(sandbox.Media("image/png", bytesOf(pixel)) + "\n" + sandbox.Media("image/png", bytesOf(pixel)))},
	{Name: "image by address in a result", For: func(p Pair) bool { return p.In.Dialect() != gemini }, Ask: showing(Media{Type: "image/png", URL: picture}),
		Outcome: first(seen, to(Outcome{Refused, "results", "Gemini fetches no addresses, and waybill none for it"}, gemini)),
		Check:   reads(sandbox.MediaURL("image", picture))},
	{Name: "document in a result", Feature: "Documents in results of tools", Ask: showing(Media{Document: true, Type: "application/pdf", Data: paper}),
		Outcome: first(seen, func(p Pair) Outcome {
			if p.Up.Dialect() == gemini && p.In.Dialect() == responses {
				return Outcome{Approximate, "results", "its name is left out"}
			}
			return Outcome{}
		}), Check: reads(sandbox.Media("application/pdf", bytesOf(paper)))},
}
