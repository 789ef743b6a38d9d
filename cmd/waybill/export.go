package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"waybill/store"
)

var exportTraces = command{
	name:  "export traces",
	about: "write the traces as SQL, a SQLite file, CSV or JSON lines",
	more: "All tables are of one moment: events, requests, attempts, entries, balances, lots, as waybill sql shows them. CSV is one\n" +
		"table. Works beside a running node. Names and secrets are not in it.",
	example: []string{"waybill export traces --format sql --org acme > acme.sql", "waybill export traces --format sqlite --out traces.db",
		"waybill export traces --format csv --table attempts --since 30d"},
	setup: func(f *flags) action {
		format := f.String("format", "sql", "`FORMAT`: sql, sqlite, csv or jsonl")
		dialect := f.String("dialect", "sqlite", "whose SQL: sqlite or postgres")
		table := f.String("table", "", "the one `TABLE` of csv (default requests) or jsonl (default all)")
		org := f.String("org", "", "what concerns one `ORG` alone")
		since := f.String("since", "", "leave out what is earlier than `WHEN`: a time, a day (from its beginning, UTC), or how long ago, such as 30d or 12h")
		out := f.String("out", "", "write to `FILE`, which must not be there, instead of the standard output")
		return func(ctx context.Context, w *work, _ []string) (err error) {
			from, err := ago(*since)
			if err != nil {
				return misused("--since: %v", err)
			}
			r, err := store.OpenReader(ctx, w.conf.data)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, r.Close()) }()
			o := store.ExportOptions{Format: store.Format(*format), Dialect: store.Dialect(*dialect), Table: *table, Since: from}
			if *org != "" {
				if o.Org, err = orgOf(ctx, r, *org); err != nil {
					return err
				}
			}
			if *out == "" {
				return export(ctx, w.stdout, r, o)
			}
			return exportToFile(ctx, *out, r, o)
		}
	},
}

func export(ctx context.Context, to io.Writer, r *store.Reader, o store.ExportOptions) error {
	b := bufio.NewWriter(to)
	if _, err := store.Export(ctx, r, b, o); err != nil {
		return err
	}
	return b.Flush()
}

// exportToFile makes the file whole or not at all.
func exportToFile(ctx context.Context, name string, r *store.Reader, o store.ExportOptions) error {
	if _, err := os.Stat(name); err == nil {
		return errors.New(name + " is there already: name another file")
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".waybill-export-")
	if err != nil {
		return err
	}
	if err := errors.Join(export(ctx, f, r, o), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), name)
}
