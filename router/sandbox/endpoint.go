package sandbox

import (
	"net/http"
	"strings"
)

// Endpoint is what a call asks for.
type Endpoint string

// The endpoints, in each provider's own words.
const (
	Generate   Endpoint = "generate"
	Embed      Endpoint = "embed"
	Count      Endpoint = "count" // tokens
	ListModels Endpoint = "list_models"
)

func (e Endpoint) method() string {
	if e == ListModels {
		return http.MethodGet
	}
	return http.MethodPost
}

// target is what a path means.
type target struct {
	d        *dialect
	endpoint Endpoint // "" is nothing that this provider has
	model    string   // the one that a list of models is narrowed to
}

// targetOf reads a path: the provider's part and the rest. It is false for a provider that is none.
func targetOf(provider, rest string) (target, bool) {
	switch provider {
	case OpenAI:
		return openaiTarget(rest), true
	case Anthropic:
		return anthropicTarget(rest), true
	case Google:
		return geminiEndpoint(rest), true
	case Compatible:
		return compatibleTarget(rest), true
	}
	return target{}, false
}

func openaiTarget(rest string) target {
	switch rest {
	case "v1/chat/completions":
		return target{d: chatDialect, endpoint: Generate}
	case "v1/responses":
		return target{d: responsesDialect, endpoint: Generate}
	case "v1/responses/input_tokens":
		return target{d: responsesDialect, endpoint: Count}
	case "v1/embeddings":
		return target{d: chatDialect, endpoint: Embed}
	}
	return modelsTarget(chatDialect, rest, "v1/models")
}

func anthropicTarget(rest string) target {
	switch rest {
	case "v1/messages":
		return target{d: messagesDialect, endpoint: Generate}
	case "v1/messages/count_tokens":
		return target{d: messagesDialect, endpoint: Count}
	}
	return modelsTarget(messagesDialect, rest, "v1/models")
}

func geminiEndpoint(rest string) target {
	switch model, method := geminiTarget(rest); method {
	case "generateContent", "streamGenerateContent":
		return target{d: geminiDialect, endpoint: Generate}
	case "countTokens":
		return target{d: geminiDialect, endpoint: Count}
	case "embedContent", "batchEmbedContents":
		return target{d: geminiDialect, endpoint: Embed}
	case "":
		return modelsTarget(geminiDialect, rest, geminiModels)
	default:
		return target{d: geminiDialect, model: model}
	}
}

func compatibleTarget(rest string) target {
	persona, rest, _ := strings.Cut(rest, "/")
	d := personas[persona]
	if d == nil {
		return target{d: personas["v1"]}
	}
	switch rest {
	case "chat/completions":
		return target{d: d, endpoint: Generate}
	case "embeddings":
		return target{d: d, endpoint: Embed}
	}
	return modelsTarget(d, rest, "models")
}

// modelsTarget is the list of models, or one of it.
func modelsTarget(d *dialect, rest, list string) target {
	if rest == list {
		return target{d: d, endpoint: ListModels}
	}
	if model, ok := strings.CutPrefix(rest, list+"/"); ok && model != "" {
		return target{d: d, endpoint: ListModels, model: model}
	}
	return target{d: d}
}
