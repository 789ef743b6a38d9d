package router_test

import (
	"strings"
	"testing"

	"waybill/ledger"
)

// What a provider would read beyond the request is refused by name where a hold pays for it, and goes through on the org's own
// credential.
func TestInputFromOutside(t *testing.T) {
	const (
		chat = `{"model":"openai/gpt-4.1-mini","messages":[{"role":"user","content":"hi"}],`
		resp = `{"model":"openai/gpt-6-luna","store":false,"input":"hi",`
		item = `{"model":"openai/gpt-6-luna","store":false,"input":[{"type":"message","role":"user","content":"hi"},{"type":"additional_tools","role":"developer","tools":[{"type":"function","name":"f"},`
		anth = `{"model":"anthropic/claude-haiku-5-5","max_tokens":500,"messages":[{"role":"user","content":"hi"}],`
		gem  = `{"model":"google/gemini-3.5-flash","contents":[{"role":"user","parts":[{"text":"hi"}]}],`
	)
	n := newNode(t)
	n.open("acme", "teams")
	for _, tt := range []struct {
		dialect     ledger.Dialect
		body, field string
	}{
		{ledger.DialectOpenAIChat, chat + `"web_search_options":{}}`, "web_search_options"},
		{ledger.DialectOpenAIChat, chat + `"tools":[{"type":"function","function":{"name":"f"}},{"type":"builtin_function","function":{"name":"$web_search"}}]}`, "tools[1]"},
		{ledger.DialectOpenAIResponses, resp + `"tools":[{"type":"web_search"}]}`, "tools[0]"},
		{ledger.DialectOpenAIResponses, resp + `"tools":[{"type":"function","name":"f"},{"type":"file_search","vector_store_ids":["vs"]}]}`, "tools[1]"},
		{ledger.DialectOpenAIResponses, resp + `"tools":[{"type":"mcp","server_label":"a","server_url":"https://example.com"}]}`, "tools[0]"},
		{ledger.DialectOpenAIResponses, resp + `"tools":[{"type":"code_interpreter","container":{"type":"auto"}}]}`, "tools[0]"},
		{ledger.DialectOpenAIResponses, item + `{"type":"mcp","server_label":"a"}]}]}`, "input"},
		{ledger.DialectAnthropicMessages, anth + `"tools":[{"type":"web_search_20250305","name":"web_search"}]}`, "tools[0]"},
		{ledger.DialectAnthropicMessages, anth + `"tools":[{"name":"f","input_schema":{"type":"object"}},{"type":"web_fetch_20260318","name":"web_fetch"}]}`, "tools[1]"},
		{ledger.DialectAnthropicMessages, anth + `"tools":[{"type":"code_execution_20260521","name":"code_execution"}]}`, "tools[0]"},
		{ledger.DialectAnthropicMessages, anth + `"mcp_servers":[{"type":"url","url":"https://example.com","name":"a"}]}`, "mcp_servers"},
		{ledger.DialectGemini, gem + `"cachedContent":"cachedContents/abc"}`, "cachedContent"},
		{ledger.DialectGemini, gem + `"cached\u0043ontent":"cachedContents/abc"}`, "cachedContent"},
		{ledger.DialectGemini, gem + `"cached_content":"cachedContents/abc"}`, "cached_content"},
		{ledger.DialectGemini, gem + `"tools":[{"functionDeclarations":[{"name":"f"}]},{"googleSearch":{}}]}`, "tools[1]"},
		{ledger.DialectGemini, gem + `"tools":[{"functionDeclarations":[{"name":"f"}],"url_context":{}}]}`, "tools[0]"},
		{ledger.DialectGemini, gem + `"tools":[{"fileSearch":{"fileSearchStoreNames":["a"]}}]}`, "tools[0]"},
	} {
		a := n.say(tt.dialect, "acme", tt.body)
		if f := a.failure; f == nil || f.Status != 400 || f.Field != tt.field || !strings.Contains(f.Message, "attach a credential of your own") {
			t.Errorf("%s: %+v", tt.body, f)
		}
	}
	if calls := n.up.Calls(); len(calls) > 0 || n.holds() > 0 {
		t.Errorf("%d calls, %d holds", len(calls), n.holds())
	}
	for _, tt := range []struct {
		dialect ledger.Dialect
		body    string
	}{
		{ledger.DialectOpenAIChat, chat + `"web_search_options":null,"tools":[{"type":"function","function":{"name":"f"}}]}`},
		{ledger.DialectOpenAIResponses, resp + `"tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{},"additionalProperties":false}}]}`},
		{ledger.DialectAnthropicMessages, anth + `"mcp_servers":[],"container":null,"tools":[{"type":"custom","name":"f","input_schema":{"type":"object"}}]}`},
		{ledger.DialectGemini, gem + `"cachedContent":"","tools":[{"functionDeclarations":[{"name":"f"}],"googleSearch":null}]}`},
	} {
		if a := n.say(tt.dialect, "acme", tt.body); a.failure != nil && strings.Contains(a.failure.Message, "beforehand") {
			t.Errorf("%s: %+v", tt.body, a.failure)
		}
	}
	n.open("byok", "teams")
	for _, provider := range []string{"openai", "anthropic", "google"} {
		n.own("byok", provider, "own_"+provider)
	}
	for _, tt := range []struct {
		dialect ledger.Dialect
		body    string
	}{
		{ledger.DialectOpenAIResponses, resp + `"tools":[{"type":"web_search"}]}`},
		{ledger.DialectAnthropicMessages, anth + `"tools":[{"type":"web_search_20250305","name":"web_search"}]}`},
		{ledger.DialectGemini, gem + `"tools":[{"googleSearch":{}}]}`},
	} {
		if a := n.say(tt.dialect, "byok", tt.body); a.failure != nil {
			t.Errorf("on its own credential %s: %+v", tt.body, a.failure)
		}
	}
}
