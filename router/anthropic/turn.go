package anthropic

import (
	"strings"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// turn gathers an answer as Anthropic wants it back with the results of the tools that it called: all its blocks, in
// order, with their seals. A nil turn gathers nothing.
//
// Anthropic refuses sealed thinking where anything has changed of what came before it: the system text, the tools, the
// earlier turns. A caller of another dialect does not know that and may change them, so what came before is remembered
// by its hash.
type turn struct {
	prefix string // hash of what came before
	blocks []*growth
	latest map[int64]*growth // of each index the block that began last
	size   int               // of what is kept, in bytes
	sealed bool              // there is a seal among them
	broken bool              // something came that cannot be told how to bring back, or more than is kept
}

// blockCost is what a block costs besides its content, in bytes.
const blockCost = 256

// keep counts what is to be kept. Beyond the bound nothing is: part of a turn is not the turn.
func (t *turn) keep(size int) bool {
	if t.size += size; t.size > router.MaxTurn {
		t.broken = true
	}
	if t.broken {
		t.blocks, t.latest = nil, nil
	}
	return !t.broken
}

// growth is a block that grows by deltas.
type growth struct {
	raw       string // as it began
	text      []byte // of text and thinking: what was added
	seal      []byte // of thinking, likewise
	input     []byte // of a call: its arguments
	citations []byte // of text: what was added, with a comma before each
}

func (t *turn) begin(index int64, b gjson.Result) {
	if t == nil || !t.keep(len(b.Raw)+blockCost) {
		return
	}
	g := &growth{raw: strings.Clone(b.Raw)} // and not the whole frame
	t.blocks = append(t.blocks, g)
	if t.latest == nil {
		t.latest = map[int64]*growth{}
	}
	t.latest[index] = g
	switch b.Get("type").Str {
	case "thinking":
		t.sealed = t.sealed || b.Get("signature").Str != ""
	case "redacted_thinking":
		t.sealed = true
	}
}

func (t *turn) delta(index int64, kind string, delta gjson.Result) {
	if t == nil || !t.keep(len(delta.Raw)) {
		return
	}
	g := t.latest[index]
	if g == nil {
		t.broken = true
		return
	}
	switch kind {
	case "text_delta":
		g.text = append(g.text, delta.Get("text").String()...)
	case "thinking_delta":
		g.text = append(g.text, delta.Get("thinking").String()...)
	case "signature_delta":
		g.seal = append(g.seal, delta.Get("signature").String()...)
		t.sealed = true
	case "input_json_delta":
		g.input = append(g.input, delta.Get("partial_json").String()...)
	case "citations_delta":
		g.citations = append(append(g.citations, ','), delta.Get("citation").Raw...)
	default:
		t.broken = true
	}
}

// bytes is {"prefix":…,"content":[…]}; nil if there is nothing to keep.
func (t *turn) bytes() []byte {
	if t == nil || t.broken || !t.sealed {
		return nil
	}
	var content []byte
	for _, g := range t.blocks {
		b := g.block()
		if b == "" {
			continue
		}
		content = append(append(content, ','), b...)
	}
	if !gjson.ValidBytes(append([]byte("[0"), append(content, ']')...)) {
		return nil // a call's arguments were cut
	}
	if len(content) > 0 {
		content = content[1:]
	}
	w := router.NewObject(len(content) + 128)
	w.String("prefix", t.prefix)
	w.Raw("content", "["+string(content)+"]")
	return w.End()
}

// block is the whole block as JSON; nothing if it is text that says nothing, which Anthropic does not take back.
func (g *growth) block() string {
	began := gjson.Parse(g.raw)
	kind := began.Get("type").Str
	if kind == "text" && len(g.text) == 0 && began.Get("text").Str == "" {
		return ""
	}
	w := router.NewObject(len(g.raw) + len(g.text) + len(g.seal) + len(g.input) + len(g.citations))
	began.ForEach(func(key, v gjson.Result) bool {
		switch name := key.Str; {
		case len(g.text) > 0 && (name == "text" || name == "thinking"):
			w.String(name, v.String()+string(g.text))
		case len(g.seal) > 0 && name == "signature":
			w.String(name, v.String()+string(g.seal))
		case len(g.input) > 0 && name == "input":
			w.Raw(name, string(g.input))
		case len(g.citations) > 0 && name == "citations":
		default:
			w.Member(key.Raw, v.Raw)
		}
		return true
	})
	if len(g.seal) > 0 && !began.Get("signature").Exists() {
		w.String("signature", string(g.seal))
	}
	if len(g.citations) > 0 {
		w.Raw("citations", "["+string(g.citations[1:])+"]")
	}
	return string(w.End())
}
