package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
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

// moment reads a time, or how long from now; empty is none.
func moment(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		if d <= 0 {
			return "", fmt.Errorf("%q has passed", s)
		}
		return time.Now().Add(d).UTC().Format(time.RFC3339Nano), nil
	}
	if _, err := time.Parse(time.RFC3339, s); err != nil {
		return "", fmt.Errorf("%q is neither a time such as 2027-01-31T00:00:00Z nor how long from now, such as 720h", s)
	}
	return s, nil
}

// second shows a time of the control API to the second.
func second(s string) string {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return s
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}
