package http

import (
	"log/slog"
	"net/http"
	"path/filepath"
	"reflect"
	"time"

	"waybill/ledger"
)

// health is the answer of /healthz and /readyz.
type health struct {
	Status      string          `json:"status"` // ok, or what is wrong
	Version     string          `json:"version"`
	Position    uint64          `json:"position"` // of the log's last event
	At          Time            `json:"at"`       // of that event
	Database    string          `json:"database"` // ok, or what is wrong
	Open        int             `json:"open"`     // inference calls
	Replica     *lagHealth      `json:"replica,omitempty"`
	Replication []replicaHealth `json:"replication,omitempty"`
}

// lagHealth is how far behind the replicas are, from the log's own head.
type lagHealth struct {
	Position uint64 `json:"position"` // that they are known to have reached
	At       Time   `json:"at"`       // when that was the head
	Events   uint64 `json:"lag_events"`
	Seconds  int64  `json:"lag_seconds"`   // no event that they lack is older
	Overdue  Time   `json:"stalled_since"` // when a round succeeded last, if that is too long ago
}

type replicaHealth struct {
	File      string `json:"file"`              // its name; for the operator its path
	Replica   string `json:"replica,omitempty"` // for the operator
	InSync    bool   `json:"in_sync"`
	SyncedAt  Time   `json:"synced_at"`       // what was committed before is there
	Inspected Time   `json:"inspected_at"`    // when it was looked at last, and was whole
	Error     string `json:"error,omitempty"` // for the operator
}

func healthRoutes() []route {
	shape := reflect.TypeFor[health]()
	return []route{
		{method: http.MethodGet, path: "/healthz", summary: "Whether the node is well: the log, the database, the replicas", who: public, status: http.StatusOK, out: shape,
			serve: func(s *Server, c *call, w http.ResponseWriter) { s.healthz(c, w) }},
		{method: http.MethodGet, path: "/readyz", summary: "Whether the node takes calls: 503 while it starts, drains or must not", who: public, status: http.StatusOK, out: shape,
			serve: func(s *Server, c *call, w http.ResponseWriter) { s.readyz(c, w) }},
		{method: http.MethodGet, path: "/metrics", summary: "Metrics for Prometheus", who: scraper, status: http.StatusOK, media: "text/plain",
			serve: func(s *Server, c *call, w http.ResponseWriter) { s.metrics.handler.ServeHTTP(w, c.r) }},
	}
}

func (s *Server) health(c *call) (h health, ok bool) {
	open, _ := s.calls.count()
	h = health{Status: "ok", Version: s.o.Version, Database: "ok", Open: open}
	position, at := s.head()
	h.Position, h.At = position, Time(at)
	ok = true
	// Any question that is not answered from memory.
	if _, err := s.o.Names.Find(c, "org", "", "any"); err != nil {
		s.o.Logger.Error("health: the database does not answer", slog.Any("error", err))
		h.Database, ok = "does not answer", false
	}
	if s.o.Replicas != nil {
		s.replication(c, &h)
	}
	if !ok {
		h.Status = "failing"
	}
	return h, ok
}

// replication tells everybody how far the replicas are, and the operator where they are and what fails.
func (s *Server) replication(c *call, h *health) {
	all := s.o.Replicas()
	h.Replica = &lagHealth{Position: all.Position, At: timeOf(all.At), Events: all.Behind, Seconds: int64((all.Lag + time.Second - 1) / time.Second), Overdue: timeOf(all.Overdue)}
	if !all.Overdue.IsZero() {
		h.Status = "replication stalled"
	}
	for _, r := range all.Replicas {
		row := replicaHealth{File: filepath.Base(r.Path), InSync: r.InSync, SyncedAt: timeOf(r.SyncedAt), Inspected: timeOf(r.Inspected)}
		if c.operator {
			row.File, row.Replica = r.Path, r.Replica
			if r.Err != nil {
				row.Error = r.Err.Error()
			}
		}
		h.Replication = append(h.Replication, row)
	}
}

// timeOf is a time of the node's own clock; zero stays none.
func timeOf(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(ledger.InstantOf(t))
}

// healthz tells of replication that lags or has stalled, but answers 200 then: to restart the node would not help.
func (s *Server) healthz(c *call, w http.ResponseWriter) {
	h, ok := s.health(c)
	writeJSON(w, statusOf(ok), h)
}

func (s *Server) readyz(c *call, w http.ResponseWriter) {
	h, ok := s.health(c)
	if _, draining := s.calls.count(); draining {
		h.Status, ok = "draining", false
	} else if err := s.ready(); err != nil {
		h.Status, ok = err.Error(), false
	}
	writeJSON(w, statusOf(ok), h)
}

func statusOf(ok bool) int {
	if ok {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}
