package router_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/sandbox"
)

// place is how far an answer has come when it fails.
type place int

const (
	before place = iota // no content: before the headers, in the first frame, after what opens a stream
	within              // content has come
	behind              // the finish reason has come, its end mark has not
)

// trouble is a way for a leg to fail.
type trouble struct {
	name   string
	script sandbox.Script
	front  string // what stands before the upstream: "ok" says 200 to everything, "drip" lets a byte through at a time
	class  router.Class
	place  place
	kinds  string // which answers it strikes: "stream", "unary" or both
	slow   bool   // only a timeout ends it
	near   bool   // all of the text has come
	single bool   // in one frame with the finish reason, as Gemini may have it: nothing of it has reached the caller
}

// failures of an upstream's own, and the class that each is of.
var classes = []struct {
	kind  sandbox.Failure
	class router.Class
}{
	{sandbox.RateLimited, router.ClassRateLimited}, {sandbox.Overloaded, router.ClassOverloaded}, {sandbox.ServerError, router.ClassServerError},
	{sandbox.Timeout, router.ClassTimeout}, {sandbox.InvalidKey, router.ClassCredential}, {sandbox.OutOfCredit, router.ClassCredential},
	{sandbox.BadRequest, router.ClassBadRequest}, {sandbox.NotFound, router.ClassNotFound},
}

// places of a stream, in the sandbox's words.
var places = []struct {
	at    sandbox.Place
	place place
}{{sandbox.AtHeaders, before}, {sandbox.AtFirst, before}, {sandbox.After(0), before}, {sandbox.After(1), within}, {sandbox.AtEnd, within}, {sandbox.AtLast, behind}}

func troubles() (all []trouble) {
	for _, c := range classes {
		for _, p := range places {
			kinds, near := "stream", p.at == sandbox.AtEnd || p.at == sandbox.AtLast
			if p.at == sandbox.AtHeaders {
				kinds = "both" // of an answer that is not streamed an upstream's failure is its status
			}
			all = append(all, trouble{name: fmt.Sprintf("%s at %s", c.kind, p.at), class: c.class, place: p.place, near: near, kinds: kinds,
				script: sandbox.Script{Fail: c.kind, FailAt: p.at, RetryAfter: 50 * time.Millisecond}})
		}
		all = append(all, trouble{name: fmt.Sprintf("200 with %s inside", c.kind), class: c.class, place: before, kinds: "both", front: "ok",
			script: sandbox.Script{Fail: c.kind, RetryAfter: 50 * time.Millisecond}})
	}
	for _, p := range places {
		kinds, near := "both", p.at == sandbox.AtEnd || p.at == sandbox.AtLast
		if p.at == sandbox.After(0) {
			kinds = "stream"
		}
		all = append(all,
			trouble{name: fmt.Sprintf("cut at %s", p.at), class: router.ClassConnection, place: p.place, near: near, kinds: kinds, script: sandbox.Script{Cut: p.at}},
			trouble{name: fmt.Sprintf("hang at %s", p.at), class: router.ClassTimeout, place: p.place, near: near, kinds: kinds, slow: true, script: sandbox.Script{Hang: p.at}},
			trouble{name: fmt.Sprintf("truncated at %s", p.at), class: router.ClassConnection, place: p.place, near: near, kinds: kinds, script: sandbox.Script{Truncate: p.at}})
	}
	return append(all,
		trouble{name: "cut behind the only frame", class: router.ClassConnection, place: behind, kinds: "stream", single: true, script: sandbox.Script{Cut: sandbox.AtLast, Chunks: 1}},
		trouble{name: "slow drip", class: router.ClassTimeout, place: within, kinds: "stream", slow: true, script: sandbox.Script{Delay: patience / 4}},
		trouble{name: "slow drip before content", class: router.ClassTimeout, place: before, kinds: "stream", slow: true, front: "drip"},
		trouble{name: "slow drip", class: router.ClassTimeout, place: before, kinds: "unary", slow: true, front: "drip"})
}

// patience is what a call that is to hang, or to drip, is waited for.
const patience = 1200 * time.Millisecond

// strikes tells whether the trouble can come to a caller's answers.
func (t trouble) strikes(c caller) bool {
	return t.kinds == "both" || t.kinds == "stream" == c.stream
}

// The routes of a call.
const (
	alone    = "alone"    // there is no leg beside the one that fails
	recovers = "recovers" // likewise, and it fails once
	followed = "followed" // by a leg that does not fail
)

// scenario is one call.
type scenario struct {
	trouble
	caller
	route   string
	failing string // the model of the leg that fails
	next    string // and of the other
}

func (s scenario) name() string {
	return fmt.Sprintf("%s, %s, %s, %s", s.trouble.name, s.caller, short(s.failing), s.route)
}

// speaks is the dialect in which the failing leg is called.
func (s scenario) speaks() ledger.Dialect {
	switch {
	case s.failing == models[1]:
		return ledger.DialectAnthropicMessages
	case s.failing == models[2]:
		return ledger.DialectGemini
	case s.dialect == ledger.DialectOpenAIResponses:
		return ledger.DialectOpenAIResponses
	}
	return ledger.DialectOpenAIChat
}

// harmless tells whether the trouble comes when the answer is whole. An answer that is not streamed is, once its last byte is
// there; a stream of Responses has no end mark behind its last event, and Gemini's ends with its body.
func (s scenario) harmless() bool {
	switch {
	case s.place != behind:
		return false
	case !s.stream, s.speaks() == ledger.DialectOpenAIResponses:
		return true
	}
	return s.speaks() == ledger.DialectGemini && s.script.Truncate != ""
}

// begun tells whether the caller gets content of the failing leg. Of an answer that is not streamed nobody gets a part.
func (s scenario) begun() bool { return s.harmless() || s.stream && s.place != before && !s.single }

// expected is what must become of a scenario.
type expected struct {
	outcomes []ledger.Outcome // of the attempts, in order
	answered string           // the model whose answer the caller has whole
	cut      bool             // the caller has a part of an answer, and one error
	status   int              // of the failure that a caller who has got nothing is told
	code     string
}

func (s scenario) expect() (e expected) {
	transient := slices.Contains([]router.Class{router.ClassRateLimited, router.ClassOverloaded, router.ClassServerError, router.ClassConnection}, s.class)
	switch {
	case s.harmless():
		e.outcomes, e.answered = []ledger.Outcome{ledger.Answered}, s.failing
		return e
	case s.begun(): // no other leg may go on with what one has begun
		e.outcomes, e.cut = []ledger.Outcome{ledger.Cut}, true
		return e
	case s.class == router.ClassBadRequest: // no other leg would take it better
	case s.route == followed:
		e.outcomes, e.answered = []ledger.Outcome{ledger.Failed, ledger.Answered}, s.next
		return e
	case s.route == recovers && transient:
		e.outcomes, e.answered = []ledger.Outcome{ledger.Failed, ledger.Answered}, s.failing
		return e
	case transient: // the leg is called once more
		e.outcomes = []ledger.Outcome{ledger.Failed}
	}
	e.outcomes = append(e.outcomes, ledger.Failed)
	e.status, e.code = 502, "upstream_failed"
	switch s.class {
	case router.ClassBadRequest:
		if e.status, e.code = 400, "invalid"; s.speaks() == s.dialect && s.failing == models[0] {
			e.code = "invalid_value" // OpenAI's own word, for callers who know it
		}
	case router.ClassNotFound:
		e.status, e.code = 404, "unknown_model"
	case router.ClassRateLimited:
		e.status, e.code = 429, "rate_limited"
	}
	return e
}

// reported is what the upstream has said of the failing attempt's usage: Anthropic says the input, and one token of output, as its
// stream opens, and all say everything with the finish reason.
func (s scenario) reported(served sandbox.Tokens) (u ledger.Usage, final bool) {
	if s.place == behind {
		return usageOf(served), true
	}
	opened := s.script.FailAt == sandbox.After(0) || s.script.Cut == sandbox.After(0) || s.script.Hang == sandbox.After(0) || s.script.Truncate == sandbox.After(0)
	if s.stream && s.speaks() == ledger.DialectAnthropicMessages && (s.place == within || opened) {
		u = usageOf(served)
		u.Output, u.Reasoning = 1, 0
	}
	return u, false
}

func usageOf(t sandbox.Tokens) ledger.Usage {
	return ledger.Usage{Input: int64(t.Input), CacheRead: int64(t.CacheRead), CacheWrite: int64(t.CacheWrite), CacheWriteLong: int64(t.CacheWriteLong),
		Output: int64(t.Output), Reasoning: int64(t.Reasoning)}
}

// scenarios are all of them: each trouble for each caller on each upstream with a leg behind it, and on one upstream in turn
// without.
func scenarios() (all []scenario) {
	for i, t := range troubles() {
		for j, c := range callers {
			if !t.strikes(c) {
				continue
			}
			for k, m := range models {
				if t.single && m != models[2] {
					continue
				}
				s := scenario{trouble: t, caller: c, route: followed, failing: m, next: models[(k+1)%len(models)]}
				all = append(all, s)
				if (i+j)%len(models) != k && !t.single {
					continue
				}
				s.route = alone
				all = append(all, s)
				if !t.slow {
					s.route, s.script.Times = recovers, 1
					all = append(all, s)
				}
			}
		}
	}
	return all
}

// Every class of failure at every place of an answer, streamed or not, for callers of every dialect, on every upstream.
func TestFailuresEverywhere(t *testing.T) {
	s := newStage(t)
	all := scenarios()
	took := time.Now()
	shows := s.play(all)
	t.Logf("%d scenarios in %v, with %d calls upstream", len(all), time.Since(took).Round(time.Millisecond), len(s.up.Calls()))
	s.readLog(shows)
	for _, show := range shows {
		t.Run(show.name(), func(t *testing.T) { show.review(t) })
	}
	s.quiet()
}
