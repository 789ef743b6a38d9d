package anthropic

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// The end of an object is found by reading each of its bytes once.
func TestNesting(t *testing.T) {
	for _, tt := range []struct {
		pieces []string
		closed bool
	}{
		{nil, false},
		{[]string{"", "{", "}"}, true},
		{[]string{`{"a":"}`, `}\`, `"}`, `"`}, false},
		{[]string{`{"a":"}`, `}\`, `"}`, `"`, "}"}, true},
		{[]string{`{"a":[{},`, `{}]`, "\n}"}, true},
		{[]string{`{"a":"\\"`, "}"}, true},
		{[]string{"null"}, false},
		{[]string{"]"}, false},
	} {
		var n nesting
		var text []byte
		for _, piece := range tt.pieces {
			for i := range text {
				text[i] = '!' // what was read is not read again
			}
			text = append(text, piece...)
			n.closes(text)
		}
		if n.closed != tt.closed || n.read != len(text) {
			t.Errorf("%q: closed %t, %d of %d bytes", tt.pieces, n.closed, n.read, len(text))
		}
	}
}

// A block that waits behind a call goes out with the call's last piece, and not before; behind arguments that are no JSON it
// waits for the end.
func TestCallsInTurns(t *testing.T) {
	for end, early := range map[string]bool{`"}`: true, `"]}`: false, `"} x`: false} {
		w := writer(false)
		w.Chunk(call(0, "a", "n", `{"x":"}`))
		w.Chunk(call(1, "b", "n", `{}`))
		if out := string(w.Chunk(router.Chunk{Kind: router.KindCall, Call: 0, Text: "}}"})); strings.Contains(out, `"id":"b"`) {
			t.Errorf("the second call was begun in the first: %s", out)
		}
		if out := string(w.Chunk(router.Chunk{Kind: router.KindCall, Call: 0, Text: end})); strings.Contains(out, `"id":"b"`) != early {
			t.Errorf("%s: %s", end, out)
		}
		if out := string(w.End(usage)); strings.Contains(out, `"id":"b"`) == early {
			t.Errorf("%s: %s", end, out)
		}
	}
}

// allocated is how many bytes work takes.
func allocated(work func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	work()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// What comes in many small pieces costs in proportion to its length: sixteen times as much would cost 256 times as much if
// each piece copied those before it.
func TestPiecesCostTheirLength(t *testing.T) {
	const few, many = 1 << 10, 1 << 14
	for name, work := range map[string]func(n int){
		"seals": func(n int) {
			d := decoder{turn: &turn{}}
			frame(t, &d, `{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}`)
			for range n {
				frame(t, &d, `{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2lnbmF0dXJl"}}`)
			}
			if c := frame(t, &d, `{"type":"content_block_stop","index":0}`); len(c.Signature) != 12*n {
				t.Errorf("a seal of %d bytes", len(c.Signature))
			}
		},
		"refusals": func(n int) {
			w := writer(false)
			for range n {
				w.Chunk(says(router.KindRefusal, "I cannot. "))
			}
			w.End(usage)
		},
		"arguments": func(n int) {
			w := writer(false)
			w.Chunk(call(0, "a", "n", `{"x":"`))
			w.Chunk(call(1, "b", "n", `{}`))
			for range n {
				w.Chunk(router.Chunk{Kind: router.KindCall, Call: 0, Text: "}}}}}}}}"})
			}
			w.End(usage)
		},
	} {
		small, large := allocated(func() { work(few) }), allocated(func() { work(many) })
		if large > 64*small {
			t.Errorf("%s: %d pieces take %d bytes, %d take %d", name, few, small, many, large)
		}
	}
}

func frame(t *testing.T, d *decoder, data string) router.Chunk {
	t.Helper()
	steps, err := d.Frame([]byte(data), nil)
	if err != nil {
		t.Fatal(err)
	}
	return steps[0]
}

// An answer beyond what is kept is kept not at all, and takes no more room.
func TestTurnBounded(t *testing.T) {
	for name, event := range map[string]string{
		"pieces": `{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"` + strings.Repeat("a", 1<<16) + `"}}`,
		"blocks": `{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"` + strings.Repeat("a", 1<<16) + `"}}`,
	} {
		d := decoder{turn: &turn{}}
		frame(t, &d, `{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":"s"}}`)
		frame(t, &d, event)
		if d.Turn() == nil {
			t.Errorf("%s: nothing is kept", name)
		}
		for range router.MaxTurn >> 16 {
			frame(t, &d, event)
		}
		if d.Turn() != nil || d.turn.blocks != nil || d.turn.latest != nil {
			t.Errorf("%s: %d blocks are kept", name, len(d.turn.blocks))
		}
	}
}

// A step takes many times the room of the shortest block.
func TestBlocksBounded(t *testing.T) {
	body := func(n int) []byte {
		return []byte(`{"type":"message","content":[` + strings.TrimSuffix(strings.Repeat("0,", n), ",") + `],"stop_reason":"end_turn"}`)
	}
	if steps, err := new(decoder).Body(body(maxBlocks), nil); err != nil || len(steps) != maxBlocks+1 {
		t.Errorf("%d steps, %v", len(steps), err)
	}
	if steps, err := new(decoder).Body(body(1<<20), nil); err != errTooManyBlocks || len(steps) != 0 || cap(steps) > 2*maxBlocks {
		t.Errorf("%d steps in the room of %d, %v", len(steps), cap(steps), err)
	}
}

// What is remembered of an answer is read once, however often the caller names its calls, and whether or not it can go back.
func TestRecalledOnce(t *testing.T) {
	for name, prefix := range map[string]string{"as it was": "p", "after a change": "q"} {
		var blocks []string
		parts := []router.Part{router.Text("Look")}
		for i := range 64 {
			id := fmt.Sprint("call_", i)
			blocks = append(blocks, fmt.Sprintf(`{"type":"tool_use","id":%q,"name":"n","input":{"a":1}}`, id))
			parts = append(parts, made(id, "n", ` {"a": 1.0}`), made(id, "n", ` {"a": 1.0}`))
		}
		turn := `{"prefix":"p","content":[{"type":"thinking","thinking":"","signature":"s"},{"type":"text","text":"Look"},` + strings.Join(blocks, ",") + `]}`
		recalled := 0
		e := encoding{t: &router.Translated{Call: router.Call{Turn: func(string) []byte { recalled++; return []byte(turn) }}}}
		written, err := e.assistant(turnOf(router.RoleAssistant, parts...), prefix, false)
		want := 66
		if prefix != "p" {
			want = 129
		}
		if err != nil || recalled != 1 || len(written) != want {
			t.Errorf("%s: recalled %d times, %d blocks, %v", name, recalled, len(written), err)
		}
	}
}

// Losses of one kind are told of once.
func TestWarningsBounded(t *testing.T) {
	r := router.Request{Messages: []router.Message{turnOf(router.RoleUser), turnOf(router.RoleAssistant), asks}}
	for i := range 100 {
		image := part(router.KindImage, fmt.Sprint("messages[0].content[", i, "]"), &router.Media{URL: "https://a/b", Detail: "low", Name: "b"})
		call := made(fmt.Sprint("c", i), "n", "oops")
		r.Messages[0].Parts, r.Messages[1].Parts = append(r.Messages[0].Parts, image), append(r.Messages[1].Parts, call)
	}
	out, err := encode(router.Call{Request: &r, OutputCap: 9, Model: ledger.Model{ID: "up", Name: "p/m", Features: whole}})
	if err != nil || !slices.Equal(out.warnings, []string{
		"messages[0].content[0]: its name is left out, an image has none at p/m",
		"messages[0].content[0]: detail is left out, p/m sees an image in one way only",
		"messages[1].tool_calls[0]: the arguments are left out, for they are not a JSON object"}) {
		t.Errorf("%v %q", err, out.warnings)
	}
}

// A caller who changed a call, or what was said before it, is not put right.
func TestChangedTurn(t *testing.T) {
	const turn = `{"prefix":"p","content":[{"type":"thinking","thinking":"","signature":"s"},{"type":"text","text":"I look. "},{"type":"text","text":"Now."},{"type":"tool_use","id":"a","name":"n","input":{"x":[1]}}]}`
	for _, tt := range []struct {
		parts    []router.Part
		want     string // types and texts of the blocks
		warnings []string
	}{
		{[]router.Part{router.Text("I look. Now."), made("a", "n", `{"x": [1]}`)}, "thinking I look.  Now. tool_use", nil},
		{[]router.Part{router.Text("I look."), router.Text("Now."), made("a", "n", `{"x":[1.0]}`)}, "thinking I look.  Now. tool_use", nil},
		{[]router.Part{router.Text("I looked."), made("a", "n", `{"x":[1]}`)}, "I looked. thinking I look.  Now. tool_use", nil},
		{[]router.Part{router.Text("I look. Now."), made("a", "n", `{"x":[2]}`)}, "I look. Now. tool_use",
			[]string{"messages[9]: what the model thought is left out, since the calls that it led to have changed"}},
		{[]router.Part{made("a", "m", `{"x":[1]}`)}, "tool_use", []string{"messages[9]: what the model thought is left out, since the calls that it led to have changed"}},
	} {
		e := encoding{t: &router.Translated{Call: router.Call{Turn: func(string) []byte { return []byte(turn) }}, Model: ledger.Model{Name: "p/m"}}}
		blocks, err := e.assistant(turnOf(router.RoleAssistant, tt.parts...), "p", false)
		var got []string
		for _, b := range blocks {
			got = append(got, wordOf(string(b)))
		}
		if err != nil || strings.Join(got, " ") != tt.want || !slices.Equal(e.t.Warnings, tt.warnings) {
			t.Errorf("%q %q, %v, want %q", got, e.t.Warnings, err, tt.want)
		}
	}
}

// wordOf is what a block says, or what it is.
func wordOf(block string) string {
	b := gjson.Parse(block)
	return cmp.Or(b.Get("text").Str, b.Get("type").Str)
}
