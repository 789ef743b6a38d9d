package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// way is one way to the upstream.
type way struct {
	name string
	url  string // of the chat completions
	key  string
	proc *process // nil for the direct way
}

// client is shared by all ways: its connections are the load's own.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2048, MaxConnsPerHost: 0, DisableCompression: true}}

// message is a short conversation, as an application sends it.
const message = `{"model":"%s","max_completion_tokens":64,"stream":%t,"messages":[{"role":"system","content":"You answer in a sentence."},` +
	`{"role":"user","content":"Which port does the ship call at next, and who pays for the freight? %s"}]}`

func (w way) request(ctx context.Context, model string, stream bool, directive string) (*http.Request, error) {
	body := fmt.Sprintf(message, model, stream, directive)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+w.key)
	return r, nil
}

// call makes one unary call and reads its answer.
func (w way) call(ctx context.Context) (time.Duration, error) {
	r, err := w.request(ctx, "gpt-6-luna", false, "")
	if err != nil {
		return 0, err
	}
	began := time.Now()
	resp, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	took := time.Since(began)
	if resp.StatusCode != http.StatusOK || !bytes.Contains(b, []byte(`"finish_reason"`)) {
		return 0, fmt.Errorf("%s: status %d: %.200s", w.name, resp.StatusCode, b)
	}
	return took, nil
}

// atRate sends calls at a fixed rate, whatever the answers take, and gives their latencies.
func (w way) atRate(ctx context.Context, rate int, during time.Duration) ([]time.Duration, error) {
	n := int(float64(rate) * during.Seconds())
	took, errs := make([]time.Duration, n), make([]error, n)
	var wg sync.WaitGroup
	began := time.Now()
	for i := range n {
		time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		wg.Go(func() { took[i], errs[i] = w.call(ctx) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return took, nil
}

// atMost sends calls on so many connections, each as soon as the last is answered, and gives the rate and the
// processor time of a thousand calls.
func (w way) atMost(ctx context.Context, connections int, during time.Duration) (rate float64, cpu time.Duration, err error) {
	var before time.Duration
	if w.proc != nil {
		if before, err = w.proc.cpu(); err != nil {
			return 0, 0, err
		}
	}
	var calls atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	began := time.Now()
	for range connections {
		wg.Go(func() {
			for time.Since(began) < during && failed.Load() == nil {
				if _, err := w.call(ctx); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				calls.Add(1)
			}
		})
	}
	wg.Wait()
	if e := failed.Load(); e != nil {
		return 0, 0, *e
	}
	rate = float64(calls.Load()) / time.Since(began).Seconds()
	if w.proc != nil {
		after, err := w.proc.cpu()
		if err != nil {
			return 0, 0, err
		}
		cpu = (after - before) * 1000 / time.Duration(calls.Load())
	}
	return rate, cpu, nil
}

// streams opens so many streamed answers at once, each a second long, and gives the times to their first content, and
// the memory of the way's process while all are open.
func (w way) streams(ctx context.Context, n int) (first []time.Duration, memory int64, err error) {
	first, errs := make([]time.Duration, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		time.Sleep(2 * time.Millisecond) // arrivals are spread, as people's are
		wg.Go(func() { first[i], errs[i] = w.stream(ctx) })
	}
	if w.proc != nil {
		if memory, err = w.proc.memory(); err != nil {
			return nil, 0, err
		}
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, 0, err
		}
	}
	return first, memory, nil
}

func (w way) stream(ctx context.Context) (first time.Duration, err error) {
	r, err := w.request(ctx, "gpt-6-luna", true, "[[sandbox output=40 uncapped chunks=20 delay=150ms]]")
	if err != nil {
		return 0, err
	}
	began := time.Now()
	resp, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	done := false
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if first == 0 && strings.Contains(lines.Text(), `"content":"`) && !strings.Contains(lines.Text(), `"content":""`) {
			first = time.Since(began)
		}
		done = done || lines.Text() == "data: [DONE]"
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	if !done || first == 0 || resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: a stream with status %d ended early", w.name, resp.StatusCode)
	}
	return first, nil
}
