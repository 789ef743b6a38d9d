package http

import (
	"net/http"

	"waybill/ledger"
)

// drill is a trial of a restore, as the control API shows it.
type drill struct {
	Position uint64 `json:"position"` // to which the replica led
	OK       bool   `json:"ok"`
	Failure  string `json:"failure,omitempty"`
	Behind   uint64 `json:"events_behind"` // of the node's own, that the replica did not have
	Duration int64  `json:"duration_ns"`
	At       Time   `json:"at"` // when it was recorded
}

func drillRoutes() []route {
	return []route{
		create("/api/v1/drills", "Record what a trial of a restore came to", operator, recordDrill),
		endpoint(http.MethodGet, "/api/v1/drills/latest", "Show what the latest trial of a restore came to", operator, latestDrill),
	}
}

func drillRow(n ledger.Node) drill {
	d := n.Drill
	return drill{Position: d.Position, OK: d.OK, Failure: d.Failure, Behind: d.Behind, Duration: d.Duration, At: Time(n.Drilled)}
}

func recordDrill(c *call, in drill) (drill, error) {
	r, err := c.s.o.Books.Execute(c, ledger.CompleteDrill{Who: c.by, Drill: ledger.Drill{Position: in.Position, OK: in.OK, Failure: in.Failure,
		Behind: in.Behind, Duration: in.Duration}})
	if err != nil {
		return drill{}, err
	}
	last := r.Records[len(r.Records)-1]
	return drillRow(ledger.Node{Drill: last.Event.(*ledger.DrillCompleted).Drill, Drilled: last.At}), nil
}

func latestDrill(c *call, _ nothing) (drill, error) {
	n := c.s.node()
	if n.Drilled == 0 {
		return drill{}, &ledger.Error{Code: ledger.CodeNotFound, Message: "no drill was made yet"}
	}
	return drillRow(n), nil
}

// node is what the log knows of its node.
func (s *Server) node() (n ledger.Node) {
	s.o.Books.View(func(st *ledger.State) { n = st.Node() })
	return n
}
