package router

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/ledger"
)

// bringing is what of a dialect makes a provider read on its own, in the middle of an answer, what the request does not hold:
// pages, files, what its tools give back. Nothing in the request bounds that.
type bringing struct {
	members []string                     // at the top
	tools   []string                     // where lists of tools are
	local   func(tool gjson.Result) bool // the caller runs the tool, or it finds its way in what the request holds
}

var bringings = map[ledger.Dialect]bringing{
	// https://developers.openai.com/api/reference/resources/chat, and what compatible servers add
	ledger.DialectOpenAIChat: {[]string{"web_search_options", "search_parameters", "plugins"}, []string{"tools"}, ofType("function", "custom")},
	// https://developers.openai.com/api/docs/guides/tools
	ledger.DialectOpenAIResponses: {nil, []string{"tools", "input.#.tools|@flatten"},
		ofType("function", "custom", "namespace", "tool_search", "local_shell", "apply_patch", "computer", "computer_use_preview")},
	// https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview
	ledger.DialectAnthropicMessages: {[]string{"mcp_servers", "container"}, []string{"tools"},
		ofType("", "custom", "bash_*", "text_editor_*", "computer_*", "memory_*", "tool_search_tool_*")},
	// https://ai.google.dev/gemini-api/docs/tools
	ledger.DialectGemini: {[]string{"cachedContent", "cached_content"}, []string{"tools"},
		withMember("functionDeclarations", "function_declarations", "computerUse", "computer_use")},
}

// ofType knows tools by their type; an asterisk stands for the date of a version.
func ofType(types ...string) func(gjson.Result) bool {
	return func(tool gjson.Result) bool {
		kind := tool.Get("type").String()
		return slices.ContainsFunc(types, func(t string) bool {
			head, dated := strings.CutSuffix(t, "*")
			return kind == head || dated && strings.HasPrefix(kind, head)
		})
	}
}

// withMember knows tools by the members that they have.
func withMember(names ...string) func(gjson.Result) bool {
	return func(tool gjson.Result) bool {
		local := true
		tool.ForEach(func(name, v gjson.Result) bool {
			local = v.Type == gjson.Null || slices.Contains(names, name.Str)
			return local
		})
		return local
	}
}

// outside refuses what a body has of that on capacity that is paid for by a hold: what it costs cannot be known beforehand.
func outside(q *Request) error {
	b, ok := bringings[q.Dialect]
	if !ok || q.Endpoint != EndpointChat {
		return nil
	}
	root := gjson.Parse(TextOf(q.Body))
	for _, name := range b.members {
		if v := root.Get(name); v.Type != gjson.Null && v.Raw != `""` && v.Raw != "[]" {
			return unknowable(name)
		}
	}
	for _, list := range b.tools {
		for i, tool := range root.Get(list).Array() {
			if !b.local(tool) {
				field := fmt.Sprintf("tools[%d]", i)
				if list != "tools" {
					field = "input"
				}
				return unknowable(field)
			}
		}
	}
	return nil
}

func unknowable(field string) error {
	return &FieldError{field, "brings in what is not in the request, so what it costs cannot be known beforehand: attach a credential of your own, on which it goes through"}
}
