package store

import (
	"context"
	"fmt"
	"slices"

	"waybill/ledger"
)

// replayAhead is how many events are read ahead of the fold: what was decided on the log as it stood no further back than so many
// of them is visited on that state.
const replayAhead = 2 * streamPage

// Replay folds an org's past as far as decisions on its calls read it: its own stream and the platform's. From a position on,
// decide gets each admission of a call on the state that it was decided on, which may lie before its place in the log, and
// follow each event of the org's on the state before it. What they are given is good until they return. Passed, if not nil, is told how
// far the fold is, in positions.
//
// It reads in pages over the pool of readers: it holds no snapshot, and takes no more memory for a longer log.
func (r *Reader) Replay(ctx context.Context, org string, from uint64, decide, follow func(*ledger.State, *ledger.Record) error, passed func(position uint64)) error {
	head, _, err := r.Head(ctx)
	if err != nil {
		return err
	}
	p := &replay{r: r, own: source{stream: org}, all: source{stream: ledger.Platform}, head: head, from: from}
	state := ledger.NewState()
	draft, pending := state.Draft(nil), 0
	for {
		rec, err := p.next(ctx)
		if rec == nil || err != nil {
			return err
		}
		for len(p.decisions) > 0 && p.decisions[0].asOf < rec.Position {
			state.Merge(draft)
			if err := decide(state, p.decisions[0].admission); err != nil {
				return err
			}
			p.decisions = p.decisions[1:]
		}
		if rec.Stream == org && rec.Position >= from {
			state.Merge(draft)
			if err := follow(state, rec); err != nil {
				return err
			}
		}
		draft.Evolve(rec)
		if pending++; pending == streamPage { // a draft keeps what it has changed
			state.Merge(draft)
			pending = 0
		}
		if passed != nil {
			passed(rec.Position)
		}
	}
}

// replay reads two streams as one, in the log's order, some way ahead.
type replay struct {
	r         *Reader
	own, all  source
	head      uint64
	from      uint64
	ahead     []*ledger.Record
	decisions []pastDecision // on admissions ahead, in the order in which they were made
}

// pastDecision is an admission, and the position of the log as it was decided on.
type pastDecision struct {
	asOf      uint64
	admission *ledger.Record
}

// source is one stream being read.
type source struct {
	stream  string
	page    []ledger.Record
	version uint64 // of the last record read
	ended   bool
}

// next gives the next record, nil after the last.
func (p *replay) next(ctx context.Context) (*ledger.Record, error) {
	if len(p.ahead) < replayAhead/2 {
		for len(p.ahead) < replayAhead {
			rec, err := p.read(ctx)
			if err != nil {
				return nil, err
			}
			if rec == nil {
				break
			}
			p.ahead = append(p.ahead, rec)
			p.schedule(rec)
		}
	}
	if len(p.ahead) == 0 {
		return nil, nil
	}
	rec := p.ahead[0]
	p.ahead = p.ahead[1:]
	return rec, nil
}

// schedule has an admission decided when the fold has come to where the log stood.
func (p *replay) schedule(rec *ledger.Record) {
	e, ok := rec.Event.(*ledger.RequestAdmitted)
	if !ok || rec.Position < p.from {
		return
	}
	asOf := e.Inputs.AsOf
	if asOf == 0 || asOf >= rec.Position { // recorded by an earlier release
		asOf = rec.Position - 1
	}
	i := len(p.decisions)
	for i > 0 && p.decisions[i-1].asOf > asOf {
		i--
	}
	p.decisions = slices.Insert(p.decisions, i, pastDecision{asOf, rec})
}

// read takes the record of the two streams that comes first, nil if neither has one up to the head.
func (p *replay) read(ctx context.Context) (*ledger.Record, error) {
	var first *source
	for _, s := range []*source{&p.own, &p.all} {
		if err := s.fill(ctx, p.r); err != nil {
			return nil, err
		}
		if len(s.page) > 0 && (first == nil || s.page[0].Position < first.page[0].Position) {
			first = s
		}
	}
	if first == nil || first.page[0].Position > p.head {
		return nil, nil
	}
	rec := &first.page[0]
	first.page = first.page[1:]
	return rec, nil
}

func (s *source) fill(ctx context.Context, r *Reader) (err error) {
	if len(s.page) > 0 || s.ended {
		return nil
	}
	if s.page, err = r.Stream(ctx, s.stream, s.version, streamPage); err != nil {
		return fmt.Errorf("stream %s after version %d: %w", s.stream, s.version, err)
	}
	s.ended = len(s.page) < streamPage
	if n := len(s.page); n > 0 {
		s.version = s.page[n-1].Version
	}
	return nil
}
