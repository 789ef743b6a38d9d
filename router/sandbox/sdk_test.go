package sandbox_test

import (
	"encoding/json"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"
	"google.golang.org/genai"

	"waybill/router/sandbox"
)

// The providers' own clients are the judges of what the sandbox sends: they call a tool, send its
// result back and read the answer, whole and streamed.

const cityWords = "[[sandbox call=city calls=2 reasoning=8]] where"

var citySchema = map[string]any{
	"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string"}}, "required": []string{"name"}, "additionalProperties": false,
}

// cityArgs are the arguments of the first and of the second call.
func cityArgs(t *testing.T) (args [2]string) {
	schema, err := json.Marshal(citySchema)
	if err != nil {
		t.Fatal(err)
	}
	for i := range args {
		args[i] = sandbox.Instance(string(schema), i)
	}
	return args
}

func sameJSON(t *testing.T, got, want string) {
	t.Helper()
	var a, b any
	if json.Unmarshal([]byte(got), &a) != nil || json.Unmarshal([]byte(want), &b) != nil {
		t.Fatalf("%q or %q is no JSON", got, want)
	}
	ga, _ := json.Marshal(a)
	gb, _ := json.Marshal(b)
	if string(ga) != string(gb) {
		t.Errorf("arguments %s, want %s", ga, gb)
	}
}

func TestToolsThroughOpenAI(t *testing.T) {
	for _, stream := range []bool{false, true} {
		c := start(t, sandbox.Options{})
		client := openai.NewClient(option.WithBaseURL(sandbox.BaseURL(c.root, sandbox.OpenAI)), option.WithAPIKey("secret"), option.WithMaxRetries(0))
		ask := func(messages []openai.ChatCompletionMessageParamUnion) openai.ChatCompletion {
			params := openai.ChatCompletionNewParams{Model: models[sandbox.OpenAI], Messages: messages, Tools: []openai.ChatCompletionToolUnionParam{
				openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "city", Parameters: citySchema, Strict: openai.Bool(true)})}}
			if !stream {
				answer, err := client.Chat.Completions.New(t.Context(), params)
				if err != nil {
					t.Fatal(err)
				}
				return *answer
			}
			params.StreamOptions.IncludeUsage = openai.Bool(true)
			s := client.Chat.Completions.NewStreaming(t.Context(), params)
			var acc openai.ChatCompletionAccumulator
			for s.Next() {
				acc.AddChunk(s.Current())
			}
			if s.Err() != nil {
				t.Fatal(s.Err())
			}
			return acc.ChatCompletion
		}
		messages := []openai.ChatCompletionMessageParamUnion{openai.UserMessage(cityWords)}
		first := ask(messages)
		calls := first.Choices[0].Message.ToolCalls
		if len(calls) != 2 || first.Choices[0].FinishReason != "tool_calls" || first.Choices[0].Message.Content != "" {
			t.Fatalf("%s", first.RawJSON())
		}
		messages = append(messages, first.Choices[0].Message.ToParam())
		for i, call := range []int{1, 0} { // in the wrong order
			sameJSON(t, calls[i].Function.Arguments, cityArgs(t)[i])
			messages = append(messages, openai.ToolMessage([]string{"Oslo", "Bergen"}[call], calls[call].ID))
		}
		last := ask(messages)
		want := sandbox.Result("city", calls[0].ID, "Oslo", false) + "\n" + sandbox.Result("city", calls[1].ID, "Bergen", false)
		if got := last.Choices[0].Message.Content; got != want || last.Choices[0].FinishReason != "stop" {
			t.Errorf("%q, want %q", got, want)
		}
		served := c.calls(2)[0].Tokens
		args := cityArgs(t)
		if served.Output != 8+sandbox.CountTokens(args[0])+sandbox.CountTokens(args[1]) || int64(served.Output) != first.Usage.CompletionTokens || served.Reasoning != 8 {
			t.Errorf("served %+v, told %s", served, first.Usage.RawJSON())
		}
	}
}

func TestToolsThroughResponses(t *testing.T) {
	for _, stream := range []bool{false, true} {
		c := start(t, sandbox.Options{})
		client := openai.NewClient(option.WithBaseURL(sandbox.BaseURL(c.root, sandbox.OpenAI)), option.WithAPIKey("secret"), option.WithMaxRetries(0))
		ask := func(items responses.ResponseInputParam) responses.Response {
			params := responses.ResponseNewParams{Model: "gpt-6-sol", Input: responses.ResponseNewParamsInputUnion{OfInputItemList: items},
				Store: openai.Bool(false), Reasoning: shared.ReasoningParam{Effort: "high", Summary: "auto"},
				Tools: []responses.ToolUnionParam{{OfFunction: &responses.FunctionToolParam{Name: "city", Parameters: citySchema, Strict: openai.Bool(true)}}}}
			if !stream {
				answer, err := client.Responses.New(t.Context(), params)
				if err != nil {
					t.Fatal(err)
				}
				return *answer
			}
			s := client.Responses.NewStreaming(t.Context(), params)
			var final responses.Response
			var text string
			number := int64(0)
			for s.Next() {
				e := s.Current()
				if e.SequenceNumber != number {
					t.Errorf("event %d has number %d", number, e.SequenceNumber)
				}
				number++
				if e.Type == "response.output_text.delta" {
					text += e.Delta
				}
				if e.Type == "response.completed" {
					final = e.Response
				}
			}
			if s.Err() != nil || text != final.OutputText() {
				t.Fatalf("%v: deltas %q, whole %q", s.Err(), text, final.OutputText())
			}
			return final
		}
		items := responses.ResponseInputParam{responses.ResponseInputItemParamOfMessage(cityWords, "user")}
		first := ask(items)
		if len(first.Output) != 3 || first.Output[0].Type != "reasoning" || first.Output[0].Summary[0].Text == "" || first.Status != "completed" {
			t.Fatalf("%s", first.RawJSON())
		}
		reasoning := first.Output[0].AsReasoning().ToParam()
		items = append(items, responses.ResponseInputItemUnionParam{OfReasoning: &reasoning})
		for i, item := range first.Output[1:] {
			call := item.AsFunctionCall()
			sameJSON(t, call.Arguments, cityArgs(t)[i])
			items = append(items, responses.ResponseInputItemParamOfFunctionCall(call.Arguments, call.CallID, call.Name))
		}
		for i := range 2 {
			output := responses.ResponseInputItemParamOfFunctionCallOutput([]string{"Oslo", "Bergen"}[i])
			output.OfFunctionCallOutput.CallID = openai.String(first.Output[i+1].CallID)
			items = append(items, output)
		}
		last := ask(items)
		want := sandbox.Result("city", first.Output[1].CallID, "Oslo", false) + "\n" + sandbox.Result("city", first.Output[2].CallID, "Bergen", false)
		if last.OutputText() != want {
			t.Errorf("%q, want %q", last.OutputText(), want)
		}
		served := c.calls(2)[0]
		if int64(served.Tokens.Output) != first.Usage.OutputTokens || int64(served.Tokens.Input) != first.Usage.InputTokens || served.Dialect != "openai-responses" || served.Finish != "completed" {
			t.Errorf("served %+v, told %s", served, first.Usage.RawJSON())
		}
	}
}

func TestToolsThroughAnthropic(t *testing.T) {
	for _, stream := range []bool{false, true} {
		c := start(t, sandbox.Options{})
		client := anthropic.NewClient(anthropicoption.WithBaseURL(sandbox.BaseURL(c.root, sandbox.Anthropic)), anthropicoption.WithAPIKey("secret"), anthropicoption.WithMaxRetries(0))
		ask := func(messages []anthropic.MessageParam) anthropic.Message {
			params := anthropic.MessageNewParams{Model: "claude-sonnet-5-5", MaxTokens: 1000, Messages: messages,
				Thinking: anthropic.ThinkingConfigParamUnion{OfAdaptive: &anthropic.ThinkingConfigAdaptiveParam{Display: "summarized"}},
				Tools: []anthropic.ToolUnionParam{{OfTool: &anthropic.ToolParam{Name: "city",
					InputSchema: anthropic.ToolInputSchemaParam{Properties: citySchema["properties"], Required: []string{"name"}}}}}}
			if !stream {
				answer, err := client.Messages.New(t.Context(), params)
				if err != nil {
					t.Fatal(err)
				}
				return *answer
			}
			s := client.Messages.NewStreaming(t.Context(), params)
			var whole anthropic.Message
			for s.Next() {
				if err := whole.Accumulate(s.Current()); err != nil {
					t.Fatal(err)
				}
			}
			if s.Err() != nil {
				t.Fatal(s.Err())
			}
			return whole
		}
		messages := []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(cityWords))}
		first := ask(messages)
		if len(first.Content) != 3 || first.Content[0].Type != "thinking" || first.Content[0].Signature == "" || first.StopReason != "tool_use" {
			t.Fatalf("%s", first.RawJSON())
		}
		var results []anthropic.ContentBlockParamUnion
		for i, block := range first.Content[1:] {
			sameJSON(t, string(block.Input), cityArgs(t)[i])
			results = append(results, anthropic.NewToolResultBlock(block.ID, []string{"Oslo", "Bergen"}[i], i == 1))
		}
		last := ask(append(messages, first.ToParam(), anthropic.NewUserMessage(results...)))
		want := sandbox.Result("city", first.Content[1].ID, "Oslo", false) + "\n" + sandbox.Result("city", first.Content[2].ID, "Bergen", true)
		if last.Content[0].Text != want || last.StopReason != "end_turn" {
			t.Errorf("%s, want %q", last.RawJSON(), want)
		}
		if served := c.calls(2)[0].Tokens; int64(served.Output) != first.Usage.OutputTokens || served.Reasoning != 8 {
			t.Errorf("served %+v, told %s", served, first.Usage.RawJSON())
		}
	}
}

func TestToolsThroughGemini(t *testing.T) {
	for _, stream := range []bool{false, true} {
		c := start(t, sandbox.Options{})
		client, err := genai.NewClient(t.Context(), &genai.ClientConfig{APIKey: "secret", Backend: genai.BackendGeminiAPI,
			HTTPOptions: genai.HTTPOptions{BaseURL: sandbox.BaseURL(c.root, sandbox.Google)}})
		if err != nil {
			t.Fatal(err)
		}
		const model = "gemini-3.8-flash"
		ask := func(contents []*genai.Content) (parts []*genai.Part, finish genai.FinishReason, usage *genai.GenerateContentResponseUsageMetadata) {
			config := &genai.GenerateContentConfig{Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{Name: "city", ParametersJsonSchema: citySchema}}}}}
			add := func(r *genai.GenerateContentResponse, err error) {
				if err != nil {
					t.Fatal(err)
				}
				if content := r.Candidates[0].Content; content != nil {
					parts = append(parts, content.Parts...)
				}
				finish, usage = r.Candidates[0].FinishReason, r.UsageMetadata
			}
			if !stream {
				add(client.Models.GenerateContent(t.Context(), model, contents, config))
				return parts, finish, usage
			}
			for r, err := range client.Models.GenerateContentStream(t.Context(), model, contents, config) {
				add(r, err)
			}
			return parts, finish, usage
		}
		contents := []*genai.Content{genai.NewContentFromText(cityWords, genai.RoleUser)}
		parts, finish, usage := ask(contents)
		if len(parts) != 2 || finish != "STOP" || len(parts[0].ThoughtSignature) == 0 || len(parts[1].ThoughtSignature) != 0 {
			t.Fatalf("%d parts, finish %s", len(parts), finish)
		}
		var results []*genai.Part
		for i, part := range parts {
			got, _ := json.Marshal(part.FunctionCall.Args)
			sameJSON(t, string(got), cityArgs(t)[i])
			results = append(results, genai.NewPartFromFunctionResponse("city", map[string]any{"output": []string{"Oslo", "Bergen"}[i]}))
		}
		contents = append(contents, genai.NewContentFromParts(parts, genai.RoleModel), genai.NewContentFromParts(results, genai.RoleUser))
		answered, _, _ := ask(contents)
		text := ""
		for _, part := range answered {
			text += part.Text
		}
		if want := sandbox.Result("city", "", "Oslo", false) + "\n" + sandbox.Result("city", "", "Bergen", false); text != want {
			t.Errorf("%q, want %q", text, want)
		}
		if served := c.calls(2)[0].Tokens; served.Output != int(usage.CandidatesTokenCount+usage.ThoughtsTokenCount) || served.Reasoning != int(usage.ThoughtsTokenCount) {
			t.Errorf("served %+v, told %+v", served, usage)
		}
	}
}
