package routertest

import (
	"fmt"
	"net/http"
	"time"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/sandbox"
)

// failings are how providers fail, what callers get of it when no other leg answers, and as what it is recorded.
var failings = []struct {
	kind   sandbox.Failure
	status int
	class  router.Class
}{
	{sandbox.RateLimited, 429, router.ClassRateLimited}, {sandbox.Overloaded, 502, router.ClassOverloaded}, {sandbox.ServerError, 502, router.ClassServerError},
	{sandbox.Timeout, 502, router.ClassTimeout}, {sandbox.BadGateway, 502, router.ClassServerError}, {sandbox.BadRequest, 400, router.ClassBadRequest},
	{sandbox.InvalidKey, 502, router.ClassCredential}, {sandbox.OutOfCredit, 502, router.ClassCredential}, {sandbox.SpendLimit, 502, router.ClassCredential},
	{sandbox.Forbidden, 502, router.ClassCredential}, {sandbox.NotFound, 404, router.ClassNotFound}, {sandbox.Conflict, 502, router.ClassServerError},
	{sandbox.TooLarge, 413, router.ClassBadRequest}, {sandbox.ContextLength, 400, router.ClassBadRequest},
}

// impatient is long enough for a loopback's byte and short enough to wait for.
const impatient = 300 * time.Millisecond

var failures = failureList()

func failureList() (out []Scenario) {
	for _, f := range failings {
		out = append(out, Scenario{Name: "fails: " + string(f.kind), Run: func(s *Session) {
			want := f.status
			if f.kind == sandbox.TooLarge && s.Up.Dialect() == gemini {
				want = http.StatusBadRequest // so says Google
			}
			r := s.Do(Ask{Turns: user(fmt.Sprintf("[[sandbox fail=%s]]", f.kind))}, modelAny)
			if r.Fault == nil || r.status != want {
				s.Fatalf("want status %d: %s\n%s", want, describe(r), cut(r.body))
			}
			if want := s.In.Type(want); want != "" && r.Fault.Type != want {
				s.Errorf("the error's type is %q, want %q", r.Fault.Type, want)
			}
			for _, a := range r.void(s) {
				if a.Class != string(f.class) {
					s.Errorf("the class is %s, want %s", a.Class, f.class)
				}
			}
		}})
	}
	for _, f := range failings {
		feature := "" // one stands for all
		if f.kind == sandbox.Overloaded {
			feature = "An error after content"
		}
		out = append(out, Scenario{Name: "fails within the answer: " + string(f.kind), Feature: feature, Mode: Stream, Run: func(s *Session) {
			r := s.Do(Ask{Turns: user(fmt.Sprintf("[[sandbox fail=%s fail_at=2 output=40]]", f.kind))}, modelAny)
			r.broken(s)
			want := f.class
			switch { // inside a stream there is no status, which alone tells these
			case f.kind == sandbox.BadGateway && s.Up.Dialect() == gemini:
				want = router.ClassOverloaded
			case f.kind == sandbox.Conflict && s.Up.Dialect() == chat:
				want = router.ClassBadRequest
			}
			if as := r.settled(s).Attempts; len(as) != 1 || as[0].Outcome != ledger.Cut || as[0].Class != string(want) {
				s.Errorf("the attempts are %+v, want one of class %s", as, want)
			}
		}})
	}
	return append(out,
		Scenario{Name: "fails before its end", Mode: Stream, Run: breaks("fail=server_error fail_at=end output=40")},
		Scenario{Name: "cut within the answer", Mode: Stream, Run: breaks("cut=2 output=40")},
		Scenario{Name: "truncated within the answer", Mode: Stream, Run: breaks("truncate=2 output=40")},
		Scenario{Name: "truncated before its end", Mode: Stream, Run: breaks("truncate=end output=40")},
		Scenario{Name: "cut before its end mark", Mode: Stream, For: marked, Run: unmarked("cut=last")},
		Scenario{Name: "truncated before its end mark", Mode: Stream, For: marked, Run: unmarked("truncate=last")},
		Scenario{Name: "fails before its end mark", Mode: Stream, For: marked, Run: unmarked("fail=server_error fail_at=last")},
		Scenario{Name: "hangs within the answer", Mode: Stream, Idle: impatient, Run: breaks("hang=2 output=40")},
		Scenario{Name: "cut within calls", Mode: Stream, For: func(p Pair) bool { return p.Up.Dialect() != gemini && p.In.Dialect() != gemini }, // whose calls come whole
			Run: breaks("call=weather chunk_bytes=4 cut=3")},
		Scenario{Name: "cut, unary", Mode: Unary, Run: lost("cut=content", 3)},
		Scenario{Name: "truncated, unary", Mode: Unary, Run: lost("truncate=content", 3)},
		Scenario{Name: "hangs, unary", Mode: Unary, Idle: impatient, Run: lost("hang=content", 2)},
		Scenario{Name: "hangs at once", Idle: impatient, Run: lost("hang=first", 2)},
		Scenario{Name: "moves on from an error", Feature: "The next credential after a failure", Run: movesOn(sandbox.Script{Fail: sandbox.Overloaded})},
		Scenario{Name: "moves on from a dead key", Run: movesOn(sandbox.Script{Fail: sandbox.InvalidKey})},
		Scenario{Name: "moves on from an error after the headers", Mode: Stream, Run: movesOn(sandbox.Script{Fail: sandbox.Overloaded, FailAt: sandbox.AtFirst})},
		Scenario{Name: "moves on from an error before content", Mode: Stream, Run: movesOn(sandbox.Script{Fail: sandbox.ServerError, FailAt: sandbox.After(0)})},
		Scenario{Name: "moves on from a cut before content", Run: movesOn(sandbox.Script{Cut: sandbox.AtFirst})},
		Scenario{Name: "moves on from an empty stream", Mode: Stream, Run: movesOn(sandbox.Script{Truncate: sandbox.AtFirst})},
	)
}

// breaks is an answer that ends after content has gone out.
func breaks(words string) func(*Session) {
	return func(s *Session) {
		r := s.Do(Ask{Tools: toolbox, Turns: user("[[sandbox " + words + "]]")}, modelAny)
		if r.status != http.StatusOK {
			s.Fatalf("nothing was sent: %s", describe(r))
		}
		r.broken(s)
	}
}

// marked tells whether an upstream's streams have an end mark behind the finish reason and the usage.
func marked(p Pair) bool { return p.Up.Dialect() == chat || p.Up.Dialect() == messages }

// unmarked is an answer that says that it ended, and what it used, and lacks its end mark: nobody can know that nothing is missing.
// What it used is known.
func unmarked(words string) func(*Session) {
	return func(s *Session) {
		r := s.Do(Ask{Turns: user("[[sandbox " + words + "]]" + question)}, modelAny)
		if r.status != http.StatusOK || r.Ended || r.Finish != "" || r.Faults != 1 {
			s.Errorf("ended %t, finish %q, %d errors: %s\n%s", r.Ended, r.Finish, r.Faults, describe(r), cut(r.body))
		}
		if e, want := r.settled(s), tokensOf(r.calls[0].Tokens, s.Up.Dialect()); e.Source != ledger.UsageProvider || e.Usage != want {
			s.Errorf("settled %+v by %s, the upstream served %+v", e.Usage, e.Source, want)
		}
	}
}

// lost is an answer of which nothing can be shown, on either of two legs, nor if the last is called once more.
func lost(words string, calls int) func(*Session) {
	return func(s *Session) {
		r := s.Do(Ask{Turns: user("[[sandbox " + words + "]]")}, modelAny)
		if r.Fault == nil || r.status != http.StatusBadGateway {
			s.Fatalf("want status 502: %s\n%s", describe(r), cut(r.body))
		}
		if len(r.calls) != calls {
			s.Errorf("%d calls on two legs", len(r.calls))
		}
		r.void(s)
	}
}

// movesOn fails the first credential: the second answers, and the caller cannot tell but by the facts.
func movesOn(script sandbox.Script) func(*Session) {
	return func(s *Session) {
		script := script
		script.Key = s.keys[s.Up.credential(0)]
		defer s.bench.up.Script("", "", script)()
		r := s.Do(Ask{Turns: user(question)}, modelAny)
		r.whole(s)
		says(sandbox.Answer(question, 0))(s, r)
		if len(r.calls) != 2 || r.facts.Attempts != 2 {
			s.Errorf("%d calls, %d attempts", len(r.calls), r.facts.Attempts)
		}
		if e := r.settled(s); e.Leg != 2 || len(e.Attempts) != 2 || e.Attempts[0].Outcome != ledger.Failed || e.Attempts[1].Outcome != ledger.Answered {
			s.Errorf("the attempts are %+v", e.Attempts)
		}
	}
}
