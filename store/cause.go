package store

import (
	"fmt"
	"strings"

	"waybill/ledger"
)

// causeKey is what makes a cause one.
type causeKey struct{ scope, key string }

// precedent is what was appended the first time under a cause.
type precedent struct {
	input   string
	records []ledger.Record
}

// known finds what happened before under a command's causes, in this group or in the log. Each cause with another
// input is a conflict, whatever the others say.
func (g *group) known(causes []ledger.Cause) (*precedent, error) {
	var found *precedent
	for _, c := range causes {
		f, ok := g.causes[causeKey{c.Scope, c.Key}]
		if !ok {
			var err error
			if f, err = g.log.firstOf(c); err != nil {
				return nil, err
			}
		}
		if f == nil {
			continue
		}
		if f.input != c.Input {
			return nil, &ledger.Error{Code: ledger.CodeConflict, Of: of(f.records),
				Message: fmt.Sprintf("%q was used before, for something else: use a new one", c.Key)}
		}
		if found == nil {
			found = f
		}
	}
	return found, nil
}

// of is what a conflict names: the request that was admitted under the cause, else the cause as it was recorded.
func of(recs []ledger.Record) string {
	for i := range recs {
		if id := recs[i].Request(); id != "" {
			return id
		}
	}
	key, _, _ := strings.Cut(recs[len(recs)-1].Cause, " ")
	return key
}

// firstOf reads what a cause led to, nil if it is new.
func (l *journal) firstOf(c ledger.Cause) (*precedent, error) {
	row, err := l.cause.one(c.Scope, c.Key)
	if err != nil || row == nil {
		return nil, err
	}
	recs, err := l.between(uint64(row[1].(int64)), uint64(row[2].(int64)))
	return &precedent{row[0].(string), recs}, err
}
