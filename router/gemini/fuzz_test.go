package gemini

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

func document(t *testing.T, s string) gjson.Result {
	t.Helper()
	doc, err := router.Document([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// Whatever comes is read, or refused by a field's name; and what was read is written as JSON, to Gemini's own dialect and
// translated.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"contents":[{"parts":[{"text":"Hi"}]}],"generationConfig":{"max_output_tokens":"5"}}`), byte(0))
	f.Add([]byte(`{"contents":{"role":"model","parts":{"functionCall":{"name":"f","args":{}},"thoughtSignature":"d2F5YmlsbC11bnNlYWxlZC1y"}},"tools":{"functionDeclarations":{"name":"f","parameters":{"type":"OBJECT","properties":{"a":{"type":"STRING","nullable":true}}}}}}`), byte(1))
	f.Add([]byte(`{"generateContentRequest":{"model":"x","contents":[{"parts":[{"functionResponse":{"name":"f","response":{"output":1}}}]}]}}`), byte(2))
	f.Add([]byte(`{"requests":[{"content":{"parts":[{"text":"a"}]}}]}`), byte(3))
	f.Add([]byte(`{"systemInstruction":{"parts":[{"text":"S"}]},"contents":[{"parts":[{"text":"Hi"},{"inlineData":{"mimeType":"image/png","data":"//79"}}]},{"role":"model","parts":[{"text":"t","thought":true},{"functionCall":{"name":"f","args":{"a":1}}}]},{"parts":[{"functionResponse":{"name":"f","response":{"error":"x"},"parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}}]}],"tools":[{"functionDeclarations":[{"name":"f","parametersJsonSchema":{"type":"object","properties":{"a":{"const":1}},"$defs":{},"allOf":[{"required":["a"]}]}}]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f"]}},"generationConfig":{"responseMimeType":"application/json","responseSchema":{"anyOf":[{"type":"STRING"}],"propertyOrdering":["a"],"minItems":"1"},"thinkingConfig":{"thinkingBudget":-1,"includeThoughts":true},"stopSequences":"x"}}`), byte(16))
	f.Fuzz(func(t *testing.T, body []byte, mode byte) {
		in := router.Incoming{Model: "m", Body: body, Stream: mode&4 != 0}
		switch mode & 3 {
		case 2:
			in.Endpoint = router.EndpointCount
		case 3:
			in.Endpoint, in.Batch = router.EndpointEmbed, mode&8 != 0
		}
		r, err := Inbound{}.Decode(in)
		if err != nil {
			if _, ok := errors.AsType[*router.FieldError](err); !ok {
				t.Fatal(err)
			}
			return
		}
		c := router.Call{Request: r, OutputCap: 9, Foreign: map[string]bool{"c2VhbA==": mode&16 != 0}, Model: ledger.Model{ID: "up", Name: "g/up", Features: able}}
		if r.Endpoint == router.EndpointEmbed {
			if b := editEmbeddings(c); !json.Valid(b) {
				t.Fatalf("%s", b)
			}
			return
		}
		if b, _ := edit(c); !json.Valid(b) {
			t.Fatalf("%s", b)
		}
		foreign := *r
		foreign.Dialect = "other"
		c.Request = &foreign
		b, _, err := encode(c)
		if err != nil {
			if _, ok := errors.AsType[*router.FieldError](err); !ok {
				t.Fatal(err)
			}
			return
		}
		if _, err := (Inbound{}).Decode(router.Incoming{Model: "m", Body: b}); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
	})
}

// Whatever pieces an answer has, what is written of it is JSON.
func FuzzRendering(f *testing.F) {
	f.Add("Hi", "f", `{"a":1}`, byte(0))
	f.Add("\xff<", "", `{"a":`, byte(7))
	f.Fuzz(func(t *testing.T, text, name, args string, mode byte) {
		finish := []router.Finish{router.FinishStop, router.FinishLength, router.FinishTool, router.FinishFiltered}[mode&3]
		steps := []router.Chunk{{Kind: router.KindText, Text: text, Content: true}, {Kind: router.KindCall, CallID: "c", Name: name, Text: args[:len(args)/2], Content: true},
			{Kind: router.KindCall, Call: int(mode >> 6), Text: args[len(args)/2:], Content: true}, {Kind: router.KindReasoning, Text: text, Content: true, Finish: finish}}
		req := &router.Request{Thoughts: mode&4 != 0, Stream: true, Array: true}
		w := Inbound{}.Writer(req, router.Head{Request: text, Model: name}, ledger.DialectOpenAIChat)
		if b := w.Body(steps, spent); !json.Valid(b) {
			t.Fatalf("%s", b)
		}
		w = Inbound{}.Writer(req, router.Head{Request: text, Model: name}, ledger.DialectOpenAIChat)
		if s := write(w, steps...) + string(w.End(spent)); !json.Valid([]byte(s)) {
			t.Fatalf("%s", s)
		}
	})
}
