package gemini

import (
	"errors"
	"testing"

	"waybill/router"
)

func decode(t *testing.T, body string) *router.Request {
	t.Helper()
	r, err := Inbound{}.Decode(router.Incoming{Model: "m", Body: []byte(body)})
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return r
}

func TestDecodeText(t *testing.T) {
	r := decode(t, `{"system_instruction":{"parts":{"text":"Be brief."}},"contents":[{"parts":[{"text":"Hi"},{"text":" you"}]},
		{"role":"model","parts":[{"text":"Ho"}]},{"role":"user","parts":[{"text":"Go on"}]}],
		"generationConfig":{"maxOutputTokens":"70","top_k":40.0,"temperature":0.5,"stopSequences":["x"],"candidateCount":2}}`)
	switch {
	case len(r.System) != 1 || r.System[0].Text != "Be brief.":
		t.Errorf("system %+v", r.System)
	case len(r.Messages) != 3 || r.Messages[0].Role != router.RoleUser || r.Messages[0].Parts[1].Text != " you" || r.Messages[1].Role != router.RoleAssistant:
		t.Errorf("messages %+v", r.Messages)
	case r.OutputCap != 70 || *r.TopK != 40 || *r.Temperature != 0.5 || r.Stop[0] != "x" || r.N != 2:
		t.Errorf("%+v", r)
	case r.Name("max_completion_tokens") != "generationConfig.maxOutputTokens":
		t.Error(r.Name("max_completion_tokens"))
	}
}

func TestDecodeRefuses(t *testing.T) {
	const c = `"contents":[{"parts":[{"text":"Hi"}]}]`
	for body, field := range map[string]string{
		``: "body", `[]`: "body", `{}`: "contents", `{"contents":[]}`: "contents", `{"contents":"x"}`: "contents",
		`{"contents":[{"role":"assistant","parts":[]}]}`:                                                          "contents[0].role",
		`{"contents":[{"parts":[{"text":1}]}]}`:                                                                   "contents[0].parts[0].text",
		`{"contents":[{"parts":[7]}]}`:                                                                            "contents[0].parts[0]",
		`{` + c + `,"generationConfig":{"maxOutputTokens":0}}`:                                                    "generationConfig.maxOutputTokens",
		`{` + c + `,"generationConfig":{"maxOutputTokens":1.5}}`:                                                  "generationConfig.maxOutputTokens",
		`{` + c + `,"generation_config":{"max_output_tokens":"x"}}`:                                               "generation_config.max_output_tokens",
		`{` + c + `,"generationConfig":{"maxOutputTokens":9,"max_output_tokens":8}}`:                              "generationConfig.max_output_tokens",
		`{` + c + `,"generationConfig":{},"generation_config":{}}`:                                                "generation_config",
		`{` + c + `,"generationConfig":{"thinkingConfig":{"thinkingBudget":1,"thinkingLevel":"LOW"}}}`:            "generationConfig.thinkingConfig",
		`{` + c + `,"generationConfig":{"responseSchema":{},"responseJsonSchema":{}}}`:                            "generationConfig.responseJsonSchema",
		`{` + c + `,"tools":[{"functionDeclarations":[{"description":"d"}]}]}`:                                    "tools[0].functionDeclarations[0].name",
		`{` + c + `,"tools":[{"functionDeclarations":[{"name":"f","parameters":{},"parametersJsonSchema":{}}]}]}`: "tools[0].functionDeclarations[0].parametersJsonSchema",
		`{"contents":[{"parts":[{"functionCall":{"args":{}}}]}]}`:                                                 "contents[0].parts[0].functionCall.name",
		`{"contents":[{"parts":[{"functionCall":{"name":"f","args":[]}}]}]}`:                                      "contents[0].parts[0].functionCall.args",
		`{"contents":[{"parts":[{"inlineData":{"data":"x"}}]}]}`:                                                  "contents[0].parts[0].inlineData.mimeType",
		`{"systemInstruction":"x",` + c + `}`:                                                                     "systemInstruction",
	} {
		_, err := Inbound{}.Decode(router.Incoming{Model: "m", Body: []byte(body)})
		if e, ok := errors.AsType[*router.FieldError](err); !ok || e.Field != field {
			t.Errorf("%s: %v, want %s", body, err, field)
		}
	}
}
