package store

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"waybill/ledger"
)

// Progress is how far replication has come, as waybill itself sees it: Litestream knows nothing of what it has not read.
type Progress struct {
	Position uint64    // see Replication.Position
	At       time.Time // likewise
	Head     uint64    // of the log; 0: it is not open
	// Lag bounds the age of what the replicas lack: the time since the round began that they are known to have all of. 0: they have
	// the whole log.
	Lag      time.Duration
	Failures uint64    // rounds that failed, since the start
	Overdue  time.Time // when a round succeeded last, if that is too long ago; zero: all is well
	Err      error     // of the last round, or that one does not end
}

// Behind is how many events of the log the replicas are not known to have.
func (p Progress) Behind() uint64 { return p.Head - min(p.Head, p.Position) }

// patience is how long after the last round that succeeded replication is overdue. A round takes a moment, and one follows another
// within the sync interval; a first full copy of a large log may take longer, and is overdue.
const patience = 30 * time.Second

// abandonRound is how long nothing may come through to a replica before a round that waits for it is given up.
const abandonRound = 5 * time.Minute

// Follow has the rounds note the head of the log, once that is open.
func (r *Replication) Follow(s *Store) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.head = func() (position uint64) {
		s.View(func(st *ledger.State) { position, _ = st.Head() })
		return position
	}
}

// Position is how far into the log every replica is known to be: the head as it was read before the last round that reached them
// all, and when that was. Zero and no time: no round has, since the start. The replicas may have more.
func (r *Replication) Position() (position uint64, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.position, r.at
}

// Progress tells how far replication is.
func (r *Replication) Progress() Progress {
	r.mu.Lock()
	read := r.head
	r.mu.Unlock()
	head := uint64(0)
	if read != nil {
		head = read() // not under the lock: it takes the log's own
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	p := Progress{Position: r.position, At: r.at, Head: head, Failures: r.failures, Err: r.failure}
	if p.Behind() > 0 {
		since := r.at
		if since.IsZero() {
			since = r.well // no round has succeeded yet: the start
		}
		p.Lag = now.Sub(since)
	}
	if late := r.patience + r.interval; now.Sub(r.well) > late {
		p.Overdue = r.well
		if p.Err == nil && !r.running.IsZero() {
			p.Err = fmt.Errorf("a round has been under way for %s: replicating %s to %s", now.Sub(r.running).Round(time.Millisecond), r.busy.Path, r.busy.Replica)
		}
	}
	return p
}

// Diverged is a replica that is found to be another's, nil if none is. It stays so: nothing is taken there any more.
func (r *Replication) Diverged() error {
	for _, d := range r.dbs {
		if why := d.way.lost.Load(); why != nil {
			return why
		}
	}
	return nil
}

// Alarms of a trouble that lasts come at growing intervals.
const (
	firstAlarms = time.Minute
	lastAlarms  = time.Hour
)

// watch tells the process's log of trouble, at once and then less and less often, and of its end. It also gives up a round
// in which nothing comes through any more.
func (r *Replication) watch() {
	defer close(r.watched)
	tick := time.NewTicker(min(time.Second, r.patience/4))
	defer tick.Stop()
	var next time.Time
	pause, loud := firstAlarms, false
	for {
		select {
		case <-r.stop:
			return
		case <-tick.C:
		}
		p, now := r.Progress(), time.Now()
		if p.Err == nil && p.Overdue.IsZero() {
			if loud {
				r.log.Info("replication goes on", slog.Uint64("position", p.Position), slog.Uint64("behind", p.Behind()))
			}
			next, pause, loud = time.Time{}, firstAlarms, false
			continue
		}
		r.giveUp(now)
		if now.Before(next) {
			continue
		}
		what := "replication fails"
		if !p.Overdue.IsZero() {
			what = "replication has stalled: what is acknowledged since is on this machine alone"
		}
		r.log.Error(what, slog.Any("error", p.Err), slog.Uint64("position", p.Position), slog.Uint64("behind", p.Behind()),
			slog.Time("last_round", r.lastWell()), slog.Uint64("failures", p.Failures))
		next, loud = now.Add(pause), true
		pause = min(2*pause, lastAlarms)
	}
}

func (r *Replication) lastWell() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.well
}

var errNothingMoves = errors.New("nothing has come through to the replica for minutes: the round is given up")

// giveUp ends a round that waits for a replica which takes nothing and gives nothing.
func (r *Replication) giveUp(now time.Time) {
	r.mu.Lock()
	since, abandon := r.running, r.abandon
	r.mu.Unlock()
	if since.IsZero() || now.Sub(since) < abandonRound {
		return
	}
	for _, d := range r.dbs {
		if now.Sub(time.Unix(0, d.way.pulse.Load())) < abandonRound {
			return
		}
	}
	abandon(errNothingMoves)
}

// ReplicaStatus tells how far the replica of one file is.
type ReplicaStatus struct {
	Path    string // of the database
	Replica string
	// Transaction ids as Litestream counts them, one a round and not one a commit: the last that was read from the database and is
	// said to be in the replica, and the last that was found when it was looked at.
	Local, Held uint64
	Inspected   time.Time // when it was looked at last, and was whole; zero: never
	InSync      bool      // the last round reached it, and none is overdue
	SyncedAt    time.Time // when that round began: what was committed before is there
	Err         error     // of the last round
}

// Status tells how far each replica is, from memory: it asks nobody, so that nobody waits for a replica that does not answer.
func (r *Replication) Status() []ReplicaStatus {
	p := r.Progress()
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]ReplicaStatus, len(r.status))
	for i, s := range r.status {
		s.SyncedAt, s.Err = p.At, p.Err
		s.InSync = p.Err == nil && p.Overdue.IsZero() && !p.At.IsZero()
		all[i] = s
	}
	return all
}

// tell leaves for others what the goroutine of the rounds knows.
func (r *Replication) tell() {
	all := make([]ReplicaStatus, len(r.dbs))
	for i, d := range r.dbs {
		all[i] = ReplicaStatus{Path: d.Path, Replica: d.Replica, Local: d.seen, Held: d.held, Inspected: d.inspected}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = all
}
