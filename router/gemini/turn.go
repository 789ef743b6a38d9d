package gemini

import (
	"bytes"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// turn gathers the parts of an answer as they came, since a seal belongs to the very part that it came on. Pieces of text
// without a seal are joined; thoughts without one are summaries for people, which Gemini does not want back.
type turn struct {
	b      []byte
	text   []byte // without a seal, not yet written
	sealed bool
	over   bool
}

func (t *turn) add(p gjson.Result, c router.Chunk) {
	switch {
	case t.over || c.Signature == "" && c.Kind == router.KindReasoning:
	case len(t.b)+len(t.text)+len(p.Raw) > router.MaxTurn:
		t.over, t.b, t.text = true, nil, nil
	case c.Signature == "" && c.Kind == router.KindText:
		t.text = append(t.text, c.Text...)
	default:
		t.sealed = t.sealed || c.Signature != ""
		t.flush()
		t.b = append(append(t.b, ','), p.Raw...)
	}
}

func (t *turn) flush() {
	if len(t.text) > 0 {
		t.b = append(gjson.AppendJSONString(append(t.b, `,{"text":`...), string(t.text)), '}')
		t.text = t.text[:0]
	}
}

func (t *turn) whole() []byte {
	if !t.sealed || t.over {
		return nil
	}
	t.flush()
	return append(append([]byte{'['}, bytes.TrimPrefix(t.b, []byte{','})...), ']')
}
