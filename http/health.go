package http

import (
	"log/slog"
	"net/http"
	"reflect"

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
	Replication []replicaHealth `json:"replication,omitempty"`
}

type replicaHealth struct {
	File     string `json:"file,omitempty"`    // for the operator
	Replica  string `json:"replica,omitempty"` // likewise
	InSync   bool   `json:"in_sync"`
	SyncedAt Time   `json:"synced_at"`       // what was committed before is there
	Error    string `json:"error,omitempty"` // likewise
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
		h.Replication = s.replication(c)
	}
	if !ok {
		h.Status = "failing"
	}
	return h, ok
}

// replication tells everybody how far the replicas are, and the operator where they are and what fails.
func (s *Server) replication(c *call) (all []replicaHealth) {
	replicas, err := s.o.Replicas(c)
	if err != nil {
		replicas = []Replica{{Err: err}}
	}
	for _, r := range replicas {
		h := replicaHealth{InSync: r.InSync, SyncedAt: Time(ledger.InstantOf(r.SyncedAt))}
		if c.operator {
			h.File, h.Replica = r.Path, r.Replica
			if r.Err != nil {
				h.Error = r.Err.Error()
			}
		}
		all = append(all, h)
	}
	return all
}

// healthz tells of a replica that lags, but is not unwell for it: to restart the node would not help.
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
