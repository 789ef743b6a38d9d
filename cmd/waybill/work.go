package main

import (
	"encoding/json"
	"fmt"
	"io"
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
