package http

import (
	"encoding/json"
	"fmt"
	"strconv"

	"waybill/ledger"
)

// newCap bounds what a key may spend of platform capacity, as a caller asks for it.
type newCap struct {
	Unit   ledger.Unit   `json:"unit"` // usd or tok
	Amount quantity      `json:"amount"`
	Window ledger.Window `json:"window"` // day, month or lifetime, in UTC
}

// keyCap is a cap of a key, and how far it is used up in the window that runs.
type keyCap struct {
	Unit     ledger.Unit   `json:"unit"`
	Amount   quantity      `json:"amount"`
	Window   ledger.Window `json:"window"`
	Spent    quantity      `json:"spent"` // settled
	Held     quantity      `json:"held"`  // by open requests
	Left     quantity      `json:"left"`
	ResetsAt Time          `json:"resets_at"` // none of a lifetime
}

// quantity is an amount in one unit or the other: dollars are a decimal string, tokens a whole number.
type quantity struct {
	unit ledger.Unit
	n    int64
	text string // as a caller wrote it, whose unit stands beside it
}

// MarshalJSON writes "5.000000" or 1000000.
func (q quantity) MarshalJSON() ([]byte, error) {
	if q.unit == ledger.USD {
		return json.Marshal(ledger.Nano(q.n).String())
	}
	return json.Marshal(q.n)
}

// UnmarshalJSON takes a string or a number; what it is worth, in says.
func (q *quantity) UnmarshalJSON(b []byte) error {
	var n json.Number // takes both, and no text that is no number
	if err := json.Unmarshal(b, &n); err != nil {
		return &fieldFault{"an amount is a decimal string of dollars, such as \"5.00\", or a whole number of tokens, and not " + short(b)}
	}
	q.text = n.String()
	return nil
}

// in reads the amount in its unit.
func (q quantity) in(u ledger.Unit) (n int64, err error) {
	if u == ledger.USD {
		d, err := ledger.ParseDollars(q.text)
		return int64(d), err
	}
	if n, err = strconv.ParseInt(q.text, 10, 64); err != nil {
		return 0, fmt.Errorf("%q is no whole number of tokens", q.text)
	}
	return n, nil
}

// capsOf reads the caps that a caller asks for; what they may be, the ledger says.
func capsOf(in []newCap) (caps []ledger.Cap, err error) {
	for i, c := range in {
		field := "caps." + strconv.Itoa(i)
		if c.Unit != ledger.USD && c.Unit != ledger.Tok {
			return nil, invalid(field+".unit", "must be usd or tok")
		}
		n, err := c.Amount.in(c.Unit)
		if err != nil {
			return nil, invalid(field+".amount", err.Error())
		}
		caps = append(caps, ledger.Cap{Unit: c.Unit, Amount: n, Window: c.Window})
	}
	return caps, nil
}

// capRows shows the caps of a key as they stand at an instant.
func capRows(spending []ledger.CapStanding) []keyCap {
	rows := make([]keyCap, len(spending))
	for i, s := range spending {
		of := func(n int64) quantity { return quantity{unit: s.Unit, n: n} }
		rows[i] = keyCap{Unit: s.Unit, Amount: of(s.Amount), Window: s.Window, Spent: of(s.Settled), Held: of(s.Held), Left: of(s.Left), ResetsAt: Time(s.ResetsAt)}
	}
	return rows
}
