package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// capView is a cap of a key as the control API shows it.
type capView struct {
	Unit     string      `json:"unit"`
	Amount   json.Number `json:"amount"`
	Window   string      `json:"window"`
	Spent    json.Number `json:"spent"`
	Held     json.Number `json:"held"`
	Left     json.Number `json:"left"`
	ResetsAt string      `json:"resets_at"`
}

// String is the cap as the flag has it.
func (c capView) String() string { return c.Unit + "=" + c.of(c.Amount) + "/" + c.Window }

// of shows an amount in the cap's unit.
func (c capView) of(n json.Number) string {
	if i, err := n.Int64(); err == nil && c.Unit == "tok" {
		return grouped(i)
	}
	return n.String()
}

// perMinute shows a limit, of which 0 is none.
func perMinute(n int64) string {
	if n == 0 {
		return ""
	}
	return grouped(n)
}

// limits are what the flags say that bound a key. What no flag says is nil.
type limits struct {
	caps     []map[string]any
	none     bool // no caps from now on
	rpm, tpm *int64
}

func limitFlags(f *flags) *limits {
	l := &limits{}
	f.Func("cap", "`CAP` on what it spends of platform capacity, such as usd=5/day or tok=1000000/month; the window is day, month or lifetime; may be repeated", l.addCap)
	f.Func("rpm", "requests a minute, at most `N`; 0 as many as the plan allows", whole(&l.rpm))
	f.Func("tpm", "tokens a minute, at most `N`; 0 as many as the plan allows", whole(&l.tpm))
	return l
}

func (l *limits) addCap(s string) error {
	if s == "none" {
		l.none = true
		return nil
	}
	unit, rest, ok := strings.Cut(s, "=")
	amount, window, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 {
		return fmt.Errorf("a cap is an amount over a window, such as usd=5/day or tok=1000000/month")
	}
	l.caps = append(l.caps, map[string]any{"unit": unit, "amount": strings.ReplaceAll(amount, "_", ""), "window": window})
	return nil
}

func whole(to **int64) func(string) error {
	return func(s string) error {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("not a whole number")
		}
		*to = &n
		return nil
	}
}

// into puts what the flags say into a call's body.
func (l *limits) into(body map[string]any) {
	switch {
	case len(l.caps) > 0:
		body["caps"] = l.caps
	case l.none:
		body["caps"] = []string{}
	}
	if l.rpm != nil {
		body["requests_per_minute"] = *l.rpm
	}
	if l.tpm != nil {
		body["tokens_per_minute"] = *l.tpm
	}
}
