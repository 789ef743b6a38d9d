package sandbox

import (
	"fmt"
	"strings"
)

// ending is why a choice stopped, before a provider words it.
type ending uint8

const (
	endNatural ending = iota
	endTools
	endStop
	endLength
	endRefusal
	endFiltered
	endBlocked
)

// choice is one answer and how it ended.
type choice struct {
	text      string
	thought   string // the reasoning, as far as it is shown
	reasoning int    // tokens
	calls     []toolCall
	end       ending
	stop      string // the stop string that ended it
}

func (c *choice) tokens() int {
	n := CountTokens(c.text) + c.reasoning
	for _, call := range c.calls {
		n += CountTokens(call.args)
	}
	return n
}

// answer is what a call will be told, before a dialect words it.
type answer struct {
	id      string
	request string // the provider's request id, for its header and error bodies
	created int64  // Unix seconds
	prompt  *prompt
	script  *Script
	choices []choice
	input   int // all of it, the cache classes included

	textFrames int // content frames a stream has for text
	callFrames []int
	frames     int // all of them
}

const refusalText = "I cannot help with that."

// answerTo composes the answer to a prompt under a script.
func answerTo(p *prompt, s *Script, d *dialect) (*answer, error) {
	a := &answer{prompt: p, script: s, input: p.input, choices: make([]choice, p.choices)}
	if s.Input > 0 {
		a.input = s.Input
	}
	if cached := s.Cached + s.CacheWrite + s.CacheWriteLong; cached > a.input {
		return nil, fmt.Errorf("cached and cache_write are %d tokens, but the prompt has %d: lengthen it or set input", cached, a.input)
	}
	calls, err := p.callsUnder(s, d.anyArguments)
	if err != nil {
		return nil, err
	}
	for i := range a.choices {
		a.choices[i].fill(p.textUnder(s, i, len(calls) > 0), calls, p, s, d)
	}
	a.measure(d)
	return a, nil
}

// textUnder is the text of choice i; the package comment has its order of precedence.
func (p *prompt) textUnder(s *Script, i int, calls bool) string {
	plain, _ := stripDirective(p.lastUser)
	seed := hashText(plain) + uint64(i)
	text := ""
	switch {
	case s.Say != "":
		return s.Say
	case s.Output > 0:
		return compose(seed, s.Output)
	case calls:
		return ""
	case p.schema != "":
		return Instance(p.schema, i)
	case s.Describe && len(p.media) == 0:
		text = "no media"
	case s.Describe:
		text = strings.Join(p.media, "\n")
	case len(p.results) > 0:
		text = quoteResults(p.results)
	case p.newMedia < len(p.media):
		text = strings.Join(p.media[p.newMedia:], "\n")
	default:
		text = compose(seed, 0)
	}
	if p.jsonObject {
		return `{"answer":` + string(jsonText(text)) + `}`
	}
	return text
}

// fill applies, in a provider's order, the verdict, the cap and the stop strings.
func (c *choice) fill(text string, calls []toolCall, p *prompt, s *Script, d *dialect) {
	switch s.Verdict {
	case VerdictBlocked:
		c.end = endBlocked
		return
	case VerdictRefusal:
		if c.end = endRefusal; !p.silentRefusal {
			c.text = refusalText
		}
		return
	case VerdictFiltered:
		text, calls = prefix(text, len(text)/2), nil
		c.end = endFiltered
	}
	c.text, c.reasoning = text, s.Reasoning
	left := maxTokens * 4
	if p.limit >= 0 && !s.Uncapped {
		c.reasoning = min(c.reasoning, p.limit)
		left = p.limit - c.reasoning
		if CountTokens(text) > left {
			c.text, c.end = prefix(text, left*bytesPerToken), endLength
		}
	}
	at := len(c.text)
	for _, stop := range p.stops {
		if i := strings.Index(c.text, stop); stop != "" && i >= 0 && i < at {
			at, c.stop, c.end = i, stop, endStop
		}
	}
	c.text = c.text[:at]
	if p.showThoughts && c.reasoning > 0 {
		c.thought = compose(hashText(text)^1, c.reasoning)
	}
	if c.end == endNatural && len(calls) > 0 {
		c.make(calls, left-CountTokens(c.text), d)
	}
}

// make adds the calls that there are tokens left for. What is too long is cut where arguments
// are text, and dropped where they are an object.
func (c *choice) make(calls []toolCall, left int, d *dialect) {
	c.end = endTools
	for _, call := range calls {
		if need := CountTokens(call.args); need > left {
			c.end = endLength
			if d.anyArguments && left > 0 {
				call.args = prefix(call.args, left*bytesPerToken)
				c.calls = append(c.calls, call)
			}
			return
		}
		left -= CountTokens(call.args)
		c.calls = append(c.calls, call)
	}
}

// measure counts the content frames of a stream.
func (a *answer) measure(d *dialect) {
	longest := 0
	var args []int
	for i := range a.choices {
		c := &a.choices[i]
		longest = max(longest, len(c.text))
		for j, call := range c.calls {
			if j == len(args) {
				args = append(args, 0)
			}
			args[j] = max(args[j], len(call.args))
		}
	}
	blocked := a.script.Verdict == VerdictBlocked
	if !blocked && (longest > 0 || len(args) == 0) {
		a.textFrames = a.pieces(longest)
	}
	a.frames = a.textFrames
	for _, size := range args {
		n := 1
		if !d.wholeCalls && !(d.silentEmpty && size == len("{}")) {
			n += a.pieces(size)
		}
		a.callFrames = append(a.callFrames, n)
		a.frames += n
	}
}

// pieces is the number of frames for size bytes.
func (a *answer) pieces(size int) int {
	bytes := a.script.ChunkBytes
	switch {
	case a.script.Chunks > 0:
		return a.script.Chunks
	case bytes == 0:
		bytes = defaultChunkBytes
	}
	return (size + bytes - 1) / bytes
}

// offset is where piece i of n of a text begins, between runes.
func (a *answer) offset(text string, i, n int) int {
	at := 0
	switch {
	case i >= n:
		return len(text)
	case a.script.Chunks > 0:
		at = len(text) * i / n
	case a.script.ChunkBytes > 0:
		at = i * a.script.ChunkBytes
	default:
		at = i * defaultChunkBytes
	}
	return len(prefix(text, at))
}

// piece is content frame i of a choice's text.
func (a *answer) piece(c *choice, i int) string {
	return c.text[a.offset(c.text, i, a.textFrames):a.offset(c.text, i+1, a.textFrames)]
}

// call says which call content frame i belongs to, and which of its frames that is: 0 names it. It is
// -1 for a frame of text.
func (a *answer) call(i int) (call, part int) {
	i -= a.textFrames
	if i < 0 {
		return -1, 0
	}
	for call, n := range a.callFrames {
		if i < n {
			return call, i
		}
		i -= n
	}
	return -1, 0
}

// fragment is part i (from 1) of the arguments of a call.
func (a *answer) fragment(call int, args string, i int) string {
	n := a.callFrames[call] - 1
	return args[a.offset(args, i-1, n):a.offset(args, i, n)]
}

// tokens is the usage once the first frames content frames are out.
func (a *answer) tokens(frames int) Tokens {
	s := a.script
	t := Tokens{
		Input:     a.input - s.Cached - s.CacheWrite - s.CacheWriteLong,
		CacheRead: s.Cached, CacheWrite: s.CacheWrite, CacheWriteLong: s.CacheWriteLong,
	}
	for i := range a.choices {
		c := &a.choices[i]
		t.Output += c.reasoning + CountTokens(c.text[:a.offset(c.text, frames, a.textFrames)])
		t.Reasoning += c.reasoning
		left := frames - a.textFrames
		for j, call := range c.calls {
			if n := a.callFrames[j]; left >= n {
				t.Output += CountTokens(call.args)
			} else if left > 1 {
				t.Output += CountTokens(call.args[:a.offset(call.args, left-1, n-1)])
			}
			left -= a.callFrames[j]
		}
	}
	return t
}
