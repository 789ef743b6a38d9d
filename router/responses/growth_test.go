package responses

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"waybill/router"
)

// A text that comes in pieces takes its own size and the last block's room, and is said again as it was said, in the room that
// it foretells.
func TestGrowth(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	words := []string{"a", "é", "\"", "\\", "\n", "<tag>&", "\x01", "長い文", "😀", strings.Repeat("word ", 100), strings.Repeat("x", 2*maxBlock)}
	for range 20 {
		var g growth
		var said strings.Builder
		for range random.IntN(300) {
			w := words[random.IntN(len(words)-random.IntN(2))]
			g.add(w)
			said.WriteString(w)
		}
		b := g.append([]byte("before"))
		var got string
		if err := json.Unmarshal(b[len("before"):], &got); err != nil || got != said.String() || string(b[:6]) != "before" {
			t.Fatalf("%d bytes in %d blocks: %v", g.size, len(g.blocks), err)
		}
		room := 0
		for _, block := range g.blocks {
			room += cap(block)
		}
		if n := len(b) - len("before"); g.size != said.Len() || n > g.room() || n < g.room()-2 {
			t.Errorf("%d bytes of %d, of which %d were foretold", n, said.Len(), g.room())
		}
		if room > 2*g.size+8*maxBlock {
			t.Errorf("%d bytes take %d", g.size, room)
		}
	}
}

// What says a text again is written one event at a time, each in the room that it needs.
func TestClosingEventsOneByOne(t *testing.T) {
	w := newRendering(&router.Request{}, head)
	piece := strings.Repeat("word ", 1000)
	for range 200 {
		w.Chunk(router.Chunk{Kind: router.KindText, Text: piece})
	}
	b := w.Chunk(router.Chunk{Kind: router.KindCall, CallID: "a", Name: "n", Text: "{}"})
	var large int
	for ; len(b) > 0; b = w.More() {
		if n := strings.Count(string(b), "data: "); n > 1 && len(b) > len(piece) {
			t.Errorf("%d events in %d bytes", n, len(b))
		}
		if len(b) > 200*len(piece) {
			large++
		}
		if cap(b) != len(b) {
			t.Errorf("%d bytes keep the room of %d", len(b), cap(b))
		}
	}
	if large != 3 {
		t.Errorf("the text was said again %d times", large)
	}
}
