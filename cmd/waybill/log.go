package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"waybill/ledger"
	"waybill/store"
)

var logExport = command{
	name:  "log export",
	about: "print the events as JSON lines",
	more: "One event a line, in the order of the log, with data as it is stored. Works beside a running node. It holds no names and no\n" +
		"secrets.",
	example: []string{"waybill log export > events.jsonl", "waybill log export --after 5000"},
	setup: func(f *flags) action {
		after := f.Uint64("after", 0, "begin after the event at `POSITION`")
		org := f.String("org", "", "the events of one `ORG` alone")
		return func(ctx context.Context, w *work, _ []string) (err error) {
			r, err := store.OpenReader(ctx, w.conf.data)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, r.Close()) }()
			stream := ""
			if *org != "" {
				if stream, err = orgOf(ctx, r, *org); err != nil {
					return err
				}
			}
			return exportLog(ctx, w, r, *after, stream)
		}
	},
}

// event is a record as the exports and the control API show it.
type event struct {
	Position uint64          `json:"position"`
	Stream   string          `json:"stream"`
	Version  uint64          `json:"version"`
	ID       string          `json:"id"`
	Type     ledger.Type     `json:"type"`
	Schema   int             `json:"schema"`
	At       string          `json:"at"`
	Actor    string          `json:"actor"`
	Cause    string          `json:"cause"`
	Data     json.RawMessage `json:"data"`
}

func eventOf(r *ledger.Record) event {
	h := hex.EncodeToString(r.ID[:])
	return event{r.Position, r.Stream, r.Version, h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:], r.Type, r.Schema,
		r.At.Time().Format(time.RFC3339Nano), r.Actor, r.Cause, r.Data}
}

// exportPage is as many events as are read at a time.
const exportPage = 2000

func exportLog(ctx context.Context, w *work, r *store.Reader, after uint64, stream string) error {
	out := bufio.NewWriter(w.stdout)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	for {
		recs, err := r.Page(ctx, after, exportPage)
		if err != nil {
			return err
		}
		for i := range recs {
			after = recs[i].Position
			if stream != "" && recs[i].Stream != stream {
				continue
			}
			if err := lines.Encode(eventOf(&recs[i])); err != nil {
				return err
			}
		}
		if len(recs) < exportPage {
			return out.Flush()
		}
	}
}

// orgOf finds the id of an org that is named by its id or its name.
func orgOf(ctx context.Context, r *store.Reader, org string) (string, error) {
	id, err := r.Find(ctx, "org", "", org)
	if err != nil || id != "" {
		return id, err
	}
	recs, err := r.Stream(ctx, org, 0, 1)
	if err != nil {
		return "", err
	}
	if len(recs) == 0 || org == ledger.Platform {
		return "", errors.New("there is no org " + org + ": waybill org list shows them")
	}
	return org, nil
}
