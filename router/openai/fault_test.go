package openai

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"waybill/router"
)

// faults checks what is said of bodies that are not taken.
func faults(t *testing.T, table map[string]string) {
	t.Helper()
	for body, want := range table {
		r, err := Inbound{}.Decode(router.Incoming{Body: []byte(body)})
		if r != nil || err == nil || err.Error() != want {
			t.Errorf("%.80s: %v, want %s", body, err, want)
		}
		if _, ok := errors.AsType[*router.FieldError](err); !ok {
			t.Errorf("%.80s: %T", body, err)
		}
	}
}

// message is a body with one more message, member one with one more member.
func message(m string) string {
	return `{"model":"m","messages":[{"role":"user","content":"a"},` + m + `]}`
}
func member(m string) string {
	return `{"model":"m","messages":[{"role":"user","content":"a"}],` + m + `}`
}

func TestBodyFaults(t *testing.T) {
	faults(t, map[string]string{
		``:                     "body: is not JSON: unexpected end of JSON input at byte 0",
		`{"model":"m",}`:       "body: is not JSON: invalid character '}' looking for beginning of object key string at byte 14",
		`{} {}`:                "body: is not JSON: invalid character '{' after top-level value at byte 4",
		`[]`:                   "body: must be a JSON object",
		"{\"model\":\"\xff\"}": "body: is not UTF-8",
		strings.Repeat(`{"a":`, 200) + `1` + strings.Repeat("}", 200): "body: nests deeper than 128 levels",
		strings.Repeat(`[`, 1<<20):                                    "body: nests deeper than 128 levels",
		`{"messages":[{"role":"user","content":"a"}]}`:                "model: is required",
		`{"model":"","messages":[{"role":"user","content":"a"}]}`:     "model: is required",
		`{"model":7}`: "model: must be a string",
		`{"model":"` + strings.Repeat("m", 257) + `"}`: "model: is longer than 256 bytes",
		`{"model":"m"}`:                  "messages: is required",
		`{"model":"m","messages":[]}`:    "messages: must not be empty",
		`{"model":"m","messages":{}}`:    "messages: must be a list",
		`{"model":"m","model":"n"}`:      "model: is given twice",
		`{"model":"m","mod\u0065l":"n"}`: "model: is given twice",
	})
}

func TestMessageFaults(t *testing.T) {
	faults(t, map[string]string{
		message(`7`):                                                                                     "messages[1]: must be an object",
		message(`{"content":"a"}`):                                                                       "messages[1].role: must be a string",
		message(`{"role":"robot","content":"a"}`):                                                        `messages[1].role: "robot" is not a role`,
		message(`{"role":"user"}`):                                                                       "messages[1].content: is required",
		message(`{"role":"user","content":null}`):                                                        "messages[1].content: is required",
		message(`{"role":"assistant","content":null}`):                                                   "messages[1].content: is required",
		message(`{"role":"user","content":7}`):                                                           "messages[1].content: must be a string or a list of parts",
		message(`{"role":"user","content":["a"]}`):                                                       "messages[1].content[0]: must be an object",
		message(`{"role":"user","content":[{"text":"a"}]}`):                                              "messages[1].content[0].type: must be a string",
		message(`{"role":"user","content":[{"type":"text"}]}`):                                           "messages[1].content[0].text: must be a string",
		message(`{"role":"tool","content":"a"}`):                                                         "messages[1].tool_call_id: must be a string",
		message(`{"role":"tool","tool_call_id":"c"}`):                                                    "messages[1].content: is required",
		message(`{"role":"function","content":"a"}`):                                                     "messages[1].name: is required",
		message(`{"role":"assistant","tool_calls":{}}`):                                                  "messages[1].content: is required",
		message(`{"role":"assistant","tool_calls":"x"}`):                                                 "messages[1].tool_calls: must be a list",
		message(`{"role":"assistant","tool_calls":[{}]}`):                                                "messages[1].tool_calls[0].id: must be a string",
		message(`{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":{}}}]}`): "messages[1].tool_calls[0].function.arguments: must be a string",
		message(`{"role":"assistant","content":"","refusal":7}`):                                         "messages[1].refusal: must be a string",
	})
}

func TestMemberFaults(t *testing.T) {
	faults(t, map[string]string{
		member(`"max_tokens":1,"max_tokens":100000`):                            "max_tokens: is given twice",
		member(`"stream_options":{"include_usage":true,"include_usage":false}`): "stream_options.include_usage: is given twice",
		member(`"stream":"yes"`):                                                "stream: must be true or false",
		member(`"stream_options":true`):                                         "stream_options: must be an object",
		member(`"stream_options":{"include_usage":1}`):                          "stream_options.include_usage: must be true or false",
		member(`"max_tokens":0`):                                                "max_tokens: must be at least 1",
		member(`"max_tokens":-1`):                                               "max_tokens: must be at least 1",
		member(`"max_tokens":"9"`):                                              "max_tokens: must be a whole number",
		member(`"max_completion_tokens":1.5`):                                   "max_completion_tokens: must be a whole number within 64 bits",
		member(`"max_completion_tokens":1e400`):                                 "max_completion_tokens: must be a whole number within 64 bits",
		member(`"temperature":"hot"`):                                           "temperature: must be a number",
		member(`"temperature":2.1`):                                             "temperature: must be between 0 and 2",
		member(`"top_p":-0.1`):                                                  "top_p: must be between 0 and 1",
		member(`"presence_penalty":3`):                                          "presence_penalty: must be between -2 and 2",
		member(`"stop":7`):                                                      "stop: must be a string or a list of strings",
		member(`"stop":["a",7]`):                                                "stop[1]: must be a string",
		member(`"n":0`):                                                         "n: must be at least 1",
		member(`"n":129`):                                                       "n: must be at most 128",
		member(`"seed":99999999999999999999`):                                   "seed: must be a whole number within 64 bits",
		member(`"user":7`):                                                      "user: must be a string",
		member(`"reasoning_effort":1`):                                          "reasoning_effort: must be a string",
		member(`"":1`):                                                          `"": is not the name of a field`,
		member(`"` + strings.Repeat("é", 100) + `":1`):                          strings.Repeat("é", 64) + ": goes on beyond 128 bytes",
		member(many(300)):                                                       "x254: is one of more than 256 fields",
	})
}

func TestToolFaults(t *testing.T) {
	faults(t, map[string]string{
		member(`"tools":{}`):                                  "tools: must be a list",
		member(`"tools":[7]`):                                 "tools[0]: must be an object",
		member(`"tools":[{}]`):                                "tools[0].type: must be a string",
		member(`"tools":[{"type":"function"}]`):               "tools[0].function: must be an object",
		member(`"tools":[{"type":"function","function":{}}]`): "tools[0].function.name: is required",
		member(`"tools":[{"type":"function","function":{"name":"f","parameters":[]}}]`):          "tools[0].function.parameters: must be a JSON Schema, an object",
		member(`"tools":[{"type":"function","function":{"name":"f","strict":"x"}}]`):             "tools[0].function.strict: must be true or false",
		member(`"functions":[{"name":7}]`):                                                       "functions[0].name: must be a string",
		member(`"function_call":7`):                                                              "function_call: must be a string or an object",
		member(`"tool_choice":7`):                                                                "tool_choice: must be a string or an object",
		member(`"tool_choice":{}`):                                                               "tool_choice.type: must be a string",
		member(`"tool_choice":{"type":"function"}`):                                              "tool_choice.function.name: must be a string",
		member(`"tool_choice":{"type":"allowed_tools"}`):                                         "tool_choice.allowed_tools.mode: must be a string",
		member(`"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto"}}`):         "tool_choice.allowed_tools.tools: must be a list",
		member(`"parallel_tool_calls":1`):                                                        "parallel_tool_calls: must be true or false",
		member(`"response_format":"json"`):                                                       "response_format: must be an object",
		member(`"response_format":{}`):                                                           "response_format.type: must be a string",
		member(`"response_format":{"type":"json_schema"}`):                                       "response_format.json_schema: must be an object",
		member(`"response_format":{"type":"json_schema","json_schema":{"schema":{}}}`):           "response_format.json_schema.name: is required",
		member(`"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":1}}`): "response_format.json_schema.schema: must be a JSON Schema, an object",
	})
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"x%d":1,`, i)
	}
	return strings.TrimSuffix(b.String(), ",")
}
