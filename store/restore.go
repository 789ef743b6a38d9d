package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"waybill/ledger"
)

// Moment is where in a log to stop; the zero value is at its end.
type Moment struct {
	Position uint64
	At       ledger.Instant // after the last event that is no later
}

// RestoreOptions say what to restore, and where.
type RestoreOptions struct {
	Replicas *ReplicaConfig
	Dir      string // in which there is nothing of a node yet; it is made if it is not there
	Master   MasterKey
	Until    Moment
	LostKey  bool             // the master key of the vault is lost: begin an empty one under Master
	Known    uint64           // position that the node is known to have reached; 0: nothing is known
	Now      func() time.Time // nil: time.Now
	NewID    func() [16]byte  // nil: UUIDv7

	AcceptClock bool                           // go on though the clock stands behind the log
	Lock        *Lock                          // of Dir, and the caller's to release; nil: Restore takes it and releases it
	Step        func(what string)              // nil: nobody is told what is being done
	Progress    func(verified, ofTotal uint64) // nil: likewise
}

// Restored tells what was restored.
type Restored struct {
	Dir     string         `json:"dir"`
	From    uint64         `json:"restored_position"` // the last event that was restored; the next one says that it was
	At      ledger.Instant `json:"at"`                // of that event
	Head    string         `json:"head"`              // of the log as it was restored, POSITION:HASH
	Signed  uint64         `json:"signed_position"`   // the highest of which a signed checkpoint was found; 0: none was
	Held    uint64         `json:"checkpoints"`       // against which the log was held
	Epoch   uint64         `json:"epoch"`             // that begins
	Known   uint64         `json:"known_position"`    // the highest that is known to have been; 0: nothing is known
	Missing uint64         `json:"events_missing"`    // known to have been, and not in the replica
	LeftOut uint64         `json:"events_left_out"`   // in the replica, and after the moment that was asked for

	Secrets  int       `json:"secrets"`                // that the vault holds for what is attached
	Lacking  []Lacking `json:"credentials_failing"`    // attached, but the vault is of an earlier moment, or they were detached after the log's end
	Detached int       `json:"secrets_destroyed"`      // that the vault had, and the log has detached
	Erased   int       `json:"orgs_erased"`            // of which the vault had something, and the log has erased them
	Unknown  int       `json:"secrets_not_in_the_log"` // put into the vault after the log's end; they stay, sealed

	Took    time.Duration `json:"duration_ns"`
	Resumed bool          `json:"resumed"` // it had been made before, and only came to its place now
}

const (
	// partialFolder is where in a data folder a restore is made: on the disk on which it will stay.
	partialFolder = "restore.partial"
	// completeFile in it says that the restore is made and has only to come to its place.
	completeFile = "complete.json"
)

// Restore makes a data folder from the replicas of another's files: the log, checked event by event, ended where it was asked to
// end, and one event longer, which begins a new epoch; and the newest vault there is, from which is destroyed what the log has
// detached. The folder has all of it, or no log. A restore that was interrupted is begun anew, or brought to its end.
func Restore(ctx context.Context, o RestoreOptions) (done Restored, err error) {
	began := time.Now()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = func() [16]byte { return uuid.Must(uuid.NewV7()) }
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return done, fmt.Errorf("making the data folder: %w", err)
	}
	if o.Lock == nil {
		l, err := TakeLock(o.Dir)
		if err != nil {
			return done, err
		}
		defer func() { err = errors.Join(err, l.Release()) }()
	}
	if err := logless(o.Dir); err != nil {
		return done, err
	}
	partial := filepath.Join(o.Dir, partialFolder)
	if done, err = completed(partial); err == nil {
		done.Resumed = true
		return done, intoPlace(partial, o.Dir)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return done, err
	}
	if err := Vacant(o.Dir); err != nil {
		return Restored{}, err
	}
	if err := errors.Join(os.RemoveAll(partial), os.Mkdir(partial, 0o700)); err != nil {
		return Restored{}, fmt.Errorf("making room for the restore: %w", err)
	}
	done, err = o.restore(ctx, partial)
	if err != nil {
		return Restored{}, errors.Join(err, os.RemoveAll(partial))
	}
	done.Took = time.Since(began)
	if err := complete(partial, done); err != nil {
		return Restored{}, err
	}
	return done, intoPlace(partial, o.Dir)
}

// Vacant refuses a folder that has files of a node: each may be the only one of its kind, and the rest of one log beside
// another is read as if it were of that.
func Vacant(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := logless(dir); err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), logFile+newSuffix) {
			continue // a log that was begun to be made
		}
		for _, name := range []string{logFile, vaultFile} {
			if strings.HasPrefix(strings.TrimPrefix(e.Name(), "."), name) {
				return fmt.Errorf("there is %s in %s already: nothing was changed; take an empty folder, or move what is there to another", e.Name(), dir)
			}
		}
	}
	return nil
}

func logless(dir string) error {
	if _, err := os.Stat(logPath(dir)); err == nil {
		return fmt.Errorf("there is a log in %s already: nothing was changed; take an empty folder", dir)
	}
	return nil
}

// restore does the work in a folder of its own.
func (o RestoreOptions) restore(ctx context.Context, dir string) (done Restored, err error) {
	if err := fetchNode(ctx, o.Replicas, dir, o.Step); err != nil {
		return done, err
	}
	signed, err := LastCheckpoint(ctx, dir)
	if err != nil {
		return done, err
	}
	if o.LostKey {
		if err := os.Remove(filepath.Join(dir, vaultFile)); err != nil {
			return done, err
		}
	}
	if v, err := OpenVault(ctx, dir, o.Master); err != nil { // before the long work, if it is the wrong key
		return done, err
	} else if err := v.Close(); err != nil {
		return done, err
	}
	if err := prepareLog(ctx, dir, 0); err != nil {
		return done, fmt.Errorf("opening the restored log: %w", err)
	}
	done.Dir = o.Dir
	has, epoch, err := o.until(ctx, dir, &done)
	if err != nil {
		return done, err
	}
	if signed != nil && signed.Epoch >= epoch { // of an epoch before, what is missing was missed then
		epoch, o.Known = signed.Epoch, max(o.Known, signed.Position)
	}
	if signed != nil {
		done.Signed = signed.Position
	}
	done.Known = o.Known
	done.LeftOut = has - done.From
	done.Missing = max(has, o.Known) - has
	if done.LeftOut > 0 {
		done.Known = max(done.Known, has)
	}
	if o.Until != (Moment{}) {
		o.Step(fmt.Sprintf("ending the log at position %d", done.From))
		if err := prepareLog(ctx, dir, done.From); err != nil {
			return done, fmt.Errorf("ending the restored log: %w", err)
		}
	}
	o.Step("folding the log and comparing everything with it")
	if err := o.verify(ctx, dir, &done); err != nil {
		return done, err
	}
	o.Step("opening the vault")
	return done, o.begin(ctx, dir, epoch, &done)
}

// until finds the position at which the restored log is to end, and tells at which it ends now, and in which epoch.
func (o RestoreOptions) until(ctx context.Context, dir string, done *Restored) (has, epoch uint64, err error) {
	r, err := OpenReader(ctx, dir)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	head, at, err := r.Head(ctx)
	if err != nil {
		return 0, 0, err
	}
	if epoch, err = r.epoch(ctx); err != nil {
		return 0, 0, err
	}
	done.From = head
	switch u := o.Until; {
	case u.Position > head:
		return 0, 0, fmt.Errorf("the replica's log ends at position %d, of %s: there is no %d in it", head, at, u.Position)
	case u.Position > 0:
		done.From = u.Position
	case u.At != 0:
		if done.From, err = r.PositionAt(ctx, u.At); err != nil {
			return 0, 0, err
		}
	}
	if done.From == 0 {
		return 0, 0, errors.New("the log begins later than that")
	}
	last, err := r.Page(ctx, done.From-1, 1)
	if err != nil {
		return 0, 0, err
	}
	if len(last) != 1 || last[0].Position != done.From {
		return 0, 0, fmt.Errorf("event %d is missing in the replica's log", done.From)
	}
	done.At = last[0].At
	return head, epoch, nil
}

// epoch is the one in which the log ends.
func (r *Reader) epoch(ctx context.Context) (n uint64, err error) {
	err = r.db.QueryRowContext(ctx, `SELECT coalesce(max(CAST(data AS TEXT) ->> '$.epoch'), 1) FROM events WHERE stream = ? AND type = 'log.restored'`, ledger.Platform).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("looking for epochs in the log: %w", err)
	}
	return n, nil
}

func (o RestoreOptions) verify(ctx context.Context, dir string, done *Restored) (err error) {
	r, err := OpenReader(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	v, err := Verify(ctx, r, VerifyOptions{Progress: o.Progress, Copy: true})
	if err != nil {
		return fmt.Errorf("verifying the restored log: %w", err)
	}
	if d := v.First(); d != nil {
		err := fmt.Errorf("the replica's log and what follows from it do not agree: %s", d)
		if o.Until == (Moment{}) && d.Table != "events" && d.Table != "tree" {
			err = fmt.Errorf("%w; --at %d makes the tables anew from the events", err, done.From)
		}
		return err
	}
	done.Head, done.Held = v.Head.String(), v.Checkpoints
	return nil
}

// begin appends the event that begins the new epoch, and brings the vault to what the log says.
func (o RestoreOptions) begin(ctx context.Context, dir string, epoch uint64, done *Restored) (err error) {
	options := Options{Dir: dir, Now: o.Now, NewID: o.NewID, AcceptClock: o.AcceptClock, Ballast: -1}.withDefaults()
	s, err := open(ctx, options, logPath(dir))
	if err != nil {
		return fmt.Errorf("opening the restored log: %w", err)
	}
	defer func() { err = errors.Join(err, s.log.Close()) }()
	begin := &order{answer: make(chan answer, 1), command: ledger.RestoreLog{From: done.From, Known: done.Known, Epoch: epoch,
		Who: ledger.By{Actor: "operator", Cause: "restore-" + uuidText(o.NewID())}}}
	if err := s.commit([]*order{begin}); err != nil {
		return fmt.Errorf("beginning the new epoch: %w", err)
	}
	if a := <-begin.answer; a.err != nil {
		return fmt.Errorf("beginning the new epoch: %w", a.err)
	}
	done.Epoch = s.state.Epoch()
	v, err := OpenVault(ctx, dir, o.Master)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	r, err := OpenReader(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return v.agree(ctx, s.state, r, done)
}

// complete says in a folder that what is in it is whole.
func complete(partial string, done Restored) error {
	text, err := json.Marshal(done)
	if err != nil {
		return err
	}
	path := filepath.Join(partial, completeFile)
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return errors.Join(os.Rename(path+".new", path), syncDir(partial))
}

// completed reads what complete has written; fs.ErrNotExist is a folder that is not whole, or of which all has come to its place.
func completed(partial string) (done Restored, err error) {
	if _, err := os.Stat(logPath(partial)); err != nil {
		return done, err
	}
	text, err := os.ReadFile(filepath.Join(partial, completeFile))
	if err != nil {
		return done, err
	}
	return done, json.Unmarshal(text, &done)
}

// intoPlace moves what was restored up into the data folder, the log last: while it is not there, the folder has none.
func intoPlace(partial, dir string) error {
	entries, err := os.ReadDir(partial)
	if err != nil {
		return err
	}
	move := func(which func(string) bool) error {
		for _, e := range entries {
			if which(e.Name()) {
				if err := os.Rename(filepath.Join(partial, e.Name()), filepath.Join(dir, e.Name())); err != nil {
					return fmt.Errorf("moving what was restored into place: %w", err)
				}
			}
		}
		return syncDir(dir)
	}
	if err := move(func(name string) bool { return name != completeFile && name != logFile }); err != nil {
		return err
	}
	if err := move(func(name string) bool { return name == logFile }); err != nil {
		return err
	}
	return os.RemoveAll(partial)
}
