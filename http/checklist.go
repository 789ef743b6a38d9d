package http

import (
	"context"
	"net/http"

	"waybill/ledger"
)

// Check is one thing that an operator should have in order.
type Check struct {
	Name   string `json:"name"`
	State  string `json:"state"` // ok; warn; wrong; or unknown, which is for the node to tell while it serves
	Detail string `json:"detail"`
	Action string `json:"action,omitempty"` // what to do, where something is to be done
}

// The states of a check.
const (
	CheckOK      = "ok"
	CheckWarn    = "warn"
	CheckWrong   = "wrong"
	CheckUnknown = "unknown"
)

type checklist struct {
	OK     bool    `json:"ok"` // nothing is wrong
	Checks []Check `json:"checks"`
}

func checklistRoutes() []route {
	return []route{endpoint(http.MethodGet, "/api/v1/checklist", "Tell what an operator should have in order, and what is not", operator, listChecks)}
}

func listChecks(c *call, _ nothing) (checklist, error) {
	if c.s.o.Checklist == nil {
		return checklist{}, &ledger.Error{Code: ledger.CodeUnavailable, Message: "this node checks nothing"}
	}
	all, err := c.s.o.Checklist(c)
	if err != nil {
		return checklist{}, err
	}
	out := checklist{OK: true, Checks: all}
	for _, k := range all {
		out.OK = out.OK && k.State != CheckWrong
	}
	return out, nil
}

// Checklist looks at what an operator should have in order.
type Checklist func(context.Context) ([]Check, error)
