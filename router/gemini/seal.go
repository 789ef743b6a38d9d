package gemini

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

// unsealed stands in for the seal of a call that has none which this model made. It is documented for histories that come
// from elsewhere: https://ai.google.dev/gemini-api/docs/thought-signatures
const unsealed = "skip_thought_signature_validator"

// demands tells whether a model refuses a call of the current turn that has no seal: Gemini 3 and later, which are the
// ones that think by levels.
func demands(m ledger.Model) bool {
	return m.Has(ledger.FeatureReasoning) && !m.Has(ledger.FeatureBudget)
}

// seals are what an edit has left behind.
type seals struct {
	first string // where the first was
	n     int
}

func (s *seals) leave(field string) {
	if s.n++; s.n == 1 {
		s.first = field
	}
}

// current is the place of the first turn of the current exchange: of the user's last turn that says something else than
// what functions gave back.
func current(messages []router.Message) int {
	for i := len(messages) - 1; i >= 0; i-- {
		if messages[i].Role != router.RoleUser {
			continue
		}
		for _, p := range messages[i].Parts {
			if p.Kind != router.KindResult && (p.Kind != router.KindText || p.Text != "") {
				return i
			}
		}
	}
	return 0
}

// unseal writes the conversation without the seals that this leg cannot open: ours, and those of other legs. A thought under one is left out whole. The first call of each step of the current exchange
// gets the word for an unsealed one where the model demands a seal.
func (e *editing) unseal(contents gjson.Result) string {
	exchange := current(e.c.Request.Messages)
	var b strings.Builder
	b.Grow(len(contents.Raw))
	b.WriteByte('[')
	_ = each(contents, "", func(i int, turn gjson.Result) *router.FieldError {
		empty := false
		written := e.rewrite(turn, func(name string, v gjson.Result) (string, bool) {
			if name != "parts" || member(turn, "role").Str != "model" {
				return v.Raw, true
			}
			parts := e.unsealParts(v, i, demands(e.c.Model) && i >= exchange)
			empty = parts == "[]"
			return parts, true
		})
		if !empty {
			if b.Len() > 1 {
				b.WriteByte(',')
			}
			b.Write(written)
		}
		return nil
	})
	if e.seals.n > 0 {
		what := "left out, it was sealed for another model or credential"
		if e.seals.n > 1 {
			what += fmt.Sprintf(", and %d more like it", e.seals.n-1)
		}
		e.warn(e.at+e.seals.first, what)
	}
	return b.String() + "]"
}

// unsealParts writes the parts of one turn of the model's.
func (e *editing) unsealParts(parts gjson.Result, turn int, demanded bool) string {
	var b strings.Builder
	b.WriteByte('[')
	called := false
	_ = each(parts, "", func(i int, p gjson.Result) *router.FieldError {
		call := member(p, "functionCall").Exists()
		first := call && !called
		called = called || call
		raw, left := e.unsealPart(p, first && demanded)
		if left {
			e.seals.leave(fmt.Sprintf("contents[%d].parts[%d]", turn, i))
		}
		if raw == "" {
			return nil
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.WriteString(raw)
		return nil
	})
	return b.String() + "]"
}

// unsealPart writes one part. Left tells whether something stayed behind; nothing is written of a part that was nothing else.
func (e *editing) unsealPart(p gjson.Result, demanded bool) (raw string, left bool) {
	seal := member(p, "thoughtSignature")
	known := seal.Str == unsealed || standard(seal.Str) == unsealedInBase64
	stays := seal.Str != "" && (router.IsMinted(standard(seal.Str)) || e.c.Foreign[standard(seal.Str)] && !known)
	bare := seal.Str == ""
	switch {
	case !stays && !(bare && demanded && len(e.c.Foreign) > 0):
		return p.Raw, false
	case member(p, "thought").Bool():
		return "", true
	}
	data := false
	w := router.NewObject(len(p.Raw))
	p.ForEach(func(key, v gjson.Result) bool {
		name := camel(key.Str)
		if name != "thoughtSignature" {
			data = data || name != "text" || v.Str != ""
			w.Member(key.Raw, v.Raw)
		}
		return true
	})
	if demanded {
		w.String("thoughtSignature", unsealed)
	}
	left = !router.IsMinted(standard(seal.Str)) && stays // with a seal of ours nothing is lost
	if !data {
		return "", left
	}
	return string(w.End()), left
}

// unsealedInBase64 is how clients write it whose seals are bytes.
var unsealedInBase64 = base64.StdEncoding.EncodeToString([]byte(unsealed))
