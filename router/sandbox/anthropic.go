package sandbox

import (
	"fmt"
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

	anthropicBody = object(fields{
		"model!": someText, "max_tokens!": integerFrom(0, 1<<31), "messages!": listOf(anthropicMessage, 1, 100_000),
		"system":      either(anyText, listOf(variants("type", map[string]*shape{"text": anthropicText}), 0, 0)),
		"temperature": numberFrom(0, 1), "top_p": numberFrom(0, 1), "top_k": integerFrom(0, 1<<31),
		"stop_sequences": listOf(anyText, 0, 0), "stream": anyBool,
		"metadata": object(fields{"user_id": orNull(textUpTo(256))}),
		"thinking": anthropicThinking, "output_config": object(fields{
			"effort": orNull(oneOf("low", "medium", "high", "xhigh", "max")),
			"format": orNull(variants("type", map[string]*shape{"json_schema": object(fields{"type!": anyText, "schema!": anyObject})})),
		}),
		"tools":       listOf(variants("type", map[string]*shape{"": anthropicTool, "custom": anthropicTool, "*": anyObject}), 0, 0),
		"tool_choice": anthropicChoice, "service_tier": oneOf("auto", "standard_only"), "speed": orNull(oneOf("standard", "fast")),
		"inference_geo": orNull(anyText), "container": orNull(either(anyText, anyObject)), "context_management": anyObject,
		"cache_control": anthropicCache, "diagnostics": anyObject, "mcp_servers": anyArray,
	})
)

func (anthropicHearer) route(rest string) route {
	switch rest {
	case "v1/messages":
		return routeGenerate
	case "v1/models":
		return routeModels
	}
	return routeNone
}

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

func (a anthropicHearer) read(r *http.Request, body []byte, f *family) (*prompt, *fault) {
	v, ok := parse(body)
	if !ok {
		return nil, anthropicFault("The request body is not valid JSON")
	}
	if bad := (checker{}).check(v, anthropicBody); bad != nil {
		return nil, anthropicComplaint(bad)
	}
	if fault := a.checkModel(v, f, r.Header.Get("Anthropic-Version")); fault != nil {
		return nil, fault
	}
	p := &prompt{
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
		if _, fault := a.readContent(system, "system", p, &turnBlocks{}); fault != nil {
			return nil, fault
		}
	}
	list(v.Get("tools"), func(tool gjson.Result) {
		p.tools++
		p.addRaw(tool.Raw)
	})
	return p, a.readMessages(v.Get("messages"), p, f)
}

// readMessages counts and collects the turns and checks their order: the user's
// first, and the results of tool calls first in the turn after them.
func (a anthropicHearer) readMessages(messages gjson.Result, p *prompt, f *family) *fault {
	var bad *fault
	var last gjson.Result
	var calls []string // of the turn before
	turns := 0
	list(messages, func(m gjson.Result) {
		if bad != nil {
			return
		}
		at, role := fmt.Sprintf("messages.%d", turns), m.Get("role").Str
		turns++
		p.messages++
		last = m
		switch {
		case turns == 1 && role != "user":
			bad = anthropicFault("messages: first message must use the \"user\" role")
			return
		case role == "system" && !f.midSystem && f != &anyFamily:
			bad = anthropicFault("%s.role: Input should be 'user' or 'assistant'", at)
			return
		}
		turn := turnBlocks{role: role}
		text, fault := a.readContent(m.Get("content"), at+".content", p, &turn)
		if role == "user" && text != "" {
			p.lastUser = text
		}
		if bad = fault; bad == nil {
			bad = turn.follow(at, calls)
		}
		calls = turn.calls
	})
	if bad != nil {
		return bad
	}
	if len(calls) > 0 {
		return anthropicFault("messages: `tool_use` ids were found without `tool_result` blocks immediately after: %s", strings.Join(calls, ", "))
	}
	if last.Get("role").Str == "assistant" {
		return a.checkPrefill(last.Get("content"), f)
	}
	return nil
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

// turnBlocks is what the order rules need to know of one turn.
type turnBlocks struct {
	role    string
	blocks  int
	calls   []string // ids of tool_use
	results []string // ids that tool_result names
	late    bool     // a tool_result came after another block
}

// follow checks a turn's tool results against the calls of the turn before it.
func (t *turnBlocks) follow(at string, calls []string) *fault {
	if t.blocks == 0 && t.role == "user" {
		return anthropicFault("%s: user messages must have non-empty content", at)
	}
	for _, id := range t.results {
		if !slices.Contains(calls, id) {
			return anthropicFault("%s: unexpected `tool_use_id` found in `tool_result` blocks: %s. Each `tool_result` block must have a corresponding `tool_use` block in the previous message.", at, id)
		}
	}
	for _, id := range calls {
		if !slices.Contains(t.results, id) {
			return anthropicFault("%s: `tool_use` ids were found without `tool_result` blocks immediately after: %s", at, id)
		}
	}
	if t.late {
		return anthropicFault("%s: `tool_result` blocks must come before any other content", at)
	}
	return nil
}

// readContent counts a message's or the system's content and returns its text.
func (a anthropicHearer) readContent(content gjson.Result, at string, p *prompt, t *turnBlocks) (text string, bad *fault) {
	if content.Type == gjson.String {
		if content.Str != "" {
			t.blocks++
		}
		p.addText(content.Str)
		return content.Str, nil
	}
	list(content, func(block gjson.Result) {
		t.blocks++
		switch block.Get("type").Str {
		case "text":
			part := block.Get("text").Str
			if part == "" && bad == nil {
				bad = anthropicFault("%s: text content blocks must be non-empty", at)
			}
			p.addText(part)
			text = join(text, part)
		case "image", "document":
			p.addMedia()
		case "tool_use":
			t.calls = append(t.calls, block.Get("id").Str)
			p.addRaw(block.Get("input").Raw)
		case "tool_result":
			t.results = append(t.results, block.Get("tool_use_id").Str)
			t.late = t.late || t.blocks > len(t.results)
			p.addRaw(block.Get("content").Raw)
		case "thinking":
			p.addText(block.Get("thinking").Str)
		}
	})
	return text, bad
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
	case forced != "" && forced != "none" && !v.Get("tools").Exists():
		return anthropicFault("tool_choice: may only be specified while providing tools")
	}
	return nil
}
