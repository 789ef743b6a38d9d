package http

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"waybill/ledger"
)

// event is a fact in its place in the log, with its data as it is stored.
type event struct {
	Position uint64          `json:"position"`
	Stream   string          `json:"stream"`
	Version  uint64          `json:"version"`
	ID       string          `json:"id"`
	Type     ledger.Type     `json:"type"`
	Schema   int             `json:"schema"`
	At       Time            `json:"at"`
	Actor    string          `json:"actor"`
	Cause    string          `json:"cause"`
	Data     json.RawMessage `json:"data"`
}

type events struct {
	Events []event `json:"events"`
	// Next is where the next page begins. A page may hold fewer events than asked for, or none, and not be the last:
	// the events of other orgs are counted, but not shown. There is no more when head has been reached.
	Next uint64 `json:"next"`
	Head uint64 `json:"head"`
}

type eventQuery struct {
	Org   string `query:"org" doc:"the events of one org, by id or name"`
	After uint64 `query:"after" doc:"a position: the page begins behind it"`
	Limit limit  `query:"limit" doc:"events of a page, 100 unless given, at most 1000"`
}

type tailQuery struct {
	Org   string `query:"org" doc:"the events of one org, by id or name"`
	After string `query:"after" doc:"a position to begin behind; the log's end unless given"`
}

func eventRoutes() []route {
	tail := endpoint(http.MethodGet, "/api/v1/events/tail", "The events as they are appended, as server-sent events: id is the position, event the type", operator,
		func(*call, tailQuery) (event, error) { return event{}, nil })
	tail.media, tail.serve = "text/event-stream", (*Server).tail
	return []route{endpoint(http.MethodGet, "/api/v1/events", "A page of the log", operator, listEvents), tail}
}

func eventRow(r *ledger.Record) event {
	h := hex.EncodeToString(r.ID[:])
	return event{Position: r.Position, Stream: r.Stream, Version: r.Version, ID: h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:],
		Type: r.Type, Schema: r.Schema, At: Time(r.At), Actor: r.Actor, Cause: r.Cause, Data: r.Data}
}

func listEvents(c *call, in eventQuery) (events, error) {
	stream, err := c.streamOf(in.Org)
	if err != nil {
		return events{}, err
	}
	head, _ := c.s.head()
	recs, err := c.s.o.Log.Page(c, in.After, in.Limit.or())
	out := events{Events: []event{}, Next: in.After, Head: head}
	for i := range recs {
		out.Next = recs[i].Position
		if stream == "" || recs[i].Stream == stream {
			out.Events = append(out.Events, eventRow(&recs[i]))
		}
	}
	return out, err
}

// streamOf is the stream of an org that is named in a query, or Platform; empty for none.
func (c *call) streamOf(name string) (string, error) {
	if name == "" || name == ledger.Platform {
		return name, nil
	}
	return c.find(name)
}

const (
	tailPage = 500
	tailIdle = 15 * time.Second // between two comments that keep the connection known to be alive
)

// tail sends events as they come, until its reader leaves or the node stops.
func (s *Server) tail(c *call, w http.ResponseWriter) {
	var in tailQuery
	if err := c.read(w, &in); err != nil {
		s.problem(w, c.id, err)
		return
	}
	stream, after, err := c.tailFrom(in)
	if err != nil {
		s.problem(w, c.id, err)
		return
	}
	k := &sink{w: w, control: http.NewResponseController(w), stream: true}
	h := w.Header()
	h["Content-Type"], h["Cache-Control"], h["X-Accel-Buffering"] = eventStream, noCache, no
	if k.Send([]byte(": events\n\n")) != nil {
		return
	}
	alive := time.NewTicker(tailIdle)
	defer alive.Stop()
	for {
		recs, err := s.o.Log.Page(c, after, tailPage)
		if err != nil {
			return // the reader left, or the log is closed
		}
		var b []byte
		for i := range recs {
			after = recs[i].Position
			if stream == "" || recs[i].Stream == stream {
				b = appendFrame(b, eventRow(&recs[i]))
			}
		}
		if len(b) > 0 && k.Send(b) != nil {
			return
		}
		if len(recs) == tailPage {
			continue
		}
		select {
		case <-s.o.Log.Changed(after):
		case <-alive.C:
			if k.Send([]byte(": alive\n\n")) != nil {
				return
			}
		case <-c.Done():
			return
		case <-s.closing:
			return
		}
	}
}

// tailFrom finds out what a reader wants to see. One that comes back says where it was by Last-Event-ID.
func (c *call) tailFrom(in tailQuery) (stream string, after uint64, err error) {
	if stream, err = c.streamOf(in.Org); err != nil {
		return "", 0, err
	}
	from := in.After
	if last := c.r.Header.Get("Last-Event-ID"); last != "" {
		from = last
	}
	if from == "" {
		after, _ = c.s.head()
		return stream, after, nil
	}
	if after, err = strconv.ParseUint(from, 10, 63); err != nil {
		return "", 0, invalid("after", "must be a position: a whole number that is not negative")
	}
	return stream, after, nil
}

func appendFrame(b []byte, e event) []byte {
	data, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Errorf("event %d is no JSON: %w", e.Position, err)) // what is stored was encoded by us
	}
	b = fmt.Appendf(b, "id: %d\nevent: %s\ndata: ", e.Position, e.Type)
	return append(append(b, data...), "\n\n"...)
}
