package campaign

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Models are what callers ask for, of each provider the same number.
var Models = []string{"openai/gpt-6-luna", "anthropic/claude-haiku-5-5", "google/gemini-2.5-flash-lite", "openai/gpt-6-sol", "anthropic/claude-sonnet-5-5", "google/gemini-2.5-flash"}

// Load is the callers of a node, and what they hold.
type Load struct {
	Node *Node
	Keys []Key
	Buys string // the org that buys credit

	// BuyEvery is the pause between two purchases; 0: 15 ms. Each makes a lot, of which an org has few.
	BuyEvery time.Duration

	mu          sync.Mutex
	whole       map[string]shown // by request: answers that look finished to who holds them
	bought      []purchase       // acknowledged
	unsure      []purchase       // not answered: each is asked for again, under the same key
	asked       int              // for purchases
	again       int              // of them, that were asked for once more
	statuses    map[int]int
	differences []string // answers that no caller may get
}

// purchase is credit that was bought.
type purchase struct {
	reference string // of the payment, and its idempotency key
	lot       string
}

// Manner is what a call is to be like.
type Manner struct {
	Directive string        // for the sandbox
	Within    time.Duration // the caller leaves then; 0: it stays
	Slow      time.Duration // between reads of the answer; 0: it reads what there is
}

// Start has callers call until stop is called, each as soon as its last answer is there, and one buy. draw says what each call is like.
func (l *Load) Start(callers int, random *rand.Rand, draw func(r *rand.Rand) Manner) (stop func()) {
	end := make(chan struct{})
	ended := func() bool {
		select {
		case <-end:
			return true
		default:
			return false
		}
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	var all sync.WaitGroup
	for w := range callers {
		r := rand.New(rand.NewPCG(random.Uint64(), uint64(w)))
		all.Go(func() {
			for !ended() {
				if !l.call(client, r, l.Keys[w%len(l.Keys)], draw(r)) {
					<-time.After(time.Millisecond) // the node is gone; this ends soon
				}
			}
		})
	}
	if l.Buys != "" {
		pause := cmp.Or(l.BuyEvery, 15*time.Millisecond)
		all.Go(func() {
			for !ended() {
				l.buy()
				select {
				case <-end:
				case <-time.After(pause):
				}
			}
		})
	}
	return func() {
		close(end)
		all.Wait()
		client.CloseIdleConnections()
	}
}

// call makes one call, and tells whether there was somebody to call.
func (l *Load) call(client *http.Client, r *rand.Rand, key Key, m Manner) bool {
	d, stream := dialects[r.IntN(len(dialects))], r.IntN(2) == 0
	path, body := d.ask(Models[r.IntN(len(Models))], stream, fmt.Sprintf("Call %d. [[sandbox %s]]", r.IntN(1000), m.Directive))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if m.Within > 0 {
		leave := time.AfterFunc(m.Within, cancel)
		defer leave.Stop()
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, l.Node.URL+path, strings.NewReader(body))
	if err != nil {
		l.differ("%v", err)
		return false
	}
	q.Header.Set("Authorization", "Bearer "+key.Secret)
	q.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(q)
	if err != nil {
		return ctx.Err() != nil
	}
	defer resp.Body.Close()
	l.count(resp.StatusCode)
	from := io.Reader(resp.Body)
	if m.Slow > 0 {
		from = &slowly{from, m.Slow}
	}
	b, err := io.ReadAll(from)
	if resp.StatusCode != http.StatusOK {
		if err == nil && !expected(resp.StatusCode, b) {
			l.differ("%s is answered with status %d: %s", d.name, resp.StatusCode, b)
		}
		return true
	}
	if a := d.read(b, stream); a.whole && (stream || err == nil) {
		l.mu.Lock()
		if l.whole == nil {
			l.whole = map[string]shown{}
		}
		l.whole[resp.Header.Get("Waybill-Request")] = a
		l.mu.Unlock()
	}
	return true
}

// expected tells whether a caller may get an error: the upstreams fail at times, and a node that ends says so.
func expected(status int, body []byte) bool {
	switch status {
	case http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return true
	case http.StatusServiceUnavailable:
		return bytes.Contains(body, []byte("not_ready")) || bytes.Contains(body, []byte("upstream_failed"))
	}
	return bytes.Contains(body, []byte("upstream_failed"))
}

// slowly reads little at a time, with pauses.
type slowly struct {
	from  io.Reader
	pause time.Duration
}

func (s *slowly) Read(b []byte) (int, error) {
	<-time.After(s.pause)
	return s.from.Read(b[:min(len(b), 64)])
}

// buy makes a purchase, or asks again for one that was not answered.
func (l *Load) buy() {
	l.mu.Lock()
	var p purchase
	if n := len(l.unsure); n > 0 {
		p, l.unsure = l.unsure[n-1], l.unsure[:n-1]
		l.again++
	} else {
		l.asked++
		p.reference = fmt.Sprintf("payment-%d", l.asked)
	}
	l.mu.Unlock()
	status, lot, err := l.purchase(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil || status >= 500:
		l.unsure = append(l.unsure, p)
	case status >= 300:
		l.differences = append(l.differences, fmt.Sprintf("the purchase %s is answered with status %d: %s", p.reference, status, lot))
	default:
		p.lot = lot
		l.bought = append(l.bought, p)
	}
}

func (l *Load) purchase(p purchase) (status int, lot string, err error) {
	body := fmt.Sprintf(`{"kind":"purchase","amount_usd":"1.00","reference":%q}`, p.reference)
	status, answer, err := l.Node.operator(context.Background(), "POST", "/orgs/"+l.Buys+"/credits", body, p.reference)
	if err != nil || status >= 300 {
		return status, string(answer), err
	}
	var is struct{ ID string }
	if err := json.Unmarshal(answer, &is); err != nil || is.ID == "" {
		return status, "", fmt.Errorf("a purchase is answered with %s: %w", answer, err)
	}
	return status, is.ID, nil
}

func (l *Load) count(status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.statuses == nil {
		l.statuses = map[int]int{}
	}
	l.statuses[status]++
}

func (l *Load) differ(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.differences = append(l.differences, fmt.Sprintf(format, args...))
}
