package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"

	"waybill/ledger"
)

// comparison holds the reports against the rows that follow from the log, in one snapshot, up to the reports' checkpoint.
// Every table is read once, beside the log and in its order, so that neither is ever in memory.
type comparison struct {
	db    *sql.DB
	tx    *sql.Tx
	found func(Difference)

	checkpoint uint64 // 0: nothing to compare
	event      []byte // the id of the event there
	cursors    map[string]*cursor
	admitted   map[uint64]admission // the requests that are open, by their admission
	day        string
	usage      map[usageKey]*UsageRow // of the day
	days       map[string]bool
}

// admission is a request as the log tells it so far, and its finished row as the reports have it, nil if they have none.
type admission struct {
	trace *ledger.Trace
	row   []any
}

// openComparison opens the reports of a data folder. Without any, or with ones that another waybill made and this one
// would make again, there is nothing to compare.
func openComparison(ctx context.Context, dir string) (*comparison, error) {
	c := &comparison{cursors: map[string]*cursor{}, admitted: map[uint64]admission{}, usage: map[usageKey]*UsageRow{}, days: map[string]bool{}}
	path := reportsPath(dir)
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return c, nil
		}
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path, reading))
	if err != nil {
		return nil, err
	}
	c.db = db
	if err := c.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("reports.db cannot be read (it may be deleted, it is made again): %w", err), c.close())
	}
	return c, nil
}

func (c *comparison) open(ctx context.Context) error {
	_, want, err := reportsSchema()
	if err != nil {
		return err
	}
	if c.tx, err = c.db.BeginTx(ctx, nil); err != nil {
		return err
	}
	var madeBy string
	var checkpoint int64
	err = c.tx.QueryRowContext(ctx, "SELECT made_by, position, event FROM checkpoint").Scan(&madeBy, &checkpoint, &c.event)
	if err != nil || madeBy != want {
		return err
	}
	c.checkpoint = uint64(checkpoint)
	if c.checkpoint == 0 {
		return nil
	}
	for _, t := range []table{requestsTable, extensionsTable, attemptsTable, entriesTable} {
		cu, err := openCursor(ctx, c.tx, t)
		if err != nil {
			return err
		}
		c.cursors[t.name] = cu
	}
	return nil
}

func (c *comparison) close() error {
	var errs []error
	for _, cu := range c.cursors {
		errs = append(errs, cu.rows.Close())
	}
	if c.tx != nil {
		errs = append(errs, c.tx.Rollback())
	}
	if c.db != nil {
		errs = append(errs, c.db.Close())
	}
	return errors.Join(errs...)
}

// add compares what one event gave the reports. tr is the trace of its request, with the event folded into it.
func (c *comparison) add(r *ledger.Record, ps []ledger.Posting, tr *ledger.Trace) error {
	if r.Position > c.checkpoint {
		return nil
	}
	for _, e := range entries(r, ps) {
		if err := c.row(entriesTable, r.Position, e.row()); err != nil {
			return err
		}
	}
	if tr != nil {
		if err := c.request(r, tr); err != nil {
			return err
		}
	}
	if r.Position == c.checkpoint {
		return c.finish(r)
	}
	return nil
}

func (c *comparison) request(r *ledger.Record, tr *ledger.Trace) error {
	for _, a := range attempts(r) {
		if err := c.row(attemptsTable, r.Position, a.row()); err != nil {
			return err
		}
	}
	switch r.Position {
	case tr.AdmittedPosition:
		row, err := c.cursors[requestsTable.name].take(requestRow(tr), c.found)
		if err != nil {
			return err
		}
		c.admitted[r.Position] = admission{tr, slices.Clone(row)}
	case tr.SettledPosition:
		c.resolved(r.Position, tr.AdmittedPosition)
		return c.count(tr, r.At)
	default:
		return c.row(extensionsTable, r.Position, []any{int64(r.Position), tr.ID})
	}
	return nil
}

// resolved compares a request's row at the position of its resolution, or at its admission if it is open.
func (c *comparison) resolved(position, admitted uint64) {
	a := c.admitted[admitted]
	delete(c.admitted, admitted)
	compareRow(requestsTable, position, a.row, requestRow(a.trace), c.found)
}

// count adds a request to its day, and compares a day when the next one has begun.
func (c *comparison) count(tr *ledger.Trace, at ledger.Instant) error {
	k := usageOf(tr, at)
	if k.day != c.day {
		if err := c.compareDay(); err != nil {
			return err
		}
		c.day = k.day
		c.days[k.day] = true
	}
	if c.usage[k] == nil {
		c.usage[k] = &UsageRow{}
	}
	c.usage[k].add(tr)
	return nil
}

func (c *comparison) compareDay() error {
	cu, err := openCursor(context.Background(), c.tx, usageTable, "day", c.day)
	if err != nil {
		return err
	}
	defer cu.rows.Close()
	for _, k := range slices.SortedFunc(maps.Keys(c.usage), usageKey.compare) {
		row := c.usage[k].row(k)
		got, err := cu.take(row, c.found)
		if err != nil {
			return err
		}
		compareRow(usageTable, c.usage[k].position, got, row, c.found)
	}
	clear(c.usage)
	return cu.rest(c.found)
}

// finish compares what is known only at the checkpoint: open requests, the last day, and rows that nothing led to.
func (c *comparison) finish(r *ledger.Record) error {
	if string(c.event) != string(r.ID[:]) {
		c.found(Difference{r.Position, "checkpoint", "of reports.db", "event", uuidText(r.ID), fmt.Sprintf("%x", c.event)})
	}
	for _, at := range slices.Sorted(maps.Keys(c.admitted)) {
		c.resolved(at, at)
	}
	if err := c.compareDay(); err != nil {
		return err
	}
	for _, cu := range c.cursors {
		if err := cu.rest(c.found); err != nil {
			return err
		}
	}
	days, err := column1(context.Background(), c.tx, "SELECT DISTINCT day FROM usage_daily")
	if err != nil {
		return err
	}
	for _, d := range days {
		if !c.days[d] {
			c.found(Difference{r.Position, usageTable.name, "of day " + d, "", "absent", "there"})
		}
	}
	return nil
}

// beyond tells if the reports claim to show more than there is.
func (c *comparison) beyond(_ context.Context, head uint64) error {
	if c.checkpoint > head {
		c.found(Difference{head + 1, "checkpoint", "of reports.db", "position", "at most " + strconv.FormatUint(head, 10), strconv.FormatUint(c.checkpoint, 10)})
	}
	return nil
}

func (c *comparison) row(t table, position uint64, want []any) error {
	got, err := c.cursors[t.name].take(want, c.found)
	if err != nil {
		return err
	}
	compareRow(t, position, got, want, c.found)
	return nil
}
