package sandbox

import (
	"net/http"
	"strings"

	"github.com/tidwall/gjson"
)

// compatibleHearer reads Chat Completions as a small server does: fields that it
// does not know are no error, unless it is strict about those of OpenAI alone.
type compatibleHearer struct {
	openaiHearer
	strict, azure bool
}

// personas are the compatible servers, by the second part of their paths.
var personas = map[string]*dialect{
	"v1": {provider: Compatible, name: "openai-chat", anyArguments: true,
		hearer: compatibleHearer{}, speaker: openaiSpeaker{compatible: true}},
	"strict": {provider: Compatible, name: "openai-chat", anyArguments: true,
		hearer: compatibleHearer{strict: true}, speaker: openaiSpeaker{compatible: true}},
	"azure": {provider: Compatible, name: "openai-chat", anyArguments: true,
		hearer: compatibleHearer{azure: true}, speaker: openaiSpeaker{compatible: true, azure: true}},
}

func (c compatibleHearer) secret(h http.Header) string {
	if secret := h.Get("Api-Key"); c.azure && secret != "" {
		return secret
	}
	return bearer(h)
}

// unknownToStrict are fields of OpenAI's that the strict server has never heard of.
var unknownToStrict = []string{"max_completion_tokens", "stream_options", "reasoning_effort"}

func (c compatibleHearer) read(r *http.Request, v gjson.Result, _ *family) (*prompt, *fault) {
	if c.strict {
		if f := c.refuse(v); f != nil {
			return nil, f
		}
	}
	if bad := (checker{nullIsAbsent: true, lenient: true}).check(v, openaiBody); bad != nil {
		return nil, openaiComplaint(bad)
	}
	p, f := c.compose(r, v)
	if f != nil {
		return nil, f
	}
	p.showThoughts, p.obfuscate = true, false
	p.includeUsage = p.includeUsage && c.azure
	return p, nil
}

// refuse is what the strict server says to what it does not know.
func (compatibleHearer) refuse(v gjson.Result) (bad *fault) {
	for _, name := range unknownToStrict {
		if v.Get(name).Exists() {
			return openaiFault(name, "extra_forbidden", "Extra inputs are not permitted: %s", name)
		}
	}
	list(v.Get("messages"), func(m gjson.Result) {
		if m.Get("role").Str == "developer" {
			bad = openaiFault("messages", "invalid_value", "Unexpected message role: developer. Use system, user, assistant or tool.")
		}
	})
	if strings.HasPrefix(v.Get("response_format.type").Str, "json_schema") {
		return openaiFault("response_format", "invalid_value", "This response_format type is unavailable now")
	}
	return bad
}
