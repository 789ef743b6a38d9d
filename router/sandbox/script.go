package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Place is a point in an answer at which a fault strikes: one of the constants,
// or a number of content frames ([After]). The zero Place is nowhere.
type Place string

// The named places; the package comment says what each means for an answer that
// is not streamed.
const (
	AtHeaders Place = "headers" // before the status line
	AtFirst   Place = "first"   // after the status line, before the first frame
	AtContent Place = "content" // after half of the content frames
	AtEnd     Place = "end"     // before the frame that carries the finish reason
	AtLast    Place = "last"    // after it, before the terminator
)

// After is the place after n content frames.
func After(n int) Place { return Place(strconv.Itoa(n)) }

// Verdict is a provider's refusal to answer that comes as an answer, not as an error
// status (but OpenAI refuses a blocked prompt with a 400).
type Verdict string

const (
	VerdictRefusal  Verdict = "refusal"  // the model declines
	VerdictFiltered Verdict = "filtered" // the text is cut off by a filter
	VerdictBlocked  Verdict = "blocked"  // the prompt itself is refused
)

// SplitUTF8 as [Script.Split] breaks writes inside every rune of several bytes.
const SplitUTF8 = -1

const defaultChunkBytes = 16

// Script says how to answer. The zero Script answers well. Each field is a word
// of the directive grammar, described in the package comment.
type Script struct {
	Key   string // only calls made with this secret; "" is any
	Times int    // serves this many calls, then is spent; 0 never is

	Output    int    // tokens of text; 0 is the text's natural length
	Say       string // this text instead
	Reasoning int    // tokens
	Input     int    // tokens to report in all; 0 is what was counted
	Cached    int    // of the input
	CacheWrite,
	CacheWriteLong, // for the longer lifetime
	Chunks, // content frames
	ChunkBytes int // or bytes of text in each

	Call     string // tools to call, separated by commas
	Calls    int    // so many times over
	Args     string // of each of them, verbatim
	CallIDs  bool
	Redacted bool
	Describe bool
	Tier     string

	Uncapped bool
	NoUsage  bool
	NoDone   bool
	Verdict  Verdict
	Finish   string
	Extras   bool

	Latency time.Duration // before the status line
	Delay   time.Duration // before each content frame
	Split   int           // bytes a write, or SplitUTF8; 0 is a frame a write
	CRLF    bool
	Pings   bool

	Fail       Failure
	FailAt     Place // "" is AtHeaders
	RetryAfter time.Duration
	Hang       Place
	Cut        Place
	Truncate   Place
}

const (
	maxTokens   = 4 << 20 // a directive's bound on tokens, frames and bytes
	maxCalls    = 128
	maxDuration = 10 * time.Minute
)

// validate reports a script that could not do what it says.
func (s *Script) validate() error {
	for _, n := range []int{s.Output, s.Reasoning, s.Input, s.Cached, s.CacheWrite, s.CacheWriteLong, s.Chunks, s.ChunkBytes, s.Split - SplitUTF8} {
		if n < 0 || n > maxTokens {
			return fmt.Errorf("%d is out of range", n)
		}
	}
	for _, d := range []time.Duration{s.Latency, s.Delay, s.RetryAfter} {
		if d < 0 || d > maxDuration {
			return fmt.Errorf("%v is not between 0 and %v", d, maxDuration)
		}
	}
	switch {
	case s.Fail != "" && !s.Fail.known():
		return fmt.Errorf("unknown failure %q", s.Fail)
	case s.Fail == "" && (s.FailAt != "" || s.RetryAfter != 0):
		return errors.New("fail_at and retry_after need fail")
	case s.Verdict != "" && !slices.Contains([]Verdict{VerdictRefusal, VerdictFiltered, VerdictBlocked}, s.Verdict):
		return fmt.Errorf("unknown verdict %q", s.Verdict)
	case s.Chunks > 0 && s.ChunkBytes > 0:
		return errors.New("chunks and chunk_bytes exclude each other")
	case s.Calls > maxCalls || strings.Count(s.Call, ",") >= maxCalls:
		return fmt.Errorf("an answer makes at most %d calls", maxCalls)
	case s.Redacted && s.Reasoning == 0:
		return errors.New("redacted needs reasoning")
	case s.Say != "" && s.Output > 0:
		return errors.New("say and output exclude each other")
	}
	return nil
}

// The places of an answer as numbers: from 0 on they count content frames.
const (
	pointNone    = -3
	pointHeaders = -2
	pointFirst   = -1
)

// point resolves a place against the number of content frames before the one that
// carries the finish reason.
func (p Place) point(frames int) (int, error) {
	switch p {
	case "":
		return pointNone, nil
	case AtHeaders:
		return pointHeaders, nil
	case AtFirst:
		return pointFirst, nil
	case AtContent:
		return min(max(1, frames/2), frames), nil
	case AtEnd:
		return frames, nil
	case AtLast:
		return frames + 1, nil
	}
	n, err := strconv.Atoi(string(p))
	switch {
	case err != nil || n < 0:
		return 0, fmt.Errorf("unknown place %q", string(p))
	case n > frames:
		return 0, fmt.Errorf("place %d is never reached: the answer has %d content frames", n, frames)
	}
	return n, nil
}

// faults are a script's places, resolved for one answer.
type faults struct{ fail, hang, cut, truncate int }

func (s *Script) faults(frames int) (faults, error) {
	at := s.FailAt
	if s.Fail != "" && at == "" {
		at = AtHeaders
	}
	var f faults
	var errs [4]error
	f.fail, errs[0] = at.point(frames)
	f.hang, errs[1] = s.Hang.point(frames)
	f.cut, errs[2] = s.Cut.point(frames)
	f.truncate, errs[3] = s.Truncate.point(frames)
	return f, errors.Join(errs[:]...)
}

// scripts are the ones set from Go, in the order in which they were set.
type scripts struct {
	mu  sync.RWMutex
	all []*placedScript
}

type placedScript struct {
	provider, model string
	script          Script
	left            int // calls, if script.Times is set
}

// Script makes calls to a provider and a model ("" is any) follow s. Of several
// that match, the first set that is not spent serves the call; so does a
// sequence: fail twice, then succeed. The function that it returns removes s.
func (s *Sandbox) Script(provider, model string, script Script) (remove func()) {
	placed := &placedScript{provider: provider, model: model, script: script, left: script.Times}
	s.scripts.mu.Lock()
	defer s.scripts.mu.Unlock()
	s.scripts.all = append(s.scripts.all, placed)
	return func() {
		s.scripts.mu.Lock()
		defer s.scripts.mu.Unlock()
		if i := slices.Index(s.scripts.all, placed); i >= 0 {
			s.scripts.all = slices.Delete(s.scripts.all, i, i+1)
		}
	}
}

var plainScript Script

// take returns the script that serves a call.
func (s *scripts) take(provider, model, key string) *Script {
	s.mu.RLock()
	none := len(s.all) == 0
	s.mu.RUnlock()
	if none {
		return &plainScript
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, placed := range s.all {
		if placed.provider != "" && placed.provider != provider ||
			placed.model != "" && placed.model != model ||
			placed.script.Key != "" && placed.script.Key != key {
			continue
		}
		if placed.script.Times > 0 {
			if placed.left == 0 {
				continue
			}
			placed.left--
		}
		return &placed.script
	}
	return &plainScript
}
