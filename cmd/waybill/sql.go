package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"iter"
	"strconv"

	"waybill/store"
)

var sqlCommand = command{
	name:  "sql",
	args:  "[QUERY]",
	about: "ask the log a question in SQL, read-only",
	more: `QUERY is one SELECT over the views, whose columns --schema lists:

  events        the log itself; data is JSON: data ->> '$.request'
  requests      one row a call: who, what, how it ended, what it used and cost
  attempts      one row an upstream call of a request
  entries       one row a posting: account, unit, amount
  balances      what each account has now
  lots          each lot of credit, and what remains of it
  usage_daily   sums of requests by day, org, key, model and kind of credential

Money is in nano-dollars, times are in nanoseconds since 1970. The answer shows the log as it is now, whether a node runs or not.`,
	example: []string{`waybill sql "SELECT org, count(*) AS calls, sum(charge_nano) AS nano FROM requests GROUP BY org"`, "waybill sql --schema",
		`waybill sql --csv --limit 0 "SELECT * FROM entries" > entries.csv`},
	setup: func(f *flags) action {
		asCSV := f.Bool("csv", false, "print CSV")
		asJSON := f.Bool("json", false, "print JSON: an array of objects")
		limit := f.Int("limit", 100_000, "give at most `N` rows, and end with an error if there are more; 0 gives all")
		schema := f.Bool("schema", false, "list the views and their columns, in place of a query")
		return func(ctx context.Context, w *work, args []string) (err error) {
			print := rowsAsTable
			switch {
			case *asCSV && *asJSON:
				return misused("--csv and --json exclude each other")
			case *schema == (len(args) > 0):
				return misused("QUERY is missing, or --schema in its place")
			case *limit < 0:
				return misused("--limit: %d is less than nothing; 0 gives all", *limit)
			case *asCSV:
				print = rowsAsCSV
			case *asJSON:
				print = rowsAsJSON
			}
			if *schema {
				return print(w, []string{"view", "column", "type"}, columns)
			}
			if err := catchUp(ctx, w.conf.data); err != nil {
				return err
			}
			rows, err := store.Query(ctx, w.conf.data, args[0], store.Limits{Rows: *limit})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, rows.Close()) }()
			return print(w, rows.Columns, rows.All())
		}
	},
}

// columns are those of the views, as rows.
func columns(yield func([]any, error) bool) {
	for _, c := range store.Columns() {
		if !yield([]any{c.View, c.Name, c.Type}, nil) {
			return
		}
	}
}

// catchUp brings the reports to the log's head, beside a node that may be doing the same.
func catchUp(ctx context.Context, data string) (err error) {
	r, err := store.OpenReader(ctx, data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	reports, err := store.OpenReports(ctx, data, r)
	if err != nil {
		return err
	}
	return errors.Join(reports.CatchUp(ctx), reports.Close())
}

func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case []byte:
		return fmt.Sprintf("%x", v)
	case string:
		return v
	}
	return fmt.Sprint(v)
}

func rowsAsTable(w *work, columns []string, rows iter.Seq2[[]any, error]) error {
	t := newTable(columns...)
	numbers := make([]bool, len(columns))
	for row, err := range rows {
		if err != nil {
			return err
		}
		cells := make([]string, len(row))
		for i, v := range row {
			cells[i] = cell(v)
			if _, ok := v.(int64); ok {
				numbers[i] = true
			}
		}
		t.row(cells...)
	}
	for i, is := range numbers {
		if is {
			t.head[i] = ">" + t.head[i]
		}
	}
	return t.write(w.stdout)
}

func rowsAsCSV(w *work, columns []string, rows iter.Seq2[[]any, error]) error {
	out := csv.NewWriter(w.stdout)
	if err := out.Write(columns); err != nil {
		return err
	}
	cells := make([]string, len(columns))
	for row, err := range rows {
		if err != nil {
			return err
		}
		for i, v := range row {
			cells[i] = cell(v)
		}
		if err := out.Write(cells); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func rowsAsJSON(w *work, columns []string, rows iter.Seq2[[]any, error]) error {
	all := []map[string]any{}
	for row, err := range rows {
		if err != nil {
			return err
		}
		object := map[string]any{}
		for i, v := range row {
			if b, ok := v.([]byte); ok {
				v = fmt.Sprintf("%x", b)
			}
			object[columns[i]] = v
		}
		all = append(all, object)
	}
	return writeJSON(w.stdout, all)
}
