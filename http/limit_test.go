package http_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// clockwork is a clock that a test moves.
type clockwork struct {
	mu sync.Mutex
	at time.Time
}

func (c *clockwork) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clockwork) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func noon() *clockwork { return &clockwork{at: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)} }

// limited opens an org with a key that has limits, and gives the person who calls with it.
func (n *node) limited(plan, limits string) person {
	n.t.Helper()
	n.open("acme", plan)
	return n.as(n.as(operatorToken).call("POST", "/api/v1/orgs/acme/keys", `{"name":"app",`+limits+`}`).want(201).text("key"))
}

// So many requests a minute, and not more: the refusal says for how long, and the headers how many are left.
func TestRequestsPerMinute(t *testing.T) {
	clock := noon()
	n := newNodeAt(t, clock.now, nil)
	p := n.limited("teams", `"requests_per_minute":3`)
	for i := range 3 {
		a := p.chat(luna, "hi", "").want(200)
		for name, want := range map[string]string{"X-Ratelimit-Limit-Requests": "3", "X-Ratelimit-Remaining-Requests": fmt.Sprint(2 - i),
			"X-Ratelimit-Reset-Requests": fmt.Sprintf("%ds", 20*(i+1)), "X-Ratelimit-Limit-Tokens": ""} {
			if got := a.header.Get(name); got != strings.Replace(want, "60s", "1m0s", 1) {
				t.Errorf("call %d: %s is %q, want %q", i, name, got, want)
			}
		}
	}
	calls := len(n.up.Calls())
	a := p.chat(luna, "hi", "").want(429)
	if a.text("error.code") != "rate_limited" || a.header.Get("Retry-After") != "20" || !strings.Contains(a.text("error.message"), "the key may use 3 requests a minute") {
		t.Errorf("%v: %s", a.header, a.body)
	}
	if len(n.up.Calls()) != calls || n.holds() != 0 {
		t.Error("a refused call went further than the door")
	}
	a = p.with("anthropic-version", "2023-06-01").call("POST", "/v1/messages", `{"model":"`+luna+`","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`).want(429)
	if a.text("error.type") != "rate_limit_error" || a.header.Get("Anthropic-Ratelimit-Requests-Remaining") != "0" || a.header.Get("Anthropic-Ratelimit-Requests-Reset") != "2026-11-25T12:01:00Z" {
		t.Errorf("%v: %s", a.header, a.body)
	}
	a = p.call("POST", "/v1beta/models/"+luna+":generateContent", `{"contents":[{"parts":[{"text":"hi"}]}]}`).want(429)
	if a.text("error.status") != "RESOURCE_EXHAUSTED" {
		t.Errorf("%s", a.body)
	}
	clock.move(20 * time.Second)
	p.chat(luna, "hi", "").want(200)
	p.chat(luna, "hi", "").want(429)
	clock.move(time.Hour)
	for range 3 {
		p.chat(luna, "hi", "").want(200)
	}
	p.chat(luna, "hi", "").want(429)
	n.as(operatorToken).call("PATCH", "/api/v1/orgs/acme/keys/"+n.keyNamed("app"), `{"requests_per_minute":0}`).want(200)
	if a := p.chat(luna, "hi", "").want(200); a.header.Get("X-Ratelimit-Limit-Requests") != "" {
		t.Errorf("%v", a.header)
	}
}

func (n *node) keyNamed(name string) (id string) {
	for i := 0; ; i++ {
		a := n.as(operatorToken).call("GET", "/api/v1/orgs/acme/keys", "")
		if a.get(fmt.Sprintf("keys.%d", i)) == nil {
			n.t.Fatalf("no key %s", name)
		}
		if a.text(fmt.Sprintf("keys.%d.name", i)) == name {
			return a.text(fmt.Sprintf("keys.%d.id", i))
		}
	}
}

// What a call is likely to use is reserved, and put right by what it used: less goes back at once, more is a debt.
func TestTokensPerMinute(t *testing.T) {
	clock := noon()
	n := newNodeAt(t, clock.now, nil)
	p := n.limited("teams", `"tokens_per_minute":6000`)
	remains := func(a answer, want string) {
		t.Helper()
		if got := a.want(200).header.Get("X-Ratelimit-Remaining-Tokens"); got != want || a.header.Get("X-Ratelimit-Limit-Tokens") != "6000" {
			t.Errorf("%s tokens remain, want %s", got, want)
		}
	}
	// Of 5,000 that the caller allows 200 are used.
	remains(p.chat(luna, "[[sandbox input=100 output=100]]", `,"max_completion_tokens":5000`), "5800")
	// One that says nothing of its output may take more than was expected, and more than there is.
	remains(p.chat(luna, "[[sandbox input=1000 output=6000]]", ""), "0") // 5,800 - 7,000
	a := p.chat(luna, "hi", "").want(429)
	if a.header.Get("Retry-After") != "13" || !strings.Contains(a.text("error.message"), "6000 tokens a minute") { // the debt, and the few of this call
		t.Errorf("%v: %s", a.header, a.body)
	}
	clock.move(30 * time.Second) // 3,000 come in
	remains(p.chat(luna, "[[sandbox input=100 output=100]]", ""), "1600")
	// A call that fails has used nothing.
	p.chat(luna, "[[sandbox fail=bad_request]]", `,"max_completion_tokens":1000`).want(400)
	remains(p.chat(luna, "[[sandbox input=50 output=50]]", ""), "1500")
	// More than a minute's is for one who has waited for all of it.
	p.chat(luna, "hi", `,"max_completion_tokens":9000`).want(429)
	clock.move(45 * time.Second)
	remains(p.chat(luna, "[[sandbox input=100 output=100]]", `,"max_completion_tokens":9000`), "5800")
}

// The headers tell what the key may use, on whatever credential it is answered, and then nothing of the provider's limits; a key
// without limits sees the provider's, on its org's own credential alone.
func TestWhoseLimitsAreTold(t *testing.T) {
	n := newNodeAt(t, noon().now, nil)
	op := n.as(operatorToken)
	p := n.limited("teams", `"requests_per_minute":50`)
	free := n.as(op.call("POST", "/api/v1/orgs/acme/keys", `{"name":"free"}`).want(201).text("key"))
	for _, provider := range []string{"openai", "anthropic"} {
		op.call("POST", "/api/v1/orgs/acme/credentials", `{"provider":"`+provider+`","secret":"sk-own"}`).want(201)
	}
	_, stranger := n.open("other", "teams")
	told := func(a answer) (all []string) {
		for name, values := range a.want(200).header {
			if strings.Contains(name, "Ratelimit") && strings.Contains(name, "Limit") && !strings.Contains(name, "Remaining") && !strings.Contains(name, "Reset") {
				all = append(all, name+" "+values[0])
			}
		}
		slices.Sort(all)
		return all
	}
	for _, c := range []struct{ path, body, ours, theirs string }{
		{"/v1/chat/completions", `{"model":"` + luna + `","messages":[{"role":"user","content":"hi"}]%s}`, "[X-Ratelimit-Limit-Requests 50]", "[X-Ratelimit-Limit-Requests 10000 X-Ratelimit-Limit-Tokens 30000000]"},
		{"/v1/messages", `{"model":"anthropic/claude-haiku-5-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}]%s}`, "[Anthropic-Ratelimit-Requests-Limit 50]",
			"[Anthropic-Ratelimit-Requests-Limit 4000 Anthropic-Ratelimit-Tokens-Limit 480000]"},
	} {
		for _, stream := range []string{"", `,"stream":true`} {
			body := fmt.Sprintf(c.body, stream)
			a := p.call("POST", c.path, body)
			if got := fmt.Sprint(told(a)); got != c.ours || a.header.Get("Waybill-Credential") != "byok" {
				t.Errorf("%s%s: a limited key is told %s", c.path, stream, got)
			}
			if got := fmt.Sprint(told(free.call("POST", c.path, body))); got != c.theirs {
				t.Errorf("%s%s: a key without limits is told %s", c.path, stream, got)
			}
			if got := told(n.as(stranger).call("POST", c.path, body)); got != nil {
				t.Errorf("%s%s: on the platform's credential a key without limits is told %s", c.path, stream, got)
			}
		}
	}
}

// The tokens of parallel calls are reserved before they are used.
func TestTokensAreReserved(t *testing.T) {
	clock := noon()
	n := newNodeAt(t, clock.now, nil)
	p := n.limited("teams", `"tokens_per_minute":6000`)
	done := make(chan answer)
	go func() { done <- p.chat(luna, "[[sandbox hang=headers]]", `,"max_completion_tokens":5500`) }()
	until(t, "the first call holds", func() bool { return n.holds() == 1 && len(n.up.Calls()) == 1 })
	p.chat(luna, "hi", `,"max_completion_tokens":1000`).want(429)
	until(t, "the first call is let go", func() bool { return n.up.Release("") > 0 })
	(<-done).want(200)
	p.chat(luna, "hi", `,"max_completion_tokens":1000`).want(200)
}

// A plan's limits are its org's: all keys share them, and a key's own may be tighter.
func TestLimitsOfAPlan(t *testing.T) {
	clock := noon()
	n := newNodeAt(t, clock.now, nil)
	op := n.as(operatorToken)
	op.call("POST", "/api/v1/plans", `{"id":"small","tokens":1000000,"lanes":["auto","manual"],"requests_per_minute":4}`).want(201)
	p := n.limited("small", `"requests_per_minute":2`)
	other := n.as(op.call("POST", "/api/v1/orgs/acme/keys", `{"name":"other"}`).want(201).text("key"))
	p.chat(luna, "hi", "").want(200)
	p.chat(luna, "hi", "").want(200)
	if a := p.chat(luna, "hi", "").want(429); !strings.Contains(a.text("error.message"), "the key may use 2") {
		t.Errorf("%s", a.body)
	}
	if a := other.chat(luna, "hi", "").want(200); a.header.Get("X-Ratelimit-Remaining-Requests") != "1" || a.header.Get("X-Ratelimit-Limit-Requests") != "4" {
		t.Errorf("%v", a.header)
	}
	other.chat(luna, "hi", "").want(200)
	if a := other.chat(luna, "hi", "").want(429); !strings.Contains(a.text("error.message"), "the org may use 4") {
		t.Errorf("%s", a.body)
	}
	_, stranger := n.open("other", "small")
	n.as(stranger).chat(luna, "hi", "").want(200)
}
