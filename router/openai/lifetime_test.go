package openai

import (
	"testing"

	"waybill/ledger"
	"waybill/router"
)

// Written tokens count as written for the longer lifetime where the request asks for nothing else, and only there.
func TestLifetimeOfWrites(t *testing.T) {
	const (
		short  = `{"type":"text","text":"a","prompt_cache_breakpoint":{"mode":"explicit"}}`
		half   = `{"type":"text","text":"a","prompt_cache_breakpoint":{"mode":"explicit","ttl":"30m"}}`
		long   = `{"type":"image_url","image_url":{"url":"https://example.com/a.png"},"prompt_cache_breakpoint":{"mode":"explicit","ttl":"12h"}}`
		answer = `{"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":5,` +
			`"prompt_tokens_details":{"cached_tokens":30,"cache_write_tokens":40}}}`
	)
	for _, tt := range []struct {
		parts, options string
		long           bool
	}{
		{long, `{"mode":"explicit"}`, true},
		{long + "," + long, `{"mode":"explicit","ttl":"30m"}`, true},
		{long, `{"mode":"implicit"}`, false}, // the provider sets a breakpoint of its own, too
		{long, `null`, false},
		{long + "," + short, `{"mode":"explicit"}`, false},
		{long + "," + half, `{"mode":"explicit"}`, false},
		{half, `{"mode":"explicit"}`, false},
		{`{"type":"text","text":"a"}`, `{"mode":"explicit"}`, false},
	} {
		body := `{"model":"m","prompt_cache_options":` + tt.options + `,"messages":[{"role":"user","content":[` + tt.parts + `]}]}`
		r, err := Inbound{}.Decode(router.Incoming{Endpoint: router.EndpointChat, Body: []byte(body)})
		if err != nil {
			t.Fatal(err)
		}
		want := ledger.Usage{Input: 30, CacheRead: 30, CacheWrite: 40, Output: 5}
		if tt.long {
			want.CacheWrite, want.CacheWriteLong = 0, 40
		}
		d := newDecoder(router.Call{Request: r}, true)
		if _, err := d.Body([]byte(answer), nil); err != nil {
			t.Fatal(err)
		}
		if got, final := d.Usage(); got != want || !final {
			t.Errorf("%s, %s: %+v, want %+v", tt.options, tt.parts, got, want)
		}
	}
}
