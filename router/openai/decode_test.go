package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

func TestDecode(t *testing.T) {
	body := fixture(t, "chat.json")
	r, err := Inbound{}.Decode(router.Incoming{Body: body})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(r.Body, body) || r.Dialect != ledger.DialectOpenAIChat {
		t.Error("the body was not kept")
	}
	r.Body = nil
	got, _ := json.Marshal(r)
	if g, w := indented(said(got)), indented(said(fixture(t, "chat.want.json"))); g != w {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func indented(b []byte) string {
	var out bytes.Buffer
	_ = json.Indent(&out, b, "", " ") // a text of ours
	return out.String()
}

// said is a JSON text without the members that say nothing.
func said(b []byte) []byte {
	var v any
	_ = json.Unmarshal(b, &v) // a text of ours
	var prune func(any) any
	prune = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for k, m := range v {
				if m = prune(m); m == nil {
					delete(v, k)
				}
			}
			if len(v) == 0 {
				return nil
			}
		case []any:
			for i := range v {
				v[i] = prune(v[i])
			}
		case string:
			if v == "" {
				return nil
			}
		case bool:
			if !v {
				return nil
			}
		}
		return v
	}
	b, _ = json.Marshal(prune(v))
	return b
}

func compact(t *testing.T, b []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	out, _ := json.Marshal(v)
	return string(out)
}

func TestDecodeOnlyTheOldCap(t *testing.T) {
	r, err := Inbound{}.Decode(router.Incoming{Body: []byte(`{"max_tokens":10,"max_completion_tokens":null,"model":"m","messages":[{"role":"user","content":""}],"stop":"x"}`)})
	if err != nil || r.OutputCap != 10 || len(r.Stop) != 1 || r.Stop[0] != "x" {
		t.Errorf("%+v %v", r, err)
	}
}

// A field that asks for nothing is in no other dialect's way; with any other value it is.
func TestNeutralValues(t *testing.T) {
	for name, values := range neutral {
		for _, value := range append(values, `"else"`) {
			body := `{"model":"m","messages":[{"role":"user","content":"a"}],"` + name + `": ` + strings.Replace(value, ":", " : ", 1) + ` }`
			r, err := Inbound{}.Decode(router.Incoming{Body: []byte(body)})
			if err != nil || (len(r.Extra) == 0) == (value == `"else"`) || len(r.Hints) > 0 {
				t.Errorf("%s %s: %v %v", name, value, r, err)
			}
		}
	}
	for name := range hints {
		r, err := Inbound{}.Decode(router.Incoming{Body: []byte(`{"model":"m","messages":[{"role":"user","content":"a"}],"` + name + `":"x"}`)})
		if err != nil || len(r.Extra) > 0 || len(r.Hints) != 1 || r.Hints[0].Field != name {
			t.Errorf("%s: %v %v", name, r, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(fixture(f, "chat.json"))
	f.Add(fixture(f, "encoded.json"))
	f.Add([]byte(`{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"x"}]}],"stream":true,"stream_options":{"include_usage":true},"n":2,"temperature":1,"tools":[{}]}`))
	f.Add([]byte(`{"model":"m","messages":[{"role":"assistant","content":null,"tool_calls":[{}]},{"role":"tool","content":"a"}],"max_tokens":5}`))
	f.Add([]byte(`{"model":"m","messages":[{"role":"assistant","function_call":{"name":"f","arguments":""}},{"role":"function","name":"f","content":""}],"functions":[{"name":"f"}],"function_call":"auto"}`))
	f.Add([]byte(`{"model":"m","input":[[1,2],[3]],"encoding_format":"base64","dimensions":3}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		fuzzEmbed(t, body)
		r, err := Inbound{}.Decode(router.Incoming{Body: body})
		if err != nil {
			faulty(t, err)
			return
		}
		m := ledger.Model{ID: "up", Name: "openai/up", Provider: "openai", Features: able}
		c := router.Call{Request: r, OutputCap: 77, Model: m}
		edited, _ := edit(c)
		again, err := Inbound{}.Decode(router.Incoming{Body: edited})
		if err != nil {
			t.Fatalf("%q became %q: %v", body, edited, err)
		}
		if again.Model != "up" || again.OutputCap != 77 || again.Stream != r.Stream || again.IncludeUsage != (r.Stream || r.IncludeUsage) {
			t.Fatalf("%q became %q", body, edited)
		}
		c.Quirks = router.Quirks{MaxTokens: true, NoStreamOptions: true, NoDeveloper: true, NoSchema: true, Drop: []string{"user"}}
		quirky, _ := edit(c)
		again, err = Inbound{}.Decode(router.Incoming{Body: quirky})
		if err != nil || again.Format.Kind == router.FormatSchema || again.OutputCap != 77 || again.IncludeUsage || bytes.Contains(quirky, []byte(`"max_completion_tokens":`)) {
			t.Fatalf("%q became %q: %v", body, quirky, err)
		}
		fuzzEncode(t, c, r)
	})
}

// fuzzEncode checks that what is encoded is decoded to the same, as often as it is encoded.
func fuzzEncode(t *testing.T, c router.Call, r *router.Request) {
	r.Dialect, r.Extra, c.Quirks = "other", nil, router.Quirks{}
	body, _, err := encode(c)
	if err != nil {
		faulty(t, err)
		return
	}
	first, err := Inbound{}.Decode(router.Incoming{Body: body})
	if err != nil {
		if len(r.Messages)+len(r.System) == 0 || strings.HasPrefix(err.Error(), "messages: ") { // nothing but thoughts
			return
		}
		t.Fatalf("%q: %v", body, err)
	}
	if len(first.Extra) > 0 {
		t.Fatalf("%q has %q", body, first.Extra)
	}
	again := *first
	again.Dialect = "other"
	c.Request = &again
	body, warnings, err := encode(c)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("again: %q %q %v", body, warnings, err)
	}
	second, err := Inbound{}.Decode(router.Incoming{Body: body})
	if err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	if a, b := meaning(t, first), meaning(t, second); a != b {
		t.Fatalf("%s became %s", a, b)
	}
}

func fuzzEmbed(t *testing.T, body []byte) {
	r, err := Inbound{}.Decode(router.Incoming{Endpoint: router.EndpointEmbed, Body: body})
	if err != nil {
		faulty(t, err)
		return
	}
	c := router.Call{Request: r, Model: ledger.Model{ID: "up", Name: "openai/up", Features: able}}
	edited, _ := editEmbed(c)
	again, err := Inbound{}.Decode(router.Incoming{Endpoint: router.EndpointEmbed, Body: edited})
	if err != nil || again.Model != "up" || !reflect.DeepEqual(again.Embed, r.Embed) {
		t.Fatalf("%q became %q: %v", body, edited, err)
	}
	r.Dialect, r.Extra = "other", nil
	if _, _, err := encodeEmbed(c); err != nil {
		faulty(t, err)
	}
}

// faulty checks that an error is the caller's and names a field.
func faulty(t *testing.T, err error) {
	t.Helper()
	if e, ok := errors.AsType[*router.FieldError](err); !ok || e.Field == "" || e.Reason == "" {
		t.Fatalf("%v names no field", err)
	}
}

func BenchmarkDecode(b *testing.B) {
	body := []byte(`{"model":"openai/gpt-6-luna","messages":[{"role":"system","content":"` + strings.Repeat("Be brief. ", 50) +
		`"},{"role":"user","content":"` + strings.Repeat("What is a waybill?\\n", 100) + `"}],"temperature":0.5,"stream":false}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (Inbound{}).Decode(router.Incoming{Body: body}); err != nil {
			b.Fatal(err)
		}
	}
}
