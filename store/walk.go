package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/mod/sumdb/tlog"

	"waybill/ledger"
)

// step is one event on a walk over the log, with what the store keeps beside it.
type step struct {
	ledger.Record
	id     []byte    // as it is stored: a sound one is Record.ID
	hashes []byte    // the row of the tree; nil if there is none
	leaf   tlog.Hash // of the stored bytes
	fault  error     // why the event cannot be decoded
}

// walkPage is as many events as pass from one goroutine to the next at a time.
const walkPage = 1024

type page struct {
	steps []step
	text  []byte // backs the data of the steps
	err   error
	ready chan struct{} // closed when the steps are decoded
}

// walk visits the events after a position, in order. One goroutine reads, as many as there are processors hash and decode,
// and the caller folds; a bounded number of pages is in memory. It takes no snapshot: q may be a pool, and then a long walk
// does not keep the writer's WAL from being checkpointed.
func walk(ctx context.Context, q querier, after uint64, visit func(*step) error) error {
	ctx, cancel := context.WithCancel(ctx)
	workers := max(1, runtime.GOMAXPROCS(0))
	raw, ordered := make(chan *page, workers), make(chan *page, workers)
	defer func() {
		cancel()
		for range ordered { // the reader may be in the middle of a query on q
		}
	}()
	go readPages(ctx, q, after, raw, ordered)
	for range workers {
		go func() {
			for p := range raw {
				p.decode()
			}
		}()
	}
	for p := range ordered {
		<-p.ready
		for i := range p.steps {
			if err := visit(&p.steps[i]); err != nil {
				return err
			}
		}
		if p.err != nil {
			return p.err
		}
	}
	return ctx.Err()
}

// readPages sends each page twice: to whoever decodes it, and in order to the one who folds.
func readPages(ctx context.Context, q querier, after uint64, raw, ordered chan<- *page) {
	defer close(ordered)
	defer close(raw)
	names := map[string]string{}
	size := 1 << 16
	for {
		p := &page{text: make([]byte, 0, size+size/8), ready: make(chan struct{})}
		p.err = p.read(ctx, q, after, names)
		n := len(p.steps)
		if n > 0 {
			after = p.steps[n-1].Position
		}
		size = len(p.text)
		for _, c := range []chan<- *page{raw, ordered} {
			select {
			case c <- p:
			case <-ctx.Done():
				return
			}
		}
		if p.err != nil || n < walkPage {
			return
		}
	}
}

const walkQuery = "SELECT e.position, e.stream, e.version, e.id, e.type, e.schema, e.at, e.actor, e.cause, e.data, t.hashes" +
	" FROM events e LEFT JOIN tree t ON t.position = e.position WHERE e.position > ? ORDER BY e.position LIMIT ?"

// read fills the page. names holds the strings that many events share.
func (p *page) read(ctx context.Context, q querier, after uint64, names map[string]string) (err error) {
	rows, err := q.QueryContext(ctx, walkQuery, int64(after), walkPage)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	shared := func(b []byte) string {
		s, ok := names[string(b)]
		if !ok {
			s = string(b)
			if len(names) < 10_000 {
				names[s] = s
			}
		}
		return s
	}
	keep := func(b []byte) []byte {
		p.text = append(p.text, b...)
		return p.text[len(p.text)-len(b) : len(p.text) : len(p.text)]
	}
	p.steps = make([]step, 0, walkPage)
	for rows.Next() {
		var s step
		var position, version int64
		var stream, id, kind, actor, cause, data, hashes sql.RawBytes
		if err := rows.Scan(&position, &stream, &version, &id, &kind, &s.Schema, &s.At, &actor, &cause, &data, &hashes); err != nil {
			return fmt.Errorf("event after %d: %w", after, err)
		}
		s.Position, s.Version = uint64(position), uint64(version)
		s.Stream, s.Type, s.Actor, s.Cause = shared(stream), ledger.Type(shared(kind)), shared(actor), string(cause)
		s.id, s.Data = keep(id), keep(data)
		if hashes != nil {
			s.hashes = keep(hashes)
		}
		copy(s.ID[:], id)
		p.steps = append(p.steps, s)
	}
	return rows.Err()
}

func (p *page) decode() {
	defer close(p.ready)
	var leaf []byte
	for i := range p.steps {
		s := &p.steps[i]
		leaf = s.AppendLeaf(leaf[:0])
		s.leaf = tlog.RecordHash(leaf)
		s.Event, s.fault = decode(s.Type, s.Schema, s.Data)
	}
}
