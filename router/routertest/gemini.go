package routertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"waybill/ledger"
	"waybill/router"
)

// geminiClient speaks Gemini generateContent, from the types of google.golang.org/genai v1.77.0.
type geminiClient struct{}

func (geminiClient) Dialect() ledger.Dialect { return ledger.DialectGemini }

func (c geminiClient) Write(a Ask, model string) (router.Incoming, error) {
	in := router.Incoming{Endpoint: router.EndpointChat, Model: model, Stream: a.Stream, Array: a.Array && a.Stream}
	switch {
	case slices.ContainsFunc(a.Turns, func(t Turn) bool { return t.System }):
		return in, unsaid("system text in the middle")
	case a.Embed:
		return c.embed(in, a), nil
	case a.Serial, a.Verbosity != "":
		return in, unsaid("one call at a time and verbosity")
	}
	b := object{"contents": c.contents(a)}
	if a.Count {
		in.Endpoint = router.EndpointCount
		in.Body = raw(b)
		return in, nil
	}
	if a.System != "" {
		b["systemInstruction"] = object{"parts": []object{{"text": a.System}}}
	}
	if a.Tools != nil {
		var list []object
		for _, t := range a.Tools {
			f := object{"name": t.Name, "description": t.Description}
			if t.Schema != nil {
				f["parametersJsonSchema"] = t.Schema
			}
			list = append(list, f)
		}
		b["tools"] = []object{{"functionDeclarations": list}}
	}
	modes := map[string]string{"auto": "AUTO", "none": "NONE", "required": "ANY"}
	switch mode, ok := modes[a.Choice]; {
	case ok:
		b["toolConfig"] = object{"functionCallingConfig": object{"mode": mode}}
	case a.Choice != "":
		b["toolConfig"] = object{"functionCallingConfig": object{"mode": "ANY", "allowedFunctionNames": []string{a.Choice}}}
	}
	config := object{}
	set(config, object{"maxOutputTokens": a.Cap, "temperature": a.Temperature, "topP": a.TopP, "topK": a.TopK, "candidateCount": a.N,
		"seed": a.Seed, "frequencyPenalty": a.Frequency})
	if a.Stop != nil {
		config["stopSequences"] = a.Stop
	}
	if a.Schema != nil || a.JSON {
		config["responseMimeType"] = "application/json"
	}
	if a.Schema != nil {
		config["responseJsonSchema"] = a.Schema
	}
	think := object{}
	set(think, object{"thinkingLevel": strings.ToUpper(a.Effort), "thinkingBudget": a.Budget})
	if a.Thoughts {
		think["includeThoughts"] = true
	}
	if len(think) > 0 {
		config["thinkingConfig"] = think
	}
	if len(config) > 0 {
		b["generationConfig"] = config
	}
	set(b, object{"serviceTier": a.Tier})
	if a.Unknown {
		b["unheardOf"] = object{"deep": []int{1, 2}}
	}
	in.Body = raw(b)
	return in, nil
}

func (geminiClient) embed(in router.Incoming, a Ask) router.Incoming {
	in.Endpoint = router.EndpointEmbed
	if len(a.Texts) == 1 {
		in.Body = raw(object{"content": object{"parts": []object{{"text": a.Texts[0]}}}})
		return in
	}
	in.Batch = true
	var list []object
	for _, text := range a.Texts {
		list = append(list, object{"model": "models/" + in.Model, "content": object{"parts": []object{{"text": text}}}})
	}
	in.Body = raw(object{"requests": list})
	return in
}

func (c geminiClient) contents(a Ask) (out []any) {
	for _, t := range a.Turns {
		role, parts := "user", []any{}
		if t.Assistant {
			role = "model"
		}
		for _, r := range t.Raw {
			parts = append(parts, r)
		}
		for _, r := range t.Results {
			word := "output"
			if r.Failed {
				word = "error"
			}
			response := object{"name": r.Name, "response": object{word: r.Text}}
			if r.ID != "" {
				response["id"] = r.ID
			}
			if r.Media != nil {
				response["parts"] = c.media(r.Media)
			}
			parts = append(parts, object{"functionResponse": response})
		}
		if t.Text != "" {
			parts = append(parts, object{"text": t.Text})
		}
		parts = append(parts, c.media(t.Media)...)
		for _, k := range t.Calls {
			parts = append(parts, object{"functionCall": object{"id": k.ID, "name": k.Name, "args": json.RawMessage(k.Args)}})
		}
		if len(parts) > 0 {
			out = append(out, object{"role": role, "parts": parts})
		}
	}
	return out
}

func (geminiClient) media(all []Media) (parts []any) {
	for _, m := range all {
		if m.Data != "" {
			parts = append(parts, object{"inlineData": object{"mimeType": m.Type, "data": m.Data}})
		} else {
			parts = append(parts, object{"fileData": object{"mimeType": m.Type, "fileUri": m.URL}})
		}
	}
	return parts
}

type geminiAnswer struct {
	Candidates []struct {
		Index   int `json:"index"`
		Content *struct {
			Role  string            `json:"role"`
			Parts []json.RawMessage `json:"parts"`
		} `json:"content"`
		Finish string `json:"finishReason"`
	} `json:"candidates"`
	Feedback *struct {
		Reason string `json:"blockReason"`
	} `json:"promptFeedback"`
	Usage *struct {
		Prompt     int    `json:"promptTokenCount"`
		Tool       int    `json:"toolUsePromptTokenCount"`
		Cached     int    `json:"cachedContentTokenCount"`
		Candidates int    `json:"candidatesTokenCount"`
		Thoughts   int    `json:"thoughtsTokenCount"`
		Total      int    `json:"totalTokenCount"`
		Tier       string `json:"trafficType"`
		Word       string `json:"serviceTier"`
	} `json:"usageMetadata"`
	Version string          `json:"modelVersion"`
	ID      string          `json:"responseId"`
	Error   json.RawMessage `json:"error"`
}

type geminiPart struct {
	Text      *string `json:"text"`
	Thought   bool    `json:"thought"`
	Signature string  `json:"thoughtSignature"`
	Call      *struct {
		ID   string          `json:"id"`
		Name string          `json:"name"`
		Args json.RawMessage `json:"args"`
	} `json:"functionCall"`
}

func (a *Answer) response(v geminiAnswer) error {
	if v.Version == "" || v.ID == "" {
		return errors.New("a response without modelVersion or responseId")
	}
	if v.Feedback != nil && v.Feedback.Reason != "" {
		a.Finish = "content_filter"
	}
	for _, c := range v.Candidates {
		if c.Content != nil {
			if c.Content.Role != "model" {
				return fmt.Errorf("the role of a content is %q", c.Content.Role)
			}
			for _, whole := range c.Content.Parts {
				if err := a.part(c.Index, whole); err != nil {
					return err
				}
			}
		}
		a.add(c.Index, "")
		if c.Finish == "" || c.Index > 0 {
			continue
		}
		switch c.Finish {
		case "STOP":
			a.Finish = "stop"
			if len(a.Calls) > 0 {
				a.Finish = "tool_calls" // this is how clients tell
			}
		case "MAX_TOKENS":
			a.Finish = "length"
		case "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE":
			a.Finish = "content_filter"
		default:
			a.Finish = "unknown word " + c.Finish
		}
	}
	if u := v.Usage; u != nil {
		if sum := u.Prompt + u.Tool + u.Candidates + u.Thoughts; sum != u.Total {
			return fmt.Errorf("totalTokenCount is %d, the sum %d", u.Total, sum)
		}
		a.Usage = &Usage{Input: u.Prompt + u.Tool, Cached: u.Cached, Output: u.Candidates + u.Thoughts, Reasoning: u.Thoughts}
		a.Tier = u.Tier + u.Word
	}
	return nil
}

func (a *Answer) part(index int, whole json.RawMessage) error {
	p, err := decode[geminiPart](whole)
	if err != nil {
		return err
	}
	switch {
	case p.Call != nil && index == 0:
		args := string(p.Call.Args)
		if args == "" {
			args = "{}"
		}
		if p.Call.Name == "" || args[0] != '{' {
			return fmt.Errorf("a call without a name, or whose args are no object: %s", whole)
		}
		a.Calls = append(a.Calls, Call{p.Call.ID, p.Call.Name, args})
	case p.Text != nil && p.Thought:
		a.Thought += *p.Text
	case p.Text != nil:
		a.add(index, *p.Text)
	}
	if index == 0 {
		a.Turn = append(a.Turn, whole)
	}
	return nil
}

func (c geminiClient) Read(body []byte, ask Ask) (*Answer, error) {
	if ask.Embed {
		return c.vectors(body, ask)
	}
	if ask.Count {
		v, err := decode[struct {
			Total *int `json:"totalTokens"`
		}](body)
		if err != nil || v.Total == nil {
			return nil, fmt.Errorf("no count: %s", body)
		}
		return &Answer{Tokens: *v.Total, Ended: true}, nil
	}
	v, err := decode[geminiAnswer](body)
	if err != nil {
		return nil, err
	}
	a := &Answer{Ended: true}
	return a, a.response(v)
}

func (geminiClient) vectors(body []byte, ask Ask) (*Answer, error) {
	type vector struct {
		Values []float32 `json:"values"`
	}
	v, err := decode[struct {
		One  *vector  `json:"embedding"`
		Many []vector `json:"embeddings"`
	}](body)
	if err != nil {
		return nil, err
	}
	if v.One != nil && len(ask.Texts) == 1 {
		v.Many = append(v.Many, *v.One)
	}
	a := &Answer{Ended: true}
	for _, one := range v.Many {
		a.Vectors = append(a.Vectors, one.Values)
	}
	return a, nil
}

func (geminiClient) Fault(status int, body []byte) (*Fault, error) {
	v, err := decode[struct {
		Error *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
			Status  string `json:"status"`
			Details []struct {
				Violations []struct {
					Field string `json:"field"`
				} `json:"fieldViolations"`
			} `json:"details"`
		} `json:"error"`
	}](body)
	if err != nil {
		return nil, err
	}
	if v.Error == nil || v.Error.Code == 0 || v.Error.Message == "" || v.Error.Status == "" {
		return nil, fmt.Errorf("no error of Google's shape: %.200s", body)
	}
	f := &Fault{Status: status, Type: v.Error.Status, Message: v.Error.Message}
	for _, d := range v.Error.Details {
		for _, b := range d.Violations {
			f.Field = b.Field
		}
	}
	if status != 200 && status != v.Error.Code {
		return nil, fmt.Errorf("the error's code is %d with status %d", v.Error.Code, status)
	}
	return f, nil
}

func (geminiClient) Type(status int) string {
	switch status {
	case 400, 402, 413:
		return ""
	case 401:
		return "UNAUTHENTICATED"
	case 403:
		return "PERMISSION_DENIED"
	case 404:
		return "NOT_FOUND"
	case 429:
		return "RESOURCE_EXHAUSTED"
	}
	return ""
}

func (geminiClient) Field(name string) string {
	words := map[string]string{"media": "contents", "messages": "contents", "results": "contents", "response_format": "generationConfig.responseJsonSchema",
		"stop": "generationConfig.stopSequences", "n": "generationConfig.candidateCount", "temperature": "generationConfig.temperature",
		"top_p": "generationConfig.topP", "top_k": "generationConfig.topK", "seed": "generationConfig.seed",
		"frequency_penalty": "generationConfig.frequencyPenalty", "tool_choice": "toolConfig", "service_tier": "serviceTier",
		"reasoning_effort": "generationConfig.thinkingConfig", "unheard_of": "unheardOf", "budget": "generationConfig.thinkingConfig", "thoughts": "generationConfig.thinkingConfig.includeThoughts", "parallel_tool_calls": "toolConfig", "max_completion_tokens": "generationConfig.maxOutputTokens"}
	if word, ok := words[name]; ok {
		return word
	}
	return name
}
