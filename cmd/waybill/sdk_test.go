package main

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"waybill/router/sandbox"
)

// sdk is OpenAI's own client, as a developer uses it, on a key of the node's.
func sdk(url, key string) openai.Client {
	return openai.NewClient(option.WithBaseURL(url+"/v1"), option.WithAPIKey(key), option.WithMaxRetries(0))
}

const (
	sdkText    = "Grüße, 世界: it's done."
	sdkAsked   = `Say it. [[sandbox say="Grüße, 世界: it's done." reasoning=20 input=900 cached=300 chunks=5]]`
	sdkTimeout = 30 * time.Second
)

var sdkModels = []string{"openai/gpt-6-luna", "anthropic/claude-haiku-5-5", "google/gemini-2.5-flash-lite"}

func chat(model, text string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: model, MaxCompletionTokens: openai.Int(400),
		Messages: []openai.ChatCompletionMessageParamUnion{openai.SystemMessage("Be brief."), openai.UserMessage(text)}}
}

// sdkUsage is what the sandbox was told to report, in OpenAI's words: reasoning counts as output, cached as input.
func sdkUsage(t *testing.T, u openai.CompletionUsage) {
	t.Helper()
	output := int64(20 + sandbox.CountTokens(sdkText))
	if u.PromptTokens != 900 || u.PromptTokensDetails.CachedTokens != 300 || u.CompletionTokens != output ||
		u.CompletionTokensDetails.ReasoningTokens != 20 || u.TotalTokens != 900+output {
		t.Errorf("usage %s, want 900 in, 300 of them cached, %d out, 20 of them reasoning", u.RawJSON(), output)
	}
}

// The official client completes unary and streamed chats against each provider's model.
func TestOpenAIClientChats(t *testing.T) {
	s := newSite(t)
	s.must("org", "open", "acme", "--plan", "teams")
	key := s.must("key", "issue", "acme", "--name", "sdk")
	url, _ := s.serve()
	client := sdk(url, key)
	ctx, cancel := context.WithTimeout(t.Context(), sdkTimeout)
	defer cancel()
	for _, model := range sdkModels {
		t.Run(model, func(t *testing.T) {
			whole, err := client.Chat.Completions.New(ctx, chat(model, sdkAsked))
			if err != nil {
				t.Fatal(err)
			}
			if c := whole.Choices[0]; c.Message.Content != sdkText || c.FinishReason != "stop" {
				t.Errorf("got %q, %q", c.Message.Content, c.FinishReason)
			}
			sdkUsage(t, whole.Usage)

			params := chat(model, sdkAsked)
			params.StreamOptions.IncludeUsage = openai.Bool(true)
			stream := client.Chat.Completions.NewStreaming(ctx, params)
			var acc openai.ChatCompletionAccumulator
			pieces := 0
			for stream.Next() {
				chunk := stream.Current()
				if !acc.AddChunk(chunk) {
					t.Errorf("a chunk does not fit the others: %s", chunk.RawJSON())
				}
				if len(chunk.Choices) > 0 && chunk.Choices[0].Delta.Content != "" {
					pieces++
				}
			}
			if err := stream.Err(); err != nil {
				t.Fatal(err)
			}
			if c := acc.Choices[0]; c.Message.Content != sdkText || c.FinishReason != "stop" || pieces < 3 {
				t.Errorf("streamed: got %q, %q in %d pieces", c.Message.Content, c.FinishReason, pieces)
			}
			sdkUsage(t, acc.Usage)

			params = chat(model, "Go on. [[sandbox output=50]]")
			params.MaxCompletionTokens = openai.Int(16)
			short, err := client.Chat.Completions.New(ctx, params)
			if err != nil {
				t.Fatal(err)
			}
			if c := short.Choices[0]; c.FinishReason != "length" || short.Usage.CompletionTokens != 16 {
				t.Errorf("capped: finish reason %q, %d tokens", c.FinishReason, short.Usage.CompletionTokens)
			}
		})
	}
	models, err := client.Models.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range sdkModels {
		if !slices.ContainsFunc(models.Data, func(m openai.Model) bool { return m.ID == want }) {
			t.Errorf("%s is not listed", want)
		}
	}
}

// refusal is the client's typed error.
func refusal(t *testing.T, err error, status int, code string) {
	t.Helper()
	e, ok := errors.AsType[*openai.Error](err)
	if !ok || e.StatusCode != status || e.Code != code || e.Message == "" {
		t.Errorf("got %v, want status %d with code %s", err, status, code)
	}
}

// The official client turns refusals into its typed errors: the status, and the class in Code.
func TestOpenAIClientErrors(t *testing.T) {
	s := newSite(t)
	s.must("org", "open", "small", "--plan", "free")
	key := s.must("key", "issue", "small", "--name", "sdk")
	url, _ := s.serve()
	client := sdk(url, key)
	ctx, cancel := context.WithTimeout(t.Context(), sdkTimeout)
	defer cancel()

	stranger := sdk(url, key[:len(key)-1]+"x")
	_, err := stranger.Chat.Completions.New(ctx, chat("auto", "Hello"))
	refusal(t, err, 401, "unknown_key")
	_, err = client.Chat.Completions.New(ctx, chat("openai/none", "Hello"))
	refusal(t, err, 404, "unknown_model")
	_, err = client.Chat.Completions.New(ctx, chat(sdkModels[0], "Hello"))
	refusal(t, err, 403, "plan_excludes_model")
	_, err = client.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{Model: "auto"})
	refusal(t, err, 400, "invalid")

	// Of five free messages four are used and the fifth is held by a call that goes on: that is no reason to give up.
	for range 4 {
		if _, err := client.Chat.Completions.New(ctx, chat("auto", "Hello")); err != nil {
			t.Fatal(err)
		}
	}
	held := make(chan error, 1)
	before := len(s.up.Calls())
	go func() {
		_, err := client.Chat.Completions.New(ctx, chat("auto", "Hello [[sandbox hang]]"))
		held <- err
	}()
	until(t, "the call hangs", func() bool { return len(s.up.Calls()) > before })
	_, err = client.Chat.Completions.New(ctx, chat("auto", "Hello"))
	refusal(t, err, 429, "funds_held")
	if e, ok := errors.AsType[*openai.Error](err); ok && e.Response.Header.Get("Retry-After") == "" {
		t.Error("a 429 without Retry-After")
	}
	until(t, "the call is let go", func() bool { return s.up.Release("") > 0 })
	if err := <-held; err != nil {
		t.Fatal(err)
	}
	_, err = client.Chat.Completions.New(ctx, chat("auto", "Hello"))
	refusal(t, err, 402, "insufficient_funds")
}
