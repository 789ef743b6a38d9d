package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"strings"
	"testing"
	"time"

	"waybill/router/sandbox"
)

// The official clients, as developers use them: each asks every scenario of every provider's model, unary and streamed.
// What a scenario wants is said once, in the words below; a client's file turns them into its own types and back.

const sdkTimeout = 60 * time.Second

var sdkModels = []string{"openai/gpt-6-luna", "anthropic/claude-haiku-5-5", "google/gemini-2.5-flash-lite"}

// question is what a developer asks of a client.
type question struct {
	model, system string
	turns         []turn // the last is the user's
	tools         []string
	choice        string // empty, none, required, or the name of a tool
	schema        map[string]any
	think         bool // and show me what you think
	cap           int64
	stream        bool
}

// turn is one turn of the conversation: the user's, or the assistant's as the client brings it back.
type turn struct {
	text    string
	image   []byte
	results []toolResult
	said    any // the assistant's, in the client's own type
}

type toolResult struct{ id, name, text string }

type toolCall struct{ id, name, args string }

// answer is what the client made of the reply.
type answer struct {
	text, thoughts string
	calls          []toolCall
	finish         string // stop, length or tool
	usage          sdkUsage
	pieces         int // of a streamed text
	said           any
}

// sdkUsage counts in OpenAI's way: cached and written tokens are input, reasoning is output.
type sdkUsage struct{ input, cached, output, reasoning int64 }

// sdkClient is one of the official clients.
type sdkClient interface {
	ask(ctx context.Context, q question) (answer, error)
}

// sdkClients makes each client, on a key of the node's.
var sdkClients = map[string]func(t *testing.T, url, key string) sdkClient{
	"chat":      newChatClient,
	"responses": newResponsesClient,
	"anthropic": newAnthropicClient,
	"genai":     newGenaiClient,
}

// shows tells whether a client shows what a model thought: where its dialect has a place for it and the upstream's says it.
// OpenAI says it in Responses alone.
func shows(client, model string) bool {
	if strings.HasPrefix(model, "openai/") {
		return client == "responses"
	}
	return client != "chat"
}

// sdkTools are the tools, by name: the schema of what each takes.
var sdkTools = map[string]string{
	"weather": `{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city","days"],"additionalProperties":false}`,
	"clock":   `{"type":"object","properties":{"zone":{"type":"string"}},"required":["zone"],"additionalProperties":false}`,
}

const sdkSchema = `{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},"required":["name","age"],"additionalProperties":false}`

func object(text string) (o map[string]any) {
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		panic(err)
	}
	return o
}

// same compares two JSON texts by what they say.
func same(t *testing.T, what, got, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Errorf("%s: %q is not JSON: %v", what, got, err)
		return
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(g) != fmt.Sprint(w) {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

func pixel(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sdkRun is one client asking one model.
type sdkRun struct {
	*testing.T
	client, model string
	stream        bool
	c             sdkClient
	ctx           context.Context
}

// ask asks, and fails the test if that fails.
func (r *sdkRun) ask(q question) answer {
	r.Helper()
	q.model, q.stream = r.model, r.stream
	if q.cap == 0 {
		q.cap = 4000
	}
	a, err := r.c.ask(r.ctx, q)
	if err != nil {
		r.Fatal(err)
	}
	if !r.stream {
		a.pieces = 0
	}
	return a
}

// answers brings the results of the last answer's calls back, and asks on.
func (r *sdkRun) answers(q question, a answer, results ...string) answer {
	r.Helper()
	back := turn{}
	for i, c := range a.calls {
		back.results = append(back.results, toolResult{c.id, c.name, results[i]})
	}
	q.turns = append(append([]turn{}, q.turns...), turn{said: a.said}, back)
	q.choice = ""
	return r.ask(q)
}

const (
	sdkText  = "Grüße, 世界: it's done."
	sdkAsked = `Say it. [[sandbox say="Grüße, 世界: it's done." reasoning=20 input=900 cached=300 chunks=5]]`
)

// sdkScenarios is what a developer does with a client.
var sdkScenarios = map[string]func(*sdkRun){
	"plain": func(r *sdkRun) {
		a := r.ask(question{system: "Be brief.", turns: []turn{{text: sdkAsked}}})
		if a.text != sdkText || a.finish != "stop" || r.stream && a.pieces < 3 {
			r.Errorf("got %q, %s, in %d pieces", a.text, a.finish, a.pieces)
		}
		if want := (sdkUsage{900, 300, int64(20 + sandbox.CountTokens(sdkText)), 20}); a.usage != want {
			r.Errorf("usage %+v, want %+v", a.usage, want)
		}
	},
	"turns": func(r *sdkRun) {
		q := question{system: "Be brief.", turns: []turn{{text: `One? [[sandbox say="First."]]`}}}
		first := r.ask(q)
		q.turns = append(q.turns, turn{said: first.said}, turn{text: `Two? [[sandbox say="Second."]]`})
		if a := r.ask(q); first.text != "First." || a.text != "Second." || a.usage.input <= first.usage.input {
			r.Errorf("got %q, then %q; %d tokens of input, then %d", first.text, a.text, first.usage.input, a.usage.input)
		}
	},
	"cap": func(r *sdkRun) {
		if a := r.ask(question{turns: []turn{{text: "Go on. [[sandbox output=50]]"}}, cap: 16}); a.finish != "length" || a.usage.output != 16 {
			r.Errorf("finish %s, %d tokens", a.finish, a.usage.output)
		}
	},
	"unicode": func(r *sdkRun) {
		text := strings.Repeat("👩🏽‍🚀 ẛ̣ العربية — 漢字\"\\\n", 40)
		a := r.ask(question{turns: []turn{{text: fmt.Sprintf("[[sandbox say=%q chunk_bytes=7 split=utf8]]", text)}}})
		if a.text != text {
			r.Errorf("got %q, want %q", a.text, text)
		}
	},
	"tool": func(r *sdkRun) {
		q := question{turns: []turn{{text: "Weather? [[sandbox call=weather chunk_bytes=3]]"}}, tools: []string{"weather", "clock"}}
		a := r.ask(q)
		if len(a.calls) != 1 || a.calls[0].name != "weather" || a.calls[0].id == "" && r.client != "genai" || a.finish != "tool" {
			r.Fatalf("calls %+v, finish %s", a.calls, a.finish)
		}
		same(r.T, "arguments", a.calls[0].args, sandbox.Instance(sdkTools["weather"], 0))
		back := r.answers(q, a, "sunny, 21 °C")
		if !strings.Contains(back.text, "result of weather") || !strings.Contains(back.text, "sunny, 21 °C") || back.finish != "stop" {
			r.Errorf("with the result: %q, %s", back.text, back.finish)
		}
	},
	"tools": func(r *sdkRun) {
		q := question{turns: []turn{{text: "Both? [[sandbox call=weather,clock reasoning=30]]"}}, tools: []string{"weather", "clock"}, think: true}
		a := r.ask(q)
		if len(a.calls) != 2 || a.calls[0].name != "weather" || a.calls[1].name != "clock" || a.calls[0].id == a.calls[1].id && r.client != "genai" {
			r.Fatalf("calls %+v", a.calls)
		}
		same(r.T, "arguments", a.calls[0].args, sandbox.Instance(sdkTools["weather"], 0))
		same(r.T, "arguments", a.calls[1].args, sandbox.Instance(sdkTools["clock"], 0))
		back := r.answers(q, a, "rain", "noon")
		weather, clock := strings.Index(back.text, "result of weather"), strings.Index(back.text, "result of clock")
		if weather < 0 || clock < weather || !strings.Contains(back.text, "rain") || !strings.Contains(back.text, "noon") {
			r.Errorf("with the results: %q", back.text)
		}
	},
	"forced tool": func(r *sdkRun) {
		a := r.ask(question{turns: []turn{{text: "Hello"}}, tools: []string{"weather", "clock"}, choice: "clock"})
		if len(a.calls) != 1 || a.calls[0].name != "clock" {
			r.Errorf("calls %+v", a.calls)
		}
		a = r.ask(question{turns: []turn{{text: "Hello"}}, tools: []string{"weather", "clock"}, choice: "required"})
		if len(a.calls) != 1 {
			r.Errorf("calls %+v, want one", a.calls)
		}
	},
	"no tool": func(r *sdkRun) {
		a := r.ask(question{turns: []turn{{text: `Hello [[sandbox say="No."]]`}}, tools: []string{"weather"}, choice: "none"})
		if len(a.calls) != 0 || a.text != "No." {
			r.Errorf("calls %+v, text %q", a.calls, a.text)
		}
	},
	"schema": func(r *sdkRun) {
		a := r.ask(question{turns: []turn{{text: "Who?"}}, schema: object(sdkSchema)})
		same(r.T, "text", a.text, sandbox.Instance(sdkSchema, 0))
	},
	"image": func(r *sdkRun) {
		data := pixel(r.T)
		if a := r.ask(question{turns: []turn{{text: "What is it?", image: data}}}); a.text != sandbox.Media("image/png", data) {
			r.Errorf("got %q, want %q", a.text, sandbox.Media("image/png", data))
		}
	},
	"thinking": func(r *sdkRun) {
		q := question{turns: []turn{{text: `Why? [[sandbox say="Because." reasoning=40]]`}}, think: true}
		a := r.ask(q)
		if a.text != "Because." || a.usage.reasoning != 40 || (a.thoughts != "") != shows(r.client, r.model) {
			r.Errorf("text %q, %d tokens of reasoning, thoughts %q", a.text, a.usage.reasoning, a.thoughts)
		}
		q.turns = append(q.turns, turn{said: a.said}, turn{text: `And? [[sandbox say="So."]]`})
		if a := r.ask(q); a.text != "So." {
			r.Errorf("after a thought: %q", a.text)
		}
	},
}

// Every official client completes every scenario with every provider's model.
func TestOfficialClients(t *testing.T) {
	s := newSite(t)
	s.must("org", "open", "acme", "--plan", "teams")
	key := s.must("key", "issue", "acme", "--name", "sdk")
	url, _ := s.serve()
	ctx, cancel := context.WithTimeout(t.Context(), sdkTimeout)
	defer cancel()
	for name, make := range sdkClients {
		client := make(t, url, key)
		for _, model := range sdkModels {
			for scenario, play := range sdkScenarios {
				for _, stream := range []bool{false, true} {
					how := map[bool]string{false: "whole", true: "streamed"}[stream]
					t.Run(strings.Join([]string{name, strings.ReplaceAll(model, "/", "."), scenario, how}, "/"), func(t *testing.T) {
						play(&sdkRun{T: t, client: name, model: model, stream: stream, c: client, ctx: ctx})
					})
				}
			}
		}
	}
	if out := s.must("verify"); !strings.HasPrefix(out, "ok: ") {
		t.Errorf("verify: %s", out)
	}
}
