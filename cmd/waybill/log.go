package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
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

var logTail = command{
	name:    "log tail",
	about:   "show the last events",
	more:    "With --follow it goes on with those that come, until Ctrl-C.",
	example: []string{"waybill log tail", "waybill log tail --org acme --follow"},
	setup: func(f *flags) action {
		lines := f.Uint64("lines", 20, "how `MANY` of the last events, counted over the whole log")
		org := f.String("org", "", "the events of one `ORG` alone")
		follow := f.Bool("follow", false, "go on with those that come")
		asJSON := f.Bool("json", false, "print JSON, an event a line, as the control API has it")
		return withAPI(func(ctx context.Context, w *work, a *api, _ []string) error {
			return tail(ctx, w, a, *lines, *org, *follow, *asJSON)
		})
	},
}

// tailPage is as many events as are asked for at a time.
const tailPage = 500

func tail(ctx context.Context, w *work, a *api, lines uint64, org string, follow, asJSON bool) error {
	var orgs struct{ Orgs []orgView }
	if err := a.get(ctx, "/orgs", &orgs); err != nil {
		return err
	}
	names := map[string]string{}
	for _, o := range orgs.Orgs {
		names[o.ID] = o.Name
	}
	var page struct {
		Events     []json.RawMessage
		Next, Head uint64
	}
	if err := a.get(ctx, "/events?limit=1", &page); err != nil {
		return err
	}
	last := page.Head
	for after := last - min(lines, last); after < last; after = page.Next {
		page.Events = nil
		if err := a.get(ctx, fmt.Sprintf("/events?after=%d&limit=%d&org=%s", after, min(tailPage, last-after), url.QueryEscape(org)), &page); err != nil {
			return err
		}
		for _, e := range page.Events {
			if err := printEvent(w, e, names, asJSON); err != nil {
				return err
			}
		}
	}
	if !follow {
		return nil
	}
	err := a.client.Tail(ctx, fmt.Sprintf("/api/v1/events/tail?after=%d&org=%s", last, url.QueryEscape(org)), func(data []byte) error {
		return printEvent(w, data, names, asJSON)
	})
	if ctx.Err() != nil {
		return nil // Ctrl-C is how one leaves
	}
	return err
}

func printEvent(w *work, line json.RawMessage, names map[string]string, asJSON bool) error {
	if asJSON {
		w.printf("%s\n", line)
		return nil
	}
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		return fmt.Errorf("the node's answer is not understood: %w", err)
	}
	w.printf("%7d  %s  %-12s  %-20s  %s\n", e.Position, second(e.At), printable(cmp.Or(names[e.Stream], e.Stream)), e.Type, printable(string(e.Data)))
	return nil
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
