package sandbox_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"waybill/router/sandbox"
)

// strict is one body and what its provider says to it: the status, and a text that the
// error must have in it. An empty text is a body that must be served.
type strict struct{ body, says string }

func openaiSays(model, members, says string) strict {
	return strict{fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"x"}]%s}`, model, members), says}
}

func claudeSays(model, members, says string) strict {
	return strict{fmt.Sprintf(`{"model":%q,"max_tokens":2000,"messages":[{"role":"user","content":"x"}]%s}`, model, members), says}
}

const weather = `"tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object"}}}]`

var strictOpenAI = []strict{
	{`{`, "could not parse"}, {`[]`, "could not parse"}, {"{\"model\":\"\xff\"}", "could not parse"}, {strings.Repeat("[", 50_000), "could not parse"},
	{`{"messages":[{"role":"user","content":"x"}]}`, "must provide a model"},
	{`{"model":"m"}`, "Missing required parameter: 'messages'"},
	{`{"model":"m","messages":[]}`, "empty_array"},
	{`{"model":7,"messages":[{"role":"user","content":"x"}]}`, "expected a string, but got an integer"},
	{`{"model":"m","messages":{}}`, "Invalid type for 'messages'"},
	{`{"model":"m","messages":[{"role":"wizard","content":"x"}]}`, `"param":"messages[0].role"`},
	{`{"model":"m","messages":[{"content":"x"}]}`, "Missing required parameter: 'messages[0].role'"},
	{`{"model":"m","messages":[{"role":"user"}]}`, "Missing required parameter: 'messages[0].content'"},
	{`{"model":"m","messages":[{"role":"user","content":null}]}`, "Invalid type for 'messages[0].content'"},
	{`{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}`, "messages[0].content[0].text"},
	{`{"model":"m","messages":[{"role":"user","content":[{"type":"hologram"}]}]}`, "'file', 'image_url', 'input_audio', 'text'"},
	{`{"model":"m","messages":[{"role":"user","content":"x","mood":1}]}`, "Unknown parameter: 'messages[0].mood'"},
	{`{"model":"m","messages":[{"role":"assistant","content":null},{"role":"user","content":"x"}]}`, "Invalid value for 'content'"},
	{`{"model":"m","messages":[{"role":"tool","tool_call_id":"a","content":"x"}]}`, "must be a response to a preceding message"},
	{`{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"user","content":"x"}]}`, "must be followed by tool messages"},
	{`{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":{}}}]},{"role":"user","content":"x"}]}`, "arguments"},
	{`{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"x"}]}`, ""},
	{`{"model":"m","messages":[{"role":"developer","content":"x"},{"role":"system","content":[{"type":"text","text":""}]},{"role":"user","content":"","name":"n"}]}`, ""},
	{`{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA==","detail":"low"}},{"type":"text","text":"x"}]}]}`, ""},
	openaiSays("m", `,"wings":2`, "Unrecognized request argument supplied: wings"),
	openaiSays("m", `,"Temperature":1`, "Unrecognized request argument"),
	openaiSays("m", `,"temperature":2.1`, "decimal_above_max_value"), openaiSays("m", `,"temperature":-1`, "decimal_below_min_value"),
	openaiSays("m", `,"temperature":"1"`, "invalid_type"), openaiSays("m", `,"temperature":null`, ""),
	openaiSays("m", `,"top_p":1.5`, "'top_p'"), openaiSays("m", `,"n":0`, "integer_below_min_value"), openaiSays("m", `,"n":1.5`, "an integer, but got a decimal"),
	openaiSays("m", `,"presence_penalty":3`, "presence_penalty"), openaiSays("m", `,"max_tokens":0`, "integer_below_min_value"),
	openaiSays("m", `,"stop":["a","b","c","d","e"]`, "array_above_max_length"), openaiSays("m", `,"stop":"a"`, ""), openaiSays("m", `,"stop":null`, ""),
	openaiSays("m", `,"stream_options":{"include_usage":true}`, "only allowed when 'stream'"),
	openaiSays("m", `,"max_tokens":5,"max_completion_tokens":5`, "at the same time"),
	openaiSays("m", `,"top_logprobs":2`, "'logprobs' must be true"), openaiSays("m", `,"tool_choice":"auto"`, "'tools' are specified"),
	openaiSays("m", `,"metadata":{"a":1}`, "metadata.a"), openaiSays("m", `,"logit_bias":{"50256":-101}`, "logit_bias"),
	openaiSays("m", `,"reasoning_effort":"colossal"`, "reasoning_effort"), openaiSays("m", `,"service_tier":"first-class"`, "service_tier"),
	openaiSays("m", `,"temperature":0.3,"top_p":0.5,"max_tokens":5,"seed":7,`+weather, ""),
	openaiSays("gpt-6-sol", `,"max_tokens":5`, "Use 'max_completion_tokens' instead"), openaiSays("gpt-6-sol", `,"max_completion_tokens":5`, ""),
	openaiSays("gpt-6-sol", `,"temperature":1`, "unsupported_parameter"), openaiSays("gpt-6-sol", `,"temperature":0.5,"reasoning_effort":"none"`, ""),
	openaiSays("gpt-6-sol", ","+weather, "/v1/responses"), openaiSays("gpt-6-sol", `,"reasoning_effort":"none",`+weather, ""),
	openaiSays("gpt-6-astra", `,"reasoning_effort":"none"`, "does not support 'none'"), openaiSays("gpt-5-mini", `,"temperature":0.5`, "Only the default (1)"),
	openaiSays("gpt-5-mini", `,"temperature":1`, ""), openaiSays("o3-mini", `,"stop":"x"`, "'stop' is not supported"),
	openaiSays("gpt-4o", `,"reasoning_effort":"low"`, "reasoning_effort"), openaiSays("gpt-4o-2024-11-20", `,"max_tokens":20000`, "at most 16384"),
	openaiSays("gpt-6.1-terra", `,"reasoning_effort":"none"`, "does not support 'none'"), openaiSays("gpt-6.9-moon", ","+weather, "/v1/responses"),
	openaiSays("m", `,"tools":[{"type":"function","function":{"name":"a b"}}]`, "does not match pattern"),
	openaiSays("m", `,"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"f"}}]`, "Duplicate tool name"),
	openaiSays("m", `,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"array"}}}]`, `got 'type: \"array\"'`),
	openaiSays("m", `,"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}}}]`, "'additionalProperties' is required"),
	openaiSays("m", `,"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}},"required":["a"],"additionalProperties":false}}}]`, "Missing 'b'"),
	openaiSays("m", `,"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","properties":{"a":{"type":"array","items":{"type":"object"}}},"required":["a"],"additionalProperties":false}}}]`, "In context=('properties', 'a', 'items')"),
	openaiSays("m", `,"response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":{"type":"object","properties":{},"additionalProperties":true}}}`, "additionalProperties"),
	openaiSays("m", `,"response_format":{"type":"json_object"}`, "must contain the word 'json'"),
	openaiSays("m", `,"tool_choice":{"type":"function","function":{"name":"other"}},`+weather, "not found in 'tools'"), openaiSays("m", `,"tool_choice":"maybe",`+weather, "tool_choice"),
	openaiSays("m", `,"parallel_tool_calls":true`, "'tools' are specified"),
	{`{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/tiff;base64,AA=="}}]}]}`, "unsupported image"},
	{`{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,#"}}]}]}`, "base64"},
	{`{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a"}}]}]}`, "exactly one"},
	{`{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"` + strings.Repeat("a", 65) + `","type":"function","function":{"name":"f","arguments":"{}"}}]}]}`, "maximum length 64"},
	{`{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{"}}]},{"role":"tool","tool_call_id":"a","content":"x"},{"role":"tool","tool_call_id":"a","content":"x"}]}`, "must be a response"},
	{`{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{"}},{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"b","content":"x"}]}`, "did not have response messages: a"},
	openaiSays("gpt-50", `,"max_tokens":5,"temperature":0.1`, ""),
}

var strictAnthropic = []strict{
	{`{`, "not valid JSON"},
	{`{"model":"m","messages":[{"role":"user","content":"x"}]}`, "max_tokens: Field required"},
	{`{"model":"m","max_tokens":9}`, "messages: Field required"},
	{`{"max_tokens":9,"messages":[{"role":"user","content":"x"}]}`, "model: Field required"},
	{`{"model":"m","max_tokens":9,"messages":[]}`, "at least one message"},
	{`{"model":"m","max_tokens":9,"messages":[{"role":"tool","content":"x"}]}`, "messages.0.role: Input should be"},
	{`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":""}]}`, "non-empty content"},
	{`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[]}]}`, "non-empty content"},
	{`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":""}]}]}`, "text content blocks must be non-empty"},
	{`{"model":"m","max_tokens":9,"system":[{"type":"text","text":""}],"messages":[{"role":"user","content":"x"}]}`, "text content blocks must be non-empty"},
	{`{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":"x"}]}`, "first message must use"},
	{`{"model":"claude-haiku-4-5","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"system","content":"x"},{"role":"user","content":"x"}]}`, "messages.1.role"},
	{`{"model":"claude-sonnet-5-5","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"system","content":"x"},{"role":"user","content":"x"}]}`, ""},
	{`{"model":"claude-haiku-4-5","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"Well, "}]}`, "trailing whitespace"},
	{`{"model":"claude-haiku-4-5","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"text","text":"Well,"}]}]}`, ""},
	{`{"model":"claude-haiku-5-5","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"Well,"}]}`, "prefill"},
	{`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"user","content":"y"}]}`, ""},
	{`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"x"}]}]}`, "unexpected `tool_use_id`"},
	{`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":"x"}]}`, "without `tool_result`"},
	{`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"text","text":"x"},{"type":"tool_result","tool_use_id":"a"}]}]}`, "before any other content"},
	{`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":"{}"}]}]}`, "input: Input should be a valid dictionary"},
	{`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"ok"},{"type":"text","text":"x"}]}]}`, ""},
	{`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}},{"type":"text","text":"x"}]}]}`, ""},
	{`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}`, "messages.0.content.0.type"},
	claudeSays("m", `,"n":2`, "n: Extra inputs are not permitted"), claudeSays("m", `,"stop":"x"`, "stop: Extra inputs"),
	claudeSays("m", `,"temperature":1.2`, "temperature: Input should be less than"), claudeSays("m", `,"temperature":null`, "temperature: Input should be a valid number"),
	claudeSays("m", `,"stop_sequences":["\n"]`, "non-whitespace"), claudeSays("m", `,"stop_sequences":"x"`, "stop_sequences: Input should be a valid list"),
	claudeSays("m", `,"thinking":{"type":"enabled","budget_tokens":5000}`, "must be greater than"), claudeSays("m", `,"thinking":{"type":"enabled"}`, "budget_tokens: Field required"),
	claudeSays("m", `,"tool_choice":{"type":"any"}`, "while providing tools"), claudeSays("m", `,"metadata":{"user":"x"}`, "metadata.user: Extra inputs"),
	claudeSays("m", `,"temperature":0.5,"top_p":0.9,"top_k":5,"stop_sequences":["x"],"metadata":{"user_id":"u"}`, ""),
	claudeSays("m", `,"tools":[{"name":"f"}]`, "tools.0.input_schema: Field required"), claudeSays("m", `,"tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"auto"}`, ""),
	claudeSays("claude-sonnet-5-5", `,"temperature":0.5`, "default value"), claudeSays("claude-sonnet-5-5", `,"temperature":1`, ""), claudeSays("claude-sonnet-5-5", `,"top_k":5`, "default value"),
	claudeSays("claude-opus-5-5", `,"thinking":{"type":"disabled"}`, "not supported by this model"), claudeSays("claude-haiku-4-5", `,"thinking":{"type":"enabled","budget_tokens":1024}`, ""),
	claudeSays("claude-opus-5", `,"thinking":{"type":"disabled"},"output_config":{"effort":"max"}`, `effort \"high\" or lower`), claudeSays("claude-opus-5", `,"thinking":{"type":"disabled"}`, ""),
	claudeSays("claude-opus-5-5", `,"tools":[{"name":"f","input_schema":{}}],"tool_choice":{"type":"any"}`, "forced tool use"),
	claudeSays("claude-haiku-4-5", `,"temperature":0.5,"top_p":0.9`, "cannot both be specified"),
	claudeSays("m", `,"tools":[{"name":"a b","input_schema":{"type":"object"}}]`, "should match pattern"), claudeSays("m", `,"tools":[{"name":"f","input_schema":{"type":"array"}}]`, "should be 'object'"),
	claudeSays("m", `,"tools":[{"name":"f","input_schema":{"type":"object"}},{"name":"f","input_schema":{"type":"object"}}]`, "must be unique"),
	claudeSays("m", `,"tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"tool","name":"g"}`, "not found in provided tools"),
	claudeSays("m", `,"tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"any"},"thinking":{"type":"enabled","budget_tokens":1024}`, "forces tool use"),
	claudeSays("m", `,"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{}}}}`, "explicitly set to false"),
	claudeSays("m", `,"output_config":{"format":{"type":"json_schema","schema":{"type":"object","additionalProperties":false,"properties":{"n":{"type":"integer","minimum":1}}}}}`, "'minimum' is not supported"),
	{`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/tiff","data":"AA=="}}]}]}`, "media_type: Input should be 'image/jpeg'"},
	{`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"http://x/y"}}]}]}`, "Only HTTPS"},
	{`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]}]}`, "only be in `assistant`"},
	{`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"a.b","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a.b"}]}]}`, "tool_use.id: String should match"},
	{`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}},{"type":"tool_use","id":"b","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"b"}]}]}`, "immediately after: b"},
	{`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"},{"type":"tool_result","tool_use_id":"a"}]}]}`, "single result"},
	{`{"model":"m","max_tokens":2000,"thinking":{"type":"enabled","budget_tokens":1024},"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]}]}`, "Expected `thinking`"},
	{`{"model":"claude-haiku-4-5-20251001","max_tokens":64001,"messages":[{"role":"user","content":"x"}]}`, "64001 > 64000"},
	{`{"model":"m","max_tokens":0,"messages":[{"role":"user","content":"x"}]}`, ""}, {`{"model":"m","max_tokens":-1,"messages":[{"role":"user","content":"x"}]}`, "max_tokens"},
}

func geminiSays(members, says string) strict {
	return strict{`{"contents":[{"role":"user","parts":[{"text":"x"}]}],` + members + `}`, says}
}

var strictGemini = []strict{
	{`{`, "Invalid JSON payload"}, {`{}`, "contents is not specified"}, {`{"contents":[]}`, "contents must not be empty"},
	{`{"contents":[{"role":"assistant","parts":[{"text":"x"}]}]}`, "Please use a valid role: user, model."},
	{`{"contents":[{"role":"user"}]}`, "contents[0].parts"}, {`{"contents":[{"role":"user","parts":[]}]}`, "contents[0].parts"},
	{`{"contents":[{"role":"user","parts":[{}]}]}`, "required oneof field 'data'"}, {`{"contents":[{"parts":[{"text":"x","inlineData":{"mimeType":"a/b","data":"AA=="}}]}]}`, "required oneof field 'data'"},
	{`{"contents":[{"role":"user","parts":[{"type":"text","text":"x"}]}]}`, `Unknown name \"type\" at 'contents[0].parts[0]'`},
	{`{"contents":[{"parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},{"role":"user","parts":[{"text":"x"}]}]}`, "number of function response parts"},
	{`{"contents":[{"parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":"ok"}}]}]}`, "function_response.response"},
	{`{"contents":[{"parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}}]}]}`, ""},
	{`{"contents":[{"parts":[{"inline_data":{"mime_type":"image/png","data":"AA=="}},{"text":"x"}]}],"system_instruction":{"parts":[{"text":"s"}]},"generation_config":{"max_output_tokens":9,"stop_sequences":["a"]}}`, ""},
	geminiSays(`"messages":[]`, `Unknown name \"messages\": Cannot find field.`), geminiSays(`"temperature":1`, `Unknown name \"temperature\": Cannot find field.`),
	geminiSays(`"generationConfig":{"max_tokens":5}`, `Unknown name \"max_tokens\" at 'generation_config'`), geminiSays(`"generationConfig":{"temperature":2.5}`, "generation_config.temperature"),
	geminiSays(`"generationConfig":{"temperature":"hot"}`, "(TYPE_FLOAT)"), geminiSays(`"generationConfig":{"temperature":null,"topP":0.5,"topK":3,"seed":5}`, ""),
	geminiSays(`"generationConfig":{"stopSequences":["a","b","c","d","e","f"]}`, "stop_sequences"), geminiSays(`"generationConfig":{"stopSequences":"a"}`, "stop_sequences"),
	geminiSays(`"generationConfig":{"candidateCount":9}`, "candidate_count"), geminiSays(`"generationConfig":{"maxOutputTokens":0}`, "max_output_tokens"),
	geminiSays(`"generationConfig":{"thinkingConfig":{"thinkingBudget":5,"thinkingLevel":"LOW"}}`, "only one of thinking budget"),
	geminiSays(`"generationConfig":{"responseSchema":{},"responseJsonSchema":{},"responseMimeType":"application/json"}`, "Only one of"),
	geminiSays(`"tools":[{"functionDeclarations":[{"name":"1f"}]}]`, "Invalid function name"), geminiSays(`"tools":[{"functionDeclarations":[{"name":"f"},{"name":"f"}]}]`, "Duplicate function"),
	geminiSays(`"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT","additionalProperties":false}}]}]`, `Unknown name \"additionalProperties\"`),
	geminiSays(`"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT","properties":{}}}]}]`, "should be non-empty"),
	geminiSays(`"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT","properties":{"a":{"type":["string","null"]}}}}]}]`, "TYPE_STRING"),
	geminiSays(`"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT","properties":{"a":{"type":"ARRAY"}}}}]}]`, "items: missing field"),
	geminiSays(`"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT"},"parametersJsonSchema":{"type":"object"}}]}]`, "only one of parameters"),
	geminiSays(`"tools":[{"functionDeclarations":[{"name":"f","parametersJsonSchema":{"type":"object","additionalProperties":false,"properties":{"a":{"type":["string","null"]}}}}]}]`, ""),
	geminiSays(`"toolConfig":{"functionCallingConfig":{"mode":"ANY"}}`, "without function_declarations"),
	geminiSays(`"tools":[{"functionDeclarations":[{"name":"f"}]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["g"]}}`, "g is not in"),
	geminiSays(`"tools":[{"functionDeclarations":[{"name":"f"}]}],"toolConfig":{"functionCallingConfig":{"allowedFunctionNames":["f"]}}`, "mode is ANY"),
	geminiSays(`"serviceTier":"fast"`, "service_tier"),
	{`{"contents":[{"parts":[{"fileData":{"fileUri":"https://example.com/a.png","mimeType":"image/png"}}]}]}`, "Cannot fetch content"},
	{`{"contents":[{"parts":[{"inlineData":{"mimeType":"image/tiff","data":"AA=="}}]}]}`, "Unsupported MIME type"}, {`{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"#"}}]}]}`, "Base64 decoding failed"},
	{`{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}}]}]}`, "immediately after a user turn"},
	{`{"contents":[{"parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"name":"g","response":{}}}]}]}`, "g is not f"},
	{`{"contents":[{"parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}},"thoughtSignature":"AAAA"}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}}]}]}`, "Corrupted thought signature"},
	geminiSays(`"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT"}}]}],"toolConfig":{"functionCallingConfig":{"mode":"AUTO"}}`, ""),
}

func TestStrictness(t *testing.T) {
	for provider, table := range map[string][]strict{sandbox.OpenAI: strictOpenAI, sandbox.Anthropic: strictAnthropic, sandbox.Google: strictGemini} {
		c := start(t, sandbox.Options{})
		for _, test := range table {
			r := c.do(c.request(provider, false, test.body))
			switch {
			case test.says == "" && r.status != 200:
				t.Errorf("%s refuses %s: %s", provider, test.body, r.body)
			case test.says != "" && (r.status != 400 || !strings.Contains(r.body, test.says)):
				t.Errorf("%s to %.200s: %d %s, want %q", provider, test.body, r.status, r.body, test.says)
			}
		}
		for i, call := range c.calls(len(table)) {
			if want := sandbox.Failed(sandbox.BadRequest); table[i].says != "" && call.Outcome != want || table[i].says == "" && call.Outcome != sandbox.Completed {
				t.Errorf("%s: record of %.200s is %+v", provider, table[i].body, call)
			}
		}
	}
}

func TestGeminiModelQuirks(t *testing.T) {
	c := start(t, sandbox.Options{})
	for _, test := range []struct{ model, config, says string }{
		{"gemini-4-argon", `"thinkingConfig":{"thinkingBudget":5}`, "budget is not supported"},
		{"gemini-4-argon", `"thinkingConfig":{"thinkingLevel":"MINIMAL"}`, "level MINIMAL is not supported"},
		{"gemini-4-argon", `"thinkingConfig":{"thinkingLevel":"HIGH"}`, ""},
		{"gemini-2.5-flash-lite", `"thinkingConfig":{"thinkingLevel":"LOW"}`, "level LOW is not supported"},
		{"gemini-2.5-flash", `"maxOutputTokens":65537`, "65537 (exclusive)"},
		{"gemini-2.5-flash", `"maxOutputTokens":65536`, ""},
	} {
		r := c.request(sandbox.Google, false, `{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{`+test.config+`}}`)
		r.URL.Path = strings.Replace(r.URL.Path, models[sandbox.Google], test.model, 1)
		got := c.do(r)
		if test.says == "" && got.status != 200 || test.says != "" && (got.status != 400 || !strings.Contains(got.body, test.says)) {
			t.Errorf("%s %s: %d %s", test.model, test.config, got.status, got.body)
		}
	}
}

func TestKeys(t *testing.T) {
	c := start(t, sandbox.Options{Keys: []sandbox.Key{
		{Provider: sandbox.OpenAI, Secret: "good"}, {Provider: sandbox.OpenAI, Secret: "broke", Fails: sandbox.OutOfCredit},
		{Provider: sandbox.Anthropic, Secret: "slow", Fails: sandbox.RateLimited},
	}})
	for _, test := range []struct {
		provider, secret string
		status           int
		says             string
	}{
		{sandbox.OpenAI, "", 401, "provide an API key"}, {sandbox.Anthropic, "", 401, "authentication_error"}, {sandbox.Google, "", 403, "PERMISSION_DENIED"},
		{sandbox.OpenAI, "good", 200, ""}, {sandbox.OpenAI, "unknown", 401, "invalid_api_key"},
		{sandbox.OpenAI, "broke", 429, `"type":"insufficient_quota","param":null,"code":"credit_balance_exhausted"`},
		{sandbox.Anthropic, "unknown", 200, ""}, {sandbox.Anthropic, "slow", 429, "rate_limit_error"},
		{sandbox.Google, "sk-sandbox-fail-invalid-key", 400, `"reason":"API_KEY_INVALID"`},
		{sandbox.Google, "sk-sandbox-fail-rate_limited", 429, "RetryInfo"},
		{sandbox.OpenAI, "sk-sandbox-fail-spend-limit", 429, "organization_spend_limit_exceeded"},
		{sandbox.Anthropic, "sk-sandbox-fail-whatever", 401, "authentication_error"},
	} {
		for _, stream := range []bool{false, true} {
			r := c.request(test.provider, stream, body(test.provider, "x", stream, ""))
			authorise(r, test.provider, test.secret)
			if got := c.do(r); got.status != test.status || !strings.Contains(got.body, test.says) {
				t.Errorf("%s with %q: %d %s", test.provider, test.secret, got.status, got.body)
			}
		}
	}
	c.box.SetKey(sandbox.Key{Provider: sandbox.OpenAI, Secret: "good", Fails: sandbox.InvalidKey})
	r := c.request(sandbox.OpenAI, false, body(sandbox.OpenAI, "x", false, ""))
	authorise(r, sandbox.OpenAI, "good")
	if got := c.do(r); got.status != 401 {
		t.Errorf("a key that died: %d", got.status)
	}
}

func TestHeaders(t *testing.T) {
	c := start(t, sandbox.Options{MaxBodyBytes: 1000})
	ask := func(provider, text string, change func(http.Header)) reply {
		r := c.request(provider, false, body(provider, text, false, ""))
		change(r.Header)
		return c.do(r)
	}
	keep := func(http.Header) {}
	if r := ask(sandbox.Anthropic, "x", func(h http.Header) { h.Del("Anthropic-Version") }); r.status != 400 || !strings.Contains(r.body, "anthropic-version: header is required") {
		t.Errorf("no version: %s", r.body)
	}
	if r := ask(sandbox.Anthropic, "x", func(h http.Header) { h.Set("Anthropic-Version", "2020-02-30") }); r.status != 400 {
		t.Errorf("a strange version: %s", r.body)
	}
	bearer := func(h http.Header) {
		h.Del("X-Api-Key")
		h.Set("Authorization", "Bearer secret")
		h.Set("Anthropic-Version", "2026-10-21")
	}
	if r := ask(sandbox.Anthropic, "x", bearer); r.status != 200 {
		t.Errorf("bearer: %s", r.body)
	}
	r := c.request(sandbox.Anthropic, false, body(sandbox.Anthropic, "x", false, `"temperature":1`))
	bearer(r.Header)
	if got := c.do(r); got.status != 400 {
		t.Errorf("sampling under the newest version: %s", got.body)
	}
	for provider, name := range map[string]string{sandbox.OpenAI: "X-Request-Id", sandbox.Anthropic: "Request-Id"} {
		if r := ask(provider, "x", keep); r.header.Get(name) == "" {
			t.Errorf("%s: no %s", provider, name)
		}
	}
	for i, provider := range providers {
		if r := ask(provider, strings.Repeat("x", 1000), keep); r.status != []int{413, 413, 400}[i] {
			t.Errorf("%s: a large body: %d", provider, r.status)
		}
	}
	if r := ask(sandbox.OpenAI, "x", func(h http.Header) { h.Set("Authorization", "Basic secret") }); r.status != 401 {
		t.Errorf("basic authorisation: %d", r.status)
	}
	r = c.request(sandbox.Google, false, body(sandbox.Google, "x", false, ""))
	r.Header.Del("X-Goog-Api-Key")
	r.URL.RawQuery = "key=secret"
	if got := c.do(r); got.status != 403 {
		t.Errorf("a key in the address: %d", got.status)
	}
}

// What a call holds besides text is counted, so that a test sees that it arrived.
func TestAcknowledged(t *testing.T) {
	bodies := map[string]string{
		sandbox.OpenAI: `{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y"}},{"type":"text","text":"1234"}]}],` + weather + `}`,
		sandbox.Anthropic: `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://x/y"}},{"type":"text","text":"1234"}]}],
			"tools":[{"name":"weather","input_schema":{"type":"object"}}]}`,
		sandbox.Google: `{"contents":[{"parts":[{"fileData":{"fileUri":"x"}},{"text":"1234"}]}],"tools":[{"functionDeclarations":[{"name":"weather"}]}]}`,
	}
	c := start(t, sandbox.Options{})
	for i, provider := range providers {
		r := c.do(c.request(provider, false, bodies[provider]))
		if call := c.calls(i + 1)[i]; r.status != 200 || call.Images != 1 || call.Tools != 1 || call.Tokens.Input <= 257 {
			t.Errorf("%s: %s, record %+v", provider, r.body, call)
		}
	}
}
