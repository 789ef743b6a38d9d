package http

import (
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"waybill/ledger"
)

// metrics are the server's own: counters on it, and gauges that are read when somebody looks.
type metrics struct {
	answers *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	handler http.Handler
}

// liveHeap is what of the heap the last collection has left: what a node keeps, whatever it has allocated since.
var liveHeap = regexp.MustCompile("^/gc/heap/live:bytes$")

func newMetrics(s *Server) *metrics {
	m := &metrics{
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "waybill_http_answers_total", Help: "Answers by route and status."}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "waybill_http_seconds", Help: "Time from a call's headers to the end of its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}}, []string{"route"}),
	}
	gauge := func(name, help string, read func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read)
	}
	r := prometheus.NewRegistry()
	r.MustRegister(m.answers, m.seconds, collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.GoRuntimeMetricsRule{Matcher: liveHeap})), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		gauge("waybill_calls_open", "Inference calls that are open.", func() float64 { n, _ := s.calls.count(); return float64(n) }),
		gauge("waybill_body_bytes", "Bytes of callers' bodies in memory.", func() float64 { return float64(s.bodies.used()) }),
		gauge("waybill_log_position", "Position of the log's last event.", func() float64 { p, _ := s.head(); return float64(p) }),
		gauge("waybill_log_epoch", "How often the log began: 1, and one more with each restore.", func() float64 { return float64(s.node().Epoch) }),
		gauge("waybill_drill_ok", "1 if the latest trial of a restore succeeded, 0 if it failed or none was made.", func() float64 {
			if s.node().Drill.OK {
				return 1
			}
			return 0
		}),
		gauge("waybill_drill_timestamp_seconds", "When the latest trial of a restore was made; 0: never.", func() float64 { return float64(s.node().Drilled) / 1e9 }),
		gauge("waybill_drill_seconds", "How long it took.", func() float64 { return float64(s.node().Drill.Duration) / 1e9 }),
		gauge("waybill_drill_position", "Position of the log to which it led.", func() float64 { return float64(s.node().Drill.Position) }),
		gauge("waybill_drill_events_behind", "Events of the node that the replica did not have when it was made.", func() float64 { return float64(s.node().Drill.Behind) }),
		gauge("waybill_holds_open", "Requests that are admitted and not resolved.", func() (n float64) {
			s.o.Books.View(func(st *ledger.State) { n = float64(len(st.Holds())) })
			return n
		}))
	if read := s.o.Replicas; read != nil {
		r.MustRegister(
			gauge("waybill_replica_position", "Position in the log that every replica is known to have reached.", func() float64 { return float64(read().Position) }),
			gauge("waybill_replica_lag_events", "Events of the log that the replicas are not known to have.", func() float64 { return float64(read().Behind) }),
			gauge("waybill_replica_lag_seconds", "No event that the replicas lack is older; 0: they have all.", func() float64 { return read().Lag.Seconds() }),
			gauge("waybill_replica_stalled", "1 if no round of replication has succeeded for too long.", func() float64 {
				if read().Overdue.IsZero() {
					return 0
				}
				return 1
			}),
			gauge("waybill_replica_inspected_timestamp_seconds", "When each replica had been looked at and was whole; 0: not since the start.", func() float64 {
				return oldest(read().Replicas)
			}),
			prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "waybill_replica_failures_total", Help: "Rounds of replication that failed."},
				func() float64 { return float64(read().Failures) }))
	}
	m.handler = promhttp.HandlerFor(r, promhttp.HandlerOpts{Registry: r})
	return m
}

// oldest is when the replica was looked at that was looked at longest ago.
func oldest(all []Replica) float64 {
	var at time.Time
	for i, r := range all {
		if i == 0 || r.Inspected.Before(at) {
			at = r.Inspected
		}
	}
	return float64(timeOf(at)) / 1e9
}

// served counts a call that has ended.
func (m *metrics) served(v *visit, took time.Duration) {
	m.answers.WithLabelValues(v.route, strconv.Itoa(v.status)).Inc()
	m.seconds.WithLabelValues(v.route).Observe(took.Seconds())
}

func (s *Server) head() (position uint64, at ledger.Instant) {
	s.o.Books.View(func(st *ledger.State) { position, at = st.Head() })
	return position, at
}
