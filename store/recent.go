package store

import (
	"context"
	"slices"
	"sync"

	"waybill/ledger"
)

// recentRecords is how many of the last records stay in memory, at least. Who follows the log closely, as the reports do,
// then reads neither the disk nor JSON.
const recentRecords = 2048

// recent is the end of the log in memory.
type recent struct {
	mu      sync.Mutex
	records []ledger.Record
}

func (r *recent) add(recs []ledger.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.records)+len(recs) > 2*recentRecords {
		r.records = slices.Clone(r.records[max(0, len(r.records)-recentRecords):])
	}
	r.records = append(r.records, recs...)
}

// page gives the records after a position, and false if it does not have the first of them.
func (r *recent) page(after uint64, limit int) ([]ledger.Record, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.records) == 0 || after+1 < r.records[0].Position {
		return nil, false
	}
	skip := min(uint64(len(r.records)), after+1-r.records[0].Position)
	rest := r.records[skip:]
	return slices.Clone(rest[:min(len(rest), max(0, limit))]), true
}

// Page gives up to limit records after a position, from memory if they are recent.
func (s *Store) Page(ctx context.Context, after uint64, limit int) ([]ledger.Record, error) {
	if recs, ok := s.recent.page(after, limit); ok {
		return recs, nil
	}
	return s.Reader.Page(ctx, after, limit)
}
