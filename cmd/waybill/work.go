package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"waybill/ledger"
)

// work is what a command works with.
type work struct {
	conf   config
	env    environment
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

func (w *work) printf(format string, args ...any) { fmt.Fprintf(w.stdout, format, args...) }

// show prints an answer of the control API, as it came or for people.
func show[T any](w *work, answer json.RawMessage, asJSON bool, people func(T) error) error {
	if asJSON {
		return writeJSON(w.stdout, answer)
	}
	var v T
	if err := json.Unmarshal(answer, &v); err != nil {
		return fmt.Errorf("the node's answer is not understood: %w", err)
	}
	return people(v)
}

// commas splits a list as flags have it.
func commas(list string) []string {
	var all []string
	for _, s := range strings.Split(list, ",") {
		if s = strings.TrimSpace(s); s != "" {
			all = append(all, s)
		}
	}
	return all
}

// moment reads a time to come, or how long from now; empty is none.
func moment(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	if d, ok := span(s); ok {
		if d <= 0 {
			return "", fmt.Errorf("%q has passed", s)
		}
		return time.Now().Add(d).UTC().Format(time.RFC3339Nano), nil
	}
	if t, ok := timeOf(s); ok {
		return t.Format(time.RFC3339Nano), nil
	}
	return "", fmt.Errorf("%q is neither a time such as 2027-01-31T00:00:00Z, nor a day such as 2027-01-31, nor how long from now, such as 30d or 12h", s)
}

// ago reads a time that has passed, or how long ago; empty is none.
func ago(s string) (ledger.Instant, error) {
	if s == "" {
		return 0, nil
	}
	now := time.Now()
	t, ok := timeOf(s)
	if d, is := span(s); is && d > 0 {
		t, ok = now.Add(-d), true
	}
	switch {
	case !ok:
		return 0, fmt.Errorf("%q is neither a time such as 2026-11-01T00:00:00Z, nor a day such as 2026-11-01, nor how long ago, such as 30d or 12h", s)
	case t.After(now):
		return 0, fmt.Errorf("%s lies in the future: nothing is that late", s)
	}
	return ledger.InstantOf(t), nil
}

// timeOf reads a time, or a day, which stands for its beginning in UTC.
func timeOf(s string) (t time.Time, ok bool) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return t, false
}

// span reads how long: 30d, or what Go takes, such as 12h or 1h30m.
func span(s string) (d time.Duration, ok bool) {
	if days, is := strings.CutSuffix(s, "d"); is {
		n, err := strconv.Atoi(days)
		return time.Duration(n) * 24 * time.Hour, err == nil && -maxDays <= n && n <= maxDays
	}
	d, err := time.ParseDuration(s)
	return d, err == nil
}

// maxDays is as many as no duration overflows with: a hundred years.
const maxDays = 36_500

// second shows a time of the control API to the second.
func second(s string) string {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return s
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}
