package bench

import (
	"testing"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/sandbox"
)

// What a node keeps of a stream does not grow with it: nothing where frames are forwarded; where they are translated, at
// most what a provider may want back with the results of tools, which is bounded. Responses alone says the whole text
// again at its end: what is written in it keeps the text until then.
func TestLongStreamsAreNotKept(t *testing.T) {
	const (
		frames    = 14_000
		little    = 512 << 10          // frames in flight, tallies, what the runtime does meanwhile
		wanted    = 2 * router.MaxTurn // a turn, and the room in which it grew
		responses = ledger.DialectOpenAIResponses
	)
	up, err := sandbox.Listen("127.0.0.1:0", sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	g, err := newGateway(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g.close(); err != nil {
			t.Error(err)
		}
	}()
	for u, to := range spoken {
		s, err := recordStream(t.Context(), u, up.BaseURL(to.provider), 10*frameTokens)
		if err != nil {
			t.Fatal(err)
		}
		text := int64(len(s.text) * (frames / s.frames))
		for i, from := range spoken {
			most := kept{little, little}
			if i != u {
				most = kept{little + wanted, little + wanted}
			}
			if to.dialect == responses {
				most.end += 8 * text // its own frames say all of it: one is read, one is written, one is kept
			}
			if from.dialect == responses && i != u {
				most.text += text
				most.end += 3 * text // and one event, which is written, and may be copied behind what was held back
			}
			k, err := g.pass(t.Context(), i, u, s, frames)
			if err != nil {
				t.Fatalf("%s at %s: %v", from.dialect, to.dialect, err)
			}
			t.Logf("%s at %s: of %d bytes of text %d were kept while it came, %d at its end", from.dialect, to.dialect, text, k.text, k.end)
			if k.text > most.text || k.end > most.end {
				t.Errorf("%s at %s: of %d bytes of text %d were kept while it came, %d at its end, want at most %d, %d", from.dialect, to.dialect, text, k.text, k.end, most.text, most.end)
			}
		}
	}
}
