package openai

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// embedDecoder reads an answer of vectors.
type embedDecoder struct {
	decoder     // of its errors
	texts   int // how many were asked for
	whole   bool
}

func newEmbedDecoder(c router.Call, own bool) *embedDecoder {
	d := &embedDecoder{decoder: decoder{attempt: c.Attempt, own: own}}
	if c.Request.Embed != nil {
		d.texts = len(c.Request.Embed.Texts)
	}
	return d
}

// Frame is never wanted: vectors are not streamed.
func (d *embedDecoder) Frame([]byte, []router.Chunk) ([]router.Chunk, error) {
	return nil, errors.New("a stream came in place of vectors")
}

// Body reads the vectors, unless the caller gets the body as it is.
func (d *embedDecoder) Body(body []byte, steps []router.Chunk) ([]router.Chunk, error) {
	doc, err := router.Document(body)
	if err != nil {
		return steps, err
	}
	if router.Given(doc, "error") {
		return steps, d.Refusal(0, doc)
	}
	first, data := len(steps), doc.Get("data")
	if !data.IsArray() || !data.Get("0").Exists() {
		return steps, errors.New("the answer has no vectors")
	}
	if d.own {
		steps = append(steps, router.Chunk{Content: true})
	} else if steps, err = d.vectors(data, steps); err != nil {
		return steps, err
	}
	steps[len(steps)-1].Finish = router.FinishStop
	steps[first].ID, steps[first].Model = doc.Get("id").String(), doc.Get("model").String()
	d.readUsage(doc.Get("usage"))
	d.whole = true
	return steps, nil
}

// vectors reads one vector a text, whatever their order.
func (d *embedDecoder) vectors(data gjson.Result, steps []router.Chunk) (_ []router.Chunk, err error) {
	seen := make([]bool, d.texts)
	n := 0
	data.ForEach(func(_, v gjson.Result) bool {
		i := int(v.Get("index").Int())
		if i < 0 || i >= d.texts || seen[i] {
			err = fmt.Errorf("the answer has a vector %d that was not asked for", i)
			return false
		}
		seen[i] = true
		n++
		var vector []float32
		if vector, err = vectorOf(v.Get("embedding")); err != nil {
			return false
		}
		steps = append(steps, router.Chunk{Index: i, Vector: vector, Content: true})
		return true
	})
	if err == nil && n < d.texts {
		err = fmt.Errorf("the answer has %d vectors for %d texts", n, d.texts)
	}
	return steps, err
}

// vectorOf reads a list of numbers, or base64 of little-endian float32.
func vectorOf(v gjson.Result) ([]float32, error) {
	if v.Type != gjson.String {
		return router.VectorOf(v)
	}
	b, err := base64.StdEncoding.DecodeString(v.Str)
	if err != nil || len(b)%4 != 0 {
		return nil, errors.New("a vector of the answer is not base64 of float32")
	}
	vector := make([]float32, 0, len(b)/4)
	for ; len(b) > 0; b = b[4:] {
		vector = append(vector, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return vector, router.CheckVector(vector)
}

// Whole tells whether the vectors have been read.
func (d *embedDecoder) Whole() bool { return d.whole }

// Usage is what was reported.
func (d *embedDecoder) Usage() (ledger.Usage, bool) { return d.usage, d.reported && d.whole }

// vectors writes vectors that came in another dialect.
type vectors struct {
	sheet
	base64 bool // as which the caller wants them
}

// Chunk writes nothing: vectors are not streamed.
func (w *vectors) Chunk(router.Chunk) []byte { return nil }

// End writes nothing.
func (w *vectors) End(ledger.Usage) []byte { return nil }

// Body writes the list of vectors.
func (w *vectors) Body(steps []router.Chunk, u ledger.Usage) []byte {
	b := []byte(`{"object":"list","data":[`)
	for i, c := range steps {
		if c.Vector == nil {
			continue
		}
		if i > 0 && b[len(b)-1] != '[' {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `{"object":"embedding","index":`...), int64(c.Index), 10)
		b = append(w.vector(append(b, `,"embedding":`...), c.Vector), '}')
	}
	b = gjson.AppendJSONString(append(b, `],"model":`...), w.head.Model)
	b = strconv.AppendInt(append(b, `,"usage":{"prompt_tokens":`...), u.InputTotal(), 10)
	b = strconv.AppendInt(append(b, `,"total_tokens":`...), u.Total(), 10)
	return append(b, "}}"...)
}

func (w *vectors) vector(b []byte, vector []float32) []byte {
	if w.base64 {
		raw := make([]byte, 0, 4*len(vector))
		for _, f := range vector {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(f))
		}
		return append(base64.StdEncoding.AppendEncode(append(b, '"'), raw), '"')
	}
	b = append(b, '[')
	for i, f := range vector {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendFloat(b, float64(f), 'g', -1, 32)
	}
	return append(b, ']')
}
