package gemini

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// Gemini's schemas in JSON Schema's words.
func TestFromOpenAPI(t *testing.T) {
	for schema, want := range map[string]string{
		`{}`:                                `{}`,
		`{"type":"STRING","nullable":true}`: `{"type":["string","null"]}`,
		`{"type":"OBJECT"}`:                 `{"type":"object"}`,
		`{"type":"TYPE_UNSPECIFIED"}`:       `{}`,
		`{"brand\"new\"":1}`:                `{"brand\"new\"":1}`,
		`{"type":"STRING","format":"enum","enum":["A","B"],"nullable":true}`:                                                          `{"type":["string","null"],"enum":["A","B",null]}`,
		`{"type":"ARRAY","items":{"type":"INTEGER"},"min_items":"2"}`:                                                                 `{"items":{"type":"integer"},"minItems":2,"type":"array"}`,
		`{"anyOf":[{"type":"STRING"},{"type":"NUMBER"}],"nullable":true}`:                                                             `{"anyOf":[{"type":"string"},{"type":"number"},{"type":"null"}]}`,
		`{"type":"OBJECT","properties":{"b":{"type":"BOOLEAN"},"a":{"type":"STRING"}},"required":["a"],"propertyOrdering":["a","b"]}`: `{"required":["a"],"type":"object","properties":{"a":{"type":"string"},"b":{"type":"boolean"}}}`,
	} {
		got, fault := fromOpenAPI("s", document(t, schema))
		if fault != nil || string(got) != want {
			t.Errorf("%s: %s %v, want %s", schema, got, fault, want)
		}
	}
}

// What has no counterpart is named as the caller wrote it; what may go is a hint.
func TestExtraAndHints(t *testing.T) {
	r := decode(t, `{"contents":[{"parts":[{"text":"x","videoMetadata":{}}]}],"tools":[{"google_search":{}},{"functionDeclarations":[{"name":"f","response":{}}]}],
		"safetySettings":[],"cachedContent":"c","labels":{},"store":false,"continuationToken":"t","generationConfig":{"responseModalities":["TEXT"],"audioTimestamp":false,"responseLogprobs":true,"speechConfig":{}},
		"toolConfig":{"functionCallingConfig":{"mode":"VALIDATED"},"retrievalConfig":{}}}`)
	media := decode(t, `{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"AA==","brandNew":1}},
		{"functionResponse":{"name":"f","response":{},"parts":[{"inlineData":{"mimeType":"image/png","data":"AA=="},"brandNew":1},{"other":1}]}}]},
		{"role":"model","parts":[{"text":"a","thoughtSignature":"c2VhbA=="},{"functionCall":{"name":"f"},"thoughtSignature":"c2VhbA=="},{"text":"t","thought":true,"thoughtSignature":"c2VhbA=="}]}]}`)
	if want := []string{"contents[0].parts[0].inlineData.brandNew", "contents[0].parts[1].functionResponse.parts[0].brandNew", "contents[0].parts[1].functionResponse.parts[1].other"}; !slices.Equal(media.Extra, want) {
		t.Errorf("%q", media.Extra)
	}
	if len(media.Hints) != 1 || media.Hints[0].Field != "contents[1].parts[0].thoughtSignature" {
		t.Errorf("%q", media.Hints)
	}
	for _, seal := range []string{router.MintSeal("r"), unsealed, unsealedInBase64} {
		if r := decode(t, `{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f"},"thoughtSignature":"`+seal+`"}]}]}`); len(r.Hints) > 0 {
			t.Errorf("%q", r.Hints)
		}
	}
	if want := []string{"tools[0].google_search", "cachedContent", "continuationToken", "generationConfig.responseLogprobs", "generationConfig.speechConfig", "toolConfig.retrievalConfig"}; !slices.Equal(r.Extra, want) {
		t.Errorf("%q", r.Extra)
	}
	var hints []string
	for _, h := range r.Hints {
		hints = append(hints, h.Field)
	}
	if want := []string{"tools[1].functionDeclarations[0].response", "safetySettings", "labels", "toolConfig.functionCallingConfig.mode"}; !slices.Equal(hints, want) {
		t.Errorf("%q", hints)
	}
	if p := r.Messages[0].Parts[0]; p.Kind != "videoMetadata" || p.Field != "contents[0].parts[0]" || len(p.Raw) == 0 {
		t.Errorf("%+v", p)
	}
}

// A function failed if it says how. Many have the word in every response.
func TestOutcome(t *testing.T) {
	for response, want := range map[string]struct {
		said   string
		failed bool
	}{
		`{}`: {"{}", false}, `{"output":"a"}`: {"a", false}, `{"output":{"a":1}}`: {`{"a":1}`, false}, `{"result":1}`: {`{"result":1}`, false},
		`{"error":"a"}`: {"a", true}, `{"error":{"a":1}}`: {`{"a":1}`, true}, `{"error":"a","output":1}`: {`{"error":"a","output":1}`, true},
		`{"error":null}`: {`{"error":null}`, false}, `{"error":"","output":1}`: {`{"error":"","output":1}`, false}, `{"ok":true,"error":false}`: {`{"ok":true,"error":false}`, false},
	} {
		if said, failed := outcome(document(t, response)); said != want.said || failed != want.failed {
			t.Errorf("%s: %s %t", response, said, failed)
		}
	}
}

// A result without an id answers by name, else by place; one with an id by its id.
func TestResultsFindTheirCalls(t *testing.T) {
	r := decode(t, `{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f"}},{"functionCall":{"name":"g","id":"x"}},{"functionCall":{"name":"f"}}]},
		{"role":"function","parts":[{"functionResponse":{"name":"g","id":"x","response":{"result":1}}},{"functionResponse":{"name":"f","response":{}}},{"functionResponse":{"name":"f","response":{"output":[1,2],"error":null}}}]},
		{"role":"model","parts":[{"functionCall":{"name":"f"}}]},{"parts":[{"functionResponse":{"name":"h","response":{"error":{"code":1}}}}]}]}`)
	calls, results := r.Messages[0].Parts, r.Messages[1].Parts
	if results[0].ID != "x" || results[1].ID != calls[0].ID || results[2].ID != calls[2].ID || calls[0].ID == calls[2].ID {
		t.Errorf("%+v\n%+v", calls, results)
	}
	if results[0].Parts[0].Text != `{"result":1}` || results[1].Parts[0].Text != "{}" {
		t.Errorf("%+v", results)
	}
	later, result := r.Messages[2].Parts[0], r.Messages[3].Parts[0]
	if result.ID != later.ID || later.ID == calls[0].ID || !result.Failed || result.Parts[0].Text != `{"code":1}` {
		t.Errorf("%+v %+v", later, result)
	}
}

func TestDecodeEmbeddings(t *testing.T) {
	r, err := Inbound{}.Decode(router.Incoming{Endpoint: router.EndpointEmbed, Model: "m", Batch: true, Body: []byte(
		`{"requests":[{"model":"models/m","content":{"parts":[{"text":"a"},{"text":"b"}]},"taskType":"RETRIEVAL_QUERY","outputDimensionality":8},{"content":{"parts":[{"text":"c"}]},"taskType":"CLUSTERING","outputDimensionality":8}]}`)})
	if err != nil || !slices.Equal(r.Embed.Texts, []string{"ab", "c"}) || !r.Embed.Many || r.Embed.Dimensions != 8 || r.Embed.Task != "RETRIEVAL_QUERY" || !slices.Equal(r.Extra, []string{"requests[1].taskType"}) {
		t.Errorf("%+v %+v %v", r, r.Embed, err)
	}
	for body, field := range map[string]string{`{}`: "content", `{"content":{"parts":[{"text":"a"}]},"model":"models/other"}`: "model", `{"content":{},"outputDimensionality":0}`: "outputDimensionality"} {
		_, err := Inbound{}.Decode(router.Incoming{Endpoint: router.EndpointEmbed, Model: "m", Body: []byte(body)})
		if e, ok := errors.AsType[*router.FieldError](err); !ok || e.Field != field {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// Each endpoint has its address and its body, from callers of this dialect and of others.
func TestUpstreamEndpoints(t *testing.T) {
	var path, body string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		path, body = r.URL.RequestURI(), string(b)
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Query().Get("alt") == "sse":
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"finishReason\":\"STOP\"}]}\r\n\r\n")
		case bytes.HasSuffix([]byte(r.URL.Path), []byte(":countTokens")):
			_, _ = io.WriteString(w, `{"totalTokens":3}`)
		case bytes.HasSuffix([]byte(r.URL.Path), []byte(":batchEmbedContents")):
			n := len(gjson.GetBytes(b, "requests").Array())
			_, _ = io.WriteString(w, `{"embeddings":[`+strings.Repeat(`{"values":[1]},`, n-1)+`{"values":[1]}]}`)
		default:
			_, _ = io.WriteString(w, `{"embedding":{"values":[1]}}`)
		}
	}))
	defer s.Close()
	hi := []router.Message{text(router.RoleUser, "Hi")}
	own := func(endpoint router.Endpoint, batch bool, body string) *router.Request {
		r, err := Inbound{}.Decode(router.Incoming{Endpoint: endpoint, Model: "m", Batch: batch, Body: []byte(body)})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, tt := range []struct {
		r          *router.Request
		path, body string
	}{
		{&router.Request{Endpoint: router.EndpointCount, Messages: hi}, "/v1beta/models/up:countTokens", `{"generateContentRequest":{"model":"models/up","contents":[{"role":"user","parts":[{"text":"Hi"}]}]}}`},
		{&router.Request{Endpoint: router.EndpointEmbed, Embed: &router.Embed{Texts: []string{"a"}, Dimensions: 8}}, "/v1beta/models/up:embedContent",
			`{"model":"models/up","content":{"parts":[{"text":"a"}]},"outputDimensionality":8}`},
		{&router.Request{Endpoint: router.EndpointEmbed, Embed: &router.Embed{Texts: []string{"a", "b"}, Many: true}}, "/v1beta/models/up:batchEmbedContents",
			`{"requests":[{"model":"models/up","content":{"parts":[{"text":"a"}]}},{"model":"models/up","content":{"parts":[{"text":"b"}]}}]}`},
		{own(router.EndpointEmbed, true, `{"requests":[{"model":"models/m","content": {"parts":[{"text":"a"}]},"zzz":1}]}`), "/v1beta/models/up:batchEmbedContents",
			`{"requests":[{"model":"models/up","content":{"parts":[{"text":"a"}]},"zzz":1}]}`},
		{own(router.EndpointEmbed, false, `{"content":{"parts":[{"text":"a"}]},"zzz":1}`), "/v1beta/models/up:embedContent", `{"content":{"parts":[{"text":"a"}]},"zzz":1}`},
		{&router.Request{Endpoint: router.EndpointChat, Messages: hi, Stream: true}, "/v1beta/models/up:streamGenerateContent?alt=sse",
			`{"contents":[{"role":"user","parts":[{"text":"Hi"}]}],"generationConfig":{}}`},
	} {
		reply, err := Upstream{}.Open(t.Context(), router.Call{Request: tt.r, BaseURL: s.URL, Client: s.Client(), Model: ledger.Model{ID: "up", Name: "g/up"}})
		if err != nil {
			t.Errorf("%s: %v", tt.path, err)
			continue
		}
		for err == nil {
			_, err = reply.Next()
		}
		if reply.Close(); err != io.EOF || path != tt.path || body != tt.body {
			t.Errorf("%v\ngot  %s %s\nwant %s %s", err, path, body, tt.path, tt.body)
		}
	}
	_, err := Upstream{}.Open(t.Context(), router.Call{Request: &router.Request{Endpoint: router.EndpointEmbed, Embed: &router.Embed{Tokens: true}}})
	if e, ok := errors.AsType[*router.FieldError](err); !ok || e.Field != "input" {
		t.Error(err)
	}
}

// shown is a request without its bytes and its places, which writing it does not keep.
func shown(t *testing.T, r *router.Request) string {
	t.Helper()
	c := *r
	c.Body, c.Names, c.Hints, c.Dialect = nil, nil, nil, ""
	c.Messages = slices.Clone(r.Messages)
	for i, m := range c.Messages {
		c.Messages[i].Field = ""
		c.Messages[i].Parts = slices.Clone(m.Parts)
		for j := range m.Parts {
			p := &c.Messages[i].Parts[j]
			p.Raw, p.Field, p.Signature, p.ID = nil, "", "", ""
		}
	}
	c.Tools = slices.Clone(r.Tools)
	for i := range c.Tools {
		c.Tools[i].Field = ""
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What was read, written and read again is the same.
func TestRoundTrip(t *testing.T) {
	for _, body := range []string{
		`{"contents":[{"role":"user","parts":[{"text":"Hi"}]}],"generationConfig":{"maxOutputTokens":77}}`,
		`{"systemInstruction":{"parts":[{"text":"S"}]},"contents":[{"role":"user","parts":[{"text":"Hi"},{"inlineData":{"mimeType":"image/png","data":"//79"}}]},{"role":"model","parts":[{"text":"a"},{"functionCall":{"name":"f","args":{"a":1}}}]},
			{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"x"},"parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}}]}],
			"tools":[{"functionDeclarations":[{"name":"f","description":"d","parametersJsonSchema":{"type":"object","properties":{"a":{"type":["integer","null"]}}}}]}],
			"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f"]}},"serviceTier":"flex",
			"generationConfig":{"maxOutputTokens":77,"candidateCount":2,"temperature":0.5,"topP":0.25,"topK":3,"frequencyPenalty":-1,"presencePenalty":1,"stopSequences":["x"],"seed":-7,
			"responseMimeType":"application/json","responseJsonSchema":{"type":"object"},"thinkingConfig":{"thinkingLevel":"HIGH","includeThoughts":true}}}`,
		`{"contents":[{"role":"user","parts":[{"text":"Hi"}]}],"toolConfig":{"functionCallingConfig":{"mode":"NONE"}},"tools":[{"functionDeclarations":[{"name":"f"}]}],"generationConfig":{"maxOutputTokens":77,"responseMimeType":"application/json"}}`,
	} {
		first := decode(t, body)
		c := legOf()
		foreign := *first
		foreign.Dialect = "other"
		c.Request = &foreign
		written, warnings, err := encode(c)
		if err != nil || len(warnings) > 0 {
			t.Fatalf("%v %q", err, warnings)
		}
		if want, got := shown(t, first), shown(t, decode(t, string(written))); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
