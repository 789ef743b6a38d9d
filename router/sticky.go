package router

import (
	"crypto/sha256"
	"io"
	"sync"
	"time"

	"waybill/ledger"
)

const (
	// stickyFor is how long a conversation stays on its leg after an answer: as long as the short-lived caches of providers.
	stickyFor = 5 * time.Minute
	// stickyInput is the least input from which a prompt is worth a cache, in tokens: no provider caches less.
	stickyInput = 1024
	// maxSticky bounds the conversations of one generation. When the young is full it becomes the old.
	maxSticky = 1 << 15
	// stickyText is how much of a conversation's beginning tells it from others, in bytes. Those that share more share a
	// cache as well.
	stickyText = 16 << 10
)

// Sticky keeps, for a while and in this process only, which leg of the auto lane holds the cache of a conversation's prompt:
// on another one its input would be read anew, at full price. Its zero value is ready.
type Sticky struct {
	mu         sync.Mutex
	young, old map[[16]byte]stuck
}

// stuck is a conversation's leg.
type stuck struct {
	leg   ledger.Choice
	until time.Time
}

// stickyKey is the key of a call's conversation: within its org, asked of the same model, with the same system text and
// the same first turn of the user's, which a client sends again with every later one.
func stickyKey(org string, q *Request) [16]byte {
	h, left := sha256.New(), stickyText
	write := func(s string) {
		s = s[:min(len(s), left)]
		left -= len(s)
		io.WriteString(h, s)
		h.Write([]byte{0})
	}
	parts := func(parts []Part) {
		for i := range parts {
			write(string(parts[i].Kind))
			write(parts[i].Text)
			write(string(parts[i].Raw[:min(len(parts[i].Raw), left)]))
		}
	}
	io.WriteString(h, org+"\x00"+q.Model+"\x00")
	parts(q.System)
	for i := range q.Messages {
		if q.Messages[i].Role == RoleUser {
			parts(q.Messages[i].Parts)
			break
		}
	}
	return [16]byte(h.Sum(nil))
}

// leg is where the conversation of an org's call is at home; zero if nowhere.
func (s *Sticky) leg(org string, q *Request, now time.Time) ledger.Choice {
	if q.Endpoint != EndpointChat {
		return ledger.Choice{}
	}
	s.mu.Lock()
	none := len(s.young) == 0 && len(s.old) == 0
	s.mu.Unlock()
	if none {
		return ledger.Choice{}
	}
	k := stickyKey(org, q)
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.young[k]
	if !ok {
		at = s.old[k]
	}
	if !now.Before(at.until) {
		return ledger.Choice{}
	}
	return at.leg
}

// stick notes the leg that has answered, if its provider holds what it read, or may.
func (s *Sticky) stick(org string, q *Request, leg ledger.Choice, u ledger.Usage, now time.Time) {
	if q.Endpoint != EndpointChat || u.CacheRead+u.CacheWrite+u.CacheWriteLong == 0 && u.InputTotal() < stickyInput {
		return
	}
	k := stickyKey(org, q)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.young == nil {
		s.young = map[[16]byte]stuck{}
	}
	s.young[k] = stuck{leg, now.Add(stickyFor)}
	if len(s.young) >= maxSticky {
		s.young, s.old = map[[16]byte]stuck{}, s.young
	}
}

// sticky is the leg that holds the cache of the conversation; zero if there is none, or if its breaker is open.
func (r *run) sticky() ledger.Choice {
	c := r.d.Sticky.leg(r.task.Org, r.task.Request, r.started)
	if c != (ledger.Choice{}) && r.d.Health.Open(c, r.started) {
		return ledger.Choice{}
	}
	return c
}

// stick has a conversation of the auto lane stay where it was answered.
func (a *attempt) stick() {
	if a.decision.Lane == ledger.LaneAuto {
		u, _ := a.used()
		a.d.Sticky.stick(a.task.Org, a.task.Request, a.on.choice(), u, a.d.Now())
	}
}
