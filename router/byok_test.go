package router_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"waybill/ledger"
	"waybill/ledger/secret"
	"waybill/router"
	"waybill/router/dialects"
	"waybill/router/sandbox"
)

// The states of an org's own credential.
const (
	ownOK         = "ok"
	ownDead       = "401"
	ownExhausted  = "exhausted"
	ownLimited    = "429"
	ownOpen       = "breaker open"
	ownUnreadable = "unreadable"
	ownAbsent     = "absent"
	ownDetached   = "detached"
)

var ownStates = []string{ownOK, ownDead, ownExhausted, ownLimited, ownOpen, ownUnreadable, ownAbsent, ownDetached}

// cell is one of the matrix.
type cell struct {
	mode router.Mode
	use  ledger.Use
	paid bool // paid_fallback
	own  string
	well bool // the platform's credential answers; else its upstream is overloaded
	lane ledger.Lane
}

func (c cell) String() string {
	return fmt.Sprintf("%s, use %s, paid_fallback %v, own %s, pool well %v, %s", c.mode, c.use, c.paid, c.own, c.well, c.lane)
}

// has tells whether the org has a credential of its own, be it of any use or not.
func (c cell) has() bool { return c.own != ownAbsent && c.own != ownDetached }

// tried is one attempt that is to be in the trace.
type tried struct {
	kind    ledger.CredentialKind
	outcome ledger.Outcome
	why     string // class, or reason of one that is passed over
}

// order is whose credential is to be tried, by what the modes and uses say of themselves.
func (c cell) order() []ledger.CredentialKind {
	own := c.has() && c.mode != router.PlatformOnly
	pool := c.mode != router.BYOKOnly && !(c.has() && c.use == ledger.UseOnly)
	first := c.mode == router.BYOKFirst && c.use != ledger.UseFallback
	switch {
	case own && pool && first && c.paid:
		return []ledger.CredentialKind{ledger.BYOK, ledger.Platform}
	case own && pool && !first:
		return []ledger.CredentialKind{ledger.Platform, ledger.BYOK}
	case own: // alone, or failing without the org's word that it may cost something
		return []ledger.CredentialKind{ledger.BYOK}
	case pool:
		return []ledger.CredentialKind{ledger.Platform}
	}
	return nil
}

// expect is the attempts, and the code of the failure if none of them answers.
func (c cell) expect() (all []tried, code string) {
	order := c.order()
	if len(order) == 0 {
		return nil, "policy_forbids"
	}
	var again *tried
	code = "upstream_failed"
	for _, kind := range order {
		if kind == ledger.BYOK && !c.paid { // it fails, or nothing more is tried: from then on nothing may be paid for
			again = nil
		}
		t := tried{kind, ledger.Failed, string(router.ClassCredential)}
		switch {
		case kind == ledger.Platform && c.well, kind == ledger.BYOK && c.own == ownOK:
			return append(all, tried{kind, ledger.Answered, ""}), ""
		case kind == ledger.Platform:
			t.why = string(router.ClassOverloaded)
		case c.own == ownOpen:
			t = tried{kind, ledger.Skipped, "breaker_open"}
		case c.own == ownUnreadable:
			t = tried{kind, ledger.Skipped, "credential_unreadable"}
		case c.own == ownLimited:
			t.why = string(router.ClassRateLimited)
		}
		all = append(all, t)
		if t.why == string(router.ClassOverloaded) || t.why == string(router.ClassRateLimited) {
			again = &t // may be over in a moment
		}
		if t.outcome == ledger.Failed {
			code = map[string]string{string(router.ClassRateLimited): "rate_limited"}[t.why]
		}
	}
	if again != nil {
		all = append(all, *again)
		code = map[string]string{string(router.ClassRateLimited): "rate_limited"}[again.why]
	}
	if code == "" {
		code = "upstream_failed"
	}
	return all, code
}

// cells are all of them: on the auto lane those whose pool is well.
func cells() (all []cell) {
	for _, lane := range []ledger.Lane{ledger.LaneManual, ledger.LaneAuto} {
		for _, well := range []bool{true, false} {
			for _, mode := range []router.Mode{router.BYOKFirst, router.BYOKOnly, router.PlatformFirst, router.PlatformOnly} {
				for _, use := range []ledger.Use{ledger.UsePrefer, ledger.UseFallback, ledger.UseOnly} {
					for _, paid := range []bool{false, true} {
						for _, own := range ownStates {
							if lane == ledger.LaneManual || well {
								all = append(all, cell{mode, use, paid, own, well, lane})
							}
						}
					}
				}
			}
		}
	}
	return all
}

// torn are secrets of which one cannot be opened.
type torn struct {
	secrets
	credential string
}

func (s torn) Secret(ctx context.Context, c *ledger.Credential) (secret.Text, error) {
	if c.ID == s.credential {
		return secret.Text{}, errors.New("the vault does not open")
	}
	return s.secrets.Secret(ctx, c)
}

// The matrix of an org's own credentials: what answers, and what it costs. Nothing is charged where a credential of the org's
// own has answered, and none of the platform's is called where the policy does not say so.
func TestOwnCredentials(t *testing.T) {
	s := &stage{node: newNode(t, ledger.Plan{ID: "bare", Lanes: []ledger.Lane{ledger.LaneAuto, ledger.LaneManual}, Credit: true})}
	all := cells()
	shows := make([]*show, len(all))
	var wg sync.WaitGroup
	few := make(chan struct{}, 32)
	for i, c := range all {
		wg.Go(func() {
			few <- struct{}{}
			defer func() { <-few }()
			shows[i] = s.ownCall(i, c)
		})
	}
	wg.Wait()
	s.readLog(shows)
	for i, c := range all {
		t.Run(c.String(), func(t *testing.T) { s.reviewOwn(t, i, c, shows[i]) })
	}
	s.quiet()
	t.Logf("%d cells:\n%s", len(all), table(all, shows))
}

func (s *stage) ownCall(i int, c cell) *show {
	w := &show{answer: &answer{id: fmt.Sprintf("req_%06d", i)}, org: fmt.Sprintf("org_%d", i)}
	own, keys := fmt.Sprintf("cred_own_%d", i), secrets{"cred_openai": fmt.Sprintf("sk-pool-%d", i)}
	if !c.well {
		keys["cred_openai"] += "-sandbox-fail-overloaded"
	}
	keys[own] = fmt.Sprintf("sk-own-%d", i) + map[string]string{ownDead: "-sandbox-fail-invalid-key", ownExhausted: "-sandbox-fail-out-of-credit", ownLimited: "-sandbox-fail-rate-limited"}[c.own]
	w.keys = map[ledger.CredentialKind]string{ledger.BYOK: sandbox.Fingerprint(keys[own]), ledger.Platform: sandbox.Fingerprint(keys["cred_openai"])}
	s.open(w.org, "bare")
	s.buy(w.org, fmt.Sprintf("lot_%d", i), 10*ledger.Dollar)
	if c.own != ownAbsent {
		s.do(ledger.AttachCredential{Org: w.org, Credential: own, Provider: "openai", Fingerprint: "test", Use: c.use})
	}
	if c.own == ownDetached {
		s.do(ledger.DetachCredential{Org: w.org, Credential: own})
	}
	s.policy(w.org, fmt.Sprintf(`{"credentials":%q,"paid_fallback":%v,"routes":[{"when":{"model":"auto"},"auto":{"pool":["openai/gpt-6-luna"]}}]}`, c.mode, c.paid))
	d := &router.Dispatcher{Books: s.d.Books, Secrets: keys, Upstreams: s.d.Upstreams, Providers: maps.Clone(s.d.Providers), Client: s.d.Client, Health: router.NewHealth(),
		Memory: router.NewMemory(), Now: time.Now, Timeouts: router.DefaultTimeouts, Stop: context.Background()}
	switch c.own {
	case ownUnreadable:
		d.Secrets = torn{keys, own}
	case ownOpen:
		leg := ledger.Choice{Model: models[0], Credential: own, Kind: ledger.BYOK}
		for range 3 {
			trial, _ := d.Health.Allow(leg, time.Now())
			trial.Report(router.ClassServerError, time.Now())
		}
	}
	model := models[0]
	if c.lane == ledger.LaneAuto {
		model = "auto"
	}
	in := dialects.Inbounds[ledger.DialectOpenAIChat]
	q, err := in.Decode(router.Incoming{Body: fmt.Appendf(nil, `{"model":%q,"max_completion_tokens":50,"messages":[{"role":"user","content":"cell %d"}]}`, model, i)})
	if err != nil {
		s.t.Error(err)
		return w
	}
	w.failure = d.Do(context.Background(), router.Task{ID: w.id, By: ledger.By{Actor: "test", Cause: w.id}, Org: w.org, Request: q, Inbound: in}, w.answer)
	return w
}

func (s *stage) reviewOwn(t *testing.T, i int, c cell, w *show) {
	want, code := c.expect()
	var attempts []ledger.Attempt
	var charge ledger.Nano
	if len(w.records) > 0 {
		last := w.records[len(w.records)-1]
		attempts = last.Attempted()
		if e, ok := last.Event.(*ledger.RequestSettled); ok {
			charge = e.Charge
			if e.Kind == ledger.BYOK && (len(e.Draws) > 0 || e.Skipped != e.ListCost || e.Skipped == 0 || e.SkipReason != "byok") {
				t.Errorf("settled %+v", e)
			}
		}
	}
	called := 0
	for _, a := range want {
		if a.outcome != ledger.Skipped {
			called++
		}
	}
	if called == 0 { // what was never admitted has no trace
		want = nil
	}
	if w.code() != code || len(attempts) != len(want) || len(w.calls) != called {
		t.Fatalf("%+v, attempts %+v, calls %+v, want %+v, %q", w.failure, attempts, w.calls, want, code)
	}
	legs, at := w.legs()
	call := 0
	for j, a := range attempts {
		if got := (tried{a.Kind, a.Outcome, a.Class}); a.Outcome != ledger.Skipped && got != want[j] || a.Outcome == ledger.Skipped && (tried{a.Kind, a.Outcome, a.Reason}) != want[j] {
			t.Errorf("attempt %d: %+v, want %+v", j, a, want[j])
		}
		if a.Outcome == ledger.Skipped {
			continue
		}
		// Each call was admitted before it was made, on this credential; where it costs something, with its hold.
		if up, leg := w.calls[call], legs[call]; up.Key != w.keys[a.Kind] || leg.Kind != a.Kind || at[call] > ledger.InstantOf(up.OpenedAt) ||
			a.Kind == ledger.Platform && len(w.held(leg.N)) == 0 || a.Kind == ledger.BYOK && len(w.held(leg.N)) > 0 {
			t.Errorf("call %d: %+v, admitted as %+v at %v with %+v", call, up, leg, at[call], w.held(leg.N))
		}
		call++
	}
	spent := int64(10*ledger.Dollar) - s.balance(ledger.Account{Org: w.org, Kind: "credit", ID: fmt.Sprintf("lot_%d", i)}, ledger.USD)
	if paid := w.failure == nil && w.facts.Kind == ledger.Platform; paid != (charge > 0) || spent != int64(charge) {
		t.Errorf("answered %v by %s: charge %v, spent %d", w.failure == nil, w.facts.Kind, charge, spent)
	}
}

// held is the hold that a leg of a request was admitted with.
func (w *show) held(n int) []ledger.Draw {
	for _, r := range w.records {
		switch e := r.Event.(type) {
		case *ledger.RequestAdmitted:
			if e.Leg.N == n {
				return e.Held
			}
		case *ledger.RequestExtended:
			if e.Leg.N == n {
				return e.Held
			}
		}
	}
	return nil
}

// table shows for each cell who answered, or the error, and how many calls went to each kind of credential.
func table(all []cell, shows []*show) string {
	var b strings.Builder
	out := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := ""
	for i, c := range all {
		head := fmt.Sprintf("%s\tpool well %v\t%s\t%s\tpaid_fallback %v", c.lane, c.well, c.mode, c.use, c.paid)
		if head != row {
			if row == "" {
				fmt.Fprintf(out, "\t\t\t\t\t%s", strings.Join(ownStates, "\t"))
			}
			row = head
			fmt.Fprintf(out, "\n%s", head)
		}
		w := shows[i]
		switch {
		case w.failure != nil:
			fmt.Fprintf(out, "\t%d %s", w.failure.Status, w.code())
		case w.facts.Kind == ledger.BYOK:
			fmt.Fprint(out, "\town, free")
		default:
			fmt.Fprint(out, "\tpool, paid")
		}
	}
	out.Flush()
	return b.String()
}
