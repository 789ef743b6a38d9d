package routertest

import (
	"bytes"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/ledger"
	"waybill/router/sandbox"
)

// tokensOf is a provider's record as the log has it, as far as the dialect tells the classes apart.
func tokensOf(t sandbox.Tokens, d ledger.Dialect) ledger.Usage {
	out := ledger.Usage{Input: int64(t.Input), CacheRead: int64(t.CacheRead), CacheWrite: int64(t.CacheWrite),
		CacheWriteLong: int64(t.CacheWriteLong), Output: int64(t.Output), Reasoning: int64(t.Reasoning)}
	if d == chat { // one figure for both lifetimes
		out.CacheWrite, out.CacheWriteLong = out.CacheWrite+out.CacheWriteLong, 0
	}
	return out
}

// faithful checks an answer from an upstream that speaks the caller's dialect: its bytes, but for the usage chunk of
// Chat Completions, which comes or goes as the caller asked, and for keep-alives on the way to Google's clients.
func (r *Reply) faithful(s *Session) {
	s.Helper()
	want, got := s.upstream(r).got(), r.body
	if s.Streamed && s.In.Dialect() == chat {
		want, got = withoutUsage(want), withoutUsage(got)
	}
	if r.ask.Array {
		return // the upstream is asked for SSE: its events were read as such
	}
	if !bytes.Equal(want, got) && !(s.Streamed && s.In.Dialect() == gemini && r.ask.Pings && sameData(want, got)) {
		s.Errorf("the upstream sent\n%s\nthe caller got\n%s", cut(want), cut(got))
	}
}

// sameData compares the events of two streams without what keeps a stream alive between them: lines without data must not
// reach Google's clients, which fail on comments.
func sameData(a, b []byte) bool {
	one, err1 := events(a, true)
	two, err2 := events(b, false)
	return err1 == nil && err2 == nil && slices.Equal(one, two)
}

// withoutUsage is a stream of Chat Completions without the chunk that only reports usage.
func withoutUsage(stream []byte) []byte {
	end := "\n\n"
	if bytes.Contains(stream, []byte("\r\n\r\n")) {
		end = "\r\n\r\n"
	}
	var out []byte
	for frame := range strings.SplitAfterSeq(string(stream), end) {
		v := gjson.Parse(strings.TrimPrefix(strings.TrimSpace(frame), "data: "))
		if u := v.Get("usage"); u.IsObject() && v.Get("choices.#").Int() == 0 {
			continue
		}
		out = append(out, frame...)
	}
	return out
}

// sameBody compares what an upstream got with what the caller wrote, member by member, byte for byte, but for the members that
// are edited by name. It returns the first difference.
func sameBody(sent, written []byte, edited ...string) string {
	skip := map[string]bool{}
	for _, name := range edited {
		skip[name] = true
	}
	members := func(b []byte) (out []string) {
		gjson.ParseBytes(b).ForEach(func(key, value gjson.Result) bool {
			if !skip[key.Str] {
				out = append(out, key.Raw+":"+value.Raw)
			}
			return true
		})
		return out
	}
	a, b := members(sent), members(written)
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			return "missing: " + b[i]
		case i >= len(b):
			return "added: " + a[i]
		case a[i] != b[i]:
			return "sent " + a[i] + ", written " + b[i]
		}
	}
	return ""
}
