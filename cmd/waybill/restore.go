package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"waybill/ledger"
	"waybill/store"
)

var restoreCommand = command{
	name:  "restore",
	about: "make a data folder from a replica, as of now or of an earlier moment",
	more: "Fetches the log and the vault from the replica that a litestream.yml names, and only reads there. Every event is held\n" +
		"against its hash, every table against the events, every secret of the vault against the master key; then one event is\n" +
		"appended, which begins a new epoch. The folder must have nothing of a node in it, and has all of it at the end, or no log.\n\n" +
		"An earlier moment is a position of the log or a time: the log then ends exactly there, however old the moment is, since the\n" +
		"newest copy has every event. The vault is always the newest: what was detached or erased since does not come back, and a\n" +
		"credential whose secret is gone counts as failing until it is rotated. The master key is in no replica: bring its file.\n\n" +
		"End the node that was lost first: two nodes on one replica would overwrite each other.",
	example: []string{"waybill restore --from litestream.yml --to data --master-key-file data.key", "waybill restore --to data --at 2026-11-01T00:00:00Z",
		"waybill restore --to data --at 120400 --known 120412"},
	settings: []string{"litestream"},
	setup: func(f *flags) action {
		from := f.String("from", "", "litestream.yml `FILE` that names the replica (default as for serve)")
		to := f.String("to", "", "data folder `DIR` to make (default: the one of --data)")
		when := f.String("at", "", "`POSITION` of the log, or a time, at which it is to end (default: all that the replica has)")
		key := f.String("master-key-file", "", "`FILE` of the master key (default: DIR.key, or as configured)")
		lost := f.Bool("lost-master-key", false, "the master key is lost: make a new one, and an empty vault; every credential counts as failing until it is rotated")
		known := f.Uint64("known", 0, "`POSITION` that the node is known to have reached, as its health or metrics said: the events up to there that the replica lacks are counted")
		acceptClock := f.Bool("accept-clock", false, "go on though the clock stands behind the log's last event")
		asJSON := f.Bool("json", false, "print JSON")
		return func(ctx context.Context, w *work, _ []string) error {
			if *to != "" {
				if w.conf.masterKeyFile == keyFileOf(w.conf.data) {
					w.conf.masterKeyFile = keyFileOf(*to)
				}
				w.conf.data = filepath.Clean(*to)
			}
			if *from != "" {
				w.conf.litestream = *from
			}
			if *key != "" {
				w.conf.masterKeyFile = *key
			}
			o := store.RestoreOptions{LostKey: *lost, Known: *known, AcceptClock: *acceptClock, Progress: w.progress, Step: w.step}
			var err error
			if o.Until, err = untilMoment(*when); err != nil {
				return err
			}
			done, err := restore(ctx, w.conf, o)
			if err != nil {
				return err
			}
			if *asJSON {
				return writeJSON(w.stdout, restoredJSON(done))
			}
			return restoredTable(w, done, *key)
		}
	},
}

// untilMoment reads a position or a time; empty is the end of the log.
func untilMoment(s string) (store.Moment, error) {
	if s == "" {
		return store.Moment{}, nil
	}
	if n, err := strconv.ParseUint(s, 10, 63); err == nil && n > 0 {
		return store.Moment{Position: n}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return store.Moment{}, misused("--at %q is neither a position of the log nor a time such as 2026-11-01T00:00:00Z", s)
	}
	return store.Moment{At: ledger.InstantOf(t)}, nil
}

// restore makes the data folder of a configuration from the replica that it names.
func restore(ctx context.Context, c config, o store.RestoreOptions) (done store.Restored, err error) {
	if o.Replicas, err = replicasOf(c); err != nil {
		return done, err
	}
	o.Dir = c.data
	if o.LostKey {
		if o.Master, err = store.CreateMasterKey(c.masterKeyFile); err != nil {
			return done, err
		}
		if done, err = store.Restore(ctx, o); err != nil {
			err = errors.Join(err, os.Remove(c.masterKeyFile)) // nothing is sealed under it
		}
		return done, err
	}
	if o.Master, err = store.ReadMasterKey(c.masterKeyFile); err != nil {
		if errors.Is(err, fs.ErrNotExist) || !exists(c.masterKeyFile) {
			err = fmt.Errorf("there is no master key at %s: it is in no replica; bring the file from where you keep a copy, name it with --master-key-file, or, if it is lost, say --lost-master-key", c.masterKeyFile)
		}
		return done, err
	}
	return store.Restore(ctx, o)
}

func replicasOf(c config) (*store.ReplicaConfig, error) {
	if c.litestream == "" {
		return nil, errors.New("there is no replica: name the litestream.yml that does, with --from FILE")
	}
	return store.ReadReplicaConfig(c.litestream)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// step says what is being done, to who watches.
func (w *work) step(what string) { fmt.Fprintf(w.stderr, "%s\n", what) }

// progress says how far a long verification is.
func (w *work) progress(done, total uint64) {
	if total > 500_000 {
		fmt.Fprintf(w.stderr, "%s of %s events\n", grouped(int64(done)), grouped(int64(total)))
	}
}

// restoredView is what restore prints as JSON: times and durations as everywhere in JSON of ours.
type restoredView struct {
	store.Restored
	At string `json:"at"`
}

func restoredJSON(done store.Restored) restoredView { return restoredView{done, done.At.String()} }

// restoredTable tells people what was restored. The key is the file that was named for this command alone: serve has to be told of it too.
func restoredTable(w *work, r store.Restored, key string) error {
	if r.Resumed {
		w.printf("an earlier restore into this folder was made and had not come to its place: it has now\n\n")
	}
	t := newTable("", "")
	t.row("restored", r.Dir)
	t.row("log", fmt.Sprintf("%s, the last of %s UTC, verified", counted(int64(r.From), "event"), second(r.At.String())))
	t.row("head", r.Head)
	if r.Signed > 0 {
		past := ""
		if r.Signed > r.From {
			past = ", past its end"
		}
		t.row("signed", fmt.Sprintf("%s, extended by the log; the last is of position %d%s", counted(int64(r.Held), "checkpoint"), r.Signed, past))
	}
	t.row("epoch", fmt.Sprintf("%d begins with event %d", r.Epoch, r.From+1))
	t.row("missing", missingText(r))
	if r.LeftOut > 0 {
		t.row("left out", fmt.Sprintf("%s that the replica has", counted(int64(r.LeftOut), "later event")))
	}
	t.row("secrets", fmt.Sprintf("%d of attached credentials, %d of detached ones destroyed, %d that the log does not know kept", r.Secrets, r.Detached, r.Unknown))
	for _, c := range r.Lacking {
		t.row("failing", fmt.Sprintf("%s of %s: its secret is not in the vault; rotate it, or detach it", c.ID, c.Org))
	}
	if err := t.write(w.stdout); err != nil {
		return err
	}
	if key != "" && key != keyFileOf(r.Dir) {
		key = "WAYBILL_MASTER_KEY_FILE=" + key + " "
	} else {
		key = ""
	}
	w.printf("\nNext: %swaybill serve --data %s\n", key, r.Dir)
	return nil
}

func missingText(r store.Restored) string {
	switch {
	case r.Missing > 0:
		return fmt.Sprintf("%s later events are known to have been, up to position %d, and are not in the replica", grouped(int64(r.Missing)), r.Known)
	case r.Known > 0:
		return fmt.Sprintf("none: the highest position that is known to have been is %d", r.Known)
	}
	return "none that is known of; --known POSITION counts up to the position that the node last reported"
}
