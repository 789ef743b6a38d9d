package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	wbhttp "waybill/http"
	"waybill/ledger"
	"waybill/store"
)

var checklistCommand = command{
	name:  "checklist",
	about: "tell what an operator should have in order, and what is not",
	more: "Looks at the replica and how far behind it is, the latest drill, the master key's file, the disk, the clock, the check of the log\n" +
		"and its signature, calls that are held open, the platform's credentials and the models without a price. What only a node\n" +
		"that serves knows is unknown while none does. Exit status 1 if something is wrong; a warning is not.",
	example: []string{"waybill checklist", "waybill checklist --json"},
	setup: func(f *flags) action {
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, _ []string) error {
			answer, err := a.call(ctx, "GET", "/checklist", nil)
			if err != nil {
				return err
			}
			var v checklistView
			if err := json.Unmarshal(answer, &v); err != nil {
				return fmt.Errorf("the node's answer is not understood: %w", err)
			}
			if *asJSON {
				err = writeJSON(w.stdout, answer)
			} else {
				err = v.table().write(w.stdout)
			}
			if err != nil || v.OK {
				return err
			}
			return errors.New("something is wrong")
		})
	},
}

type checklistView struct {
	OK     bool
	Checks []struct{ Name, State, Detail, Action string }
}

func (v checklistView) table() *table {
	t := newTable("state", "what", "how it is", "what to do")
	for _, c := range v.Checks {
		t.row(c.State, c.Name, c.Detail, c.Action)
	}
	return t
}

// verification is the latest check of the whole log that found nothing.
type verification struct {
	position uint64
	at       time.Time
}

// checklist looks at what an operator should have in order. Each line says what is so, and if that is not as it should be what to do.
func (n *node) checklist(ctx context.Context) ([]wbhttp.Check, error) {
	all := []wbhttp.Check{n.checkReplica(), n.checkLag(), n.checkDrill(), n.checkKey(ctx), n.checkDisk(), n.checkClock(), n.checkLog(), n.checkSignature(ctx), n.checkHolds()}
	credentials, err := n.checkCredentials(ctx)
	if err != nil {
		return nil, err
	}
	return append(all, credentials, n.checkPrices()), nil
}

func ok(name, format string, args ...any) wbhttp.Check {
	return wbhttp.Check{Name: name, State: wbhttp.CheckOK, Detail: fmt.Sprintf(format, args...)}
}

func unsure(name, detail string) wbhttp.Check {
	return wbhttp.Check{Name: name, State: wbhttp.CheckUnknown, Detail: detail}
}

func warned(name, detail, action string) wbhttp.Check {
	return wbhttp.Check{Name: name, State: wbhttp.CheckWarn, Detail: detail, Action: action}
}

func wrong(name, detail, action string) wbhttp.Check {
	return wbhttp.Check{Name: name, State: wbhttp.CheckWrong, Detail: detail, Action: action}
}

func (n *node) checkReplica() wbhttp.Check {
	const name = "replica"
	if n.conf.litestream == "" {
		return wrong(name, "none: this disk has the only copy", "name one in litestream.yml")
	}
	c, err := store.ReadReplicaConfig(n.conf.litestream)
	if err != nil {
		return wrong(name, err.Error(), "mend "+n.conf.litestream)
	}
	var places []string
	for _, f := range c.Databases {
		places = append(places, f.Replica)
		if beside, err := f.Beside(); err == nil && beside {
			return warned(name, f.Replica+" is on the same disk as "+f.Path, "a disk that fails takes both: name a folder on another, or a bucket")
		}
	}
	return ok(name, "%s; durability %s", strings.Join(places, ", "), n.conf.durability)
}

func (n *node) checkLag() wbhttp.Check {
	const name = "replica's lag"
	switch {
	case n.conf.litestream == "":
		return wrong(name, "there is no replica", "")
	case n.replication == nil:
		return unsure(name, "the node does not serve")
	}
	if err := n.replication.Diverged(); err != nil {
		return wrong(name, err.Error(), "see what it says")
	}
	p := n.replication.Progress()
	looked := "never"
	if all := n.replication.Status(); len(all) > 0 {
		looked = aged(n.world.now(), slices.MinFunc(all, func(a, b store.ReplicaStatus) int { return a.Inspected.Compare(b.Inspected) }).Inspected)
	}
	detail := fmt.Sprintf("at position %d, events behind: %s, by %s s at most; looked at and whole: %s", p.Position, grouped(int64(p.Behind())), grouped(int64(p.Lag.Seconds())), looked)
	switch {
	case !p.Overdue.IsZero():
		return wrong(name, detail+"; no round has succeeded since "+aged(n.world.now(), p.Overdue)+": "+fmt.Sprint(p.Err), "see the node's log: what is acknowledged since is on this machine alone")
	case p.Err != nil:
		return warned(name, detail+"; the last round failed: "+p.Err.Error(), "it is tried again")
	}
	return ok(name, "%s", detail)
}

func aged(now, then time.Time) string {
	if then.IsZero() {
		return "never"
	}
	return fmt.Sprintf("%s ago", now.Sub(then).Round(time.Second))
}

func (n *node) checkDrill() wbhttp.Check {
	const name, run = "drill", "run waybill drill"
	if n.conf.litestream == "" {
		return wrong(name, "there is nothing to restore from", "")
	}
	var last ledger.Node
	n.store.View(func(s *ledger.State) { last = s.Node() })
	if last.Drilled == 0 {
		return wrong(name, "a restore was never tried", run)
	}
	detail := fmt.Sprintf("%s, up to position %d, events behind: %s", aged(n.world.now(), last.Drilled.Time()), last.Drill.Position, grouped(int64(last.Drill.Behind)))
	if !last.Drill.OK {
		return wrong(name, "failed ("+last.Drill.Failure+") "+detail, run+": it says what is missing")
	}
	if late := 2 * max(n.conf.drillInterval, 24*time.Hour); n.world.now().Sub(last.Drilled.Time()) > late {
		return warned(name, detail, run)
	}
	return ok(name, "%s", detail)
}

// checkKey knows that the key's file is for its owner's eyes: any other is refused at the start.
func (n *node) checkKey(ctx context.Context) wbhttp.Check {
	const name = "master key"
	path, err := filepath.Abs(n.conf.masterKeyFile)
	if err != nil {
		return wrong(name, err.Error(), "")
	}
	data, err := filepath.Abs(n.conf.data)
	if err != nil {
		return wrong(name, err.Error(), "")
	}
	if strings.HasPrefix(path, data+string(filepath.Separator)) {
		return wrong(name, path+" is in the data folder", "a copy of that is a copy of every secret: keep it elsewhere (master_key_file)")
	}
	key, err := store.ReadMasterKey(path)
	if err != nil {
		return wrong(name, err.Error(), "the node does not start again like this")
	}
	at, err := n.vault.Report(ctx)
	switch {
	case err != nil:
		return wrong(name, err.Error(), "")
	case at.UnderWay:
		return wrong(name, "a rotation of the vault has begun and not ended", "waybill vault rotate goes on with it")
	}
	if former, is := key.Former(); is {
		return warned(name, path+", for its owner alone; the former one, "+former.ID()+", stands beside it", "delete it once no replica or backup needs it")
	}
	return ok(name, "%s, for its owner alone; keep a copy where neither this machine nor the replica is", path)
}

// Below so much free space a disk is full soon; below the least it is as good as full.
const (
	littleRoom = 0.10
	leastRoom  = 512 << 20
)

func (n *node) checkDisk() wbhttp.Check {
	const name, action = "disk", "make room: a full disk admits no calls"
	if err := n.store.Stalled(); err != nil {
		return wrong(name, err.Error(), action)
	}
	free, total, err := store.Room(n.conf.data)
	if err != nil {
		return unsure(name, err.Error())
	}
	detail := fmt.Sprintf("%.1f of %.1f GiB are free", float64(free)/(1<<30), float64(total)/(1<<30))
	switch {
	case free < leastRoom:
		return wrong(name, detail, action)
	case float64(free) < littleRoom*float64(total):
		return warned(name, detail, action)
	}
	return ok(name, "%s", detail)
}

func (n *node) checkClock() wbhttp.Check {
	const name = "clock"
	if err := n.store.Clock(); err != nil {
		return wrong(name, err.Error(), "set the clock")
	}
	now := n.world.now()
	if _, at := n.head(); at.Time().After(now.Add(time.Minute)) {
		return wrong(name, fmt.Sprintf("the log's last event is of %s, and it is %s", at, ledger.InstantOf(now)), "set the clock")
	}
	if kept, err := store.ClockKept(); err == nil && !kept {
		return warned(name, "nothing keeps it right, as far as the kernel knows", "run a time service such as chrony or systemd-timesyncd")
	}
	return ok(name, "%s", ledger.InstantOf(now))
}

func (n *node) checkLog() wbhttp.Check {
	const name = "log verified"
	if d := n.differs.Load(); d != nil {
		return wrong(name, "the log and what follows from it do not agree: "+d.String(), "stop the node, and run waybill verify")
	}
	v := n.verified.Load()
	if v == nil {
		return unsure(name, "not by this process, or not yet: waybill verify does it")
	}
	return ok(name, "up to position %d, %s", v.position, aged(n.world.now(), v.at))
}

func (n *node) checkSignature(ctx context.Context) wbhttp.Check {
	const name = "log signed"
	if err := n.notary.Err(); err != nil {
		return wrong(name, err.Error(), "restore the log that was signed (waybill restore)")
	}
	last, err := store.LastCheckpoint(ctx, n.conf.data)
	if err != nil {
		return wrong(name, err.Error(), "run waybill verify")
	}
	if last == nil {
		return warned(name, "never", "a node that serves signs it, up to where the replica is")
	}
	head, _ := n.head()
	return ok(name, "up to position %d of %d, %s", last.Position, head, aged(n.world.now(), last.At.Time()))
}

// longHeld is how old an open call may be: none lasts as long as this.
const longHeld = time.Hour

func (n *node) checkHolds() wbhttp.Check {
	const name = "open calls"
	var open []*ledger.Hold
	n.store.View(func(s *ledger.State) { open = s.Holds() })
	if len(open) == 0 {
		return ok(name, "none")
	}
	oldest := slices.MinFunc(open, func(a, b *ledger.Hold) int { return int(a.Admitted - b.Admitted) })
	detail := fmt.Sprintf("%s, the oldest, %s, from %s", grouped(int64(len(open))), oldest.Request, aged(n.world.now(), oldest.Admitted.Time()))
	if n.world.now().Sub(oldest.Admitted.Time()) > longHeld {
		return wrong(name, detail, "start the node again: it resolves what a crash left open")
	}
	return ok(name, "%s", detail)
}

func (n *node) checkCredentials(ctx context.Context) (wbhttp.Check, error) {
	const name = "platform credentials"
	labels, err := n.store.Labels(ctx, "credential", ledger.Platform)
	if err != nil {
		return wbhttp.Check{}, err
	}
	named := map[string]string{}
	for _, l := range labels {
		named[l.ID] = l.Name
	}
	var found []string
	unchecked, total := 0, 0
	n.store.View(func(s *ledger.State) {
		for _, c := range s.Wallet(ledger.Platform) {
			total++
			switch c.Checked.Status {
			case ledger.CheckOK:
			case "":
				unchecked++
			default:
				found = append(found, strings.TrimSpace(fmt.Sprintf("%s (%s) is %s %s", named[c.ID], c.Provider, c.Checked.Status, c.Checked.Code)))
			}
		}
	})
	switch {
	case len(found) > 0:
		return wrong(name, strings.Join(found, "; "), "waybill credential list platform; credential rotate"), nil
	case total == 0:
		return warned(name, "none: only calls on orgs' own credentials are answered", "waybill credential attach platform PROVIDER"), nil
	case unchecked > 0:
		return unsure(name, fmt.Sprintf("%d of %d are not checked yet", unchecked, total)), nil
	}
	return ok(name, "%d, and their providers take them", total), nil
}

func (n *node) checkPrices() wbhttp.Check {
	const name = "prices"
	var without []string
	total := 0
	now := ledger.InstantOf(n.world.now())
	n.store.View(func(s *ledger.State) {
		for _, m := range s.Models() {
			if total++; s.PriceOf(m.Name, now) == nil {
				without = append(without, m.Name)
			}
		}
	})
	if len(without) > 0 {
		return warned(name, "models without one in force, which only orgs' own credentials reach: "+strings.Join(without, ", "), "waybill price publish, or model retire")
	}
	return ok(name, "each of %d models has one in force", total)
}
