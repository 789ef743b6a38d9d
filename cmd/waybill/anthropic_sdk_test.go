package main

import (
	"context"
	"encoding/base64"
	"errors"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
)

// anthropicClient speaks Anthropic's Messages.
type anthropicClient struct{ anthropic.Client }

func newAnthropicClient(_ *testing.T, url, key string) sdkClient {
	return anthropicClient{anthropicSDK(url, key)}
}

func anthropicSDK(url, key string) anthropic.Client {
	return anthropic.NewClient(option.WithBaseURL(url), option.WithAPIKey(key), option.WithMaxRetries(0))
}

func (c anthropicClient) ask(ctx context.Context, q question) (answer, error) {
	p := anthropicParams(q)
	if !q.stream {
		m, err := c.Messages.New(ctx, p)
		if err != nil {
			return answer{}, err
		}
		return anthropicAnswer(m, 1), nil
	}
	stream := c.Messages.NewStreaming(ctx, p)
	var m anthropic.Message
	pieces, ended, shown := 0, false, "" // an accumulated block has its text only once the block is whole
	for stream.Next() {
		e := stream.Current()
		if err := m.Accumulate(e); err != nil {
			return answer{}, err
		}
		switch e := e.AsAny().(type) {
		case anthropic.ContentBlockDeltaEvent:
			if e.Delta.Text != "" {
				pieces, shown = pieces+1, shown+e.Delta.Text
			}
		case anthropic.MessageStopEvent:
			ended = true
		}
	}
	if err := stream.Err(); err != nil {
		return answer{text: shown, pieces: pieces}, err
	}
	a := anthropicAnswer(&m, pieces)
	if !ended || a.text != shown {
		return a, errors.New("the stream ended without message_stop, or its deltas do not join to its text")
	}
	return a, nil
}

func anthropicParams(q question) anthropic.MessageNewParams {
	p := anthropic.MessageNewParams{Model: anthropic.Model(q.model), MaxTokens: q.cap}
	if q.system != "" {
		p.System = []anthropic.TextBlockParam{{Text: q.system}}
	}
	for _, t := range q.turns {
		if t.said != nil {
			p.Messages = append(p.Messages, t.said.(anthropic.MessageParam))
			continue
		}
		var blocks []anthropic.ContentBlockParamUnion
		for _, r := range t.results {
			blocks = append(blocks, anthropic.NewToolResultBlock(r.id, r.text, false))
		}
		if t.image != nil {
			blocks = append(blocks, anthropic.NewImageBlockBase64("image/png", base64.StdEncoding.EncodeToString(t.image)))
		}
		if t.text != "" {
			blocks = append(blocks, anthropic.NewTextBlock(t.text))
		}
		p.Messages = append(p.Messages, anthropic.NewUserMessage(blocks...))
	}
	for _, name := range q.tools {
		s := object(sdkTools[name])
		tool := anthropic.ToolParam{Name: name, Description: anthropic.String("It tells."), InputSchema: anthropic.ToolInputSchemaParam{
			Properties: s["properties"], ExtraFields: map[string]any{"additionalProperties": false}}}
		for _, r := range s["required"].([]any) {
			tool.InputSchema.Required = append(tool.InputSchema.Required, r.(string))
		}
		p.Tools = append(p.Tools, anthropic.ToolUnionParam{OfTool: &tool})
	}
	switch q.choice {
	case "":
	case "none":
		p.ToolChoice.OfNone = &anthropic.ToolChoiceNoneParam{}
	case "required":
		p.ToolChoice.OfAny = &anthropic.ToolChoiceAnyParam{}
	default:
		p.ToolChoice.OfTool = &anthropic.ToolChoiceToolParam{Name: q.choice}
	}
	if q.schema != nil {
		p.OutputConfig.Format = anthropic.JSONOutputFormatParam{Schema: q.schema}
	}
	if q.think {
		p.Thinking.OfAdaptive = &anthropic.ThinkingConfigAdaptiveParam{Display: anthropic.ThinkingConfigAdaptiveDisplaySummarized}
	}
	return p
}

func anthropicAnswer(m *anthropic.Message, pieces int) answer {
	u := m.Usage
	a := answer{pieces: pieces, said: m.ToParam(), usage: sdkUsage{u.InputTokens + u.CacheReadInputTokens + u.CacheCreationInputTokens,
		u.CacheReadInputTokens, u.OutputTokens, u.OutputTokensDetails.ThinkingTokens}}
	a.finish = map[anthropic.StopReason]string{anthropic.StopReasonEndTurn: "stop", anthropic.StopReasonMaxTokens: "length", anthropic.StopReasonToolUse: "tool"}[m.StopReason]
	for _, b := range m.Content {
		switch b := b.AsAny().(type) {
		case anthropic.TextBlock:
			a.text += b.Text
		case anthropic.ThinkingBlock:
			a.thoughts += b.Thinking
		case anthropic.ToolUseBlock:
			a.calls = append(a.calls, toolCall{b.ID, b.Name, string(b.Input)})
		}
	}
	return a
}
