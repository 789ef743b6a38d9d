package openai

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

func embed(t testing.TB, body string) (*router.Request, error) {
	t.Helper()
	return Inbound{}.Decode(router.Incoming{Endpoint: router.EndpointEmbed, Body: []byte(body)})
}

func TestDecodeEmbeddings(t *testing.T) {
	for body, want := range map[string]router.Embed{
		`{"model":"m","input":"a"}`:                                             {Texts: []string{"a"}},
		`{"model":"m","input":["a"],"dimensions":256}`:                          {Texts: []string{"a"}, Many: true, Dimensions: 256},
		`{"model":"m","input":["a","b"],"encoding_format":"base64","user":"u"}`: {Texts: []string{"a", "b"}, Many: true, Base64: true},
		`{"model":"m","input":[1,2,3],"encoding_format":"float"}`:               {Tokens: true},
		`{"model":"m","input":[[1,2],[3]]}`:                                     {Tokens: true, Many: true},
	} {
		r, err := embed(t, body)
		if err != nil || !reflect.DeepEqual(*r.Embed, want) || r.Endpoint != router.EndpointEmbed || r.Model != "m" || len(r.Extra) > 0 {
			t.Errorf("%s: %+v %v", body, r, err)
		}
	}
	for body, want := range map[string]string{
		`{"model":"m"}`:                                                   "input: is required",
		`{"input":"a"}`:                                                   "model: is required",
		`{"model":"m","input":[]}`:                                        "input: must not be empty",
		`{"model":"m","input":7}`:                                         "input: must be a text, a list of texts, or tokens",
		`{"model":"m","input":["a",7]}`:                                   "input[1]: must be a text, as the first one is",
		`{"model":"m","input":[1,"a"]}`:                                   "input: must have whole numbers alone: it is a list of tokens",
		`{"model":"m","input":[[1],["a"]]}`:                               "input[1]: must have whole numbers alone: it is a list of tokens",
		`{"model":"m","input":[[1],2]}`:                                   "input[1]: must be a list of tokens, as the first one is",
		`{"model":"m","input":"a","dimensions":0}`:                        "dimensions: must be at least 1",
		`{"model":"m","input":"a","encoding_format":1}`:                   "encoding_format: must be a string",
		`{"model":"m","input":["` + strings.Repeat(`a","`, 2048) + `a"]}`: "input: has more than 2048 texts",
	} {
		if _, err := embed(t, body); err == nil || err.Error() != want {
			t.Errorf("%.60s: %v, want %s", body, err, want)
		}
	}
	if r, err := embed(t, `{"model":"m","input":"a","input_type":"query","encoding_format":"int8"}`); err != nil || strings.Join(r.Extra, " ") != "input_type encoding_format" {
		t.Errorf("%+v %v", r, err)
	}
}

const vectorsBody = `{"object": "list", "data": [{"object": "embedding", "index": 1, "embedding": [0.5, -1.25e-5]}, {"object": "embedding", "index": 0, "embedding": "AACAPwAAAMA="}], "model": "e-1", "usage": {"prompt_tokens": 8, "total_tokens": 8}}`

func TestEmbeddingsFidelity(t *testing.T) {
	r, err := embed(t, `{ "model": "m", "input": [ "a", "b" ], "encoding_format":"base64", "new": 1.50 }`)
	if err != nil {
		t.Fatal(err)
	}
	u := serve(t, "application/json", []byte(vectorsBody))
	reply, steps := exchange(t, u, router.Call{Request: r, Model: ledger.Model{ID: "up", Name: "openai/up"}})
	usage, final := reply.Usage()
	if got := (Inbound{}).Writer(r, head, ledger.DialectOpenAIChat).Body(steps, usage); string(got) != vectorsBody {
		t.Errorf("%s", got)
	}
	if u.path != "/embeddings" || string(u.body) != `{"model":"up","input":[ "a", "b" ],"encoding_format":"base64","new":1.50}` {
		t.Errorf("%s %s", u.path, u.body)
	}
	last := steps[len(steps)-1]
	if usage != (ledger.Usage{Input: 8}) || !final || !last.Content || last.Finish != router.FinishStop || last.Model != "e-1" {
		t.Errorf("%+v %t %+v", usage, final, last)
	}
}

func TestEmbeddingsTranslated(t *testing.T) {
	r := &router.Request{Endpoint: router.EndpointEmbed, Embed: &router.Embed{Texts: []string{"a", "b"}, Many: true, Dimensions: 2}}
	u := serve(t, "application/json", []byte(vectorsBody))
	reply, steps := exchange(t, u, leg(r))
	if string(u.body) != `{"model":"up","input":["a","b"],"dimensions":2,"encoding_format":"float"}` {
		t.Errorf("%s", u.body)
	}
	// AACAPwAAAMA= is 1 and -2 as float32: 0x3f800000 and 0xc0000000.
	if len(steps) != 2 || steps[0].Index != 1 || !reflect.DeepEqual(steps[0].Vector, []float32{0.5, -1.25e-5}) ||
		steps[1].Index != 0 || !reflect.DeepEqual(steps[1].Vector, []float32{1, -2}) || steps[1].Finish != router.FinishStop {
		t.Errorf("%+v", steps)
	}
	usage, _ := reply.Usage()
	for base64, want := range map[bool]string{
		false: `{"object":"list","data":[{"object":"embedding","index":1,"embedding":[0.5,-1.25e-05]},{"object":"embedding","index":0,"embedding":[1,-2]}],"model":"anthropic/claude-haiku-5-5","usage":{"prompt_tokens":8,"total_tokens":8}}`,
		true:  `{"object":"list","data":[{"object":"embedding","index":1,"embedding":"AAAAPxe3Ubc="},{"object":"embedding","index":0,"embedding":"AACAPwAAAMA="}],"model":"anthropic/claude-haiku-5-5","usage":{"prompt_tokens":8,"total_tokens":8}}`,
	} {
		w := Inbound{}.Writer(&router.Request{Endpoint: router.EndpointEmbed, Embed: &router.Embed{Base64: base64}}, head, ledger.DialectGemini)
		if got := string(w.Body(steps, usage)); got != want || !json.Valid([]byte(got)) {
			t.Errorf("%t: %s", base64, got)
		}
	}
}

func TestEmbeddingsRefused(t *testing.T) {
	for want, e := range map[string]router.Embed{
		"taskType: vectors are of one kind at openai/up":        {Texts: []string{"a"}, Task: "RETRIEVAL_QUERY"},
		"title: a text has no title at openai/up":               {Texts: []string{"a"}, Title: "t"},
		"input: nothing but texts can be embedded at openai/up": {Tokens: true},
	} {
		if _, _, err := encodeEmbed(leg(&router.Request{Endpoint: router.EndpointEmbed, Embed: &e})); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestOddVectors(t *testing.T) {
	for data, want := range map[string]string{
		`[]`: "no vectors", `{}`: "no vectors",
		`[{"index":2,"embedding":[1]}]`:                                "not asked for",
		`[{"index":-1,"embedding":[1]}]`:                               "not asked for",
		`[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]`:    "not asked for",
		`[{"index":0,"embedding":[1]}]`:                                "1 vectors for 2 texts",
		`[{"index":0,"embedding":["x"]},{"index":1,"embedding":[1]}]`:  "something else than numbers",
		`[{"index":0,"embedding":"AA=="},{"index":1,"embedding":[1]}]`: "not base64 of float32",
		`[{"index":0,"embedding":"AADAfw=="}]`:                         "not finite",
		`[{"index":0,"embedding":[1e300]}]`:                            "not finite",
		`[{"index":0}]`:                                                "empty",
	} {
		d := embedDecoder{texts: 2}
		if _, err := d.Body([]byte(`{"data":`+data+`}`), nil); err == nil || !strings.Contains(err.Error(), want) || d.Whole() {
			t.Errorf("%s: %v", data, err)
		}
	}
}
