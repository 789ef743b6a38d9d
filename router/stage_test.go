package router_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/dialects"
	"waybill/router/sandbox"
)

// stage is a node on which many scenarios are played at once, each with a dispatcher and secrets of its own: none opens a
// breaker for another.
type stage struct {
	*node
	fronts map[string]string // addresses of what stands before the upstreams
	once   *http.Client      // never uses a connection twice: what strikes behind an answer keeps it, or cuts it off
}

// show is how a scenario went.
type show struct {
	scenario
	*answer
	org     string
	words   string
	refused []byte // the failure's body
	calls   []sandbox.Call
	records []ledger.Record
	keys    map[ledger.CredentialKind]string // fingerprints of the secrets
	price   func(model string) *ledger.Price
}

const answerTokens = 60

func newStage(t *testing.T) *stage {
	s := &stage{node: newNode(t, ledger.Plan{ID: "bare", Lanes: []ledger.Lane{ledger.LaneAuto, ledger.LaneManual}, Credit: true})}
	s.d.Client.Transport.(*http.Transport).MaxIdleConnsPerHost = 1000
	s.once = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	s.fronts = map[string]string{}
	for name, front := range map[string]func(http.ResponseWriter, *http.Response){"ok": sayOK, "drip": drip} {
		s.fronts[name] = s.front(front)
	}
	for _, m := range models {
		for k, next := range models {
			if next == m {
				s.open(orgOf(m, ""), "bare")
				s.buy(orgOf(m, ""), "lot_"+m[:6], 1000*ledger.Dollar)
				s.policy(orgOf(m, ""), fmt.Sprintf(`{"routes":[{"try":[{"model":%q,"credential":"platform"}]}]}`, m))
				next = models[(k+1)%len(models)]
				s.open(orgOf(m, next), "teams")
				s.policy(orgOf(m, next), fmt.Sprintf(`{"routes":[{"try":[{"model":%q,"credential":"platform"},{"model":%q,"credential":"platform"}]}]}`, m, next))
			}
		}
	}
	return s
}

// orgOf is the org whose calls go to a model, and then to another.
func orgOf(model, next string) string {
	return strings.NewReplacer("/", "_", ".", "_", "-", "_").Replace("org_" + model[:6] + "_" + next)
}

// front stands before the sandbox and changes its answers.
func (s *stage) front(change func(http.ResponseWriter, *http.Response)) string {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target := strings.TrimSuffix(s.up.URL(), "/") + r.URL.RequestURI()
		req, err := http.NewRequestWithContext(r.Context(), r.Method, target, r.Body)
		if err != nil {
			panic(err)
		}
		req.Header = r.Header.Clone()
		resp, err := s.d.Client.Do(req)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer resp.Body.Close()
		maps.Copy(w.Header(), resp.Header)
		w.Header().Del("Content-Length")
		change(w, resp)
	}))
	s.t.Cleanup(srv.Close)
	return srv.URL
}

// sayOK gives every answer the status 200.
func sayOK(w http.ResponseWriter, r *http.Response) { io.Copy(w, r.Body) }

// drip lets an answer through byte by byte, so that no byte is long in coming and the whole takes for ever.
func drip(w http.ResponseWriter, r *http.Response) {
	w.WriteHeader(r.StatusCode)
	var one [1]byte
	for pause := time.NewTicker(patience / 6); ; <-pause.C {
		if _, err := r.Body.Read(one[:]); err != nil {
			return
		}
		if _, err := w.Write(one[:]); err != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
	}
}

// play makes the calls: those that wait all together, the others a few at a time.
func (s *stage) play(all []scenario) []*show {
	shows := make([]*show, len(all))
	var wg sync.WaitGroup
	few, many := make(chan struct{}, 8), make(chan struct{}, 100)
	for i, sc := range all {
		at := few
		if sc.slow {
			at = many
		}
		wg.Go(func() {
			at <- struct{}{}
			defer func() { <-at }()
			shows[i] = s.call(i, sc)
		})
	}
	wg.Wait()
	return shows
}

// call makes one.
func (s *stage) call(i int, sc scenario) *show {
	w := &show{scenario: sc, answer: &answer{id: fmt.Sprintf("req_%06d", i)}, words: fmt.Sprintf("scenario %d: %s", i, sc.name())}
	w.org = orgOf(sc.failing, "")
	if sc.route == followed {
		w.org = orgOf(sc.failing, sc.next)
	}
	provider, id, _ := strings.Cut(sc.failing, "/")
	script := sc.script
	script.Key, script.Output, script.Chunks = fmt.Sprintf("sk-failing-%d", i), answerTokens, cmp.Or(script.Chunks, 6)
	defer s.up.Script(provider, id, script)()
	good := sandbox.Script{Key: fmt.Sprintf("sk-good-%d", i), Output: answerTokens, Chunks: 6}
	if sc.route == recovers {
		good.Key = script.Key
	}
	defer s.up.Script("", "", good)()

	d := &router.Dispatcher{Books: s.d.Books, Upstreams: s.d.Upstreams, Providers: maps.Clone(s.d.Providers), Client: s.d.Client, Health: router.NewHealth(),
		Memory: router.NewMemory(), Now: time.Now, Timeouts: router.DefaultTimeouts, Stop: context.Background()}
	keys := secrets{}
	for name, credential := range s.pool {
		keys[credential] = good.Key
		if name == provider {
			keys[credential] = script.Key
		}
	}
	d.Secrets = keys
	if sc.front != "" {
		p := d.Providers[provider]
		p.BaseURL = s.fronts[sc.front] + strings.TrimPrefix(p.BaseURL, strings.TrimSuffix(s.up.URL(), "/"))
		d.Providers[provider] = p
	}
	if sc.place == behind {
		d.Client = s.once
	}
	if sc.slow {
		d.Timeouts.FirstByte, d.Timeouts.Idle = patience, patience
		if !sc.stream || sc.script.Hang == "" { // what no byte ends
			d.Timeouts.Attempt = patience
		}
	}
	in := dialects.Inbounds[sc.dialect]
	q, err := in.Decode(router.Incoming{Endpoint: router.EndpointChat, Body: sc.body("auto", w.words), Model: "auto", Stream: sc.stream, Array: sc.array})
	if err != nil {
		s.t.Errorf("%s: %v", sc.name(), err)
		return w
	}
	if w.failure = d.Do(context.Background(), router.Task{ID: w.id, By: ledger.By{Actor: "test", Cause: w.id}, Org: w.org, Request: q, Inbound: in}, w.answer); w.failure != nil {
		w.refused = in.Failure(*w.failure)
	}
	return w
}

// readLog gives each show what the log and the upstreams' own record have of it.
func (s *stage) readLog(shows []*show) {
	of := map[string]*show{}
	for _, w := range shows {
		of[w.id] = w
		w.price = func(model string) (p *ledger.Price) {
			s.store.View(func(st *ledger.State) { p = st.PriceOf(model, w.records[0].At) })
			return p
		}
	}
	for r := range s.log() {
		if w := of[r.Request()]; w != nil {
			w.records = append(w.records, *r)
		}
	}
	for _, c := range s.up.Calls() {
		id, _, _ := strings.Cut(c.Attempt, ".")
		if of[id] == nil {
			s.t.Errorf("a call upstream that belongs to no request: %+v", c)
			continue
		}
		of[id].calls = append(of[id].calls, c)
	}
}

// quiet tells whether nothing is left open, and nothing was ever overdrawn.
func (s *stage) quiet() {
	s.t.Helper()
	if n := s.holds(); n != 0 {
		s.t.Errorf("%d holds are open", n)
	}
	s.neverBelowZero()
}

// legs are those that the log has admitted, each with when that was durable.
func (w *show) legs() (legs []ledger.Leg, at []ledger.Instant) {
	for _, r := range w.records {
		switch e := r.Event.(type) {
		case *ledger.RequestAdmitted:
			legs, at = append(legs, e.Leg), append(at, r.At)
		case *ledger.RequestExtended:
			legs, at = append(legs, e.Leg), append(at, r.At)
		}
	}
	return legs, at
}

// review holds a show to what is expected of it.
func (w *show) review(t *testing.T) {
	want := w.expect()
	w.reviewCaller(t, want)
	if len(w.records) == 0 {
		t.Fatal("the log knows nothing of it")
	}
	attempts := w.records[len(w.records)-1].Attempted()
	w.reviewAttempts(t, want, attempts)
	if t.Failed() {
		t.Logf("the caller got %+v: %s", w.failure, w.text())
		t.Logf("attempts %+v", attempts)
		t.Logf("calls %+v", w.calls)
		return
	}
	w.reviewMoney(t, want, attempts)
}

// reviewCaller looks at what the caller got.
func (w *show) reviewCaller(t *testing.T, want expected) {
	whole := sandbox.Answer(w.words, answerTokens)
	h := w.hear(w.body.Bytes())
	if h.broken != "" {
		t.Errorf("no client can read %q", h.broken)
	}
	switch {
	case want.answered != "":
		if w.failure != nil || h.errors > 0 || !h.finished || h.text != whole {
			t.Errorf("not the whole answer: %+v", h)
		}
		if w.facts.Model != want.answered || w.facts.Attempts != len(want.outcomes) || w.facts.Kind != ledger.Platform {
			t.Errorf("the headers say %+v", w.facts)
		}
	case want.cut:
		if w.failure != nil || h.finished || h.errors != 1 || !h.last || !strings.Contains(h.said, "upstream_failed") {
			t.Errorf("a cut answer: %+v", h)
		}
		if h.text == "" || !strings.HasPrefix(whole, h.text) || h.text == whole && !w.near {
			t.Errorf("of the answer there is %q", h.text)
		}
	default:
		if w.failure == nil || w.failure.Status != want.status || w.failure.Code != want.code || w.body.Len() > 0 || w.started {
			t.Errorf("failure %+v, want %d %s", w.failure, want.status, want.code)
		}
		if h := (caller{dialect: w.dialect}).hear(w.refused); h.errors != 1 || !strings.Contains(h.said, want.code) {
			t.Errorf("the failure's body: %s", w.refused)
		}
	}
}

// reviewAttempts holds the trace to what is expected, and the upstreams' record to the trace.
func (w *show) reviewAttempts(t *testing.T, want expected, attempts []ledger.Attempt) {
	legs, at := w.legs()
	if len(attempts) != len(want.outcomes) || len(legs) != len(attempts) || len(w.calls) != len(attempts) {
		t.Errorf("%d attempts, %d legs, %d calls, want %d", len(attempts), len(legs), len(w.calls), len(want.outcomes))
		return
	}
	for i, a := range attempts {
		model, class := w.failing, w.class
		if a.Outcome == ledger.Answered {
			model, class = want.answered, ""
		}
		if a.Outcome != want.outcomes[i] || a.Model != model || a.Class != string(class) || a.N != i+1 || a.Kind != ledger.Platform {
			t.Errorf("attempt %d: %+v, want %s of %s (%s)", i+1, a, want.outcomes[i], model, class)
		}
		c := w.calls[i]
		if c.Attempt != fmt.Sprintf("%s.%d", w.id, a.N) || legs[i].N != a.N || legs[i].Model != model || at[i] > ledger.InstantOf(c.OpenedAt) {
			t.Errorf("call %d: %+v, admitted as %+v at %v", i+1, c, legs[i], at[i])
		}
	}
}

// reviewMoney holds the settlement to what the upstreams have served.
func (w *show) reviewMoney(t *testing.T, want expected, attempts []ledger.Attempt) {
	var absorbed ledger.Nano
	for i, a := range attempts {
		if a.Outcome != ledger.Failed {
			continue
		}
		said, final := w.reported(w.calls[i].Tokens)
		source := map[bool]ledger.UsageSource{true: ledger.UsageProvider, false: ledger.UsageEstimate}[final]
		switch {
		case said != (ledger.Usage{}):
		case w.slow: // we have ended what its provider may bill
			said.Input = (int64(len(w.scenario.body("auto", w.words))) + 3) / 4
		default:
			source = ""
		}
		if a.Usage != said || a.Source != source {
			t.Errorf("attempt %d was discarded with %+v by %q, want %+v by %q", i+1, a.Usage, a.Source, said, source)
		}
		p := w.price(a.Model)
		absorbed += ledger.Cost(p.Applied(said.InputTotal(), ""), said)
	}
	if want.answered == "" && !want.cut {
		v, ok := w.records[len(w.records)-1].Event.(*ledger.RequestVoided)
		if !ok || v.Absorbed != absorbed || v.Reason != string(w.class) {
			t.Errorf("voided %+v, want %d absorbed", v, absorbed)
		}
		return
	}
	s, ok := w.records[len(w.records)-1].Event.(*ledger.RequestSettled)
	if !ok {
		t.Fatalf("settled %+v", w.records[len(w.records)-1].Event)
	}
	served := w.calls[len(w.calls)-1].Tokens
	usage, final := usageOf(served), true
	if want.cut {
		if usage, final = w.reported(served); !final {
			usage = ledger.Usage{Input: max(usage.Input, 1), Output: int64(sandbox.CountTokens(w.hear(w.body.Bytes()).text))}
		}
	}
	if final != (s.Source == ledger.UsageProvider) || final && s.Usage != usage || s.Usage.Output != usage.Output || s.Usage.Input < usage.Input {
		t.Errorf("settled %+v by the %s, want %+v; served %+v", s.Usage, s.Source, usage, served)
	}
	if s.Absorbed != absorbed || s.Overage != 0 {
		t.Errorf("settled with %d absorbed and %d overage, want %d", s.Absorbed, s.Overage, absorbed)
	}
	if w.route == followed {
		if s.PlanTokens() != s.Usage.Total()*s.Weight || s.Charge != 0 {
			t.Errorf("plan tokens %d, charge %v for %+v", s.PlanTokens(), s.Charge, s.Usage)
		}
	} else if s.Charge != ledger.Cost(s.Charged, s.Usage) || s.Charge == 0 || s.PlanTokens() != 0 {
		t.Errorf("plan tokens %d, charge %v for %+v", s.PlanTokens(), s.Charge, s.Usage)
	}
}
