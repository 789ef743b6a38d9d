package main

import (
	"context"
	"errors"
	"io"

	wbhttp "waybill/http"
	"waybill/store"
)

// tables shows the data folder's traces to the server.
type tables struct{ data string }

// maxAnswer bounds the values of an answer that the server gathers, in bytes.
const maxAnswer = 32 << 20

func (t tables) Query(ctx context.Context, query string, most int) (columns []string, all [][]any, err error) {
	rows, err := store.Query(ctx, t.data, query, store.Limits{Rows: most, Bytes: maxAnswer})
	if err != nil {
		return nil, nil, asked(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for row, err := range rows.All() {
		if err != nil {
			return nil, nil, asked(err)
		}
		all = append(all, row)
	}
	return rows.Columns, all, nil
}

func (t tables) Export(ctx context.Context, w io.Writer, e wbhttp.ExportQuery) (err error) {
	r, err := store.OpenReader(ctx, t.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return asked(export(ctx, w, r, store.ExportOptions{Format: store.Format(e.Format), Dialect: store.Dialect(e.Dialect), Table: e.Table, Org: e.Org, Since: e.Since}))
}

// asked tells what is wrong with what was asked from what is wrong here.
func asked(err error) error {
	if q, wrong := errors.AsType[*store.QueryError](err); wrong {
		return &wbhttp.QueryError{Reason: q.Error()}
	}
	return err
}
