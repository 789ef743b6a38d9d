package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"
)

// responsesClient speaks OpenAI's Responses.
type responsesClient struct{ openai.Client }

func newResponsesClient(_ *testing.T, url, key string) sdkClient {
	return responsesClient{sdk(url, key)}
}

func (c responsesClient) ask(ctx context.Context, q question) (answer, error) {
	p := responsesParams(q)
	if !q.stream {
		whole, err := c.Responses.New(ctx, p)
		if err != nil {
			return answer{}, err
		}
		return responsesAnswer(whole, 1)
	}
	stream := c.Responses.NewStreaming(ctx, p)
	var last *responses.Response
	a, pieces := answer{}, 0
	for stream.Next() {
		switch e := stream.Current().AsAny().(type) {
		case responses.ResponseTextDeltaEvent:
			a.text += e.Delta
			pieces++
		case responses.ResponseCompletedEvent:
			last = &e.Response
		case responses.ResponseIncompleteEvent:
			last = &e.Response
		case responses.ResponseFailedEvent:
			return a, errors.New("response.failed: " + e.Response.Error.Message)
		case responses.ResponseErrorEvent:
			return a, errors.New("error: " + e.Message)
		}
	}
	if err := stream.Err(); err != nil {
		return a, err
	}
	if last == nil {
		return a, errors.New("the stream ended without its last event")
	}
	if text := last.OutputText(); text != a.text {
		return a, errors.New("the deltas say " + a.text + " and the last event " + text)
	}
	return responsesAnswer(last, pieces)
}

func responsesParams(q question) responses.ResponseNewParams {
	p := responses.ResponseNewParams{Model: q.model, MaxOutputTokens: openai.Int(q.cap)}
	if q.system != "" {
		p.Instructions = openai.String(q.system)
	}
	items := responses.ResponseInputParam{}
	for _, t := range q.turns {
		for _, r := range t.results {
			item := responses.ResponseInputItemParamOfFunctionCallOutput(r.text)
			item.OfFunctionCallOutput.CallID = openai.String(r.id)
			items = append(items, item)
		}
		switch {
		case t.said != nil:
			items = append(items, t.said.(responses.ResponseInputParam)...)
		case t.image != nil:
			items = append(items, responses.ResponseInputItemParamOfMessage(responses.ResponseInputMessageContentListParam{
				{OfInputText: &responses.ResponseInputTextParam{Text: t.text}},
				{OfInputImage: &responses.ResponseInputImageParam{Detail: "auto", ImageURL: openai.String("data:image/png;base64," + base64.StdEncoding.EncodeToString(t.image))}},
			}, responses.EasyInputMessageRoleUser))
		case t.text != "":
			items = append(items, responses.ResponseInputItemParamOfMessage(t.text, responses.EasyInputMessageRoleUser))
		}
	}
	p.Input.OfInputItemList = items
	for _, name := range q.tools {
		p.Tools = append(p.Tools, responses.ToolUnionParam{OfFunction: &responses.FunctionToolParam{Name: name, Parameters: object(sdkTools[name]), Strict: openai.Bool(true)}})
	}
	switch q.choice {
	case "":
	case "none", "required":
		p.ToolChoice.OfToolChoiceMode = param.NewOpt(responses.ToolChoiceOptions(q.choice))
	default:
		p.ToolChoice.OfFunctionTool = &responses.ToolChoiceFunctionParam{Name: q.choice}
	}
	if q.schema != nil {
		p.Text.Format.OfJSONSchema = &responses.ResponseFormatTextJSONSchemaConfigParam{Name: "person", Schema: q.schema, Strict: openai.Bool(true)}
	}
	if q.think {
		p.Reasoning = shared.ReasoningParam{Effort: shared.ReasoningEffortMedium, Summary: shared.ReasoningSummaryAuto}
	}
	return p
}

func responsesAnswer(r *responses.Response, pieces int) (answer, error) {
	a := answer{text: r.OutputText(), pieces: pieces, usage: sdkUsage{r.Usage.InputTokens, r.Usage.InputTokensDetails.CachedTokens,
		r.Usage.OutputTokens, r.Usage.OutputTokensDetails.ReasoningTokens}}
	switch {
	case r.Status == responses.ResponseStatusCompleted:
		a.finish = "stop"
	case r.Status == responses.ResponseStatusIncomplete && r.IncompleteDetails.Reason == "max_output_tokens":
		a.finish = "length"
	}
	if r.Usage.TotalTokens != r.Usage.InputTokens+r.Usage.OutputTokens {
		return a, errors.New("the total is not the sum: " + r.Usage.RawJSON())
	}
	said := responses.ResponseInputParam{}
	for _, item := range r.Output {
		switch i := item.AsAny().(type) {
		case responses.ResponseFunctionToolCall:
			a.calls, a.finish = append(a.calls, toolCall{i.CallID, i.Name, i.Arguments}), "tool"
		case responses.ResponseReasoningItem:
			for _, s := range i.Summary {
				a.thoughts += s.Text
			}
		}
		said = append(said, param.Override[responses.ResponseInputItemUnionParam](json.RawMessage(item.RawJSON())))
	}
	a.said = said
	return a, nil
}
