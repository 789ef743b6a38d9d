package sandbox

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// serveModels serves the list of a provider's models, a page of it, or one of it.
func (s *Sandbox) serveModels(w http.ResponseWriter, r *http.Request, t target) {
	d := t.d
	secret := d.secret(r.Header)
	call, err := s.lists.open(Call{Attempt: r.Header.Get(AttemptHeader), Provider: d.provider, Dialect: d.name, Endpoint: ListModels,
		Model: t.model, Key: Fingerprint(secret)})
	if err != nil {
		s.refuse(w, d, faultOf(d.provider, ServerError, 0).saying("sandbox: %v", err), nil)
		return
	}
	end := func(outcome Outcome, status int) {
		// This record has no journal that could fail.
		_ = s.lists.end(call, func(c *Call) { c.Outcome, c.Status = outcome, status })
	}
	f := s.keyFault(d, secret)
	if f == nil {
		f = d.checkHeader(r.Header)
	}
	var body any
	if f == nil {
		body, f = s.modelsFor(r, t)
	}
	if f != nil {
		end(Failed(f.kind), f.status)
		s.refuse(w, d, f, nil)
		return
	}
	end(Completed, http.StatusOK)
	var out frames
	out.value(body)
	d.header(w.Header(), requestID(strings.Repeat("0", 32)), nil)
	w.Header()["Content-Type"] = jsonType
	_, _ = w.Write(out.buf.Bytes())
}

// modelsFor is one model, or a page of them.
func (s *Sandbox) modelsFor(r *http.Request, t target) (any, *fault) {
	provider := t.d.provider
	names := s.modelNames(provider)
	if t.model != "" {
		if !slices.Contains(names, t.model) {
			return nil, faultOf(provider, NotFound, 0).about(t.model)
		}
		names = []string{t.model}
	}
	switch provider {
	case Anthropic:
		if t.model != "" {
			return anthropicModelOf(t.model), nil
		}
		return anthropicPage(r, names)
	case Google:
		if t.model != "" {
			return geminiModelOf(t.model), nil
		}
		return geminiPage(r, names)
	}
	if t.model != "" {
		return openaiModelOf(t.model), nil
	}
	list := struct {
		Object string        `json:"object"`
		Data   []openaiModel `json:"data"`
	}{"list", make([]openaiModel, 0, len(names))}
	for _, name := range names {
		list.Data = append(list.Data, openaiModelOf(name))
	}
	return list, nil
}

type openaiModel struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

func openaiModelOf(name string) openaiModel {
	return openaiModel{name, "model", modelsCreated, "sandbox"}
}

type anthropicModel struct {
	Type        string  `json:"type"`
	ID          string  `json:"id"`
	DisplayName string  `json:"display_name"`
	CreatedAt   string  `json:"created_at"`
	Lifecycle   string  `json:"lifecycle"`
	Deprecated  *string `json:"deprecated_at"`
	Retires     *string `json:"retires_at"`
	MaxInput    int     `json:"max_input_tokens"`
	MaxTokens   int     `json:"max_tokens"`
	Capability  struct {
		Thinking struct {
			Types []string `json:"types"`
		} `json:"thinking"`
	} `json:"capabilities"`
}

func anthropicModelOf(name string) anthropicModel {
	f := familyOf(Anthropic, name)
	m := anthropicModel{
		Type: "model", ID: name, DisplayName: strings.ReplaceAll(name, "-", " "), CreatedAt: "2026-01-01T00:00:00Z",
		Lifecycle: "active", MaxInput: 1_000_000, MaxTokens: f.maxOutput,
	}
	m.Capability.Thinking.Types = append([]string{}, f.thinking...)
	return m
}

// anthropicPage is a page between cursors, 20 long unless the caller says otherwise.
func anthropicPage(r *http.Request, names []string) (any, *fault) {
	query := r.URL.Query()
	limit, after, before := 20, query.Get("after_id"), query.Get("before_id")
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1000 {
			return nil, anthropicFault("limit: Input should be between 1 and 1000")
		}
		limit = n
	}
	for _, id := range []string{after, before} {
		if id != "" && !slices.Contains(names, id) {
			return nil, anthropicFault("after_id or before_id: %s is not a model", id)
		}
	}
	if after != "" {
		names = names[slices.Index(names, after)+1:]
	}
	more := false
	if before != "" {
		names = names[:slices.Index(names, before)]
		if more = len(names) > limit; more {
			names = names[len(names)-limit:]
		}
	} else if more = len(names) > limit; more {
		names = names[:limit]
	}
	list := struct {
		Data    []anthropicModel `json:"data"`
		HasMore bool             `json:"has_more"`
		FirstID *string          `json:"first_id"`
		LastID  *string          `json:"last_id"`
	}{Data: make([]anthropicModel, 0, len(names)), HasMore: more}
	for _, name := range names {
		list.Data = append(list.Data, anthropicModelOf(name))
	}
	if len(names) > 0 {
		list.FirstID, list.LastID = &names[0], &names[len(names)-1]
	}
	return list, nil
}

type geminiModel struct {
	Name        string   `json:"name"`
	Version     string   `json:"version"`
	DisplayName string   `json:"displayName"`
	InputLimit  int      `json:"inputTokenLimit"`
	OutputLimit int      `json:"outputTokenLimit"`
	Methods     []string `json:"supportedGenerationMethods"`
	Temperature float64  `json:"temperature"`
	Highest     float64  `json:"maxTemperature"`
	Thinking    bool     `json:"thinking"`
}

func geminiModelOf(name string) geminiModel {
	return geminiModel{
		Name: "models/" + name, Version: "001", DisplayName: name, InputLimit: 1_048_576,
		OutputLimit: familyOf(Google, name).maxOutput, Methods: []string{"generateContent", "countTokens"},
		Temperature: 1, Highest: 2, Thinking: true,
	}
}

// geminiPage is a page of 50, or of pageSize, and the token of the next: where it begins.
func geminiPage(r *http.Request, names []string) (any, *fault) {
	query := r.URL.Query()
	size, from := 50, 0
	for name, value := range map[string]*int{"pageSize": &size, "pageToken": &from} {
		if text := query.Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 || n > len(names) && name == "pageToken" {
				return nil, geminiFault(snake(name), "Invalid value for %s", snake(name))
			}
			*value = n
		}
	}
	if size == 0 {
		size = 50
	}
	list := struct {
		Models []geminiModel `json:"models"`
		Next   string        `json:"nextPageToken,omitempty"`
	}{Models: []geminiModel{}}
	to := min(len(names), from+min(size, 1000))
	for _, name := range names[from:to] {
		list.Models = append(list.Models, geminiModelOf(name))
	}
	if to < len(names) {
		list.Next = strconv.Itoa(to)
	}
	return list, nil
}
