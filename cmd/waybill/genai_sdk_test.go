package main

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"google.golang.org/genai"
)

// genaiClient speaks Gemini's generateContent.
type genaiClient struct{ *genai.Client }

func newGenaiClient(t *testing.T, url, key string) sdkClient {
	return genaiClient{genaiSDK(t, url, key)}
}

func genaiSDK(t *testing.T, url, key string) *genai.Client {
	t.Helper()
	c, err := genai.NewClient(t.Context(), &genai.ClientConfig{APIKey: key, Backend: genai.BackendGeminiAPI, HTTPOptions: genai.HTTPOptions{BaseURL: url}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c genaiClient) ask(ctx context.Context, q question) (answer, error) {
	contents, config := genaiParams(q)
	if !q.stream {
		r, err := c.Models.GenerateContent(ctx, q.model, contents, config)
		if err != nil {
			return answer{}, err
		}
		return genaiAnswer([]*genai.GenerateContentResponse{r})
	}
	var all []*genai.GenerateContentResponse
	for r, err := range c.Models.GenerateContentStream(ctx, q.model, contents, config) {
		if err != nil {
			a, _ := genaiAnswer(all)
			return a, err
		}
		all = append(all, r)
	}
	return genaiAnswer(all)
}

func genaiParams(q question) (contents []*genai.Content, config *genai.GenerateContentConfig) {
	config = &genai.GenerateContentConfig{MaxOutputTokens: int32(q.cap)}
	if q.system != "" {
		config.SystemInstruction = genai.NewContentFromText(q.system, "")
	}
	for _, t := range q.turns {
		if t.said != nil {
			contents = append(contents, t.said.(*genai.Content))
			continue
		}
		var parts []*genai.Part
		for _, r := range t.results {
			p := genai.NewPartFromFunctionResponse(r.name, map[string]any{"output": r.text})
			p.FunctionResponse.ID = r.id
			parts = append(parts, p)
		}
		if t.text != "" {
			parts = append(parts, genai.NewPartFromText(t.text))
		}
		if t.image != nil {
			parts = append(parts, genai.NewPartFromBytes(t.image, "image/png"))
		}
		contents = append(contents, genai.NewContentFromParts(parts, genai.RoleUser))
	}
	var tool genai.Tool
	for _, name := range q.tools {
		tool.FunctionDeclarations = append(tool.FunctionDeclarations, &genai.FunctionDeclaration{Name: name, Description: "It tells.", ParametersJsonSchema: object(sdkTools[name])})
	}
	if len(q.tools) > 0 {
		config.Tools = []*genai.Tool{&tool}
	}
	if q.choice != "" {
		f := &genai.FunctionCallingConfig{Mode: genai.FunctionCallingConfigModeAny}
		switch q.choice {
		case "none":
			f.Mode = genai.FunctionCallingConfigModeNone
		case "required":
		default:
			f.AllowedFunctionNames = []string{q.choice}
		}
		config.ToolConfig = &genai.ToolConfig{FunctionCallingConfig: f}
	}
	if q.schema != nil {
		config.ResponseMIMEType, config.ResponseJsonSchema = "application/json", q.schema
	}
	if q.think {
		config.ThinkingConfig = &genai.ThinkingConfig{IncludeThoughts: true}
	}
	return contents, config
}

// genaiAnswer joins the parts of a reply as a chat of the client does: each part stays as it came.
func genaiAnswer(all []*genai.GenerateContentResponse) (a answer, err error) {
	said := &genai.Content{Role: genai.RoleModel}
	for _, r := range all {
		if u := r.UsageMetadata; u != nil {
			a.usage = sdkUsage{int64(u.PromptTokenCount + u.ToolUsePromptTokenCount), int64(u.CachedContentTokenCount),
				int64(u.CandidatesTokenCount + u.ThoughtsTokenCount), int64(u.ThoughtsTokenCount)}
		}
		for _, c := range r.Candidates {
			a.finish = map[genai.FinishReason]string{genai.FinishReasonStop: "stop", genai.FinishReasonMaxTokens: "length", "": a.finish}[c.FinishReason]
			if c.Content == nil {
				continue
			}
			said.Parts = append(said.Parts, c.Content.Parts...)
		}
	}
	for _, p := range said.Parts {
		switch {
		case p.FunctionCall != nil:
			args, err := json.Marshal(p.FunctionCall.Args)
			if err != nil {
				return a, err
			}
			a.calls = append(a.calls, toolCall{p.FunctionCall.ID, p.FunctionCall.Name, string(args)})
		case p.Thought:
			a.thoughts += p.Text
		case p.Text != "":
			a.text, a.pieces = a.text+p.Text, a.pieces+1
		}
	}
	if len(a.calls) > 0 && a.finish == "stop" { // Gemini has no reason of its own for calls
		a.finish = "tool"
	}
	if a.finish == "" {
		return a, errors.New("the answer has no finish reason")
	}
	a.said = said
	return a, nil
}
