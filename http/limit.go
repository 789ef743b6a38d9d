package http

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"waybill/ledger"
	"waybill/router"
)

// limiter holds callers to so many requests and tokens a minute, by key and by org. It is of this process alone: it protects
// from bursts, and what is spent is the caps' to bound.
//
// A bucket is not golang.org/x/time/rate's: a call's tokens are known only when it has ended, so that what was reserved too
// much goes back, and what was reserved too little becomes a debt, be it larger than the bucket.
type limiter struct {
	mu      sync.Mutex
	buckets map[bucketKey]*bucket
	most    int // buckets before the full ones are forgotten
}

// manyBuckets is how many buckets are kept before the full ones, which say nothing, are forgotten.
const manyBuckets = 4096

type bucketKey struct {
	id   string // of a key or an org
	what string // requests or tokens
}

// bucket fills at an even pace, and is full after a minute without calls.
type bucket struct {
	level float64 // less than nothing: a debt
	at    time.Time
}

// pace is how much of something a key or an org may use in a minute.
type pace struct {
	id, whose string
	limit     int64
}

// room is the least that the paces of a call leave.
type room struct {
	limit, left int64
	full        time.Duration // until all of it is there again
}

func newLimiter() *limiter { return &limiter{buckets: map[bucketKey]*bucket{}, most: manyBuckets} }

// of gives a bucket as it is now. One that nobody has drawn from is full.
func (l *limiter) of(b pace, what string, now time.Time) *bucket {
	k := bucketKey{b.id, what}
	have := l.buckets[k]
	if have == nil {
		if len(l.buckets) >= l.most {
			// What was not drawn from for a minute and has no debt of more than one is full. The rest is forgiven after ten.
			maps.DeleteFunc(l.buckets, func(_ bucketKey, b *bucket) bool {
				idle := now.Sub(b.at)
				return idle > time.Minute && b.level >= 0 || idle > 10*time.Minute
			})
			l.most = max(manyBuckets, 2*len(l.buckets))
		}
		have = &bucket{float64(b.limit), now}
		l.buckets[k] = have
	}
	if since := now.Sub(have.at); since > 0 {
		have.level += float64(b.limit) * since.Minutes()
		have.at = now
	}
	have.level = min(have.level, float64(b.limit))
	return have
}

// take takes so much at each pace, if each bucket has it, or else from none: then it says which has not, and for how long. More
// than a bucket holds is given by one that is full, and leaves it in debt.
func (l *limiter) take(paces []pace, what string, n int64, now time.Time) (short pace, wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range paces {
		need := min(float64(max(n, 1)), float64(b.limit))
		if lacks := need - l.of(b, what, now).level; lacks > 1e-6 {
			w := time.Duration(math.Ceil(lacks / float64(b.limit) * float64(time.Minute)))
			if w > wait {
				short, wait = b, w
			}
		}
	}
	if wait > 0 {
		return short, wait, false
	}
	for _, b := range paces {
		l.of(b, what, now).level -= float64(n)
	}
	return pace{}, 0, true
}

// correct puts right what was taken: n was, and used is what it should have been.
func (l *limiter) correct(paces []pace, what string, n, used int64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range paces {
		k := l.of(b, what, now)
		k.level = min(k.level+float64(n)-float64(used), float64(b.limit))
	}
}

// room tells what the tightest pace leaves.
func (l *limiter) room(paces []pace, what string, now time.Time) (r room) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, b := range paces {
		level := l.of(b, what, now).level
		left := int64(max(0, level+1e-6))
		if i == 0 || left < r.left {
			r = room{b.limit, left, time.Duration((float64(b.limit) - level) / float64(b.limit) * float64(time.Minute))}
		}
	}
	return r
}

// meter holds one call to its limits.
type meter struct {
	s                *Server
	w                http.ResponseWriter
	dialect          ledger.Dialect
	requests, tokens []pace
	reserved         int64 // tokens
	open             bool  // the reservation
	streamed         bool
}

// meter finds the limits of a call's key and of its org's plan.
func (s *Server) meter(c *call, w http.ResponseWriter, d ledger.Dialect) *meter {
	m := &meter{s: s, w: w, dialect: d}
	add := func(id, whose string, requests, tokens int64) {
		if requests > 0 {
			m.requests = append(m.requests, pace{id, whose, requests})
		}
		if tokens > 0 {
			m.tokens = append(m.tokens, pace{id, whose, tokens})
		}
	}
	add(c.key.ID, "key", c.key.RequestsPerMinute, c.key.TokensPerMinute)
	s.o.Books.View(func(st *ledger.State) {
		if o := st.Org(c.key.Org); o != nil {
			if p := st.Plan(o.Plan); p != nil {
				add(o.ID, "org", p.RequestsPerMinute, p.TokensPerMinute)
			}
		}
	})
	return m
}

// request counts the call, before anything of its body is read.
func (m *meter) request() *router.Failure { return m.take(m.requests, "requests", 1) }

// reserve takes what the call is likely to use: its input by its length, and its output by its own cap.
func (m *meter) reserve(q *router.Request) *router.Failure {
	if q.Endpoint == router.EndpointCount { // which uses none
		m.tokens = nil
	}
	m.reserved, m.streamed = estimated(q), q.Stream
	f := m.take(m.tokens, "tokens", m.reserved)
	m.open = f == nil
	return f
}

// bytesOfToken is how many bytes of a body make a token, roughly.
const bytesOfToken = 4

func estimated(q *router.Request) int64 {
	return (int64(len(q.Body))+bytesOfToken-1)/bytesOfToken + min(max(0, q.OutputCap), math.MaxInt32)*max(1, min(q.N, math.MaxInt16))
}

func (m *meter) take(paces []pace, what string, n int64) *router.Failure {
	if len(paces) == 0 {
		return nil
	}
	short, wait, ok := m.s.limiter.take(paces, what, n, m.s.o.Now())
	m.show()
	if ok {
		return nil
	}
	return &router.Failure{Status: http.StatusTooManyRequests, Code: "rate_limited", RetryAfter: wait,
		Message: fmt.Sprintf("the %s may use %d %s a minute: try again in %s", short.whose, short.limit, what, shown(wait))}
}

// settled ends the call's reservation by what it used, before its caller knows that it has ended.
func (m *meter) settled(u ledger.Usage) {
	m.correct(u.Total())
	if !m.streamed { // the headers are still to go out
		m.show()
	}
}

// release ends the reservation of a call of which nothing was used. After settled it does nothing.
func (m *meter) release() { m.correct(0) }

func (m *meter) correct(used int64) {
	if m.open {
		m.open = false
		m.s.limiter.correct(m.tokens, "tokens", m.reserved, used, m.s.o.Now())
	}
}

// The headers in which the dialects' clients look for their limits, by what is limited: its limit, what remains of it, and when
// all of it will be there again. Gemini has none.
var (
	openaiLimits    = limitHeaders("X-Ratelimit-Limit-%s", "X-Ratelimit-Remaining-%s", "X-Ratelimit-Reset-%s")
	anthropicLimits = limitHeaders("Anthropic-Ratelimit-%s-Limit", "Anthropic-Ratelimit-%s-Remaining", "Anthropic-Ratelimit-%s-Reset")
)

func limitHeaders(formats ...string) map[string][]string {
	all := map[string][]string{}
	for _, what := range []string{"requests", "tokens", "cap"} {
		for _, f := range formats {
			all[what] = append(all[what], http.CanonicalHeaderKey(fmt.Sprintf(f, what)))
		}
	}
	return all
}

// headers are those of the call's dialect, nil if it has none.
func (m *meter) headers() map[string][]string {
	switch m.dialect {
	case ledger.DialectAnthropicMessages:
		return anthropicLimits
	case ledger.DialectGemini:
		return nil
	}
	return openaiLimits
}

// reset is how the call's dialect writes when something will be there again.
func (m *meter) reset(after time.Duration, now time.Time) string {
	if m.dialect == ledger.DialectAnthropicMessages {
		return now.Add(after).UTC().Round(time.Second).Format(time.RFC3339)
	}
	return shown(after)
}

// capped says when the window ends of the cap for which a call was refused: be the cap used up, or held by open calls.
func (m *meter) capped(f router.Failure) {
	if names := m.headers(); names != nil && f.Resets > 0 {
		now := m.s.o.Now()
		m.w.Header()[names["cap"][2]] = []string{m.reset(f.Resets.Time().Sub(now), now)}
	}
}

// limited tells whether the headers say what the call's key and org may use, whoever answers. Where they do not, those of the
// provider's pass through on an org's own credential.
func (m *meter) limited() bool { return m.headers() != nil && len(m.requests)+len(m.tokens) > 0 }

// show sets the headers.
func (m *meter) show() {
	names := m.headers()
	if names == nil {
		return
	}
	h, now := m.w.Header(), m.s.o.Now()
	for _, l := range []struct {
		what  string
		paces []pace
	}{{"requests", m.requests}, {"tokens", m.tokens}} {
		if len(l.paces) == 0 {
			continue
		}
		r := m.s.limiter.room(l.paces, l.what, now)
		for i, v := range []string{strconv.FormatInt(r.limit, 10), strconv.FormatInt(r.left, 10), m.reset(r.full, now)} {
			h[names[l.what][i]] = []string{v}
		}
	}
}

// shown is a time to wait, to the millisecond, as OpenAI writes one: 1s, 6m0s, 20ms.
func shown(d time.Duration) string {
	return max(time.Millisecond, d.Round(time.Millisecond)).String()
}
