package http_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wbhttp "waybill/http"
	"waybill/ledger"
	"waybill/router"
	"waybill/router/sandbox"
)

// storm is a node whose callers come 32 at a time, and a clock that goes only when it is told to: so that the pauses of a breaker
// pass without anybody waiting.
type storm struct {
	*node
	health *router.Health
	org    string
	key    string
	client *http.Client
	now    atomic.Int64
	asked  atomic.Int64
}

const atOnce = 32

func newStorm(t *testing.T, policy string) *storm {
	s := &storm{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}}}
	s.now.Store(time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC).UnixNano())
	t.Cleanup(s.client.CloseIdleConnections)
	s.node = newNode(t, func(o *wbhttp.Options) {
		o.Dispatcher.Now = func() time.Time { return time.Unix(0, s.now.Load()) }
		s.health = o.Dispatcher.Health
	})
	s.org, s.key = s.open("storm", "teams")
	if _, err := s.store.Execute(t.Context(), ledger.SetPolicy{Org: s.org, Document: []byte(policy)}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *storm) pass(d time.Duration) { s.now.Add(int64(d)) }

// tally is what callers got.
type tally struct {
	mu       sync.Mutex
	whole    int
	cut      int // a part, and one error in their dialect
	errors   []string
	answered map[string]int // by model, of those that are whole
}

func (t *tally) String() string {
	return fmt.Sprintf("%d whole %v, %d cut, %d errors", t.whole, t.answered, t.cut, len(t.errors))
}

// manners are how callers of the dialects ask, what ends their streams, and what an error in one begins with.
var manners = []struct{ path, streamPath, body, end, fault string }{
	{"/v1/chat/completions", "", `{"model":"auto","stream":%v,"max_completion_tokens":100,"messages":[{"role":"user","content":%q}]}`, "data: [DONE]", `data: {"error":`},
	{"/v1/responses", "", `{"model":"auto","stream":%v,"max_output_tokens":100,"store":false,"input":[{"role":"user","content":%q}]}`, "event: response.completed", "event: error"},
	{"/v1/messages", "", `{"model":"auto","stream":%v,"max_tokens":100,"messages":[{"role":"user","content":%q}]}`, "event: message_stop", "event: error"},
	{"/v1beta/models/auto:generateContent", "/v1beta/models/auto:streamGenerateContent?alt=sse",
		`{"contents":[{"role":"user","parts":[{"text":%[2]q}]}],"generationConfig":{"maxOutputTokens":100}}`, `"finishReason":"STOP"`, `data: {"error":`},
}

// ask makes a call, streamed or not, in one dialect after the other.
func (s *storm) ask(t *tally, onlyStreams bool) {
	i := int(s.asked.Add(1))
	m, stream := manners[i%len(manners)], onlyStreams || i/len(manners)%2 == 0
	path := m.path
	if stream && m.streamPath != "" {
		path = m.streamPath
	}
	body := fmt.Sprintf(m.body, stream, fmt.Sprintf("call %d", i))
	if m.streamPath != "" {
		body = fmt.Sprintf(m.body, nil, fmt.Sprintf("call %d", i))
	}
	req, err := http.NewRequest("POST", s.url+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	resp, err := s.client.Do(req)
	if err != nil {
		t.add(func() { t.errors = append(t.errors, err.Error()) })
		return
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	got, ended, faults := string(b), strings.Contains(string(b), m.end), strings.Count(string(b), m.fault)
	if !stream {
		ended = strings.Contains(got, `"STOP"`) || strings.Contains(got, `"end_turn"`) || strings.Contains(got, `"stop"`) || strings.Contains(got, `"completed"`)
	}
	t.add(func() {
		switch {
		case err == nil && resp.StatusCode == 200 && ended && faults == 0:
			t.whole++
			t.answered[resp.Header.Get("Waybill-Model")]++
		case err == nil && resp.StatusCode == 200 && stream && !ended && faults == 1:
			t.cut++
		default:
			t.errors = append(t.errors, fmt.Sprintf("%s: %d %v %s", path, resp.StatusCode, err, got))
		}
	})
}

func (t *tally) add(what func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	what()
}

// calls makes n calls, 32 at a time, while time passes between them.
func (s *storm) calls(t *tally, n int, between time.Duration, onlyStreams bool) {
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(n))
	for range atOnce {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				s.pass(between)
				s.ask(t, onlyStreams)
			}
		})
	}
	wg.Wait()
}

// upstream is how many calls a provider has got since a place in the upstreams' record, and how many all have.
func (s *storm) upstream(provider string, after int) (of, all int) {
	calls := s.up.Calls()[after:]
	for _, c := range calls {
		if c.Provider == provider {
			of++
		}
	}
	return of, len(calls)
}

// multiple is the most calls upstream that may come of so many callers' on three legs.
func multiple(callers int) int { return 3*callers + callers/10 + 10 }

const inTurn = `{"routes":[{"try":[{"model":"openai/gpt-6-luna"},{"model":"anthropic/claude-haiku-5-5"},{"model":"google/gemini-2.5-flash-lite"}]}]}`

// legOf is a model's leg on the platform's credential.
func (s *storm) legOf(provider, model string) (leg ledger.Choice) {
	s.store.View(func(st *ledger.State) {
		for _, c := range st.Wallet(ledger.Platform) {
			if c.Provider == provider {
				leg = ledger.Choice{Model: model, Credential: c.ID, Kind: ledger.Platform}
			}
		}
	})
	return leg
}

// One of three upstreams fails all of its calls before content: no caller sees an error, its breaker opens after three of them
// and lets one probe through each half minute.
func TestOutage(t *testing.T) {
	callers, steps := 2000, 10
	if testing.Short() {
		callers = 400
	}
	s := newStorm(t, inTurn)
	leg := s.legOf("openai", luna)
	s.up.Script("openai", "gpt-6-luna", sandbox.Script{Fail: sandbox.Overloaded, FailAt: sandbox.AtFirst})
	got := &tally{answered: map[string]int{}}
	s.calls(got, callers/2, 0, false)
	opening, _ := s.upstream("openai", 0)
	if opening < 3 || opening > 2+atOnce {
		t.Errorf("%d calls to what fails before its breaker was open, want 3, and those under way at the time", opening)
	}
	for range steps {
		if !s.health.Open(leg, time.Unix(0, s.now.Load())) {
			t.Error("its breaker is not open")
		}
		s.pass(30 * time.Second)
		s.calls(got, callers/2/steps, 0, false)
	}
	failed, all := s.upstream("openai", 0)
	t.Logf("%d callers, %d at a time: %v; %d calls upstream of at most %d, of them %d to what fails: %d until its breaker opened, then %d probes in %d half minutes",
		callers, atOnce, got, all, multiple(callers), failed, opening, failed-opening, steps)
	if len(got.errors) > 0 || got.whole != callers {
		t.Errorf("%v: %.3v", got, got.errors)
	}
	if failed != opening+steps {
		t.Errorf("%d probes in %d half minutes", failed-opening, steps)
	}
	if all != callers+failed || all > multiple(callers) || s.holds() != 0 {
		t.Errorf("%d calls upstream, %d holds", all, s.holds())
	}
}

// It comes and goes: fifty calls fail, fifty do not. Its breaker opens and closes with it, and no caller sees an error.
func TestFlapping(t *testing.T) {
	stretches := 40
	if testing.Short() {
		stretches = 8
	}
	const stretch = 50
	s := newStorm(t, inTurn)
	leg := s.legOf("openai", luna)
	got := &tally{answered: map[string]int{}}
	failed, served := 0, 0
	for i := range stretches {
		failing, before := i%2 == 0, len(s.up.Calls())
		recover := func() {}
		if failing {
			recover = s.up.Script("openai", "gpt-6-luna", sandbox.Script{Fail: sandbox.ServerError})
		}
		s.calls(got, stretch, time.Second, false)
		recover()
		calls, _ := s.upstream("openai", before)
		switch state := s.health.State(leg, time.Unix(0, s.now.Load())); {
		case failing && (!state.Failing || calls < 1 || calls > 3+atOnce):
			t.Errorf("stretch %d: after %d failed calls the breaker is %+v", i, calls, state)
		case !failing && (state.Failing || calls == 0):
			t.Errorf("stretch %d: after %d good calls the breaker is %+v", i, calls, state)
		}
		if failing {
			failed += calls
		} else {
			served += calls
		}
	}
	callers := stretches * stretch
	_, all := s.upstream("", 0)
	t.Logf("%d callers, %d at a time, a second between two: %v; %d calls upstream of at most %d, of them %d failed; the breaker opened and closed %d times, and %d calls were answered by what comes and goes",
		callers, atOnce, got, all, multiple(callers), failed, stretches/2, served)
	if len(got.errors) > 0 || got.whole != callers {
		t.Errorf("%v: %.3v", got, got.errors)
	}
	if all != callers+failed || all > multiple(callers) || s.holds() != 0 {
		t.Errorf("%d calls upstream, %d holds", all, s.holds())
	}
}

// One of three upstreams breaks off all of its answers after content: each of those has exactly one error, in the caller's
// dialect, and no end; nobody else takes notice.
func TestBreakingOff(t *testing.T) {
	callers := 2000
	if testing.Short() {
		callers = 200
	}
	s := newStorm(t, inTurn)
	for i, script := range []sandbox.Script{
		{Output: 40, Chunks: 4, Fail: sandbox.ServerError, FailAt: sandbox.After(1)}, {Output: 40, Chunks: 4, Cut: sandbox.After(2)}, {Output: 40, Chunks: 4, Truncate: sandbox.AtEnd},
	} {
		script.Times = 20
		if i == 2 {
			script.Times = 0
		}
		s.up.Script("openai", "gpt-6-luna", script)
	}
	got := &tally{answered: map[string]int{}}
	s.calls(got, callers, 10*time.Second, true)
	broken, all := s.upstream("openai", 0)
	t.Logf("%d callers, %d at a time, ten seconds between two: %v; %d calls upstream, of them %d broken off", callers, atOnce, got, all, broken)
	if len(got.errors) > 0 || got.cut != broken || got.whole != callers-broken || broken < 3+callers/100 {
		t.Errorf("%v of %d broken off: %.3v", got, broken, got.errors)
	}
	if all != callers || s.holds() != 0 {
		t.Errorf("%d calls upstream, %d holds", all, s.holds())
	}
}

// On the auto lane too no caller sees the outage of the first choice.
func TestOutageOfTheFirstChoice(t *testing.T) {
	callers := 1000
	if testing.Short() {
		callers = 200
	}
	s := newStorm(t, `{"routes":[{"auto":{"goal":"cost","pool":["openai/gpt-6-luna","anthropic/claude-haiku-5-5","google/gemini-2.5-flash-lite"]}}]}`)
	s.up.Script("google", "", sandbox.Script{Fail: sandbox.RateLimited})
	got := &tally{answered: map[string]int{}}
	s.calls(got, callers, time.Second, false)
	failed, all := s.upstream("google", 0)
	t.Logf("%d callers, %d at a time, a second between two: %v; %d calls upstream, of them %d to what fails", callers, atOnce, got, all, failed)
	if len(got.errors) > 0 || got.whole != callers || failed < 3 || failed > 3+atOnce+callers/10 || all != callers+failed {
		t.Errorf("%v: %.3v", got, got.errors)
	}
}
