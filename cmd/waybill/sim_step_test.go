package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"waybill/ledger"
	"waybill/router/sandbox"
	"waybill/store"
)

// simOrg is an org, and how its developers call.
type simOrg struct {
	name   string
	id     string
	key    string
	cap    int64 // of its key, in tokens a day; 0: none
	output int   // tokens that it asks for at most
	models []string
}

// found opens the orgs that the script is about: on plan tokens, on credit, on both, on a key of its own.
func (s *sim) found() {
	s.must("POST", "/plans", `{"id":"credit-only","lanes":["auto","manual"],"credit":true,"markup_bps":733}`)
	s.must("POST", "/plans", `{"id":"small","lanes":["auto","manual"],"tokens":900,"output":400,"credit":true}`) // soon used up
	all := []string{"auto", "openai/gpt-6-luna", "anthropic/claude-haiku-5-5", "google/gemini-2.5-flash-lite"}
	for _, o := range []struct {
		name, plan, caps string
		output           int
		models           []string
	}{{"plan", "small", "", 60, all}, {"credit", "credit-only", "", 60, all}, {"free", "free", "", 60, []string{"auto"}}, {"own", "free", "", 60, all},
		{"capped", "credit-only", `,"caps":[{"unit":"tok","amount":2000,"window":"day"}]`, 500, all}} {
		org := simOrg{name: o.name, output: o.output, models: o.models}
		if o.caps != "" {
			org.cap = 2000
		}
		var opened struct{ ID string }
		var key struct{ Key string }
		if err := errors.Join(json.Unmarshal(s.must("POST", "/orgs", fmt.Sprintf(`{"name":%q,"plan":%q}`, o.name, o.plan)), &opened),
			json.Unmarshal(s.must("POST", "/orgs/"+o.name+"/keys", `{"name":"k","scopes":["inference"]`+o.caps+`}`), &key)); err != nil {
			s.fail("%v", err)
		}
		org.id, org.key = opened.ID, key.Key
		s.orgs = append(s.orgs, org)
	}
	s.pays(s.purchase(&s.orgs[1], 400_000_000, ""))
	s.pays(s.purchase(&s.orgs[4], 400_000_000, ""))
	for _, p := range []string{"openai", "anthropic"} {
		s.must("POST", "/orgs/own/credentials", fmt.Sprintf(`{"provider":%q,"name":%q,"secret":"sk-own-%s"}`, p, p, p))
	}
}

func (s *sim) must(method, path, body string) []byte {
	s.t.Helper()
	status, answer := s.control(method, path, body, "")
	if status/100 != 2 {
		s.fail("%s %s: %d %s", method, path, status, answer)
	}
	return answer
}

// control makes a call of the operator's.
func (s *sim) control(method, path, body, once string) (int, []byte) {
	r := httptest.NewRequestWithContext(s.t.Context(), method, "/api/v1"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+simToken)
	if once != "" {
		r.Header.Set("Idempotency-Key", once)
	}
	rec := httptest.NewRecorder()
	s.node.server.ServeHTTP(rec, r)
	if rec.Code == http.StatusInternalServerError {
		s.fail("%s %s %s: %s", method, path, body, rec.Body)
	}
	return rec.Code, rec.Body.Bytes()
}

// simSteps is what can happen, and how often.
var simTable = []struct {
	weight int
	do     func(*sim)
}{
	{30, (*sim).call},
	{50, (*sim).answers},
	{8, (*sim).upstreamFails},
	{6, (*sim).upstreamCuts},
	{4, (*sim).callerLeaves},
	{8, (*sim).timePasses},
	{2, (*sim).clockSteps},
	{8, (*sim).clockIsRight},
	{3, (*sim).comesDue},
	{6, (*sim).buys},
	{2, (*sim).refunds},
	{2, (*sim).changesPlan},
	{2, (*sim).setsPolicy},
	{4, (*sim).suspends},
	{3, (*sim).diskFills},
	{9, (*sim).diskHasSpace},
	{4, (*sim).diskFails},
	{2, (*sim).crashes},
	{1, (*sim).restarts},
	{5, (*sim).replicates},
	{1, (*sim).loses},
}

func (s *sim) step() {
	sum := 0
	for _, row := range simTable {
		sum += row.weight
	}
	n := s.rand.IntN(sum)
	for _, row := range simTable {
		if n -= row.weight; n < 0 {
			row.do(s)
			return
		}
	}
}

// upstreamIn picks a call of this life in one of some states.
func (s *sim) upstreamIn(states ...exchangeState) *exchange {
	var in []*exchange
	for _, x := range s.calls {
		at := x.at()
		for _, state := range states {
			if x.life == s.life && at == state {
				in = append(in, x)
			}
		}
	}
	slices.SortFunc(in, func(x, y *exchange) int { return strings.Compare(x.attempt, y.attempt) })
	x, _ := oneOf(s.rand, in)
	return x
}

func (s *sim) answers() {
	if x := s.upstreamIn(atHead, atBody); x != nil {
		s.tell("the upstream goes on with %s", x.attempt)
		x.advance(s, s.chance(4))
	}
}

func (s *sim) upstreamFails() {
	kind, _ := oneOf(s.rand, []sandbox.Failure{sandbox.RateLimited, sandbox.Overloaded, sandbox.ServerError, sandbox.BadGateway, sandbox.InvalidKey, sandbox.OutOfCredit, sandbox.BadRequest, sandbox.NotFound})
	if x := s.upstreamIn(atHead); x != nil {
		s.tell("the upstream refuses %s: %s", x.attempt, kind)
		s.count("refusals")
		x.answer(s, kind)
		x.deliver(1 << 30)
	}
}

func (s *sim) upstreamCuts() {
	if x := s.upstreamIn(atHead, atBody); x != nil {
		s.tell("the upstream breaks off %s", x.attempt)
		s.count("cuts")
		x.cut()
	}
}

func (s *sim) callerLeaves() {
	if c, ok := oneOf(s.rand, s.open()); ok {
		s.tell("the caller of %s leaves", c.request())
		s.count("callers who left")
		c.leave()
	}
}

func (s *sim) timePasses() {
	d := time.Duration(s.rand.Int64N(int64(90 * time.Second)))
	if s.chance(10) {
		d *= 20
	}
	s.tell("%s pass", d)
	time.Sleep(d)
}

// comesDue lets time pass up to the very instant at which some credit expires or a period ends, and has its org call then.
func (s *sim) comesDue() {
	next, after := s.nextEnd()
	if next != nil {
		s.tell("%s pass, until something of %s ends", after, next.name)
		s.count("ends met")
		time.Sleep(after)
		s.callOf(next)
	}
}

func (s *sim) nextEnd() (next *simOrg, after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := ledger.InstantOf(s.now())
	for i := range s.orgs {
		for p, ends := range s.books.money.ends {
			if d := time.Duration(ends - now); p.org == s.orgs[i].id && d > 0 && d < time.Hour && s.books.money.left[p] > 0 && (next == nil || d < after) {
				next, after = &s.orgs[i], d
			}
		}
	}
	return next, after
}

// clockSteps has the wall clock jump.
func (s *sim) clockSteps() {
	jump := s.rand.Int64N(int64(4*time.Hour)) - int64(2*time.Hour)
	if s.chance(2) {
		jump /= 100
	}
	s.skew.Store(jump)
	s.tell("the clock jumps by %s", time.Duration(jump))
	s.count("steps of the clock")
}

// clockIsRight has it jump back to where it should be.
func (s *sim) clockIsRight() {
	if s.skew.Swap(0) != 0 {
		s.tell("the clock is right again")
	}
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return line[:min(len(line), 160)]
}

func (s *sim) changesPlan() {
	plan, _ := oneOf(s.rand, []string{"teams", "small", "credit-only"})
	org, _ := oneOf(s.rand, s.orgs[:2])
	status, _ := s.control("PUT", "/orgs/"+org.name+"/plan", fmt.Sprintf(`{"plan":%q}`, plan), "")
	s.tell("%s goes to %s: %d", org.name, plan, status)
}

func (s *sim) setsPolicy() {
	org, _ := oneOf(s.rand, s.orgs)
	mode, _ := oneOf(s.rand, []string{"byok-first", "platform-first", "byok-only", "platform-only"})
	abort, _ := oneOf(s.rand, []string{"drain", "cancel"})
	status, answer := s.control("PUT", "/orgs/"+org.name+"/policy", fmt.Sprintf(`{"credentials":%q,"paid_fallback":%t,"on_abort":%q}`, mode, s.chance(2), abort), "")
	s.tell("%s sets a policy, %s: %d %s", org.name, mode, status, firstLine(answer))
	if status/100 == 4 {
		s.fail("a policy is refused")
	}
}

// suspends suspends an org for a while, or lets it go on.
func (s *sim) suspends() {
	org, _ := oneOf(s.rand, s.orgs)
	what, body := "resume", ""
	if s.chance(5) {
		what, body = "suspend", `{"reason":"as the script says"}`
	}
	status, _ := s.control("POST", "/orgs/"+org.name+"/"+what, body, "")
	s.tell("%s: %s: %d", org.name, what, status)
}

func (s *sim) diskFills() {
	s.tell("the disk is full")
	s.count("full disks")
	s.disk.pages.Store(1)
}

func (s *sim) diskHasSpace() {
	if s.disk.pages.Swap(0) != 0 {
		s.tell("the disk has space again")
		time.Sleep(2 * time.Second)
	}
}

func (s *sim) diskFails() {
	f, _ := oneOf(s.rand, []fault{lostSync, lateSync, powerLoss, powerLoss})
	after := s.rand.IntN(4)
	s.tell("%d commits from now %s", after, faultNames[f])
	s.disk.arm(f, after, s.rand.Uint64())
}

// crashes kills the process where it stands.
func (s *sim) crashes() {
	s.tell("the process is killed")
	s.count("kills")
	s.disk.crash(s.copied(-1))
	s.restart()
}

// restarts stops the node in order, some time passes, up to weeks, and it starts again.
func (s *sim) restarts() {
	s.tell("the node stops")
	s.count("restarts")
	s.disk.pages.Store(0)
	s.disk.arm(noFault, 0, 0)
	s.end()
	s.skew.Store(0)
	d := time.Duration(s.rand.Int64N(int64(40 * 24 * time.Hour)))
	time.Sleep(d)
	synctest.Wait()
	s.tell("and starts %s later", d)
	s.start()
}

// replicates has the replica come to where the node is.
func (s *sim) replicates() {
	if !s.replicated {
		return
	}
	if err := s.node.replication.SyncTo(s.t.Context()); err != nil {
		s.fail("a round of replication: %v", err)
	}
	s.books.replica, _ = s.node.replication.Position()
	s.tell("the replica is at %d", s.books.replica)
	s.count("rounds of replication")
}

// loses loses the node's folder, and has its replica restored into an empty one.
func (s *sim) loses() {
	if !s.replicated || s.books.replica == 0 {
		return
	}
	s.tell("the node's folder is lost")
	s.count("restores")
	s.disk.crash(s.folder())
	s.end()
	master, err := store.ReadMasterKey(s.conf.masterKeyFile)
	if err != nil {
		s.fail("%v", err)
	}
	replicas, err := store.ReadReplicaConfig(s.conf.litestream)
	if err != nil {
		s.fail("%v", err)
	}
	done, err := store.Restore(s.t.Context(), store.RestoreOptions{Replicas: replicas, Dir: s.disk.left(), Master: master, Known: s.books.said,
		Now: s.now, NewID: s.newEventID, AcceptClock: true})
	if err != nil {
		s.fail("restoring: %v", err)
	}
	if done.From < s.books.replica {
		s.fail("the replica was at %d, and %d is restored", s.books.replica, done.From)
	}
	s.tell("and restored up to %d, which was at %d", done.From, s.books.said)
	s.moveTo(s.disk.left())
	s.books.lose(s, done.From)
	s.start()
	if s.books.epoch != done.Epoch {
		s.fail("the restored log is in epoch %d, and it was said to begin %d", s.books.epoch, done.Epoch)
	}
}

var _ http.ResponseWriter = (*simCaller)(nil)
