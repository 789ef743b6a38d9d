package main_test

import (
	"encoding/json"
	"os/exec"
	"strings"

	"waybill/ledger"
	"waybill/router/sandbox"
	"waybill/store"
)

// usageShown is what an answer in OpenAI's dialect says was used.
type usageShown struct {
	Choices []struct {
		Finish *string `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		Prompt     int64 `json:"prompt_tokens"`
		Completion int64 `json:"completion_tokens"`
		Output     struct {
			Reasoning int64 `json:"reasoning_tokens"`
		} `json:"completion_tokens_details"`
	} `json:"usage"`
}

func (u usageShown) usage() ledger.Usage {
	return ledger.Usage{Input: u.Usage.Prompt, Output: u.Usage.Completion, Reasoning: u.Usage.Output.Reasoning}
}

func bodyUsage(b []byte) (ledger.Usage, bool) {
	var u usageShown
	if json.Unmarshal(b, &u) != nil || u.Usage == nil {
		return ledger.Usage{}, false
	}
	return u.usage(), true
}

// streamUsage reads a stream: one that shows a finish reason is held whole, since clients stop reading there.
func streamUsage(b []byte) (u ledger.Usage, whole bool) {
	for line := range strings.Lines(string(b)) {
		data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: {")
		if !ok {
			continue
		}
		var s usageShown
		if json.Unmarshal([]byte("{"+data), &s) != nil {
			continue
		}
		if len(s.Choices) > 0 && s.Choices[0].Finish != nil {
			whole = true
		}
		if s.Usage != nil {
			u = s.usage()
		}
	}
	return u, whole
}

// reconcile holds the log of the running node against the upstreams' record from a call on, and the whole log against
// the clients' answers.
func (c *campaign) reconcile(from int) (between bool) {
	t := c.t
	t.Helper()
	if out, err := exec.Command(c.binary, "verify", "--data", c.data).CombinedOutput(); err != nil {
		t.Fatalf("verify: %v: %s", err, out)
	}
	admitted, ends := c.log()
	for id := range admitted {
		if ends[id] == nil {
			t.Errorf("%s is open after recovery", id)
		}
	}
	for _, call := range c.up.Calls()[from:] {
		id, _, _ := strings.Cut(call.Attempt, ".")
		if !admitted[id] {
			t.Errorf("the upstream served %s, and the log has no admission", call.Attempt)
			continue
		}
		served := ledger.Usage{Input: int64(call.Tokens.Input), CacheRead: int64(call.Tokens.CacheRead),
			Output: int64(call.Tokens.Output), Reasoning: int64(call.Tokens.Reasoning)}
		switch e := ends[id].(type) {
		case *ledger.RequestSettled:
			if e.Source == ledger.UsageProvider && e.Usage != served {
				t.Errorf("%s: settled %+v, served %+v", id, e.Usage, served)
			}
		case *ledger.RequestInterrupted:
			between = between || call.Ended && (call.Outcome == sandbox.Completed || call.Outcome == sandbox.Hung)
			if served.InputTotal() > e.Leg.Input || served.Output > e.Leg.Output {
				t.Errorf("%s: served %+v, beyond its bound %+v", id, served, e.Leg)
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, shown := range c.whole {
		e, ok := ends[id].(*ledger.RequestSettled)
		if !ok {
			t.Errorf("a client holds the whole answer of %s, and the log has %T", id, ends[id])
			continue
		}
		if shown != (ledger.Usage{}) && (shown.Input != e.Usage.InputTotal() || shown.Output != e.Usage.Output || shown.Reasoning != e.Usage.Reasoning) {
			t.Errorf("%s: the client saw %+v, settled %+v", id, shown, e.Usage)
		}
	}
	return between
}

// log reads every request's admission and resolution.
func (c *campaign) log() (admitted map[string]bool, ends map[string]ledger.Event) {
	c.t.Helper()
	r, err := store.OpenReader(c.t.Context(), c.data)
	if err != nil {
		c.t.Fatal(err)
	}
	defer r.Close()
	admitted, ends = map[string]bool{}, map[string]ledger.Event{}
	for after := uint64(0); ; {
		page, err := r.Page(c.t.Context(), after, 5000)
		if err != nil {
			c.t.Fatal(err)
		}
		if len(page) == 0 {
			return admitted, ends
		}
		for _, rec := range page {
			after = rec.Position
			switch e := rec.Event.(type) {
			case *ledger.RequestAdmitted:
				admitted[e.Request] = true
			case *ledger.RequestSettled, *ledger.RequestVoided, *ledger.RequestInterrupted:
				if ends[rec.Request()] != nil {
					c.t.Errorf("position %d: a second resolution of %s", rec.Position, rec.Request())
				}
				ends[rec.Request()] = e
			}
		}
	}
}
