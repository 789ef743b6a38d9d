package sandbox

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// signsCalls reports a model that signs its function calls: Gemini 3 and later.
func signsCalls(model string) bool {
	version, ok := strings.CutPrefix(model, "gemini-")
	return ok && version != "" && version[0] >= '3' && version[0] <= '9'
}

// noSignature is what stands for a signature that a history never had.
const noSignature = "skip_thought_signature_validator"

// geminiTurn is what the order rules need to know of one turn.
type geminiTurn struct {
	role    string
	text    string
	calls   []toolResult
	results []toolResult
	parts   int
	signed  []bool // of each call: its part has a signature
}

// readContents counts and collects the turns, and checks that the results in a turn are
// those of the calls in the one before it, and that calls of the current turn are signed.
func (g geminiHearer) readContents(contents gjson.Result, p *prompt) (bad *fault) {
	turns := []geminiTurn{{}}
	list(contents, func(content gjson.Result) {
		if bad != nil {
			return
		}
		at := fmt.Sprintf("contents[%d]", len(turns)-1)
		p.messages++
		t := geminiTurn{role: content.Get("role").Str}
		before := len(p.media)
		bad = g.readParts(content, at, p, &t)
		if t.role != "model" && (t.text != "" || len(t.results) == 0) {
			p.asked(t.text)
			p.newMedia = before
		}
		if bad == nil {
			bad = t.follow(&turns[len(turns)-1], at)
		}
		turns = append(turns, t)
	})
	if bad != nil {
		return bad
	}
	last := turns[len(turns)-1]
	if len(last.results) > 0 && last.text == "" {
		p.answered(last.results)
	}
	if p.signsCalls {
		return missingSignature(turns)
	}
	return nil
}

// follow checks a turn's function responses against the calls before it.
func (t *geminiTurn) follow(before *geminiTurn, at string) *fault {
	if len(t.results) != len(before.calls) {
		return geminiFault(at, "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.")
	}
	if len(t.calls) > 0 && (before.role == "model" || before.parts == 0) {
		return geminiFault(at, "Please ensure that function call turn comes immediately after a user turn or after a function response turn.")
	}
	for i, r := range t.results {
		call := before.calls[i]
		if r.id != "" && call.id != "" {
			j := slices.IndexFunc(before.calls, func(c toolResult) bool { return c.id == r.id })
			if j < 0 {
				return geminiFault(at, "Function response id %s does not match any function call of the function call turn.", r.id)
			}
			call = before.calls[j]
		}
		if r.name != call.name {
			return geminiFault(at, "Please ensure that the name of a function response is that of its function call: %s is not %s.", r.name, call.name)
		}
	}
	slices.SortStableFunc(t.results, func(a, b toolResult) int { return place(before.calls, a) - place(before.calls, b) })
	return nil
}

// place is where in the calls the one with a result's id is.
func place(calls []toolResult, r toolResult) int {
	if r.id == "" {
		return 0
	}
	return slices.IndexFunc(calls, func(c toolResult) bool { return c.id == r.id })
}

// missingSignature finds a step of the current turn, which begins with the last text of the user,
// whose first call has lost its signature.
func missingSignature(turns []geminiTurn) *fault {
	start := 0
	for i, t := range turns {
		if t.role != "model" && len(t.results) == 0 {
			start = i
		}
	}
	for i, t := range turns[start:] {
		if len(t.calls) > 0 && !t.signed[0] {
			return geminiFault("", "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, and missing thought_signature may lead to degraded model performance. Additional data, function call `default_api:%s` , position %d. Please refer to https://ai.google.dev/gemini-api/docs/thought-signatures for more details.", t.calls[0].name, start+i)
		}
	}
	return nil
}

func (g geminiHearer) readParts(content gjson.Result, at string, p *prompt, t *geminiTurn) (bad *fault) {
	list(content.Get("parts"), func(part gjson.Result) {
		at := fmt.Sprintf("%s.parts[%d]", at, t.parts)
		t.parts++
		if bad == nil {
			bad = g.readPart(part, at, p, t)
		}
	})
	return bad
}

func (g geminiHearer) readPart(part gjson.Result, at string, p *prompt, t *geminiTurn) *fault {
	has := slices.DeleteFunc(slices.Clone(geminiData), func(name string) bool { return !given(geminiField(part, name)) })
	if len(has) != 1 {
		return geminiFault(at, "* GenerateContentRequest.%s.data: required oneof field 'data' must have one initialized field\n", at)
	}
	signature := geminiField(part, "thoughtSignature").Str
	if fault := g.checkSignature(signature, at, p); fault != nil {
		return fault
	}
	value := geminiField(part, has[0])
	switch has[0] {
	case "text":
		p.addText(value.Str)
		if !part.Get("thought").Bool() {
			t.text = join(t.text, value.Str)
		}
	case "inlineData", "fileData":
		line, fault := geminiMedia(has[0], value, at)
		p.addMedia(line)
		return fault
	case "functionCall":
		if t.role != "model" {
			return geminiFault(at, "Please ensure that function call parts are in a model turn.")
		}
		t.calls = append(t.calls, toolResult{id: value.Get("id").Str, name: value.Get("name").Str})
		t.signed = append(t.signed, signature != "")
		p.addRaw(value.Raw)
	case "functionResponse":
		p.addRaw(value.Raw)
		r := geminiResult(value)
		var fault *fault
		list(value.Get("parts"), func(media gjson.Result) {
			name, of := "inlineData", geminiField(media, "inlineData")
			if !given(of) {
				name, of = "fileData", geminiField(media, "fileData")
			}
			line, bad := geminiMedia(name, of, at)
			p.addMedia(line)
			r.media = append(r.media, line)
			if fault == nil {
				fault = bad
			}
		})
		t.results = append(t.results, r)
		return fault
	}
	return nil
}

// checkSignature checks a signature that comes back.
func (geminiHearer) checkSignature(signature, at string, p *prompt) *fault {
	if signature == "" || signature == noSignature {
		return nil
	}
	if raw, err := decodeBase64(signature); err == nil && string(raw) == noSignature || strings.TrimRight(signature, "=") == noSignature {
		return nil
	}
	if p.seal.check(signature, "") != sealGood {
		return geminiFault(at+".thought_signature", "Corrupted thought signature.")
	}
	return nil
}

// geminiResult reads a function response: the keys that the service knows are texts by themselves.
func geminiResult(v gjson.Result) toolResult {
	response := v.Get("response")
	r := toolResult{id: v.Get("id").Str, name: v.Get("name").Str, text: response.Raw, failed: response.Get("error").Exists()}
	members := response.Map()
	for _, name := range []string{"output", "result", "error"} {
		if value, ok := members[name]; ok && len(members) == 1 && value.Type == gjson.String {
			r.text = value.Str
		}
	}
	return r
}

var geminiImages = []string{"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"}

// geminiFiles are the beginnings of addresses that the service fetches.
var geminiFiles = []string{"https://generativelanguage.googleapis.com/v1beta/files/", "https://www.youtube.com/", "https://youtu.be/", "gs://"}

// geminiMedia reads media that a part holds or names.
func geminiMedia(name string, v gjson.Result, at string) (line string, bad *fault) {
	mediaType := geminiField(v, "mimeType").Str
	if name == "fileData" {
		uri := geminiField(v, "fileUri").Str
		if strings.Contains(uri, "://") && !slices.ContainsFunc(geminiFiles, func(begin string) bool { return strings.HasPrefix(uri, begin) }) {
			return "", geminiFault(at+".file_data.file_uri", "Cannot fetch content from the provided URL. Please ensure the URL is valid and accessible by Vertex AI or the Files API.")
		}
		return MediaURL(mediaKind(mediaType), uri), nil
	}
	kind, _, _ := strings.Cut(mediaType, "/")
	known := kind == "audio" || kind == "video" || kind == "text" || mediaType == "application/pdf" || slices.Contains(geminiImages, mediaType)
	data, err := decodeBase64(v.Get("data").Str)
	switch {
	case err != nil || len(data) == 0:
		return "", geminiFault(at+".inline_data.data", "Invalid value at '%s.inline_data.data' (TYPE_BYTES), Base64 decoding failed for %s", snake(at), clip(v.Get("data").Raw))
	case !known:
		return "", geminiFault(at+".inline_data", "Unsupported MIME type: %s", mediaType)
	}
	return Media(mediaType, data), nil
}
