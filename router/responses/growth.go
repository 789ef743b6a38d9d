package responses

import (
	"github.com/tidwall/gjson"

	"waybill/router"
)

// growth is a text that comes in pieces and is said again as a whole. It lies in blocks that are filled once and never moved,
// so that it takes little more than its own size, also while it grows.
type growth struct {
	blocks [][]byte
	size   int // in bytes
	extra  int // about how many more it takes as a JSON string
}

// Sizes of the blocks, in bytes: each as large as all before it, within these.
const (
	minBlock = 256
	maxBlock = 64 << 10
)

func (g *growth) add(s string) {
	last := len(g.blocks) - 1
	if last < 0 || cap(g.blocks[last])-len(g.blocks[last]) < len(s) { // no piece is split, and so no character
		g.blocks = append(g.blocks, make([]byte, 0, max(len(s), min(max(g.size, minBlock), maxBlock))))
		last++
	}
	g.blocks[last] = append(g.blocks[last], s...)
	g.size += len(s)
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t':
			g.extra++
		case c < ' ' || c == '<' || c == '>' || c == '&':
			g.extra += len(`\u003c`) - 1
		}
	}
}

// room is how long the text is as a JSON string, within a few bytes.
func (g *growth) room() int { return g.size + g.extra + 2 }

// append appends the text as a JSON string.
func (g *growth) append(b []byte) []byte {
	b = append(b, '"')
	for _, block := range g.blocks {
		at := len(b) - 1
		before := b[at]
		b = gjson.AppendJSONString(b[:at], router.TextOf(block))
		b[at] = before // in place of the block's own quote; the one at its end goes too
		b = b[:len(b)-1]
	}
	return append(b, '"')
}
