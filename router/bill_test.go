package router_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

// witness is a caller who looks into the log whenever something comes.
type witness struct {
	n         *node
	id        string
	unary     bool
	unsettled [][]byte // what came that shows an end, before the log had the bill
	ends      int
}

func (w *witness) Start(router.Facts) {}
func (w *witness) Send(b []byte) error {
	if !w.unary && !bytes.Contains(b, []byte(`"finish_reason":"`)) && !bytes.Contains(b, []byte("[DONE]")) {
		return nil
	}
	w.ends++
	if w.n.settled(w.id) == nil {
		w.unsettled = append(w.unsettled, bytes.Clone(b))
	}
	return nil
}

// Nothing that shows the end of an answer reaches its caller before the log has the bill: neither where one frame carries
// all of it, nor where other answers go on behind the first end, nor where usage comes last.
func TestEndWaitsForBill(t *testing.T) {
	n := newNode(t)
	n.open("org_a", "teams")
	for _, model := range models {
		for _, more := range []string{"", `,"stream":true`, `,"stream":true,"stream_options":{"include_usage":true}`, `,"stream":true,"n":3`} {
			if strings.Contains(more, `"n"`) && model == models[1] {
				continue // which gives one answer only
			}
			for _, words := range []string{"[[sandbox output=4 chunks=1]]", "[[sandbox output=60 chunks=7]]"} {
				w := &witness{n: n, id: fmt.Sprintf("req_%06d", n.seq.Add(1)), unary: more == ""}
				q := decode(t, `{"model":"`+model+`","messages":[{"role":"user","content":"hello `+words+`"}]`+more+`}`)
				if f := n.d.Do(t.Context(), router.Task{ID: w.id, By: ledger.By{Actor: "test", Cause: w.id}, Org: "org_a", Request: q, Inbound: inbound}, w); f != nil {
					t.Fatalf("%s%s %s: %+v", model, more, words, f)
				}
				if w.ends == 0 || len(w.unsettled) > 0 {
					t.Errorf("%s%s %s: of %d ends, before the bill: %s", model, more, words, w.ends, w.unsettled)
				}
			}
		}
	}
}

// If the bill cannot be written, the caller gets an error and no end, whatever came before.
func TestNoBillNoEnd(t *testing.T) {
	for _, model := range models {
		for _, tt := range []struct {
			more  string
			begun bool
		}{{"", false}, {`,"stream":true`, true}} {
			n := newNode(t)
			n.open("org_a", "teams")
			done := make(chan *answer)
			go func() {
				done <- n.ask(context.Background(), "org_a", model, "hello [[sandbox output=60 chunks=6 hang=end]]", tt.more)
			}()
			until(t, func() bool { return len(n.up.Calls()) > 0 })
			n.store.Close()
			until(t, func() bool { return n.up.Release("") > 0 })
			a := <-done
			if a.whole() || a.started != tt.begun || strings.Contains(a.text(), `"finish_reason":"`) {
				t.Errorf("%s%s: no bill, and the caller has %s", model, tt.more, a.text())
			}
			if tt.begun != strings.Contains(a.text(), `"error"`) || !tt.begun && (a.failure == nil || a.failure.Status != http.StatusServiceUnavailable) {
				t.Errorf("%s%s: failure %+v, and %s", model, tt.more, a.failure, a.text())
			}
		}
	}
}
