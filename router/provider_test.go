package router

import (
	"net/http"
	"testing"

	"waybill/ledger"
	"waybill/ledger/secret"
)

const (
	chat      = ledger.DialectOpenAIChat
	responses = ledger.DialectOpenAIResponses
	messages  = ledger.DialectAnthropicMessages
	gemini    = ledger.DialectGemini
)

func TestProviderDialect(t *testing.T) {
	openai := Provider{Dialects: []ledger.Dialect{chat, responses}}
	small := Provider{Dialects: []ledger.Dialect{chat}}
	anthropic := Provider{Dialects: []ledger.Dialect{messages}}
	google := Provider{Dialects: []ledger.Dialect{gemini}}
	tools := []Tool{{Name: "f"}}
	thinks := &ledger.Model{Name: "openai/x", Features: []string{ledger.FeatureResponsesTools}}
	plain := &ledger.Model{Name: "openai/y"}
	for _, tt := range []struct {
		name string
		p    Provider
		q    Request
		m    *ledger.Model
		want ledger.Dialect
	}{
		{"the caller's own", openai, Request{Dialect: chat}, thinks, chat},
		{"the caller's own, the second", openai, Request{Dialect: responses}, plain, responses},
		{"a stranger's", openai, Request{Dialect: messages}, thinks, chat},
		{"tools that need Responses", openai, Request{Dialect: chat, Tools: tools}, thinks, responses},
		{"tools without reasoning", openai, Request{Dialect: chat, Tools: tools, Effort: "none"}, thinks, chat},
		{"tools of a model that takes them", openai, Request{Dialect: chat, Tools: tools}, plain, chat},
		{"a stranger's tools", openai, Request{Dialect: gemini, Tools: tools}, thinks, responses},
		{"tools where there is no Responses", small, Request{Dialect: chat, Tools: tools}, thinks, chat},
		{"Responses where there is none", small, Request{Dialect: responses}, plain, chat},
		{"count", openai, Request{Dialect: messages, Endpoint: EndpointCount}, plain, responses},
		{"count at the caller's own", anthropic, Request{Dialect: messages, Endpoint: EndpointCount}, plain, messages},
		{"count where nobody counts", small, Request{Dialect: messages, Endpoint: EndpointCount}, plain, ""},
		{"embeddings", openai, Request{Dialect: gemini, Endpoint: EndpointEmbed}, plain, chat},
		{"embeddings of Google's", google, Request{Dialect: chat, Endpoint: EndpointEmbed}, plain, gemini},
		{"embeddings where there are none", anthropic, Request{Dialect: chat, Endpoint: EndpointEmbed}, plain, ""},
	} {
		got, err := tt.p.dialect(&tt.q, tt.m)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestKeyHeader(t *testing.T) {
	h := http.Header{"Authorization": {"Bearer s"}}
	Quirks{}.authenticate(h, secret.New("s"))
	if h.Get("Authorization") != "Bearer s" {
		t.Error(h)
	}
	Quirks{KeyHeader: "api-key"}.authenticate(h, secret.New("s"))
	if len(h) != 1 || h.Get("Api-Key") != "s" {
		t.Error(h)
	}
}

// Media have a bound of their own, wherever they stand.
func TestInputBound(t *testing.T) {
	data := string(make([]byte, 1<<20))
	body := []byte(data + "hello")
	image := Part{Kind: KindImage, Media: &Media{Data: data}}
	with := func(p Part) int64 {
		return InputBound(&Request{Body: body, Messages: []Message{{Parts: []Part{p}}}})
	}
	text := with(Text("hello"))
	if got := with(image); got != text-int64(len(data))+boundImage {
		t.Errorf("an image: %d, and text: %d", got, text)
	}
	if got := with(Part{Kind: KindResult, Parts: []Part{image}}); got != text-int64(len(data))+boundImage {
		t.Errorf("an image in a result: %d", got)
	}
	if got := with(Part{Kind: KindDocument, Media: &Media{URL: "https://example.com/a.pdf"}}); got != text+boundFile {
		t.Errorf("a file elsewhere: %d", got)
	}
	for kind, want := range map[string]int64{"text/plain": text, "application/pdf": text, "": text} {
		if got := with(Part{Kind: KindDocument, Media: &Media{Type: kind, Data: data}}); got != want {
			t.Errorf("a file of a million bytes of %s: %d", kind, got)
		}
	}
	// A page costs the same whether its bytes are many or next to none.
	for _, p := range []Part{{Kind: KindDocument, Media: &Media{Type: "application/pdf", Data: "JVBERi0x"}}, {Kind: KindDocument, Media: &Media{Data: "JVBERi0x"}}, {Kind: "video", Media: &Media{Type: "video/mp4", Data: "AAAAIGZ0"}}} {
		if got := with(p); got != text+boundFile-8 {
			t.Errorf("%+v: %d", p.Media, got)
		}
	}
	for _, p := range []Part{{Kind: KindDocument, Media: &Media{Type: "text/plain", Data: "aGVsbG8K"}}, {Kind: KindAudio, Media: &Media{Type: "audio/mp3", Data: "aGVsbG8K"}}} {
		if got := with(p); got != text {
			t.Errorf("%+v: %d", p.Media, got)
		}
	}
	leg := Leg{Model: &ledger.Model{Context: 1000}, Credential: &ledger.Credential{}}
	if d := demandOf(&Request{Body: body}, leg, 0); d.Input != 1000 {
		t.Errorf("the bound is %d, and the model's context 1000", d.Input)
	}
}
