package sandbox_test

import (
	"net/http"
	"strings"
	"testing"

	"waybill/router/sandbox"
)

func TestDelivery(t *testing.T) {
	c := start(t, sandbox.Options{})
	r := c.ask(sandbox.OpenAI, "[[sandbox chunks=4 crlf pings]] x", true, "")
	if all, comments := events(t, r.body); comments != 4 || strings.Count(r.body, "\n") != strings.Count(r.body, "\r\n") || len(all) != 1+4+1+1 {
		t.Errorf("%d comments: %q", comments, r.body)
	}
	r = c.ask(sandbox.Anthropic, "[[sandbox chunks=4 pings]] x", true, "")
	if got := strings.Count(r.body, "event: ping"); got != 5 {
		t.Errorf("%d pings", got)
	}
	for _, provider := range providers {
		r = c.ask(provider, "[[sandbox extras]] x", true, "")
		if !strings.Contains(r.body, `{"sandbox_extra":`) || r.understand(t, provider, true).text != sandbox.Answer("x", 0) {
			t.Errorf("extras: %s", r.body)
		}
		r = c.ask(provider, "[[sandbox finish=NEW_REASON no_usage]] x", true, "")
		if got := r.understand(t, provider, true); got.finish != "NEW_REASON" || got.usage.Exists() {
			t.Errorf("%+v", got)
		}
		if calls := c.box.Calls(); calls[len(calls)-1].Finish != "NEW_REASON" || calls[len(calls)-1].Tokens.Output == 0 {
			t.Errorf("record %+v", calls[len(calls)-1])
		}
	}
}

// TestSplit watches the writes themselves: over the network they may be joined.
func TestSplit(t *testing.T) {
	for _, provider := range providers {
		for _, words := range []string{"split=1", "split=7", "split=utf8"} {
			c := start(t, sandbox.Options{})
			w := &writes{header: http.Header{}}
			c.box.ServeHTTP(w, c.request(provider, true, body(provider, "[[sandbox "+words+` say="日本 é 🚢"]]`, true, "")))
			broken := 0
			for _, piece := range w.pieces {
				if !strings.HasSuffix(words, "utf8") && len(piece) > int(words[6]-'0') {
					t.Errorf("%s: wrote %q", words, piece)
				}
				if strings.ToValidUTF8(piece, "�") != piece {
					broken++
				}
			}
			if broken < 1 || words != "split=7" && broken < 4 {
				t.Errorf("%s at %s: %d writes end inside a rune", words, provider, broken)
			}
			if got := (reply{body: strings.Join(w.pieces, "")}).understand(t, provider, true); got.text != "日本 é 🚢" {
				t.Errorf("%q", got.text)
			}
		}
	}
}

type writes struct {
	header http.Header
	pieces []string
}

func (w *writes) Header() http.Header { return w.header }
func (w *writes) WriteHeader(int)     {}
func (w *writes) Flush()              {}
func (w *writes) Write(b []byte) (int, error) {
	w.pieces = append(w.pieces, string(b))
	return len(b), nil
}
