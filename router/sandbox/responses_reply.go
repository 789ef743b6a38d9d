package sandbox

import (
	"cmp"
	"encoding/json"
	"net/http"

	"github.com/tidwall/gjson"
)

// responsesSpeaker words Responses answers. Headers, errors and call ids are those of Chat Completions.
type responsesSpeaker struct{ openaiSpeaker }

// jsonObject is an object whose members go out in the order of their names.
type jsonObject map[string]any

type responsesUsage struct {
	Input        int `json:"input_tokens"`
	InputDetails struct {
		Cached  int `json:"cached_tokens"`
		Written int `json:"cache_write_tokens"`
		ByLife  struct {
			Short int `json:"ttl_30m_tokens"`
			Long  int `json:"ttl_12h_tokens"`
		} `json:"cache_write_tokens_details"`
	} `json:"input_tokens_details"`
	Output        int `json:"output_tokens"`
	OutputDetails struct {
		Reasoning int `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
	Total int `json:"total_tokens"`
}

// responsesUsageOf includes cached tokens in the input and reasoning in the output.
func responsesUsageOf(a *answer, t Tokens) *responsesUsage {
	if a.script.NoUsage {
		return nil
	}
	var u responsesUsage
	u.Input, u.Output = t.prompt(), t.Output
	u.Total = u.Input + u.Output
	u.InputDetails.Cached, u.InputDetails.Written = t.CacheRead, t.CacheWrite+t.CacheWriteLong
	u.InputDetails.ByLife.Short, u.InputDetails.ByLife.Long = t.CacheWrite, t.CacheWriteLong
	u.OutputDetails.Reasoning = t.Reasoning
	return &u
}

func (responsesSpeaker) answerID(id string) string { return "resp_" + id }

// finish is the status of a response, or the reason for which it is incomplete.
func (responsesSpeaker) finish(c *choice) string {
	switch c.end {
	case endLength:
		return "max_output_tokens"
	case endFiltered:
		return "content_filter"
	}
	return "completed"
}

// itemID names an item of an answer: rs_…, msg_…, fc_….
func itemID(a *answer, prefix string, n int) string {
	return prefix + digest(prefix+a.id+string(rune('0'+n%10))+string(rune('0'+n/10)))
}

func (responsesSpeaker) reasoning(a *answer, whole bool) jsonObject {
	item := jsonObject{"id": itemID(a, "rs_", 0), "type": "reasoning", "summary": []any{}, "encrypted_content": ""}
	if c := &a.choices[0]; whole && c.thought != "" {
		item["summary"] = []any{summaryPart(c.thought)}
	}
	if whole {
		item["encrypted_content"] = a.prompt.seal.sign("")
	}
	return item
}

func summaryPart(text string) jsonObject { return jsonObject{"type": "summary_text", "text": text} }

// textPart is the content of a message: text or a refusal.
func textPart(c *choice, text string) jsonObject {
	if c.end == endRefusal {
		return jsonObject{"type": "refusal", "refusal": text}
	}
	return jsonObject{"type": "output_text", "text": text, "annotations": []any{}, "logprobs": []any{}}
}

func (responsesSpeaker) message(a *answer, whole bool) jsonObject {
	item := jsonObject{"id": itemID(a, "msg_", 0), "type": "message", "role": "assistant", "status": "in_progress", "content": []any{}}
	if whole {
		c := &a.choices[0]
		item["status"], item["content"] = itemStatus(c, len(c.calls) == 0), []any{textPart(c, c.text)}
	}
	return item
}

// itemStatus is incomplete for the last item of an answer that was cut off.
func itemStatus(c *choice, last bool) string {
	if last && (c.end == endLength || c.end == endFiltered) {
		return "incomplete"
	}
	return "completed"
}

func (responsesSpeaker) call(a *answer, i int, whole bool) jsonObject {
	c := &a.choices[0]
	call := c.calls[i]
	item := jsonObject{"id": itemID(a, "fc_", i), "type": "function_call", "call_id": call.id, "name": call.name, "arguments": "", "status": "in_progress"}
	if whole {
		item["arguments"], item["status"] = call.args, itemStatus(c, i == len(c.calls)-1)
	}
	return item
}

// items are the whole output.
func (s responsesSpeaker) items(a *answer) []any {
	items := []any{}
	c := &a.choices[0]
	if c.reasoning > 0 {
		items = append(items, s.reasoning(a, true))
	}
	if a.textFrames > 0 {
		items = append(items, s.message(a, true))
	}
	for i := range c.calls {
		items = append(items, s.call(a, i, true))
	}
	if a.script.Extras {
		items = append(items, jsonObject{"id": itemID(a, "sbx_", 0), "type": "sandbox_item", "status": "completed"})
	}
	return items
}

// response is the object that most events carry; what was asked comes back in it.
func (responsesSpeaker) response(a *answer, status string) jsonObject {
	asked := gjson.Parse(a.prompt.body)
	echo := func(path string, otherwise any) any {
		if v := asked.Get(path); given(v) {
			return json.RawMessage(v.Raw)
		}
		return otherwise
	}
	return jsonObject{
		"id": a.id, "object": "response", "created_at": a.created, "status": status, "background": false, "completed_at": nil,
		"error": nil, "incomplete_details": nil, "instructions": echo("instructions", nil), "max_output_tokens": echo("max_output_tokens", nil),
		"max_tool_calls": echo("max_tool_calls", nil), "model": a.prompt.model, "output": []any{},
		"parallel_tool_calls": echo("parallel_tool_calls", true), "previous_response_id": nil, "prompt_cache_key": echo("prompt_cache_key", nil),
		"reasoning":         jsonObject{"effort": echo("reasoning.effort", nil), "summary": echo("reasoning.summary", nil)},
		"safety_identifier": echo("safety_identifier", nil), "service_tier": a.prompt.tier, "store": echo("store", true),
		"temperature": echo("temperature", 1.0), "top_p": echo("top_p", 1.0), "top_logprobs": echo("top_logprobs", 0),
		"text":        jsonObject{"format": echo("text.format", jsonObject{"type": "text"}), "verbosity": echo("text.verbosity", "medium")},
		"tool_choice": echo("tool_choice", "auto"), "tools": echoedTools(asked.Get("tools")), "truncation": echo("truncation", "disabled"),
		"usage": nil, "user": echo("user", nil), "metadata": echo("metadata", jsonObject{}),
		"tool_usage": jsonObject{"image_gen": jsonObject{}, "web_search": jsonObject{"num_requests": 0}},
	}
}

// final is the response when it is over, and the event that says so.
func (s responsesSpeaker) final(a *answer) (response jsonObject, event string) {
	word := cmp.Or(a.script.Finish, s.finish(&a.choices[0]))
	status := word
	if word != "completed" && word != "failed" {
		status = "incomplete"
	}
	response = s.response(a, status)
	response["output"] = s.items(a)
	response["usage"] = responsesUsageOf(a, a.tokens(a.frames))
	switch status {
	case "completed":
		response["completed_at"] = a.created
	case "failed":
		response["error"] = jsonObject{"code": "server_error", "message": "The model failed, as scripted."}
	case "incomplete":
		response["incomplete_details"] = jsonObject{"reason": word}
	}
	if a.script.NoUsage {
		delete(response, "usage")
	}
	return response, "response." + status
}

func (s responsesSpeaker) unary(a *answer) any {
	response, _ := s.final(a)
	return response
}

// event appends an event with its number.
func (responsesSpeaker) event(out *frames, kind string, members jsonObject) {
	members["type"], members["sequence_number"] = kind, out.events
	out.events++
	out.event(kind, members)
}

func (s responsesSpeaker) opening(out *frames, a *answer) {
	for _, kind := range []string{"response.created", "response.in_progress"} {
		s.event(out, kind, jsonObject{"response": s.response(a, "in_progress")})
	}
	if a.script.Extras {
		s.event(out, "response.sandbox_note", jsonObject{"note": "unknown"})
	}
	if a.choices[0].reasoning > 0 {
		s.reason(out, a)
	}
}

// reason is the first item, whole.
func (s responsesSpeaker) reason(out *frames, a *answer) {
	id, thought := itemID(a, "rs_", 0), a.choices[0].thought
	s.event(out, "response.output_item.added", jsonObject{"output_index": 0, "item": s.reasoning(a, false)})
	if thought != "" {
		at := func(more jsonObject) jsonObject {
			more["item_id"], more["output_index"], more["summary_index"] = id, 0, 0
			return more
		}
		s.event(out, "response.reasoning_summary_part.added", at(jsonObject{"part": summaryPart("")}))
		half := len(prefix(thought, len(thought)/2))
		s.event(out, "response.reasoning_summary_text.delta", at(jsonObject{"delta": thought[:half]}))
		s.event(out, "response.reasoning_summary_text.delta", at(jsonObject{"delta": thought[half:]}))
		s.event(out, "response.reasoning_summary_text.done", at(jsonObject{"text": thought}))
		s.event(out, "response.reasoning_summary_part.done", at(jsonObject{"part": summaryPart(thought)}))
	}
	s.event(out, "response.output_item.done", jsonObject{"output_index": 0, "item": s.reasoning(a, true)})
}

// index is the place of the message, or of a call, in the output.
func (responsesSpeaker) index(a *answer, call int) (index int) {
	if a.choices[0].reasoning > 0 {
		index++
	}
	if call >= 0 && a.textFrames > 0 {
		index++
	}
	return index + max(0, call)
}

func (s responsesSpeaker) content(out *frames, a *answer, frame int) {
	c := &a.choices[0]
	call, part := a.call(frame)
	if call < 0 {
		if frame == 0 {
			s.openMessage(out, a)
		}
		delta := jsonObject{"delta": a.piece(c, frame), "item_id": itemID(a, "msg_", 0), "output_index": s.index(a, -1), "content_index": 0}
		if c.end == endRefusal {
			s.event(out, "response.refusal.delta", delta)
			return
		}
		delta["logprobs"] = []any{}
		if a.prompt.obfuscate {
			delta["obfuscation"] = padding[len(delta["delta"].(string))%(len(padding)-1):]
		}
		s.event(out, "response.output_text.delta", delta)
		return
	}
	if part == 0 {
		s.closeItem(out, a, call-1)
		s.event(out, "response.output_item.added", jsonObject{"output_index": s.index(a, call), "item": s.call(a, call, false)})
		return
	}
	s.event(out, "response.function_call_arguments.delta", jsonObject{"delta": a.fragment(call, c.calls[call].args, part),
		"item_id": itemID(a, "fc_", call), "output_index": s.index(a, call)})
}

func (s responsesSpeaker) openMessage(out *frames, a *answer) {
	s.event(out, "response.output_item.added", jsonObject{"output_index": s.index(a, -1), "item": s.message(a, false)})
	s.event(out, "response.content_part.added", jsonObject{"item_id": itemID(a, "msg_", 0), "output_index": s.index(a, -1), "content_index": 0,
		"part": textPart(&a.choices[0], "")})
}

// closeItem ends the message (-1) or a call.
func (s responsesSpeaker) closeItem(out *frames, a *answer, call int) {
	c, index := &a.choices[0], s.index(a, call)
	if call >= 0 {
		id := itemID(a, "fc_", call)
		s.event(out, "response.function_call_arguments.done", jsonObject{"item_id": id, "output_index": index, "name": c.calls[call].name, "arguments": c.calls[call].args})
		s.event(out, "response.output_item.done", jsonObject{"output_index": index, "item": s.call(a, call, true)})
		return
	}
	if a.textFrames == 0 {
		return
	}
	at := func(more jsonObject) jsonObject {
		more["item_id"], more["output_index"], more["content_index"] = itemID(a, "msg_", 0), index, 0
		return more
	}
	if c.end == endRefusal {
		s.event(out, "response.refusal.done", at(jsonObject{"refusal": c.text}))
	} else {
		s.event(out, "response.output_text.done", at(jsonObject{"text": c.text, "logprobs": []any{}}))
	}
	s.event(out, "response.content_part.done", at(jsonObject{"part": textPart(c, c.text)}))
	s.event(out, "response.output_item.done", jsonObject{"output_index": index, "item": s.message(a, true)})
}

func (s responsesSpeaker) closing(out *frames, a *answer) {
	s.closeItem(out, a, len(a.choices[0].calls)-1)
	response, event := s.final(a)
	if items := response["output"].([]any); a.script.Extras {
		last := len(items) - 1
		for _, kind := range []string{"response.output_item.added", "response.output_item.done"} {
			s.event(out, kind, jsonObject{"output_index": last, "item": items[last]})
		}
	}
	s.event(out, event, jsonObject{"response": response})
}

func (responsesSpeaker) terminator(*frames, *answer) {}

// breakOff is the last event of a stream that fails: with the response, if there is one yet.
func (s responsesSpeaker) breakOff(out *frames, a *answer, f *fault, begun bool) {
	if !begun {
		var param any
		if f.param != "" {
			param = f.param
		}
		s.event(out, "error", jsonObject{"code": cmp.Or(f.code, f.class), "message": f.message, "param": param})
		return
	}
	response := s.response(a, "failed")
	response["error"] = jsonObject{"code": cmp.Or(f.code, "server_error"), "message": f.message}
	s.event(out, "response.failed", jsonObject{"response": response})
}

func (responsesSpeaker) header(h http.Header, request string, f *fault) {
	openaiSpeaker{}.header(h, request, f)
}
