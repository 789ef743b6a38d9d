package gemini

import (
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// call is a function call that a result may answer.
type call struct {
	id, name string
	minted   bool
	answered bool
}

// maxCalls bounds the calls of one turn, so that looking for the one that a result answers stays cheap.
const maxCalls = 256

// piece is a part as its members say it.
type piece struct {
	text, signature, data gjson.Result
	kind                  string // the member that is data, "" for text
	other                 string // a member that changes what the part is
	thought               bool
}

// part reads the ith part of a turn. Where it stands is only put together for parts that need to tell it.
func (d *decoding) part(turn string, i int, v gjson.Result) (router.Part, *router.FieldError) {
	here := func() string { return item(turn+".parts", i) }
	if !v.IsObject() {
		return router.Part{}, wrong(here(), "must be an object")
	}
	var p piece
	v.ForEach(func(key, v gjson.Result) bool {
		if v.Type == gjson.Null {
			return true
		}
		switch name := camel(key.Str); name {
		case "text":
			p.text = v
		case "thought":
			p.thought = v.Bool()
		case "thoughtSignature":
			p.signature = v
		case "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult", "toolCall", "toolResponse":
			if p.kind != "" {
				p.other = name
			}
			p.kind, p.data = name, v
		case "partMetadata":
			d.hint(here()+"."+key.Str, "the caller's own notes")
		case "mediaResolution":
			d.hint(here()+"."+key.Str, "how closely media are looked at is left to the provider")
		default:
			p.other = name
		}
		return true
	})
	switch {
	case p.text.Exists() && p.text.Type != gjson.String:
		return router.Part{}, wrong(here()+".text", "must be a string")
	case p.signature.Exists() && p.signature.Type != gjson.String:
		return router.Part{}, wrong(here()+".thoughtSignature", "must be a string")
	}
	if !p.thought { // of which those who leave it out tell themselves
		d.sealed(here, p.signature.Str)
	}
	if p.kind == "" && p.other == "" && !p.thought {
		return router.Part{Kind: router.KindText, Text: p.text.Str, Signature: standard(p.signature.Str)}, nil
	}
	out := router.Part{Raw: json.RawMessage(v.Raw), Field: here(), Signature: standard(p.signature.Str)}
	return d.special(p, out)
}

// sealed notes a seal of Gemini's, which only Gemini opens. One of ours, or the word for none, seals nothing.
func (d *decoding) sealed(here func() string, seal string) {
	if seal == "" || seal == unsealed || standard(seal) == unsealedInBase64 || router.IsMinted(standard(seal)) {
		return
	}
	d.hint(here()+".thoughtSignature", "what the model thought is sealed for its own provider")
}

// special reads a part that is not plain text.
func (d *decoding) special(p piece, out router.Part) (router.Part, *router.FieldError) {
	switch {
	case p.other != "" || p.kind != "" && p.text.Exists():
		out.Kind = router.Kind(p.other + p.kind)
		return out, nil
	case p.kind == "":
		out.Kind, out.Text = router.KindReasoning, p.text.Str
		return out, nil
	}
	switch p.kind {
	case "functionCall":
		return d.call(out, p.data)
	case "functionResponse":
		return d.result(out, p.data)
	case "inlineData", "fileData":
		return d.media(out, p.kind, p.data)
	}
	out.Kind = router.Kind(p.kind)
	return out, nil
}

// call reads a function call. One that has no id gets one by its place, so that its result can name it.
func (d *decoding) call(out router.Part, v gjson.Result) (router.Part, *router.FieldError) {
	out.Kind, out.Text = router.KindCall, "{}"
	fault := members(v, out.Field+".functionCall.", func(name, field string, v gjson.Result) (fault *router.FieldError) {
		switch name {
		case "id":
			out.ID, fault = str(field, v)
		case "name":
			out.Name, fault = str(field, v)
		case "args":
			if out.Text = v.Raw; !v.IsObject() {
				fault = wrong(field, "must be an object")
			}
		default: // pieces of arguments, say
			out.Kind = "functionCall"
		}
		return fault
	})
	switch {
	case fault != nil:
		return out, fault
	case out.Name == "":
		return out, wrong(out.Field+".functionCall.name", "is required")
	case len(d.calls) == maxCalls:
		return out, wrong(out.Field, "is one of more than 256 calls in a turn")
	}
	minted := out.ID == ""
	if minted {
		out.ID = router.MintID("gemini/"+out.Name, len(d.req.Messages), len(d.calls))
	}
	d.calls = append(d.calls, call{id: out.ID, name: out.Name, minted: minted})
	return out, nil
}

// result reads a function's response: "output" holds what the function gave back, "error" how it failed, and an object
// with neither is the output itself.
func (d *decoding) result(out router.Part, v gjson.Result) (router.Part, *router.FieldError) {
	out.Kind = router.KindResult
	var response, parts gjson.Result
	var partsAt string
	fault := members(v, out.Field+".functionResponse.", func(name, field string, v gjson.Result) (fault *router.FieldError) {
		switch name {
		case "id":
			out.ID, fault = str(field, v)
		case "name":
			out.Name, fault = str(field, v)
		case "response":
			if response = v; !v.IsObject() {
				fault = wrong(field, "must be an object")
			}
		case "parts":
			parts, partsAt = v, field
		case "willContinue", "scheduling":
			d.hint(field, "only calls that do not block heed it")
		default:
			d.extra(field)
		}
		return fault
	})
	switch {
	case fault != nil:
		return out, fault
	case out.Name == "":
		return out, wrong(out.Field+".functionResponse.name", "is required")
	}
	out.ID = d.answered(out.ID, out.Name)
	said, failed := outcome(response)
	out.Failed = failed
	out.Parts = []router.Part{router.Text(said)}
	fault = each(parts, partsAt, func(i int, p gjson.Result) *router.FieldError {
		inner := router.Part{Kind: "functionResponsePart", Raw: json.RawMessage(p.Raw), Field: item(partsAt, i)}
		fault := members(p, inner.Field+".", func(name, field string, v gjson.Result) (fault *router.FieldError) {
			switch {
			case name != "inlineData" && name != "fileData" || inner.Media != nil:
				d.extra(field)
			default:
				inner, fault = d.media(inner, name, v)
			}
			return fault
		})
		out.Parts = append(out.Parts, inner)
		return fault
	})
	return out, fault
}

// outcome reads the response of a function as text.
func outcome(response gjson.Result) (said string, failed bool) {
	fields := 0
	var only gjson.Result
	var name string
	response.ForEach(func(key, v gjson.Result) bool {
		fields++
		name, only = key.Str, v
		return fields < 2
	})
	switch fault := response.Get("error"); fault.Type { // many functions say so when nothing was wrong, too
	case gjson.Null, gjson.False:
	case gjson.String:
		failed = fault.Str != ""
	default:
		failed = true
	}
	switch {
	case fields == 0:
		return "{}", false
	case fields > 1 || name != "output" && (name != "error" || !failed):
		return response.Raw, failed
	case only.Type == gjson.String:
		return only.Str, failed
	}
	return only.Raw, failed
}

// answered finds the call that a result answers: by id, else by name, else by place.
func (d *decoding) answered(id, name string) string {
	fits := []func(c call) bool{
		func(c call) bool { return id != "" && c.id == id },
		func(c call) bool { return (id == "" || c.minted) && c.name == name },
		func(c call) bool { return id == "" },
	}
	for _, fit := range fits {
		for i := range d.calls {
			if c := &d.calls[i]; !c.answered && fit(*c) {
				c.answered = true
				return c.id
			}
		}
	}
	if id == "" {
		id = router.MintID("gemini/result/"+name, len(d.req.Messages), 0)
	}
	return id
}

// media reads bytes in the request, or where they are.
func (d *decoding) media(out router.Part, kind string, v gjson.Result) (router.Part, *router.FieldError) {
	at := out.Field + "." + kind
	m := &router.Media{}
	var uri string
	fault := members(v, at+".", func(name, field string, v gjson.Result) (fault *router.FieldError) {
		switch name {
		case "mimeType":
			m.Type, fault = str(field, v)
		case "data":
			m.Data, fault = str(field, v)
		case "fileUri":
			uri, fault = str(field, v)
		case "displayName":
			m.Name, fault = str(field, v)
		default:
			d.extra(field)
		}
		return fault
	})
	if fault != nil {
		return out, fault
	}
	switch out.Media, m.Data = m, standard(m.Data); {
	case kind == "inlineData" && m.Type == "":
		return out, wrong(at+".mimeType", "is required")
	case kind == "inlineData":
	case uri == "":
		return out, wrong(at+".fileUri", "is required")
	case strings.HasPrefix(uri, "https://generativelanguage.googleapis.com/") || !strings.HasPrefix(uri, "http"):
		m.File = uri // which only Google can read
	default:
		m.URL = uri
	}
	switch family, _, _ := strings.Cut(strings.ToLower(m.Type), "/"); family {
	case "image":
		out.Kind = router.KindImage
	case "audio":
		out.Kind = router.KindAudio
	case "text", "application":
		out.Kind = router.KindDocument
	case "video":
		out.Kind = "video"
	default:
		out.Kind = router.Kind(kind)
	}
	return out, nil
}

// standard is base64 in the standard alphabet: protobuf's JSON reads the URL-safe one, and no padding, too.
func standard(b64 string) string {
	if strings.ContainsAny(b64, "-_") {
		b64 = strings.NewReplacer("-", "+", "_", "/").Replace(b64)
	}
	if n := len(b64) % 4; n > 1 {
		b64 += "=="[:4-n]
	}
	return b64
}
