package main

import (
	"context"
	"encoding/base64"
	"errors"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/shared"
)

// sdk is OpenAI's own client, as a developer uses it, on a key of the node's.
func sdk(url, key string) openai.Client {
	return openai.NewClient(option.WithBaseURL(url+"/v1"), option.WithAPIKey(key), option.WithMaxRetries(0))
}

func chat(model, text string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: model, MaxCompletionTokens: openai.Int(400),
		Messages: []openai.ChatCompletionMessageParamUnion{openai.SystemMessage("Be brief."), openai.UserMessage(text)}}
}

// chatClient speaks Chat Completions.
type chatClient struct{ openai.Client }

func newChatClient(_ *testing.T, url, key string) sdkClient { return chatClient{sdk(url, key)} }

func (c chatClient) ask(ctx context.Context, q question) (answer, error) {
	p := chatParams(q)
	if !q.stream {
		whole, err := c.Chat.Completions.New(ctx, p)
		if err != nil {
			return answer{}, err
		}
		return chatAnswer(whole, 1)
	}
	p.StreamOptions.IncludeUsage = openai.Bool(true)
	stream := c.Chat.Completions.NewStreaming(ctx, p)
	var acc openai.ChatCompletionAccumulator
	pieces := 0
	for stream.Next() {
		chunk := stream.Current()
		if !acc.AddChunk(chunk) {
			return answer{}, errors.New("a chunk does not fit the others: " + chunk.RawJSON())
		}
		if len(chunk.Choices) > 0 && chunk.Choices[0].Delta.Content != "" {
			pieces++
		}
	}
	a := answer{}
	if len(acc.Choices) > 0 {
		a.text = acc.Choices[0].Message.Content
	}
	if err := stream.Err(); err != nil {
		return a, err
	}
	return chatAnswer(&acc.ChatCompletion, pieces)
}

func chatParams(q question) openai.ChatCompletionNewParams {
	p := openai.ChatCompletionNewParams{Model: q.model, MaxCompletionTokens: openai.Int(q.cap)}
	if q.system != "" {
		p.Messages = append(p.Messages, openai.SystemMessage(q.system))
	}
	for _, t := range q.turns {
		for _, r := range t.results {
			p.Messages = append(p.Messages, openai.ToolMessage(r.text, r.id))
		}
		switch {
		case t.said != nil:
			p.Messages = append(p.Messages, t.said.(openai.ChatCompletionMessageParamUnion))
		case t.image != nil:
			p.Messages = append(p.Messages, openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{openai.TextContentPart(t.text),
				openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: "data:image/png;base64," + base64.StdEncoding.EncodeToString(t.image)})}))
		case t.text != "":
			p.Messages = append(p.Messages, openai.UserMessage(t.text))
		}
	}
	for _, name := range q.tools {
		p.Tools = append(p.Tools, openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: name, Description: openai.String("It tells."), Parameters: object(sdkTools[name])}))
	}
	switch q.choice {
	case "":
	case "none", "required":
		p.ToolChoice.OfAuto = param.NewOpt(q.choice)
	default:
		p.ToolChoice = openai.ToolChoiceOptionFunctionToolChoice(openai.ChatCompletionNamedToolChoiceFunctionParam{Name: q.choice})
	}
	if q.schema != nil {
		p.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{
			JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "person", Schema: q.schema, Strict: openai.Bool(true)}}
	}
	if q.think {
		p.ReasoningEffort = shared.ReasoningEffortMedium
	}
	return p
}

func chatAnswer(c *openai.ChatCompletion, pieces int) (answer, error) {
	if len(c.Choices) != 1 {
		return answer{}, errors.New("not one choice: " + c.RawJSON())
	}
	m := c.Choices[0].Message
	a := answer{text: m.Content, pieces: pieces, said: m.ToParam(), usage: sdkUsage{c.Usage.PromptTokens, c.Usage.PromptTokensDetails.CachedTokens,
		c.Usage.CompletionTokens, c.Usage.CompletionTokensDetails.ReasoningTokens}}
	a.finish = map[string]string{"stop": "stop", "length": "length", "tool_calls": "tool"}[c.Choices[0].FinishReason]
	if c.Usage.TotalTokens != c.Usage.PromptTokens+c.Usage.CompletionTokens {
		return a, errors.New("the total is not the sum: " + c.Usage.RawJSON())
	}
	for _, call := range m.ToolCalls {
		a.calls = append(a.calls, toolCall{call.ID, call.Function.Name, call.Function.Arguments})
	}
	return a, nil
}
