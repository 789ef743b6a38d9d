package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// responsesHearer reads Responses requests: the same provider, keys and errors as Chat Completions.
type responsesHearer struct{ openaiHearer }

var (
	responsesText  = object(fields{"type!": anyText, "text!": anyText, "prompt_cache_breakpoint": openaiBreakpoint})
	responsesImage = object(fields{"type!": anyText, "image_url": anyText, "file_id": anyText, "detail": oneOf("auto", "low", "high", "original"),
		"prompt_cache_breakpoint": openaiBreakpoint})
	responsesFile = object(fields{"type!": anyText, "file_data": anyText, "file_id": anyText, "file_url": anyText, "filename": anyText,
		"detail": anyText, "prompt_cache_breakpoint": openaiBreakpoint})

	responsesParts = either(anyText, listOf(variants("type", map[string]*shape{
		"input_text": responsesText, "input_image": responsesImage, "input_file": responsesFile,
		"output_text": object(fields{"type!": anyText, "text!": anyText, "annotations": anyArray, "logprobs": anyArray}),
		"refusal":     object(fields{"type!": anyText, "refusal!": anyText}),
	}), 0, 0))

	responsesMessage = object(fields{"type": anyText, "role!": oneOf("user", "assistant", "system", "developer"), "content!": responsesParts,
		"id": anyText, "status": oneOf("in_progress", "completed", "incomplete"), "phase": oneOf("commentary", "final_answer")})

	responsesItem = variants("type", map[string]*shape{
		"": responsesMessage, "message": responsesMessage,
		"function_call": object(fields{"type!": anyText, "id": anyText, "call_id!": textUpTo(maxCallID), "name!": someText, "arguments!": anyText,
			"status": anyText, "async": anyBool, "namespace": anyText, "caller": anyObject}),
		"function_call_output": object(fields{"type!": anyText, "id": anyText, "call_id!": textUpTo(maxCallID), "output!": responsesParts,
			"status": anyText, "name": anyText, "namespace": anyText, "caller": anyObject}),
		"reasoning": object(fields{"type!": anyText, "id!": anyText, "summary!": anyArray, "content": anyArray,
			"encrypted_content": anyText, "status": anyText}),
		"item_reference": object(fields{"type": anyText, "id!": anyText}),
		"custom_tool_call": object(fields{"type!": anyText, "id": anyText, "call_id!": textUpTo(maxCallID), "name!": someText, "input!": anyText,
			"status": anyText}),
		"custom_tool_call_output": object(fields{"type!": anyText, "id": anyText, "call_id!": textUpTo(maxCallID), "output!": responsesParts}),
	})

	responsesTool = variants("type", map[string]*shape{
		"function": object(fields{"type!": anyText, "name!": textUpTo(64), "description": anyText, "parameters!": orNull(anyObject), "strict": orNull(anyBool),
			"async": anyBool, "defer_loading": anyBool, "allowed_callers": anyArray, "output_schema": anyObject}),
		"custom": object(fields{"type!": anyText, "name!": textUpTo(64), "description": anyText, "format": anyObject, "async": anyBool,
			"defer_loading": anyBool}),
		"web_search": anyObject, "file_search": anyObject, "mcp": anyObject, "code_interpreter": anyObject, "image_generation": anyObject,
	})

	responsesReasoning = object(fields{"effort": oneOf(effortsAll...), "summary": oneOf("auto", "concise", "detailed"),
		"generate_summary": oneOf("auto", "concise", "detailed"), "context": oneOf("auto", "current_turn", "all_turns"), "mode": anyText})

	responsesFormat = object(fields{"verbosity": oneOf("low", "medium", "high"), "format": variants("type", map[string]*shape{
		"text": object(fields{"type!": anyText}), "json_object": object(fields{"type!": anyText}),
		"json_schema": object(fields{"type!": anyText, "name!": textUpTo(64), "schema!": anyObject, "strict": anyBool, "description": anyText}),
	})})

	responsesChoice = either(oneOf("none", "auto", "required"), variants("type", map[string]*shape{
		"function":      object(fields{"type!": anyText, "name!": someText}),
		"custom":        object(fields{"type!": anyText, "name!": someText}),
		"allowed_tools": object(fields{"type!": anyText, "mode!": oneOf("auto", "required"), "tools!": listOf(anyObject, 1, 0)}),
	}))

	// responsesCounted are the fields that a count of tokens takes, too.
	responsesCounted = fields{
		"model": anyText, "input": either(anyText, listOf(responsesItem, 0, 0)), "instructions": anyText,
		"tools": listOf(responsesTool, 0, 128), "tool_choice": responsesChoice, "parallel_tool_calls": anyBool,
		"reasoning": responsesReasoning, "text": responsesFormat, "truncation": oneOf("auto", "disabled"),
		"previous_response_id": anyText, "conversation": either(anyText, anyObject), "personality": anyText,
	}
	responsesCount = object(responsesCounted)
	responsesBody  = object(merge(responsesCounted, fields{
		"max_output_tokens": integerFrom(16, 1<<31), "max_tool_calls": anyInteger, "temperature": numberFrom(0, 2), "top_p": numberFrom(0, 1),
		"top_logprobs": integerFrom(0, 20), "stream": anyBool, "stream_options": object(fields{"include_obfuscation": anyBool}),
		"store": anyBool, "background": anyBool, "include": listOf(anyText, 0, 0), "prompt": anyObject, "user": anyText,
		"metadata": &shape{kinds: kindObject, items: textUpTo(512), most: 16}, "safety_identifier": textUpTo(128),
		"service_tier":     oneOf("auto", "default", "flex", "scale", "priority", "fast", "ultrafast"),
		"prompt_cache_key": anyText, "prompt_cache_options": anyObject, "prompt_cache_retention": anyText,
		"moderation": anyObject, "context_management": anyArray, "access_programs": anyObject,
	}))
)

// merge joins the fields of two objects.
func merge(a, b fields) fields {
	all := fields{}
	for _, of := range []fields{a, b} {
		for name, s := range of {
			all[name] = s
		}
	}
	return all
}

func (o responsesHearer) read(r *http.Request, v gjson.Result, f *family) (*prompt, *fault) {
	if bad := (checker{nullIsAbsent: true}).check(v, responsesBody); bad != nil {
		return nil, openaiComplaint(bad)
	}
	if fault := o.checkModel(v, f); fault != nil {
		return nil, fault
	}
	return o.compose(r, v)
}

// count reads a body whose tokens shall be counted.
func (o responsesHearer) count(r *http.Request, v gjson.Result) (*prompt, *fault) {
	if bad := (checker{nullIsAbsent: true}).check(v, responsesCount); bad != nil {
		return nil, openaiComplaint(bad)
	}
	return o.compose(r, v)
}

func (o responsesHearer) compose(r *http.Request, v gjson.Result) (*prompt, *fault) {
	model := v.Get("model").Str
	if model == "" {
		return nil, openaiFault("model", "missing_required_parameter", "Missing required parameter: 'model'.")
	}
	p := &prompt{
		model: model, stream: v.Get("stream").Bool(), limit: -1, choices: 1, tier: openaiTier(v.Get("service_tier").Str),
		seal:         newSealer(OpenAI, o.secret(r.Header), model),
		showThoughts: given(v.Get("reasoning.summary")) || given(v.Get("reasoning.generate_summary")),
		obfuscate:    v.Get("stream_options.include_obfuscation").Type != gjson.False, body: v.Raw,
	}
	if limit := v.Get("max_output_tokens"); given(limit) {
		p.limit = int(limit.Int())
	}
	if instructions := v.Get("instructions"); given(instructions) {
		p.messages++
		p.addText(instructions.Str)
	}
	if fault := p.openaiTools(v, ""); fault != nil {
		return nil, fault
	}
	switch format := v.Get("text.format"); format.Get("type").Str {
	case "json_schema":
		p.schema = format.Get("schema").Raw
		if fault := p.openaiFormat(format, "text.format"); fault != nil {
			return nil, fault
		}
	case "json_object":
		p.jsonObject = true
		if !strings.Contains(strings.ToLower(v.Get("input").Raw), "json") { // the instructions do not count
			return nil, openaiFault("text.format", "", "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'.")
		}
	}
	input := v.Get("input")
	switch {
	case !given(input):
		return nil, openaiFault("", "missing_required_parameter", "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation' must be provided.")
	case input.Type == gjson.String:
		p.messages++
		p.addText(input.Str)
		p.asked(input.Str)
		return p, nil
	}
	return p, o.readItems(input, p)
}

// responsesTurn is what the order of items depends on.
type responsesTurn struct {
	openTurn
	reasoning string // an item that its consequence must follow
	calling   bool   // the last item was a call
}

// readItems counts and collects the items. A call is answered somewhere behind it, and reasoning is
// followed by what it led to.
func (o responsesHearer) readItems(items gjson.Result, p *prompt) (bad *fault) {
	turn := responsesTurn{openTurn: openTurn{done: map[string]bool{}}}
	i := 0
	list(items, func(item gjson.Result) {
		at := fmt.Sprintf("input[%d]", i)
		i++
		if bad == nil {
			bad = o.readItem(item, at, p, &turn)
		}
	})
	switch {
	case bad != nil:
	case i == 0:
		bad = openaiFault("input", "empty_array", "Invalid 'input': empty array. Expected an array with minimum length 1, but got an empty array instead.")
	case turn.reasoning != "":
		bad = missingFollower(turn.reasoning)
	case turn.results > 0:
		p.answered(turn.inOrder())
	}
	if bad != nil {
		return bad
	}
	for _, call := range turn.calls {
		if !turn.done[call.id] {
			return openaiFault("input", "", "No tool output found for function call %s.", call.id)
		}
	}
	return nil
}

func missingFollower(id string) *fault {
	return openaiFault("input", "", "Item '%s' of type 'reasoning' was provided without its required following item.", id)
}

func (o responsesHearer) readItem(item gjson.Result, at string, p *prompt, turn *responsesTurn) *fault {
	kind, role := item.Get("type").Str, item.Get("role").Str
	if turn.reasoning != "" && (kind == "function_call_output" || role != "" && role != "assistant") {
		return missingFollower(turn.reasoning)
	}
	switch kind {
	case "item_reference":
		return notStored(item.Get("id").Str)
	case "reasoning":
		turn.reasoning = item.Get("id").Str
		return o.readReasoning(item, p)
	}
	p.messages++
	turn.reasoning = ""
	switch kind {
	case "function_call", "custom_tool_call":
		return o.readCall(item, at, p, turn)
	case "function_call_output", "custom_tool_call_output":
		turn.calling = false
		before := len(p.media)
		text, fault := o.readContent(item.Get("output"), at+".output", p)
		if fault == nil && !turn.answer(item.Get("call_id").Str, text, slices.Clone(p.media[before:])) {
			fault = openaiFault("input", "", "No tool call found for function call output with call_id %s.", item.Get("call_id").Str)
		}
		return fault
	}
	before := len(p.media)
	text, fault := o.readContent(item.Get("content"), at+".content", p)
	if role == "user" {
		p.asked(text)
		p.newMedia = before
	}
	if role != "assistant" || turn.results > 0 {
		turn.settle()
	}
	return fault
}

// settle forgets the calls that are answered: what follows is a new turn.
func (t *responsesTurn) settle() {
	t.results, t.calling = 0, false
	t.calls = slices.DeleteFunc(t.calls, func(c toolResult) bool { return t.done[c.id] })
}

func (responsesHearer) readCall(item gjson.Result, at string, p *prompt, turn *responsesTurn) *fault {
	if !turn.calling {
		turn.settle()
	}
	turn.calling = true
	call := toolResult{id: item.Get("call_id").Str, name: item.Get("name").Str}
	p.addRaw(item.Get("arguments").Str)
	p.addRaw(item.Get("input").Str)
	switch _, twice := turn.done[call.id]; {
	case call.id == "":
		return openaiFault(at+".call_id", "empty_string", "Invalid '%s.call_id': empty string. Expected a string with minimum length 1, but got an empty string instead.", at)
	case !nameOK.MatchString(call.name):
		return openaiName(at + ".name")
	case twice:
		return openaiFault(at+".call_id", "", "Duplicate item found with call_id %s.", call.id)
	}
	turn.done[call.id] = false
	turn.calls = append(turn.calls, call)
	return nil
}

// readReasoning checks reasoning that comes back: nothing is stored here, so that it must bring its
// own contents.
func (responsesHearer) readReasoning(item gjson.Result, p *prompt) *fault {
	sealed := item.Get("encrypted_content").Str
	if sealed == "" {
		return notStored(item.Get("id").Str)
	}
	switch p.seal.check(sealed, "") {
	case sealBroken, sealOtherKey:
		return openaiFault("input", "invalid_encrypted_content", "The encrypted content for item %s could not be verified. Reason: Encrypted content could not be decrypted or parsed.", item.Get("id").Str)
	case sealGood:
		p.addText(item.Get("summary.0.text").Str)
	}
	return nil
}

func notStored(id string) *fault {
	f := faultOf(OpenAI, NotFound, 0).saying("Item with id '%s' not found. Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item from your input.", id)
	f.param, f.code = "input", ""
	return f
}

func (responsesHearer) readContent(content gjson.Result, at string, p *prompt) (text string, bad *fault) {
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
		case "input_image":
			if id := part.Get("file_id").Str; id != "" {
				line = MediaURL("image", id)
			} else {
				line, fault = openaiImage(part.Get("image_url").Str, at+".image_url")
			}
		case "input_file":
			line, fault = openaiFile(part, part.Get("file_url").Str, at)
		case "refusal":
			p.addText(part.Get("refusal").Str)
			return
		default:
			p.addText(part.Get("text").Str)
			text = join(text, part.Get("text").Str)
			return
		}
		p.addMedia(line)
		if bad == nil {
			bad = fault
		}
	})
	return text, bad
}

// checkModel refuses what this model does not take, and what nothing is stored for.
func (responsesHearer) checkModel(v gjson.Result, f *family) *fault {
	effort, limit := v.Get("reasoning.effort"), v.Get("max_output_tokens")
	switch {
	case given(v.Get("previous_response_id")):
		return openaiFault("previous_response_id", "previous_response_not_found", "Previous response with id '%s' not found.", v.Get("previous_response_id").Str)
	case given(v.Get("conversation")) || given(v.Get("prompt")) || v.Get("background").Bool():
		return openaiFault("", "unsupported_parameter", "sandbox: conversation, prompt and background need a store, which is left out.")
	case given(v.Get("stream_options")) && !v.Get("stream").Bool():
		return openaiFault("stream_options", "", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
	case given(v.Get("reasoning")) && f.efforts != nil && len(f.efforts) == 0:
		return openaiFault("reasoning.effort", "unsupported_parameter", "Unsupported parameter: 'reasoning.effort' is not supported with this model.")
	case given(effort) && f.efforts != nil && !slices.Contains(f.efforts, effort.Str):
		return openaiFault("reasoning.effort", "unsupported_value", "Unsupported value: '%s' is not supported with this model. Supported values are: %s.", effort.Str, quoted(f.efforts))
	case f.maxOutput > 0 && limit.Num > float64(f.maxOutput):
		return openaiFault("max_output_tokens", "invalid_value", "max_output_tokens is too large: %s. This model supports at most %d output tokens.", limit.Raw, f.maxOutput)
	case given(v.Get("tool_choice")) && v.Get("tool_choice").Str != "none" && v.Get("tool_choice").Str != "auto" && len(v.Get("tools").Array()) == 0:
		return openaiFault("tool_choice", "", "Tool choice '%s' must be specified with 'tools' parameter.", v.Get("tool_choice").String())
	}
	for _, parameter := range openaiSampling[:3] {
		value := v.Get(parameter.name)
		if given(value) && f.refuses(value.Num == parameter.neutral, effort.Str) {
			return openaiFault(parameter.name, "unsupported_parameter", "Unsupported parameter: '%s' is not supported with this model.", parameter.name)
		}
	}
	return nil
}
