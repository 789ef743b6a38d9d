package dialects_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"waybill/ledger"
	"waybill/ledger/secret"
	"waybill/router"
	"waybill/router/dialects"
)

// A schema that is none is refused by the caller's field on the way to every other dialect, whatever it would be rewritten to.
func TestMisshapenSchemas(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer up.Close()
	type form struct{ tool, answer string }
	forms := map[ledger.Dialect]form{
		ledger.DialectOpenAIChat: {`{"model":"m","messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f","parameters":%s}}]}`,
			`{"model":"m","messages":[{"role":"user","content":"a"}],"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":%s}}}`},
		ledger.DialectOpenAIResponses: {`{"model":"m","input":"a","tools":[{"type":"function","name":"f","parameters":%s}]}`,
			`{"model":"m","input":"a","text":{"format":{"type":"json_schema","name":"a","schema":%s}}}`},
		ledger.DialectAnthropicMessages: {`{"model":"m","max_tokens":99,"messages":[{"role":"user","content":"a"}],"tools":[{"name":"f","strict":true,"input_schema":%s}]}`,
			`{"model":"m","max_tokens":99,"messages":[{"role":"user","content":"a"}],"output_config":{"format":{"type":"json_schema","schema":%s}}}`},
		ledger.DialectGemini: {`{"contents":[{"parts":[{"text":"a"}]}],"tools":[{"functionDeclarations":[{"name":"f","parametersJsonSchema":%s}]}]}`,
			`{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"responseMimeType":"application/json","responseJsonSchema":%s}}`},
	}
	all := []string{ledger.FeatureReasoning, ledger.FeatureSampling, ledger.FeatureTools, ledger.FeatureStructured}
	for from, f := range forms {
		for to := range forms {
			if from == to {
				continue
			}
			for _, body := range []string{f.tool, f.answer} {
				for _, schema := range []string{`{"type":"object","properties":1}`, `{"type":"object","properties":null}`, `{"type":"object","properties":{"a":{"$ref":"#/$defs/x"}},"$defs":[]}`,
					`{"type":"object","properties":{"b":{"allOf":[{"properties":7}]}}}`, `{"type":"object","additionalProperties":{"properties":5}}`, `{"type":"object","properties":{"a":{"anyOf":{}}}}`} {
					body := fmt.Sprintf(body, schema)
					q, err := dialects.Inbounds[from].Decode(router.Incoming{Endpoint: router.EndpointChat, Model: "m", Body: []byte(body)})
					if err == nil {
						_, err = dialects.Upstreams[to].Open(t.Context(), router.Call{Request: q, Attempt: "req_1.1", Model: ledger.Model{Name: "p/m", Provider: "p", ID: "m", Features: all},
							BaseURL: up.URL, Secret: secret.New("sk"), OutputCap: 99, Client: up.Client()})
					}
					if fault, ok := errors.AsType[*router.FieldError](err); !ok || fault.Field == "" {
						t.Errorf("%s to %s: %s: %v", from, to, body, err)
					}
				}
			}
		}
	}
}
