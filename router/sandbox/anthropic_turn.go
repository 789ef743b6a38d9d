package sandbox

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// anthropicTurns is what the rules about the order of messages need to know while they are read.
type anthropicTurns struct {
	last    turnBlocks
	n       int
	ids     map[string]bool // of tool_use, in all turns
	manual  bool            // thinking is enabled with a budget
	content gjson.Result
}

// turnBlocks is what the order rules need to know of one turn.
type turnBlocks struct {
	role    string
	blocks  int
	first   string // type of the first block
	calls   []toolResult
	results []toolResult
	late    bool // a tool_result came after another block
	text    string
	thought bool // the last block is thinking
}

// readMessages counts and collects the turns and checks their order: the user's
// first, and the results of tool calls first in the turn after them.
func (a anthropicHearer) readMessages(v gjson.Result, p *prompt, f *family) (bad *fault) {
	t := anthropicTurns{ids: map[string]bool{}, manual: v.Get("thinking.type").Str == "enabled"}
	list(v.Get("messages"), func(m gjson.Result) {
		if bad == nil {
			bad = a.readTurn(m, &t, p, f)
		}
	})
	switch {
	case bad != nil:
		return bad
	case len(t.last.calls) > 0:
		return danglingCalls("messages", t.last.calls)
	case t.last.role == "assistant":
		return a.checkPrefill(t.content, f)
	case len(t.last.results) > 0 && t.last.text == "":
		p.answered(t.last.results)
	}
	return nil
}

func danglingCalls(at string, calls []toolResult) *fault {
	var ids []string
	for _, c := range calls {
		ids = append(ids, c.id)
	}
	return anthropicFault("%s: `tool_use` ids were found without `tool_result` blocks immediately after: %s. Each `tool_use` block must have a corresponding `tool_result` block in the next message.", at, strings.Join(ids, ", "))
}

func (a anthropicHearer) readTurn(m gjson.Result, t *anthropicTurns, p *prompt, f *family) *fault {
	at, role := fmt.Sprintf("messages.%d", t.n), m.Get("role").Str
	t.n++
	p.messages++
	t.content = m.Get("content")
	switch {
	case t.n == 1 && role != "user":
		return anthropicFault("messages: first message must use the \"user\" role")
	case role == "system" && !f.midSystem && f != &anyFamily:
		return anthropicFault("%s.role: Input should be 'user' or 'assistant'", at)
	}
	turn := turnBlocks{role: role}
	before := len(p.media)
	fault := a.readContent(t.content, at+".content", p, &turn)
	if role == "user" {
		if turn.text != "" || len(turn.results) == 0 {
			p.asked(turn.text)
		}
		p.newMedia = before
	}
	if fault == nil {
		fault = turn.follow(at, &t.last, t)
	}
	t.last = turn
	return fault
}

// follow checks a turn's tool results against the calls of the turn before it, and puts them into
// the order of those.
func (turn *turnBlocks) follow(at string, before *turnBlocks, t *anthropicTurns) *fault {
	if turn.blocks == 0 && turn.role == "user" {
		return anthropicFault("%s: user messages must have non-empty content", at)
	}
	if turn.thought {
		return anthropicFault("%s: The final block in an assistant message cannot be `thinking`.", at)
	}
	for _, c := range turn.calls {
		if t.ids[c.id] {
			return anthropicFault("%s: `tool_use` ids must be unique", at)
		}
		t.ids[c.id] = true
	}
	ordered := make([]toolResult, 0, len(turn.results))
	for _, c := range before.calls {
		i := slices.IndexFunc(turn.results, func(r toolResult) bool { return r.id == c.id })
		if i >= 0 {
			r := turn.results[i]
			r.name = c.name
			ordered = append(ordered, r)
		}
	}
	for i, r := range turn.results {
		known := slices.ContainsFunc(before.calls, func(c toolResult) bool { return c.id == r.id })
		if !known {
			return anthropicFault("%s: unexpected `tool_use_id` found in `tool_result` blocks: %s. Each `tool_result` block must have a corresponding `tool_use` block in the previous message.", at, r.id)
		}
		if slices.ContainsFunc(turn.results[:i], func(o toolResult) bool { return o.id == r.id }) {
			return anthropicFault("%s: each tool_use must have a single result. Found multiple `tool_result` blocks with id: %s", at, r.id)
		}
	}
	if missing := slices.DeleteFunc(slices.Clone(before.calls), func(c toolResult) bool {
		return slices.ContainsFunc(ordered, func(r toolResult) bool { return r.id == c.id })
	}); len(missing) > 0 {
		return danglingCalls(at, missing)
	}
	if turn.late {
		return anthropicFault("%s: `tool_result` blocks must come before any other content", at)
	}
	if t.manual && len(ordered) > 0 && before.first != "thinking" && before.first != "redacted_thinking" {
		return anthropicFault("messages.%d.content.0.type: Expected `thinking` or `redacted_thinking`, but found `%s`. When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceding the lastmost set of `tool_use` and `tool_result` blocks).", t.n-2, before.first)
	}
	turn.results = ordered
	return nil
}

// readContent counts a message's or the system's content.
func (a anthropicHearer) readContent(content gjson.Result, at string, p *prompt, t *turnBlocks) (bad *fault) {
	if content.Type == gjson.String {
		if content.Str != "" {
			t.blocks++
		}
		t.first, t.text = "text", content.Str
		p.addText(content.Str)
		return nil
	}
	list(content, func(block gjson.Result) {
		at := fmt.Sprintf("%s.%d", at, t.blocks)
		t.blocks++
		if bad == nil {
			bad = a.readBlock(block, at, p, t)
		}
	})
	return bad
}

func (a anthropicHearer) readBlock(block gjson.Result, at string, p *prompt, t *turnBlocks) *fault {
	kind := block.Get("type").Str
	if t.blocks == 1 {
		t.first = kind
	}
	t.thought = false
	switch kind {
	case "text":
		text := block.Get("text").Str
		if text == "" {
			return anthropicFault("%s: text content blocks must be non-empty", at)
		}
		p.addText(text)
		t.text = join(t.text, text)
	case "image", "document":
		line, fault := anthropicMedia(block, at)
		p.addMedia(line)
		return fault
	case "tool_use":
		return a.readCall(block, at, p, t)
	case "tool_result":
		if t.role != "user" {
			return anthropicFault("%s: `tool_result` blocks can only be in `user` messages", at)
		}
		t.late = t.late || t.blocks > len(t.results)+1
		r := toolResult{id: block.Get("tool_use_id").Str, failed: block.Get("is_error").Bool()}
		p.addRaw(block.Get("content").Raw)
		fault := a.readResult(block.Get("content"), at+".content", p, &r)
		t.results = append(t.results, r)
		return fault
	case "thinking", "redacted_thinking":
		return a.readThinking(block, at, p, t)
	}
	return nil
}

func (anthropicHearer) readCall(block gjson.Result, at string, p *prompt, t *turnBlocks) *fault {
	call := toolResult{id: block.Get("id").Str, name: block.Get("name").Str}
	t.calls = append(t.calls, call)
	p.addRaw(block.Get("input").Raw)
	switch {
	case t.role != "assistant":
		return anthropicFault("%s: `tool_use` blocks can only be in `assistant` messages", at)
	case !nameOK.MatchString(call.id):
		return anthropicFault("%s.tool_use.id: String should match pattern '%s'", at, namePattern)
	case !nameOK.MatchString(call.name) || len(call.name) > 200:
		return anthropicFault("%s.tool_use.name: String should match pattern '^[a-zA-Z0-9_-]{1,200}$'", at)
	}
	return nil
}

// readResult reads the content of a tool's result, whose text is counted as raw JSON.
func (anthropicHearer) readResult(content gjson.Result, at string, p *prompt, r *toolResult) (bad *fault) {
	if content.Type == gjson.String {
		r.text = content.Str
		return nil
	}
	i := 0
	list(content, func(block gjson.Result) {
		at := fmt.Sprintf("%s.%d", at, i)
		i++
		var fault *fault
		switch block.Get("type").Str {
		case "text":
			if r.text = join(r.text, block.Get("text").Str); block.Get("text").Str == "" {
				fault = anthropicFault("%s: text content blocks must be non-empty", at)
			}
		case "image", "document":
			var line string
			line, fault = anthropicMedia(block, at)
			p.addMedia(line)
			r.media = append(r.media, line)
		}
		if bad == nil {
			bad = fault
		}
	})
	return bad
}

// readThinking checks thinking that comes back. What another model thought is dropped.
func (anthropicHearer) readThinking(block gjson.Result, at string, p *prompt, t *turnBlocks) *fault {
	kind := block.Get("type").Str
	text, seal, noun := block.Get("thinking").Str, block.Get("signature").Str, "signature"
	if kind == "redacted_thinking" {
		seal, noun = block.Get("data").Str, "data"
	}
	if t.role != "assistant" {
		return anthropicFault("%s: `%s` blocks can only be in `assistant` messages", at, kind)
	}
	if len(t.calls) > 0 {
		return anthropicFault("%s: `%s` blocks must come before the `tool_use` blocks of their message", at, kind)
	}
	t.thought = true
	switch p.seal.check(seal, text) {
	case sealBroken, sealOtherKey:
		return anthropicFault("%s: Invalid `%s` in `%s` block", at, noun, kind)
	case sealGood:
		p.addText(text)
	}
	return nil
}
