package router

import (
	"net/http"
	"slices"

	"waybill/ledger"
	"waybill/ledger/secret"
)

// Provider is where a provider is reached, what it speaks, and how it departs from that.
type Provider struct {
	Dialects []ledger.Dialect // the main one first
	BaseURL  string           // as the provider's own SDK takes it
	Quirks   Quirks
}

// Quirks are how a provider departs from a dialect that it otherwise speaks.
type Quirks struct {
	// KeyHeader is the header that carries the key as it is, where it is not the dialect's own.
	KeyHeader string `json:"key_header,omitzero" yaml:"key_header"`
	// MaxTokens: the output cap is called max_tokens.
	MaxTokens bool `json:"max_tokens,omitzero" yaml:"max_tokens"`
	// NoStreamOptions: stream_options are refused; usage comes unasked, or not at all.
	NoStreamOptions bool `json:"no_stream_options,omitzero" yaml:"no_stream_options"`
	// NoDeveloper: the role developer is refused, and system is to be said for it.
	NoDeveloper bool `json:"no_developer,omitzero" yaml:"no_developer"`
	// NoSchema: an answer by a JSON schema cannot be had, only JSON.
	NoSchema bool `json:"no_schema,omitzero" yaml:"no_schema"`
	// NoDone: a stream ends without an end mark.
	NoDone bool `json:"no_done,omitzero" yaml:"no_done"`
	// CheckPath is the path of the free call that shows whether a key is taken, where anybody may list the models.
	CheckPath string `json:"check_path,omitzero" yaml:"check_path"`
	// Drop names top-level fields that are refused and whose loss is bearable: they are left out with a warning.
	Drop []string `json:"drop,omitempty" yaml:"drop"`
}

func (q Quirks) authenticate(h http.Header, key secret.Text) {
	if q.KeyHeader == "" {
		return
	}
	for _, name := range []string{"Authorization", "X-Api-Key", "X-Goog-Api-Key"} {
		h.Del(name)
	}
	h.Set(q.KeyHeader, key.Reveal())
}

// dialect chooses what to speak with the provider: the caller's own dialect where it can be, since then nothing is
// translated. Chat Completions cannot carry the tools of OpenAI's models that reason; there it is Responses. The
// source is OpenAI's model pages, for instance https://developers.openai.com/api/docs/models/gpt-6.2-sol.
func (p Provider) dialect(r *Request, m *ledger.Model) (ledger.Dialect, error) {
	speaks := func(d ledger.Dialect) bool { return slices.Contains(p.Dialects, d) }
	switch r.Endpoint {
	case EndpointEmbed:
		for _, d := range p.Dialects {
			if d == ledger.DialectOpenAIChat || d == ledger.DialectGemini {
				return d, nil
			}
		}
		return "", &FieldError{r.Name("model"), m.Provider + " has no embeddings"}
	case EndpointCount:
		for _, d := range append([]ledger.Dialect{r.Dialect}, p.Dialects...) {
			if d != ledger.DialectOpenAIChat && speaks(d) {
				return d, nil
			}
		}
		return "", &FieldError{r.Name("model"), m.Provider + " does not count tokens"}
	}
	tools := len(r.Tools) > 0 && m.Has(ledger.FeatureResponsesTools) && r.Effort != "none" && speaks(ledger.DialectOpenAIResponses)
	switch {
	case tools:
		return ledger.DialectOpenAIResponses, nil
	case speaks(r.Dialect):
		return r.Dialect, nil
	}
	return p.Dialects[0], nil
}
