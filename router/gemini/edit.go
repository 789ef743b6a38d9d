package gemini

import (
	"slices"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// edit gives the caller's own body with the members changed that a leg must change:
//
//   - model names the upstream's model, where the body repeats what the address says;
//   - generationConfig.maxOutputTokens is what the hold was sized for;
//   - sampling values and thinking that the model refuses are left out, with a warning;
//   - seals that this leg cannot open, and thoughts under them, stay behind, with a warning.
//
// Every other member keeps its bytes and its place.
func edit(c router.Call) (body []byte, warnings []string) {
	e := editing{c: c, drop: map[string]bool{}}
	for _, field := range router.RefusedBy(c.Model, c.Request) {
		e.drop[refusable[field]] = true
		e.warn(c.Request.Name(field), "left out, "+c.Model.Name+" refuses it")
	}
	root := gjson.Parse(router.TextOf(c.Request.Body))
	if c.Request.Endpoint == router.EndpointCount {
		if member(root, "generateContentRequest").Exists() {
			return e.rewrite(root, func(name string, v gjson.Result) (string, bool) {
				if name == "generateContentRequest" {
					e.at = name + "."
					return string(e.generate(v)), true
				}
				return e.model(name, v)
			}), e.warnings
		}
	}
	return e.generate(root), e.warnings
}

// refusable are Gemini's names of what models are known to refuse.
var refusable = map[string]string{"temperature": "temperature", "top_p": "topP", "top_k": "topK", "reasoning_effort": "thinkingConfig"}

// editing is one body being written anew.
type editing struct {
	c        router.Call
	at       string
	drop     map[string]bool // of generationConfig
	warnings []string
	seals    seals
}

func (e *editing) warn(field, what string) { e.warnings = append(e.warnings, field+": "+what) }

// rewrite writes an object whose members change may replace, or leave out.
func (e *editing) rewrite(object gjson.Result, change func(name string, v gjson.Result) (raw string, keep bool)) []byte {
	w := router.NewObject(len(object.Raw) + 64)
	object.ForEach(func(key, v gjson.Result) bool {
		if raw, keep := change(camel(key.Str), v); keep {
			w.Member(key.Raw, raw)
		}
		return true
	})
	return w.End()
}

// model names the upstream's model in place of the caller's name for it.
func (e *editing) model(name string, v gjson.Result) (string, bool) {
	if name == "model" && v.Type == gjson.String {
		return router.Quote("models/" + e.c.Model.ID), true
	}
	return v.Raw, true
}

// generate edits a GenerateContentRequest.
func (e *editing) generate(root gjson.Result) []byte {
	configured := false
	sealed := len(e.c.Foreign) > 0 || minted(e.c.Request)
	body := e.rewrite(root, func(name string, v gjson.Result) (string, bool) {
		switch {
		case v.Type == gjson.Null && name == "generationConfig":
			return "", false
		case name == "generationConfig":
			configured = true
			return string(e.config(v)), true
		case name == "contents" && sealed:
			return e.unseal(v), true
		}
		return e.model(name, v)
	})
	if !configured && e.c.OutputCap > 0 {
		tail := `"generationConfig":` + string(e.config(gjson.Parse("{}"))) + "}"
		body = body[:len(body)-1]
		if len(body) > 1 {
			body = append(body, ',')
		}
		body = append(body, tail...)
	}
	return body
}

// config edits generationConfig.
func (e *editing) config(v gjson.Result) []byte {
	capped := e.c.OutputCap == 0
	w := router.NewObject(len(v.Raw) + 32)
	v.ForEach(func(key, v gjson.Result) bool {
		switch name := camel(key.Str); {
		case name == "maxOutputTokens" && e.c.OutputCap > 0:
			if !capped {
				capped = true
				w.Member(key.Raw, capOf(e.c.OutputCap))
			}
		case name == "thinkingConfig" && e.drop[name]:
			if thoughts := member(v, "includeThoughts"); thoughts.Exists() {
				w.Member(key.Raw, `{"includeThoughts":`+thoughts.Raw+`}`)
			}
		case !e.drop[name]:
			w.Member(key.Raw, v.Raw)
		}
		return true
	})
	if !capped {
		w.Raw("maxOutputTokens", capOf(e.c.OutputCap))
	}
	return w.End()
}

// minted tells whether a seal of ours is in the conversation.
func minted(r *router.Request) bool {
	return slices.ContainsFunc(r.Messages, func(m router.Message) bool {
		return slices.ContainsFunc(m.Parts, func(p router.Part) bool { return router.IsMinted(p.Signature) })
	})
}
