package router_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

// header makes one of lines such as "Waybill-Goal: cost".
func header(lines ...string) http.Header {
	h := http.Header{}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		h.Add(name, value)
	}
	return h
}

func TestNarrow(t *testing.T) {
	for _, c := range []struct {
		name, body string
		h          http.Header
		rest       string
		n          ledger.Narrowing
		metadata   map[string]string
	}{
		{name: "nothing", body: `{"model":"auto"}`, rest: `{"model":"auto"}`},
		{name: "a value of that name", body: `{"model": "waybill"}`, rest: `{"model": "waybill"}`},
		{name: "deeper", body: `{"a":{"waybill":{"goal":"x"}}}`, rest: `{"a":{"waybill":{"goal":"x"}}}`},
		{name: "first", body: `{ "waybill" : {"goal":"cost"} , "model":"auto"}`, rest: `{  "model":"auto"}`, n: ledger.Narrowing{Goal: "cost"}},
		{name: "between", body: "{\"model\":\"auto\",\n \"waybill\":{\"max_attempts\":2},\n \"n\": 1.0e0}", rest: "{\"model\":\"auto\",\n \n \"n\": 1.0e0}", n: ledger.Narrowing{MaxAttempts: 2}},
		{name: "last", body: `{"model":"auto" , "waybill":{"credentials":"byok-only"} }`, rest: `{"model":"auto"  }`, n: ledger.Narrowing{Credentials: "byok-only"}},
		{name: "alone", body: ` {"waybill":{}} `, rest: ` {} `},
		{name: "a name in escapes", body: `{"model":"auto","\u0077aybill":{"goal":"cost"},"n":1}`, rest: `{"model":"auto","n":1}`, n: ledger.Narrowing{Goal: "cost"}},
		{name: "a name all in escapes", body: `{"\u0077\u0061\u0079\u0062\u0069\u006C\u006c":{"max_attempts":1}}`, rest: `{}`, n: ledger.Narrowing{MaxAttempts: 1}},
		{name: "another name in escapes", body: `{"m\u006fdel":"auto"}`, rest: `{"m\u006fdel":"auto"}`},
		{name: "null", body: `{"waybill":null,"model":"auto"}`, rest: `{"model":"auto"}`},
		{name: "not JSON", body: `{"waybill":{}`, rest: `{"waybill":{}`},
		{name: "not an object", body: `["waybill"]`, rest: `["waybill"]`},
		{name: "all of a body", body: `{"waybill":{"models":["claude-*","openai/gpt-6-luna"],"credentials":"platform-only","goal":"latency","max_attempts":1,"metadata":{"team":"r\u00e9"}}}`,
			rest: `{}`, n: ledger.Narrowing{Models: []string{"claude-*", "openai/gpt-6-luna"}, Credentials: "platform-only", Goal: "latency", MaxAttempts: 1}, metadata: map[string]string{"team": "ré"}},
		{name: "all of the headers", body: `{}`, rest: `{}`, h: header("Waybill-Models: claude-*, openai/gpt-6-luna", "Waybill-Credentials: byok-only", "Waybill-Goal: cost", "Waybill-Max-Attempts: 3", "Waybill-Metadata: team=research, app = x"),
			n:        ledger.Narrowing{Models: []string{"claude-*", "openai/gpt-6-luna"}, Credentials: "byok-only", Goal: "cost", MaxAttempts: 3},
			metadata: map[string]string{"team": "research", "app": "x"}},
		{name: "headers of others", body: `{}`, rest: `{}`, h: header("X-Waybills: 1", "Waybill: 2", "X-Request-Id: waybill-models", "Idempotency-Key: waybill-1")},
		{name: "metadata as JSON", body: `{}`, rest: `{}`, h: header(`Waybill-Metadata: {"team": "a, b"}`), metadata: map[string]string{"team": "a, b"}},
		{name: "lists on lines", body: `{}`, rest: `{}`, h: header("Waybill-Models: a", "Waybill-Models: b"), n: ledger.Narrowing{Models: []string{"a", "b"}}},
		{name: "the fewer attempts", body: `{"waybill":{"max_attempts":4}}`, rest: `{}`, h: header("Waybill-Max-Attempts: 2"), n: ledger.Narrowing{MaxAttempts: 2}},
		{name: "the fewer attempts of the body", body: `{"waybill":{"max_attempts":2}}`, rest: `{}`, h: header("Waybill-Max-Attempts: 4"), n: ledger.Narrowing{MaxAttempts: 2}},
		{name: "models of both", body: `{"waybill":{"models":["claude-*","gpt-6-luna"]}}`, rest: `{}`, h: header("Waybill-Models: claude-opus-5, gpt-6-luna, x"),
			n: ledger.Narrowing{Models: []string{"gpt-6-luna", "claude-opus-5"}}},
		{name: "metadata of both", body: `{"waybill":{"metadata":{"a":"1"}}}`, rest: `{}`, h: header("Waybill-Metadata: b=2,a=1"), metadata: map[string]string{"a": "1", "b": "2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rest, n, metadata, err := router.Narrow([]byte(c.body), c.h)
			if err != nil {
				t.Fatal(err)
			}
			if string(rest) != c.rest {
				t.Errorf("left of the body is %q, not %q", rest, c.rest)
			}
			if !reflect.DeepEqual(n, c.n) || !reflect.DeepEqual(metadata, c.metadata) {
				t.Errorf("%+v %v\nnot %+v %v", n, metadata, c.n, c.metadata)
			}
		})
	}
}

func TestNarrowRefuses(t *testing.T) {
	long := strings.Repeat("x", 257)
	for _, c := range []struct {
		body  string
		h     http.Header
		field string
	}{
		{body: `{"waybill":{},"waybill":{}}`, field: "waybill"},
		{body: `{"waybill":{},"wayb\u0069ll":{}}`, field: "waybill"},
		{body: `{"wayb\u0069ll":{},"waybil\u006c":{}}`, field: "waybill"},
		{body: `{"waybill":"cost"}`, field: "waybill"},
		{body: `{"waybill":{"model":"x"}}`, field: "waybill.model"},
		{body: `{"waybill":{"goal":"cost","goal":"cost"}}`, field: "waybill.goal"},
		{body: `{"waybill":{"goal":"fun"}}`, field: "waybill.goal"},
		{body: `{"waybill":{"goal":1}}`, field: "waybill.goal"},
		{body: `{"waybill":{"credentials":"byok-first"}}`, field: "waybill.credentials"},
		{body: `{"waybill":{"models":"x"}}`, field: "waybill.models"},
		{body: `{"waybill":{"models":[]}}`, field: "waybill.models"},
		{body: `{"waybill":{"models":["[a"]}}`, field: "waybill.models"},
		{body: `{"waybill":{"models":["a b"]}}`, field: "waybill.models"},
		{body: `{"waybill":{"models":[` + strings.Repeat(`"a",`, 16) + `"a"]}}`, field: "waybill.models"},
		{body: `{"waybill":{"max_attempts":0}}`, field: "waybill.max_attempts"},
		{body: `{"waybill":{"max_attempts":9}}`, field: "waybill.max_attempts"},
		{body: `{"waybill":{"metadata":{"a":1}}}`, field: "waybill.metadata.a"},
		{body: `{"waybill":{"metadata":{"a":"` + long + `"}}}`, field: "waybill.metadata"},
		{body: `{"waybill":{"metadata":{"a":"\u0000"}}}`, field: "waybill.metadata"},
		{body: `{"waybill":{"metadata":{"` + long[:65] + `":"a"}}}`, field: "waybill.metadata"},
		{h: header("Waybill-Goal: fun"), field: "Waybill-Goal"},
		{h: header("Waybill-Goal: cost", "Waybill-Goal: cost"), field: "Waybill-Goal"},
		{h: header("Waybill-Models: a,,b"), field: "Waybill-Models"},
		{h: header("Waybill-Credentials: mine"), field: "Waybill-Credentials"},
		{h: header("Waybill-Max-Attempts: many"), field: "Waybill-Max-Attempts"},
		{h: header("Waybill-Metadata: team"), field: "Waybill-Metadata"},
		{h: header("Waybill-Metadata: a=1,a=2"), field: "Waybill-Metadata"},
		{h: header("Waybill-Metadata: a=\xff"), field: "Waybill-Metadata"},
		{h: header(`Waybill-Metadata: {"a":`), field: "Waybill-Metadata"},
		{h: header("Waybill-Metadata: a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1,k=1,l=1,m=1,n=1,o=1,p=1,q=1"), field: "Waybill-Metadata"},
		{h: header("Waybill-Model: luna"), field: "Waybill-Model"},
		{h: header("waybill-modles: luna", "Waybill-Goal: cost"), field: "Waybill-Modles"},
		{h: header("waybill_models: luna"), field: "Waybill_models"},
		{h: header("x-waybill-models: luna"), field: "X-Waybill-Models"},
		{h: header("Waybill-Request: req_1", "Waybill-Org: acme"), field: "Waybill-Org"},
		{body: `{"waybill":{"goal":"cost"}}`, h: header("Waybill-Goal: latency"), field: "Waybill-Goal"},
		{body: `{"waybill":{"credentials":"byok-only"}}`, h: header("Waybill-Credentials: platform-only"), field: "Waybill-Credentials"},
		{body: `{"waybill":{"models":["a"]}}`, h: header("Waybill-Models: b"), field: "Waybill-Models"},
		{body: `{"waybill":{"models":["claude-*"]}}`, h: header("Waybill-Models: *-5"), field: "Waybill-Models"},
		{body: `{"waybill":{"metadata":{"a":"1"}}}`, h: header("Waybill-Metadata: a=2"), field: "Waybill-Metadata"},
	} {
		_, _, _, err := router.Narrow([]byte(c.body), c.h)
		e, ok := err.(*router.FieldError)
		if !ok || e.Field != c.field {
			t.Errorf("%s %v: %v, not a fault of %s", c.body, c.h, err, c.field)
		}
	}
}

// FuzzNarrow: whatever is cut out of a body, the rest is what it was, and no member of waybill's is left in it.
func FuzzNarrow(f *testing.F) {
	for _, body := range []string{`{"waybill":{"goal":"cost"},"a":[1,{"waybill":2}]}`, `{"a":"\"waybill\"","waybill":null}`, `{"waybill":{}}`, `["waybill"]`, `{"\u0077aybill":{},"\\u0077aybill":1}`,
		"{\"b\":1\t,\n\"waybill\" : {\"metadata\":{\"\\u0061\":\"b\"}}\r}"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		rest, _, _, err := router.Narrow(body, nil)
		if err != nil {
			if _, ok := err.(*router.FieldError); !ok {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		var was, is map[string]json.RawMessage
		if _, err := router.Document(before); err != nil || json.Unmarshal(before, &was) != nil {
			return // no dialect takes it
		}
		if err := json.Unmarshal(rest, &is); err != nil {
			t.Fatalf("%q became %q: %v", before, rest, err)
		}
		delete(was, "waybill")
		if len(was) != len(is) {
			t.Fatalf("%q became %q", before, rest)
		}
		for name, v := range was {
			if !bytes.Equal(v, is[name]) {
				t.Errorf("%q became %q", before, rest)
			}
		}
	})
}
