package router_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/dialects"
)

// counting is a caller who keeps nothing of what it gets.
type counting struct{ n int }

func (*counting) Start(router.Facts)    {}
func (c *counting) Send(b []byte) error { c.n += len(b); return nil }

// heap is what is in memory and still of use, in bytes.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A word that is kept of a frame does not keep the frame: an org's own upstream could have one call take all of the node's memory, by
// frames of megabytes of which each has one id.
func TestFramesAreNotRetained(t *testing.T) {
	const frames = 24
	pad := strings.Repeat("x", 1<<20)
	chat, messages, gemini := ledger.DialectOpenAIChat, ledger.DialectAnthropicMessages, ledger.DialectGemini
	for _, tt := range []struct {
		name, provider, model string
		head, frame           string
		callers               []ledger.Dialect
	}{
		{"openai", "openai", "openai/gpt-4o-mini", "",
			`data: {"id":"c","pad":"%[2]s","choices":[{"index":0,"delta":{"tool_calls":[{"index":%[1]d,"id":"call_%[1]d","function":{"name":"f%[1]d","arguments":"{}"}}]}}]}` + "\n\n", []ledger.Dialect{chat, messages, gemini}},
		{"anthropic", "anthropic", "anthropic/claude-haiku-5-5", "event: message_start\n" +
			`data: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"x","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}` + "\n\n",
			"event: content_block_start\n" + `data: {"type":"content_block_start","pad":"%[2]s","index":%[1]d,"content_block":{"type":"tool_use","id":"toolu_%[1]d","name":"f","input":{"a":%[1]d}}}` + "\n\n", []ledger.Dialect{messages, chat, gemini}},
		{"google", "google", "google/gemini-2.5-pro", "",
			`data: {"responseId":"r","pad":"%[2]s","candidates":[{"index":0,"content":{"role":"model","parts":[{"functionCall":{"id":"fc%[1]d","name":"f","args":{}},"thoughtSignature":"c2ln%04[1]d"}]}}]}` + "\n\n", []ledger.Dialect{gemini, chat, messages}},
	} {
		for _, dialect := range tt.callers {
			t.Run(tt.name+" to "+string(dialect), func(t *testing.T) {
				n := newNode(t)
				n.open("acme", "teams")
				sent, measured, once := make(chan bool), make(chan bool), sync.Once{}
				n.upstream(tt.provider, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "text/event-stream")
					fmt.Fprint(w, tt.head)
					for i := range frames {
						fmt.Fprintf(w, tt.frame, i, pad)
					}
					// What is in the buffers of the way is small.
					fmt.Fprint(w, strings.Repeat(": "+strings.Repeat("x", 1000)+"\n\n", 4<<10))
					once.Do(func() { close(sent) }) // it may be called again
					<-measured
				})
				in := dialects.Inbounds[dialect]
				q, err := in.Decode(router.Incoming{Endpoint: router.EndpointChat, Body: caller{dialect: dialect, stream: true}.body(tt.model, "hi"), Model: tt.model, Stream: true})
				if err != nil {
					t.Fatal(err)
				}
				before, over, sink := heap(), make(chan bool), &counting{}
				go func() {
					defer close(over)
					n.d.Do(t.Context(), router.Task{ID: "req_1", By: ledger.By{Actor: "test", Cause: "req_1"}, Org: "acme", Request: q, Inbound: in}, sink)
				}()
				<-sent
				if kept := int64(heap()) - int64(before); kept > frames<<20/2 {
					t.Errorf("%d MiB are kept of %d frames of 1 MiB", kept>>20, frames)
				}
				close(measured)
				<-over
				if own := dialect == tt.callers[0]; own && sink.n < frames<<20 {
					t.Errorf("the caller has got %d bytes", sink.n)
				}
			})
		}
	}
}
