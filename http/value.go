package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"waybill/ledger"
)

// Dollars is an amount in JSON: a decimal string of dollars, never a number, which clients would read as a float.
type Dollars ledger.Nano

// MarshalJSON writes "12.500000".
func (d Dollars) MarshalJSON() ([]byte, error) { return json.Marshal(ledger.Nano(d).String()) }

// fieldFault is a value that is not what it must be.
type fieldFault struct{ reason string }

// Error gives the reason.
func (f *fieldFault) Error() string { return f.reason }

// UnmarshalJSON reads a decimal string.
func (d *Dollars) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return &fieldFault{"an amount is a decimal string of dollars, such as \"12.50\", and not " + short(b)}
	}
	n, err := ledger.ParseDollars(s)
	if err != nil {
		return &fieldFault{err.Error()}
	}
	*d = Dollars(n)
	return nil
}

// Rate is a price in JSON: a decimal string of dollars for a million tokens.
type Rate ledger.Rate

// MarshalJSON writes "2.500000".
func (r Rate) MarshalJSON() ([]byte, error) { return json.Marshal(ledger.Rate(r).String()) }

// UnmarshalJSON reads a decimal string.
func (r *Rate) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return &fieldFault{"a rate is a decimal string of dollars for a million tokens, such as \"2.50\", and not " + short(b)}
	}
	n, err := ledger.ParseRate(s)
	if err != nil {
		return &fieldFault{err.Error()}
	}
	*r = Rate(n)
	return nil
}

// Time is a moment in JSON, as RFC 3339; null and the empty string are none.
type Time ledger.Instant

// MarshalJSON writes the moment in UTC, or null.
func (t Time) MarshalJSON() ([]byte, error) {
	if t == 0 {
		return []byte("null"), nil
	}
	return json.Marshal(ledger.Instant(t).String())
}

// UnmarshalJSON reads what MarshalJSON writes.
func (t *Time) UnmarshalJSON(b []byte) error {
	*t = 0
	if string(b) == "null" {
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return &fieldFault{"a time is a string such as \"2026-12-31T00:00:00Z\", and not " + short(b)}
	}
	if s == "" {
		return nil
	}
	if err := t.parse(s); err != nil {
		return &fieldFault{err.Error()}
	}
	return nil
}

func (t *Time) parse(s string) error {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil || at.Year() < 1970 || at.Year() > 2261 {
		return errors.New("must be a time such as 2026-12-31T00:00:00Z, between 1970 and 2261")
	}
	*t = Time(ledger.InstantOf(at))
	return nil
}

// given is a field that may be left out of a change, which is something else than being set to nothing.
type given[T any] struct {
	set   bool
	value T
}

// UnmarshalJSON notes that the field is there.
func (g *given[T]) UnmarshalJSON(b []byte) error {
	g.set = true
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields() // as readJSON does around it
	return d.Decode(&g.value)
}

// or is the value, or the one that is there already.
func (g given[T]) or(now T) T {
	if g.set {
		return g.value
	}
	return now
}

// short is a piece of JSON for an error's text.
func short(b []byte) string {
	if len(b) > 40 {
		return string(b[:40]) + "…"
	}
	return string(b)
}
