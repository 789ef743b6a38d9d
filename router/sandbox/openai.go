package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// openaiHearer reads Chat Completions requests.
type openaiHearer struct{}

var (
	openaiBreakpoint = object(fields{"mode!": oneOf("explicit"), "ttl": oneOf("30m", "12h")})

	openaiText  = object(fields{"type!": anyText, "text!": anyText, "prompt_cache_breakpoint": openaiBreakpoint})
	openaiTexts = either(anyText, listOf(variants("type", map[string]*shape{"text": openaiText}), 1, 0))

	openaiUserParts = either(anyText, listOf(variants("type", map[string]*shape{
		"text": openaiText,
		"image_url": object(fields{"type!": anyText, "prompt_cache_breakpoint": openaiBreakpoint,
			"image_url!": object(fields{"url!": someText, "detail": oneOf("auto", "low", "high", "original")})}),
		"input_audio": object(fields{"type!": anyText, "prompt_cache_breakpoint": openaiBreakpoint,
			"input_audio!": object(fields{"data!": someText, "format!": oneOf("wav", "mp3")})}),
		"file": object(fields{"type!": anyText, "prompt_cache_breakpoint": openaiBreakpoint,
			"file!": object(fields{"file_data": anyText, "file_id": anyText, "filename": anyText})}),
	}), 1, 0))

	openaiAssistantParts = orNull(either(anyText, listOf(variants("type", map[string]*shape{
		"text": openaiText, "refusal": object(fields{"type!": anyText, "refusal!": anyText}),
	}), 1, 0)))

	openaiCall = variants("type", map[string]*shape{
		"function": object(fields{"id!": anyText, "type!": anyText,
			"function!": object(fields{"name!": anyText, "arguments!": anyText})}),
		"custom": object(fields{"id!": anyText, "type!": anyText,
			"custom!": object(fields{"name!": anyText, "input!": anyText})}),
	})

	openaiMessage = variants("role", map[string]*shape{
		"developer": object(fields{"role!": anyText, "content!": openaiTexts, "name": anyText}),
		"system":    object(fields{"role!": anyText, "content!": openaiTexts, "name": anyText}),
		"user":      object(fields{"role!": anyText, "content!": openaiUserParts, "name": anyText}),
		"assistant": object(fields{"role!": anyText, "content": openaiAssistantParts, "name": anyText, "refusal": anyText, "annotations": anyArray,
			"audio": object(fields{"id!": anyText}), "tool_calls": listOf(openaiCall, 1, 0), "function_call": anyObject}),
		"tool":     object(fields{"role!": anyText, "content!": openaiTexts, "tool_call_id!": anyText}),
		"function": object(fields{"role!": anyText, "content!": orNull(anyText), "name!": anyText}),
	})

	openaiTool = variants("type", map[string]*shape{
		"function": object(fields{"type!": anyText, "function!": object(fields{
			"name!": textUpTo(64), "description": anyText, "parameters": anyObject, "strict": anyBool})}),
		"custom": object(fields{"type!": anyText, "custom!": anyObject}),
	})

	openaiBody = object(fields{
		"model!": anyText, "messages!": listOf(openaiMessage, 1, 0),
		"temperature": numberFrom(0, 2), "top_p": numberFrom(0, 1),
		"frequency_penalty": numberFrom(-2, 2), "presence_penalty": numberFrom(-2, 2),
		"max_tokens": integerFrom(1, 1<<31), "max_completion_tokens": integerFrom(1, 1<<31),
		"stop": either(someText, listOf(someText, 1, 4)), "n": integerFrom(1, 128), "seed": anyInteger,
		"stream": anyBool, "stream_options": object(fields{"include_usage": anyBool, "include_obfuscation": anyBool}),
		"logprobs": anyBool, "top_logprobs": integerFrom(0, 20),
		"logit_bias":       &shape{kinds: kindObject, items: numberFrom(-100, 100)},
		"reasoning_effort": oneOf(effortsAll...), "verbosity": oneOf("low", "medium", "high"),
		"service_tier": oneOf("auto", "default", "flex", "scale", "priority", "fast"),
		"metadata":     &shape{kinds: kindObject, items: textUpTo(512), most: 16}, "store": anyBool,
		"user": anyText, "safety_identifier": textUpTo(128),
		"prompt_cache_key": anyText, "prompt_cache_options": anyObject, "prompt_cache_retention": anyText,
		"tools": listOf(openaiTool, 1, 128), "parallel_tool_calls": anyBool,
		"tool_choice": either(oneOf("none", "auto", "required"), variants("type", map[string]*shape{
			"function": object(fields{"type!": anyText, "function!": object(fields{"name!": someText})}),
			"custom":   object(fields{"type!": anyText, "custom!": object(fields{"name!": someText})}),
			"allowed_tools": object(fields{"type!": anyText, "allowed_tools!": object(fields{
				"mode!": oneOf("auto", "required"), "tools!": listOf(anyObject, 1, 0)})}),
		})),
		"functions": anyArray, "function_call": either(anyText, anyObject),
		"response_format": variants("type", map[string]*shape{
			"text": object(fields{"type!": anyText}), "json_object": object(fields{"type!": anyText}),
			"json_schema": object(fields{"type!": anyText, "json_schema!": object(fields{
				"name!": textUpTo(64), "description": anyText, "schema": anyObject, "strict": anyBool})})}),
		"audio": anyObject, "modalities": listOf(oneOf("text", "audio"), 1, 2), "moderation": anyObject,
		"prediction": anyObject, "web_search_options": anyObject,
	})
)

func (openaiHearer) secret(h http.Header) string { return bearer(h) }

// bearer is the secret of an Authorization header.
func bearer(h http.Header) string {
	scheme, secret, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(secret)
}

func (openaiHearer) peek(_ *http.Request, body []byte) glance { return glanceBody(body) }

func (openaiHearer) checkHeader(http.Header) *fault { return nil }

// openaiFault is a 400 with OpenAI's parameter and code.
func openaiFault(param, code, format string, args ...any) *fault {
	f := faultOf(OpenAI, BadRequest, 0).saying(format, args...)
	f.param, f.code = param, code
	return f
}

func (openaiHearer) unreadable() *fault {
	return openaiFault("", "", "We could not parse the JSON body of your request. The OpenAI API expects a JSON payload.")
}

func (o openaiHearer) read(r *http.Request, v gjson.Result, f *family) (*prompt, *fault) {
	if !v.Get("model").Exists() {
		return nil, openaiFault("", "", "you must provide a model parameter")
	}
	if bad := (checker{nullIsAbsent: true}).check(v, openaiBody); bad != nil {
		return nil, openaiComplaint(bad)
	}
	if fault := o.checkModel(v, f); fault != nil {
		return nil, fault
	}
	return o.compose(r, v)
}

// compose reads a body that has the right shape.
func (o openaiHearer) compose(_ *http.Request, v gjson.Result) (*prompt, *fault) {
	p := &prompt{
		model: v.Get("model").Str, stream: v.Get("stream").Bool(), limit: -1, choices: 1,
		stops: words(v.Get("stop")), includeUsage: v.Get("stream_options.include_usage").Bool(),
		obfuscate: v.Get("stream_options.include_obfuscation").Type != gjson.False, tier: openaiTier(v.Get("service_tier").Str),
	}
	if n := v.Get("n"); given(n) {
		p.choices = int(n.Int())
	}
	for _, name := range []string{"max_tokens", "max_completion_tokens"} {
		if limit := v.Get(name); given(limit) {
			p.limit = int(limit.Int())
		}
	}
	if fault := p.openaiTools(v, "function."); fault != nil {
		return nil, fault
	}
	switch format := v.Get("response_format"); format.Get("type").Str {
	case "json_schema":
		p.schema = format.Get("json_schema.schema").Raw
		if fault := p.openaiFormat(format.Get("json_schema"), "response_format"); fault != nil {
			return nil, fault
		}
	case "json_object":
		p.jsonObject = true
		if !strings.Contains(strings.ToLower(v.Get("messages").Raw), "json") {
			return nil, openaiFault("messages", "", "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.")
		}
	}
	return p, o.readMessages(v.Get("messages"), p)
}

// openaiTier is the tier that OpenAI reports for the one asked for.
func openaiTier(asked string) string {
	switch asked {
	case "", "auto":
		return "default"
	case "fast":
		return "priority"
	}
	return asked
}

// readMessages counts and collects the messages, and checks that each tool result
// answers a call of the assistant turn before it, and each call is answered.
func (o openaiHearer) readMessages(messages gjson.Result, p *prompt) (bad *fault) {
	var turn openTurn
	list(messages, func(m gjson.Result) {
		if bad != nil {
			return
		}
		at := fmt.Sprintf("messages[%d]", p.messages)
		p.messages++
		bad = o.readMessage(m, at, p, &turn)
	})
	if bad == nil {
		bad = turn.unanswered("messages")
	}
	if bad == nil && turn.results > 0 {
		p.answered(turn.inOrder())
	}
	return bad
}

// openTurn are the calls of the last assistant turn and what came back for them.
type openTurn struct {
	calls   []toolResult // to be filled
	done    map[string]bool
	results int // at the end of the conversation
}

func (t *openTurn) unanswered(at string) *fault {
	for _, call := range t.calls {
		if !t.done[call.id] {
			return openaiFault(at, "", "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: %s", call.id)
		}
	}
	return nil
}

// inOrder are the results in the order of their calls.
func (t *openTurn) inOrder() []toolResult { return t.calls }

// answer files a result with its call.
func (t *openTurn) answer(id, text string, media []string) bool {
	for i := range t.calls {
		if c := &t.calls[i]; c.id == id && !t.done[id] {
			c.text, c.media = text, media
			t.done[id] = true
			t.results++
			return true
		}
	}
	return false
}

func (o openaiHearer) readMessage(m gjson.Result, at string, p *prompt, turn *openTurn) *fault {
	role, content := m.Get("role").Str, m.Get("content")
	if role == "tool" {
		text, fault := p.openaiContent(content, at+".content")
		if fault == nil && !turn.answer(m.Get("tool_call_id").Str, text, nil) {
			fault = openaiFault(at+".role", "", "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'.")
		}
		return fault
	}
	if fault := turn.unanswered(at + ".role"); fault != nil {
		return fault
	}
	if role == "assistant" && !given(content) && !given(m.Get("tool_calls")) && !given(m.Get("function_call")) && !given(m.Get("refusal")) {
		return openaiFault(at+".content", "invalid_type", "Invalid value for 'content': expected a string, got null.")
	}
	*turn = openTurn{done: map[string]bool{}}
	if fault := o.readCalls(m.Get("tool_calls"), at, p, turn); fault != nil {
		return fault
	}
	before := len(p.media)
	text, fault := p.openaiContent(content, at+".content")
	if role == "user" {
		p.asked(text)
		p.newMedia = before
	}
	return fault
}

func (openaiHearer) readCalls(calls gjson.Result, at string, p *prompt, turn *openTurn) (bad *fault) {
	list(calls, func(call gjson.Result) {
		at := fmt.Sprintf("%s.tool_calls[%d]", at, len(turn.calls))
		kind := call.Get("type").Str
		r := toolResult{id: call.Get("id").Str, name: call.Get(kind + ".name").Str}
		switch _, twice := turn.done[r.id]; {
		case bad != nil:
		case len(r.id) > maxCallID:
			bad = openaiFault(at+".id", "string_above_max_length", "Invalid '%s.id': string too long. Expected a string with maximum length %d, but got a string with length %d instead.", at, maxCallID, len(r.id))
		case r.id == "":
			bad = openaiFault(at+".id", "empty_string", "Invalid '%s.id': empty string. Expected a string with minimum length 1, but got an empty string instead.", at)
		case !nameOK.MatchString(r.name):
			bad = openaiName(at + "." + kind + ".name")
		case twice:
			bad = openaiFault(at+".id", "", "Duplicate value for 'tool_call_id' of '%s' found in '%s'.", r.id, at)
		}
		turn.done[r.id] = false
		turn.calls = append(turn.calls, r)
		p.addRaw(call.Get("function.arguments").Str)
		p.addRaw(call.Get("custom.input").Str)
	})
	return bad
}

const maxCallID = 64

func openaiName(param string) *fault {
	return openaiFault(param, "invalid_value", "Invalid '%s': string does not match pattern. Expected a string that matches the pattern '%s'.", param, namePattern)
}

// openaiContent counts a message's content and returns its text.
func (p *prompt) openaiContent(content gjson.Result, at string) (text string, bad *fault) {
	if content.Type == gjson.String {
		p.addText(content.Str)
		return content.Str, nil
	}
	i := 0
	list(content, func(part gjson.Result) {
		at := fmt.Sprintf("%s[%d]", at, i)
		i++
		var line string
		var fault *fault
		switch part.Get("type").Str {
		case "text":
			p.addText(part.Get("text").Str)
			text = join(text, part.Get("text").Str)
			return
		case "refusal":
			p.addText(part.Get("refusal").Str)
			return
		case "image_url":
			line, fault = openaiImage(part.Get("image_url.url").Str, at+".image_url.url")
		case "input_audio":
			line, fault = openaiAudio(part.Get("input_audio"), at+".input_audio.data")
		case "file":
			line, fault = openaiFile(part.Get("file"), "", at+".file")
		}
		p.addMedia(line)
		if bad == nil {
			bad = fault
		}
	})
	return text, bad
}

// openaiSampling are the parameters that reasoning models refuse, with their defaults.
var openaiSampling = []struct {
	name    string
	neutral float64
}{
	{"temperature", 1}, {"top_p", 1}, {"top_logprobs", 0}, {"presence_penalty", 0}, {"frequency_penalty", 0},
}

// checkModel refuses what this model does not take, and what contradicts itself.
func (openaiHearer) checkModel(v gjson.Result, f *family) *fault {
	unsupported := func(name, hint string) *fault {
		return openaiFault(name, "unsupported_parameter", "Unsupported parameter: '%s' is not supported with this model.%s", name, hint)
	}
	effort := v.Get("reasoning_effort")
	switch limit := v.Get("max_completion_tokens"); {
	case given(v.Get("max_tokens")) && given(limit):
		return openaiFault("max_tokens", "invalid_parameter_combination", "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
	case given(v.Get("max_tokens")) && f.reasoning:
		return unsupported("max_tokens", " Use 'max_completion_tokens' instead.")
	case given(v.Get("stream_options")) && !v.Get("stream").Bool():
		return openaiFault("stream_options", "", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
	case given(v.Get("top_logprobs")) && !v.Get("logprobs").Bool():
		return openaiFault("top_logprobs", "", "'logprobs' must be true when 'top_logprobs' is set.")
	case given(v.Get("tool_choice")) && !given(v.Get("tools")):
		return openaiFault("tool_choice", "", "'tool_choice' is only allowed when 'tools' are specified.")
	case given(v.Get("parallel_tool_calls")) && !given(v.Get("tools")):
		return openaiFault("parallel_tool_calls", "", "'parallel_tool_calls' is only allowed when 'tools' are specified.")
	case given(v.Get("stop")) && f.noStop:
		return unsupported("stop", "")
	case given(effort) && f.efforts != nil && len(f.efforts) == 0:
		return openaiFault("reasoning_effort", "", "Unrecognized request argument supplied: reasoning_effort")
	case given(effort) && f.efforts != nil && !slices.Contains(f.efforts, effort.Str):
		return openaiFault("reasoning_effort", "unsupported_value", "Unsupported value: 'reasoning_effort' does not support '%s' with this model. Supported values are: %s.", effort.Str, quoted(f.efforts))
	case given(v.Get("tools")) && f.noTools && effort.Str != "none":
		return openaiFault("tools", "unsupported_parameter", "Function tools with reasoning_effort are not supported for this model in /v1/chat/completions. Please use /v1/responses instead.")
	}
	for _, name := range []string{"max_tokens", "max_completion_tokens"} {
		if limit := v.Get(name); f.maxOutput > 0 && limit.Num > float64(f.maxOutput) {
			return openaiFault(name, "invalid_value", "%s is too large: %s. This model supports at most %d completion tokens, whereas you provided %s.", name, limit.Raw, f.maxOutput, limit.Raw)
		}
	}
	for _, parameter := range openaiSampling {
		value := v.Get(parameter.name)
		if !given(value) || !f.refuses(value.Num == parameter.neutral, effort.Str) {
			continue
		}
		if f.sampling == samplingNever || f.sampling == samplingNeverUnlessOff {
			return unsupported(parameter.name, "")
		}
		return openaiFault(parameter.name, "unsupported_value", "Unsupported value: '%s' does not support %s with this model. Only the default (%v) value is supported.", parameter.name, value.Raw, parameter.neutral)
	}
	return nil
}

// quoted lists words as OpenAI's and Anthropic's messages do.
func quoted(words []string) string { return "'" + strings.Join(words, "', '") + "'" }
