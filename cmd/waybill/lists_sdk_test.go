package main

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"
	"google.golang.org/genai"

	"waybill/router/sandbox"
)

// Lists of models come in each client's own shape, whole over several pages, and each model that is listed can be shown.
func TestOfficialClientsListModels(t *testing.T) {
	s := newSite(t)
	s.must("org", "open", "acme", "--plan", "teams")
	key := s.must("key", "issue", "acme", "--name", "sdk")
	narrow := s.must("key", "issue", "acme", "--name", "narrow", "--models", "anthropic/*")
	url, _ := s.serve()
	ctx, cancel := context.WithTimeout(t.Context(), sdkTimeout)
	defer cancel()
	list := map[string]func(key string) (ids []string, err error){
		"openai": func(key string) (ids []string, err error) {
			c := sdk(url, key)
			all := c.Models.ListAutoPaging(ctx)
			for all.Next() {
				m := all.Current()
				one, err := c.Models.Get(ctx, m.ID)
				if err != nil || one.ID != m.ID || one.OwnedBy == "" {
					t.Errorf("%s: %+v, %v", m.ID, one, err)
				}
				ids = append(ids, m.ID)
			}
			return ids, all.Err()
		},
		"anthropic": func(key string) (ids []string, err error) {
			c := anthropicSDK(url, key)
			all := c.Models.ListAutoPaging(ctx, anthropic.ModelListParams{Limit: anthropic.Int(7)})
			for all.Next() {
				m := all.Current()
				one, err := c.Models.Get(ctx, m.ID, anthropic.ModelGetParams{})
				if err != nil || one.ID != m.ID || one.DisplayName == "" || one.CreatedAt.IsZero() {
					t.Errorf("%s: %+v, %v", m.ID, one, err)
				}
				ids = append(ids, m.ID)
			}
			return ids, all.Err()
		},
		"genai": func(key string) (ids []string, err error) {
			c := genaiSDK(t, url, key)
			page, err := c.Models.List(ctx, &genai.ListModelsConfig{PageSize: 7})
			for ; err == nil; page, err = page.Next(ctx) {
				for _, m := range page.Items {
					one, err := c.Models.Get(ctx, m.Name, nil)
					if err != nil || one.Name != m.Name || len(one.SupportedActions) == 0 {
						t.Errorf("%s: %+v, %v", m.Name, one, err)
					}
					ids = append(ids, m.Name[len("models/"):])
				}
			}
			if err == genai.ErrPageDone {
				err = nil
			}
			return ids, err
		},
	}
	whole, err := list["openai"](key)
	if err != nil {
		t.Fatal(err)
	}
	for client, of := range list {
		ids, err := of(key)
		if err != nil || !slices.Equal(ids, whole) {
			t.Errorf("%s lists %q, %v, want %q", client, ids, err, whole)
		}
		for _, want := range append([]string{"auto", "openai/text-embedding-3-small"}, sdkModels...) {
			if !slices.Contains(ids, want) {
				t.Errorf("%s: %s is not listed", client, want)
			}
		}
		ids, err = of(narrow)
		if err != nil || len(ids) == 0 || slices.ContainsFunc(ids, func(id string) bool { return id != "auto" && id[:9] != "anthropic" }) {
			t.Errorf("%s lists %q, %v to a key for Anthropic's models alone", client, ids, err)
		}
	}
}

// Texts are embedded by each client that can, with each provider's model, one and several.
func TestOfficialClientsEmbed(t *testing.T) {
	s := newSite(t)
	s.must("org", "open", "acme", "--plan", "teams")
	key := s.must("key", "issue", "acme", "--name", "sdk")
	url, _ := s.serve()
	ctx, cancel := context.WithTimeout(t.Context(), sdkTimeout)
	defer cancel()
	texts := []string{"Grüße", "世界, and more"}
	same := func(t *testing.T, i int, got []float32) {
		if want := sandbox.Embedding(texts[i], 64); !slices.Equal(got, want) {
			t.Errorf("text %d: %d dimensions, %v…, want %v…", i, len(got), got[:min(3, len(got))], want[:3])
		}
	}
	for _, model := range []string{"openai/text-embedding-3-small", "google/gemini-embedding-001"} {
		t.Run("openai/"+model, func(t *testing.T) {
			c := sdk(url, key)
			r, err := c.Embeddings.New(ctx, openai.EmbeddingNewParams{Model: model, Dimensions: openai.Int(64), Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: texts}})
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Data) != 2 || r.Usage.PromptTokens == 0 || r.Usage.TotalTokens != r.Usage.PromptTokens {
				t.Fatalf("%d vectors, usage %s", len(r.Data), r.Usage.RawJSON())
			}
			for i, e := range r.Data {
				v := make([]float32, len(e.Embedding))
				for j, x := range e.Embedding {
					v[j] = float32(x)
				}
				same(t, i, v)
			}
		})
		t.Run("genai/"+model, func(t *testing.T) {
			c := genaiSDK(t, url, key)
			dimensions := int32(64)
			r, err := c.Models.EmbedContent(ctx, model, []*genai.Content{genai.NewContentFromText(texts[0], ""), genai.NewContentFromText(texts[1], "")},
				&genai.EmbedContentConfig{OutputDimensionality: &dimensions})
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Embeddings) != 2 {
				t.Fatalf("%d vectors", len(r.Embeddings))
			}
			for i, e := range r.Embeddings {
				same(t, i, e.Values)
			}
		})
	}
	c := sdk(url, key)
	_, err := c.Embeddings.New(ctx, openai.EmbeddingNewParams{Model: sdkModels[0], Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String("x")}})
	refusal(t, err, 400, "invalid")
}

// Tokens are counted by each client that can, and cost nothing.
func TestOfficialClientsCountTokens(t *testing.T) {
	s := newSite(t)
	s.must("org", "open", "acme", "--plan", "teams")
	key := s.must("key", "issue", "acme", "--name", "sdk")
	url, _ := s.serve()
	ctx, cancel := context.WithTimeout(t.Context(), sdkTimeout)
	defer cancel()
	balance := func() string { // without the line that says at which position
		_, rows, _ := strings.Cut(s.must("balance", "acme"), "\n")
		return rows
	}
	before := balance()
	const system, text = "Be brief.", "Grüße, 世界, how many tokens are these?"
	want := int64(sandbox.CountTokens(system) + sandbox.CountTokens(text))
	for _, model := range sdkModels {
		for client, count := range map[string]func() (int64, error){
			"anthropic": func() (int64, error) {
				c := anthropicSDK(url, key)
				p := anthropic.MessageCountTokensParams{Model: anthropic.Model(model), Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(text))}}
				p.System.OfString = anthropic.String(system)
				r, err := c.Messages.CountTokens(ctx, p)
				if err != nil {
					return 0, err
				}
				return r.InputTokens, nil
			},
			"responses": func() (int64, error) {
				c := sdk(url, key)
				r, err := c.Responses.InputTokens.Count(ctx, responses.InputTokenCountParams{Model: openai.String(model), Instructions: openai.String(system),
					Input: responses.InputTokenCountParamsInputUnion{OfString: openai.String(text)}})
				if err != nil {
					return 0, err
				}
				return r.InputTokens, nil
			},
			"genai": func() (int64, error) {
				c := genaiSDK(t, url, key)
				// Of this client the Developer API's countTokens takes no system text: it goes before the question.
				r, err := c.Models.CountTokens(ctx, model, []*genai.Content{genai.NewContentFromText(system, genai.RoleUser), genai.NewContentFromText(text, genai.RoleUser)}, nil)
				if err != nil {
					return 0, err
				}
				return int64(r.TotalTokens), nil
			},
		} {
			if n, err := count(); err != nil || n != want {
				t.Errorf("%s counts %d tokens for %s, %v, want %d", client, n, model, err, want)
			}
		}
	}
	if after := balance(); after != before || before == "" {
		t.Errorf("counting cost something: from\n%s\nto\n%s", before, after)
	}
}
