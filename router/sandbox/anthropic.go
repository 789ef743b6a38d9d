package sandbox

import (
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/tidwall/gjson"
)

// anthropicHearer reads Messages requests.
type anthropicHearer struct{}

var (
	anthropicCache = orNull(object(fields{"type!": oneOf("ephemeral"), "ttl": oneOf("5m", "1h")}))

	anthropicSource = variants("type", map[string]*shape{
		"base64": object(fields{"type!": anyText, "media_type!": anyText, "data!": someText}),
		"url":    object(fields{"type!": anyText, "url!": someText}),
		"text":   object(fields{"type!": anyText, "media_type!": oneOf("text/plain"), "data!": anyText}),
		"file":   object(fields{"type!": anyText, "file_id!": someText}),
	})

	anthropicText = object(fields{"type!": anyText, "text!": anyText, "cache_control": anthropicCache, "citations": orNull(anyArray)})

	anthropicInner = variants("type", map[string]*shape{
		"text": anthropicText, "image": anthropicImage, "document": anthropicDocument,
		"search_result": anyObject, "tool_reference": anyObject,
	})
	anthropicImage = object(fields{"type!": anyText, "source!": anthropicSource,
		"cache_control": anthropicCache, "transformations": anyArray})
	anthropicDocument = object(fields{"type!": anyText, "source!": anthropicSource, "title": orNull(anyText),
		"context": orNull(anyText), "citations": anyObject, "cache_control": anthropicCache})

	anthropicBlock = map[string]*shape{
		"text": anthropicText, "image": anthropicImage, "document": anthropicDocument,
		"search_result":     anyObject,
		"thinking":          object(fields{"type!": anyText, "thinking!": anyText, "signature!": anyText}),
		"redacted_thinking": object(fields{"type!": anyText, "data!": anyText}),
		"tool_use": object(fields{"type!": anyText, "id!": someText, "name!": someText, "input!": anyObject,
			"cache_control": anthropicCache, "caller": anyObject, "toolset_name": anyText}),
		"tool_result": object(fields{"type!": anyText, "tool_use_id!": someText, "is_error": anyBool, "toolset_name": anyText,
			"content": either(anyText, listOf(anthropicInner, 0, 0)), "cache_control": anthropicCache}),
		"server_tool_use": anyObject, "web_search_tool_result": anyObject, "web_fetch_tool_result": anyObject,
		"code_execution_tool_result": anyObject, "bash_code_execution_tool_result": anyObject,
		"text_editor_code_execution_tool_result": anyObject, "tool_search_tool_result": anyObject, "container_upload": anyObject,
	}

	anthropicMessage = object(fields{
		"role!":    oneOf("user", "assistant", "system"),
		"content!": either(anyText, listOf(variants("type", anthropicBlock), 0, 0)),
	})

	anthropicTool = object(fields{
		"type": oneOf("custom"), "name!": textUpTo(128), "description": anyText, "input_schema!": anyObject, "strict": anyBool,
		"cache_control": anthropicCache, "input_examples": anyArray, "defer_loading": anyBool, "eager_input_streaming": orNull(anyBool),
		"allowed_callers": anyArray,
	})

	anthropicChoice = variants("type", map[string]*shape{
		"auto": object(fields{"type!": anyText, "disable_parallel_tool_use": anyBool}),
		"any":  object(fields{"type!": anyText, "disable_parallel_tool_use": anyBool}),
		"tool": object(fields{"type!": anyText, "disable_parallel_tool_use": anyBool, "name!": someText}),
		"none": object(fields{"type!": anyText}),
	})

	anthropicDisplay  = orNull(oneOf("summarized", "omitted"))
	anthropicThinking = variants("type", map[string]*shape{
		"enabled":       object(fields{"type!": anyText, "budget_tokens!": integerFrom(1024, 1<<31), "display": anthropicDisplay}),
		"adaptive":      object(fields{"type!": anyText, "display": anthropicDisplay, "block_binding": anyObject}),
		"between_tools": object(fields{"type!": anyText, "display": anthropicDisplay, "block_binding": anyObject}),
		"disabled":      object(fields{"type!": anyText}),
	})

	// anthropicCounted are the fields that a count of tokens takes, too.
	anthropicCounted = fields{
		"model!": someText, "messages!": listOf(anthropicMessage, 1, 100_000),
		"system":   either(anyText, listOf(variants("type", map[string]*shape{"text": anthropicText}), 0, 0)),
		"thinking": anthropicThinking, "output_config": object(fields{
			"effort": orNull(oneOf("low", "medium", "high", "xhigh", "max")),
			"format": orNull(variants("type", map[string]*shape{"json_schema": object(fields{"type!": anyText, "schema!": anyObject})})),
		}),
		"tools":       listOf(variants("type", map[string]*shape{"": anthropicTool, "custom": anthropicTool, "*": anyObject}), 0, 0),
		"tool_choice": anthropicChoice, "speed": orNull(oneOf("standard", "fast")), "cache_control": anthropicCache,
		"context_management": anyObject, "mcp_servers": anyArray,
	}
	anthropicCount = object(anthropicCounted)
	anthropicBody  = object(merge(anthropicCounted, fields{
		"max_tokens!": integerFrom(0, 1<<31), "temperature": numberFrom(0, 1), "top_p": numberFrom(0, 1), "top_k": integerFrom(0, 1<<31),
		"stop_sequences": listOf(anyText, 0, 0), "stream": anyBool, "metadata": object(fields{"user_id": orNull(textUpTo(256))}),
		"service_tier": oneOf("auto", "standard_only"), "inference_geo": orNull(anyText), "container": orNull(either(anyText, anyObject)),
		"diagnostics": anyObject,
	}))
)

func (anthropicHearer) secret(h http.Header) string {
	if secret := h.Get("X-Api-Key"); secret != "" {
		return secret
	}
	return bearer(h)
}

func (anthropicHearer) peek(_ *http.Request, body []byte) glance { return glanceBody(body) }

// versionWithoutSampling is the version under which temperature, top_p and top_k are
// refused for every model.
const versionWithoutSampling = "2026-10-21"

func (anthropicHearer) checkHeader(h http.Header) *fault {
	switch version := h.Get("Anthropic-Version"); version {
	case "2023-06-01", versionWithoutSampling:
		return nil
	case "":
		return anthropicFault("anthropic-version: header is required")
	default:
		return anthropicFault("anthropic-version: %q is not a valid version", version)
	}
}

func anthropicFault(format string, args ...any) *fault {
	return faultOf(Anthropic, BadRequest, 0).saying(format, args...)
}

func (anthropicHearer) unreadable() *fault {
	return anthropicFault("The request body is not valid JSON")
}

func (a anthropicHearer) read(r *http.Request, v gjson.Result, f *family) (*prompt, *fault) {
	if bad := (checker{}).check(v, anthropicBody); bad != nil {
		return nil, anthropicComplaint(bad)
	}
	if fault := a.checkModel(v, f, r.Header.Get("Anthropic-Version")); fault != nil {
		return nil, fault
	}
	return a.compose(r, v, f)
}

// count reads a body whose tokens shall be counted.
func (a anthropicHearer) count(r *http.Request, v gjson.Result, f *family) (*prompt, *fault) {
	if bad := (checker{}).check(v, anthropicCount); bad != nil {
		return nil, anthropicComplaint(bad)
	}
	return a.compose(r, v, f)
}

func (a anthropicHearer) compose(r *http.Request, v gjson.Result, f *family) (*prompt, *fault) {
	p := &prompt{
		seal:  newSealer(Anthropic, a.secret(r.Header), v.Get("model").Str),
		model: v.Get("model").Str, stream: v.Get("stream").Bool(), limit: int(v.Get("max_tokens").Int()), choices: 1,
		stops: words(v.Get("stop_sequences")), showThoughts: v.Get("thinking.display").Str == "summarized",
		tier: "standard", speed: v.Get("speed").Str, geo: v.Get("inference_geo").Str,
	}
	for i, stop := range p.stops {
		if strings.TrimSpace(stop) == "" {
			return nil, anthropicFault("stop_sequences.%d: each stop sequence must contain non-whitespace", i)
		}
	}
	if system := v.Get("system"); system.Exists() {
		p.messages++
		if fault := a.readContent(system, "system", p, &turnBlocks{}); fault != nil {
			return nil, fault
		}
	}
	if fault := a.readTools(v, p); fault != nil {
		return nil, fault
	}
	return p, a.readMessages(v, p, f)
}

// checkPrefill refuses a conversation that ends with the beginning of an answer, where
// the model cannot go on from it.
func (anthropicHearer) checkPrefill(content gjson.Result, f *family) *fault {
	if f.noPrefill {
		return anthropicFault("This model does not support assistant message prefill. The conversation must end with a user message.")
	}
	text := content.Str
	if content.IsArray() {
		text = content.Get("@reverse.0.text").Str
	}
	if text != strings.TrimRightFunc(text, unicode.IsSpace) {
		return anthropicFault("messages: final assistant content cannot end with trailing whitespace")
	}
	return nil
}

// checkModel refuses what this model or this API version does not take.
func (anthropicHearer) checkModel(v gjson.Result, f *family, version string) *fault {
	for _, name := range []string{"temperature", "top_p", "top_k"} {
		value := v.Get(name)
		neutral := value.Num == 1 && name != "top_k"
		if value.Exists() && version == versionWithoutSampling {
			return anthropicFault("%s: Extra inputs are not permitted", name)
		}
		if value.Exists() && f.refuses(neutral, "") {
			return anthropicFault("`%s` may only be set to its default value for this model.", name)
		}
	}
	limit, thinking, effort := v.Get("max_tokens"), v.Get("thinking.type").Str, v.Get("output_config.effort").Str
	forced := v.Get("tool_choice.type").Str
	switch {
	case f.oneSampling && v.Get("temperature").Exists() && v.Get("top_p").Exists():
		return anthropicFault("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
	case f.maxOutput > 0 && limit.Num > float64(f.maxOutput):
		return anthropicFault("max_tokens: %s > %d, which is the maximum allowed number of output tokens for %s", limit.Raw, f.maxOutput, v.Get("model").Str)
	case thinking != "" && f.thinking != nil && !slices.Contains(f.thinking, thinking):
		return anthropicFault("thinking.type: %q is not supported by this model. Supported values are: %s", thinking, quoted(f.thinking))
	case thinking == "enabled" && v.Get("thinking.budget_tokens").Num >= limit.Num:
		return anthropicFault("`max_tokens` must be greater than `thinking.budget_tokens`.")
	case thinking == "disabled" && f.offUpToHigh && (effort == "xhigh" || effort == "max"):
		return anthropicFault("thinking.type: \"disabled\" is only supported with effort \"high\" or lower for this model")
	case (forced == "any" || forced == "tool") && f.noForced:
		return anthropicFault("tool_choice: forced tool use is not supported by this model")
	case (forced == "any" || forced == "tool") && thinking == "enabled":
		return anthropicFault("Thinking may not be enabled when tool_choice forces tool use.")
	case thinking == "enabled" && v.Get("temperature").Exists() && v.Get("temperature").Num != 1:
		return anthropicFault("`temperature` may only be set to 1 when thinking is enabled.")
	case forced != "" && forced != "none" && !v.Get("tools").Exists():
		return anthropicFault("tool_choice: may only be specified while providing tools")
	}
	return nil
}
