package openai

import (
	"bytes"
	"strconv"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router"
)

var done = []byte("data: [DONE]\n\n")

// sheet is what both writers have in common.
type sheet struct {
	router.AtOnce
	head  router.Head
	id    string // of the answer, as the caller sees it
	model string // likewise
	tier  string // the service tier that was used, once an answer of another dialect has told it
	usage bool   // the caller wants the usage chunk, and has not got it yet
	free  []byte // room for what is written next; never written twice, so that what was returned stays
}

// blockSize is how much room is taken at once, in bytes: some dozens of chunks.
const blockSize = 4 << 10

// begin gives an empty slice with room to append to.
func (s *sheet) begin() []byte {
	if cap(s.free) < blockSize/8 {
		s.free = make([]byte, 0, blockSize)
	}
	return s.free[:0]
}

// end closes what was appended to begin's slice, and keeps the room behind it.
func (s *sheet) end(b []byte) []byte {
	if s.free = b[len(b):]; cap(b) > blockSize { // what is large is not to stay for the room behind it
		s.free = nil
	}
	return b[:len(b):len(b)]
}

// opening appends the members that every chunk and every answer begins with.
func (s *sheet) opening(b []byte, object string) []byte {
	if s.id == "" {
		s.id = "chatcmpl-" + s.head.Request
	}
	if s.model == "" {
		s.model = s.head.Model
	}
	b = gjson.AppendJSONString(append(b, `{"id":`...), s.id)
	b = append(append(append(b, `,"object":"`...), object...), `","created":`...)
	b = strconv.AppendInt(b, s.head.Created, 10)
	b = gjson.AppendJSONString(append(b, `,"model":`...), s.model)
	if s.tier != "" {
		b = gjson.AppendJSONString(append(b, `,"service_tier":`...), s.tier)
	}
	return b
}

// usageChunk appends the chunk that has no choices.
func (s *sheet) usageChunk(b []byte, u ledger.Usage) []byte {
	b = s.opening(append(b, "data: "...), "chat.completion.chunk")
	b = appendUsage(append(b, `,"choices":[],"usage":`...), u)
	return append(b, "}\n\n"...)
}

// Error writes the event that the SDKs raise. No end mark follows it.
func (s *sheet) Error(f router.Failure) []byte {
	b := append([]byte("data: "), Inbound{}.Failure(f)...)
	return append(b, "\n\n"...)
}

// appendUsage writes OpenAI's convention: the prompt includes what was read from and written to a cache, the
// completion includes reasoning.
func appendUsage(b []byte, u ledger.Usage) []byte {
	for _, part := range []struct {
		before string
		n      int64
	}{
		{`{"prompt_tokens":`, u.InputTotal()},
		{`,"completion_tokens":`, u.Output},
		{`,"total_tokens":`, u.Total()},
		{`,"prompt_tokens_details":{"cached_tokens":`, u.CacheRead},
		{`,"cache_write_tokens":`, u.CacheWrite + u.CacheWriteLong},
		{`},"completion_tokens_details":{"reasoning_tokens":`, u.Reasoning},
	} {
		b = strconv.AppendInt(append(b, part.before...), part.n, 10)
	}
	return append(b, "}}"...)
}

// relay forwards an answer that came in this dialect.
type relay struct {
	sheet
	mark []byte // the upstream's end mark
}

// Chunk forwards the frame, unless it is the usage chunk that we asked for and the caller did not.
func (w *relay) Chunk(c router.Chunk) []byte {
	if c.ID != "" {
		w.id = c.ID
	}
	if c.Model != "" {
		w.model = c.Model
	}
	switch {
	case c.End:
		w.mark = c.Frame
		return nil
	case c.Report && !w.usage:
		return nil
	case c.Report, c.Finish != "" && w.usage && counted(c.Frame):
		w.usage = false
	}
	return c.Frame
}

// counted tells whether the frame with a finish reason has the usage already, as small servers send it.
func counted(frame []byte) bool {
	_, data, _ := bytes.Cut(frame, []byte("data:"))
	return gjson.GetBytes(data, "usage").IsObject()
}

// End writes the usage chunk where it is wanted and was never sent, and the upstream's end mark.
func (w *relay) End(u ledger.Usage) []byte {
	mark := w.mark
	if len(mark) == 0 {
		mark = done
	}
	if !w.usage {
		return mark
	}
	return w.end(append(w.usageChunk(w.begin(), u), mark...))
}

// Body forwards a whole answer.
func (w *relay) Body(steps []router.Chunk, _ ledger.Usage) []byte { return steps[len(steps)-1].Frame }
