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
		"assistant": object(fields{"role!": anyText, "content": openaiAssistantParts, "name": anyText, "refusal": anyText,
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
		"tool_choice": either(oneOf("none", "auto", "required"), anyObject),
		"functions":   anyArray, "function_call": either(anyText, anyObject),
		"response_format": variants("type", map[string]*shape{
			"text": object(fields{"type!": anyText}), "json_object": object(fields{"type!": anyText}),
			"json_schema": object(fields{"type!": anyText, "json_schema!": object(fields{
				"name!": textUpTo(64), "description": anyText, "schema": anyObject, "strict": anyBool})})}),
		"audio": anyObject, "modalities": listOf(oneOf("text", "audio"), 1, 2), "moderation": anyObject,
		"prediction": anyObject, "web_search_options": anyObject,
	})
)

func (openaiHearer) route(rest string) route {
	switch rest {
	case "v1/chat/completions":
		return routeGenerate
	case "v1/models":
		return routeModels
	}
	return routeNone
}

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

func (o openaiHearer) read(_ *http.Request, body []byte, f *family) (*prompt, *fault) {
	v, ok := parse(body)
	if !ok {
		return nil, openaiFault("", "", "We could not parse the JSON body of your request. The OpenAI API expects a JSON payload.")
	}
	if !v.Get("model").Exists() {
		return nil, openaiFault("", "", "you must provide a model parameter")
	}
	if bad := (checker{nullIsAbsent: true}).check(v, openaiBody); bad != nil {
		return nil, openaiComplaint(bad)
	}
	if fault := o.checkModel(v, f); fault != nil {
		return nil, fault
	}
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
	list(v.Get("tools"), func(tool gjson.Result) {
		p.tools++
		p.addRaw(tool.Raw)
	})
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
// answers a call of the assistant turn before it.
func (openaiHearer) readMessages(messages gjson.Result, p *prompt) *fault {
	var bad *fault
	open := map[string]bool{}
	list(messages, func(m gjson.Result) {
		at, role := p.messages, m.Get("role").Str
		p.messages++
		if bad != nil {
			return
		}
		if role == "tool" {
			id := m.Get("tool_call_id").Str
			if !open[id] {
				bad = openaiFault(fmt.Sprintf("messages[%d].role", at), "", "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'.")
				return
			}
			delete(open, id)
		} else if len(open) > 0 {
			bad = openaiFault(fmt.Sprintf("messages[%d].role", at), "", "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.")
			return
		}
		content := m.Get("content")
		if role == "assistant" && !given(content) && !given(m.Get("tool_calls")) && !given(m.Get("function_call")) && !given(m.Get("refusal")) {
			bad = openaiFault(fmt.Sprintf("messages[%d].content", at), "invalid_type", "Invalid value for 'content': expected a string, got null.")
			return
		}
		list(m.Get("tool_calls"), func(call gjson.Result) {
			open[call.Get("id").Str] = true
			p.addRaw(call.Get("function.arguments").Str)
		})
		text := p.openaiContent(content)
		if role == "user" {
			p.lastUser = text
		}
	})
	if bad == nil && len(open) > 0 {
		bad = openaiFault("messages", "", "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.")
	}
	return bad
}

func (p *prompt) openaiContent(content gjson.Result) (text string) {
	if content.Type == gjson.String {
		p.addText(content.Str)
		return content.Str
	}
	list(content, func(part gjson.Result) {
		switch part.Get("type").Str {
		case "text":
			p.addText(part.Get("text").Str)
			text = join(text, part.Get("text").Str)
		case "refusal":
			p.addText(part.Get("refusal").Str)
		default:
			p.addMedia()
		}
	})
	return text
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
