package http

import (
	"net/http"
	"reflect"

	"waybill/ledger"
	"waybill/router"
)

// modelRow is a model as OpenAI's clients know one.
type modelRow struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"` // seconds since 1970, of the price in force; 0 if there is none
	OwnedBy string `json:"owned_by"`
}

type modelList struct {
	Object string     `json:"object"`
	Data   []modelRow `json:"data"`
}

func modelRoutes() []route {
	return []route{
		{method: http.MethodGet, path: "/v1/models", summary: "The models that the key reaches, and auto", who: inference, status: http.StatusOK,
			out: reflect.TypeFor[modelList](), serve: (*Server).listModels},
		{method: http.MethodGet, path: "/v1/models/{model:.+}", summary: "One of the models that the key reaches", who: inference, status: http.StatusOK,
			out: reflect.TypeFor[modelRow](), serve: (*Server).showModel},
	}
}

func (s *Server) listModels(c *call, w http.ResponseWriter) {
	if models, ok := s.modelsOf(c, w); ok {
		writeJSON(w, http.StatusOK, modelList{Object: "list", Data: models})
	}
}

func (s *Server) showModel(c *call, w http.ResponseWriter) {
	models, ok := s.modelsOf(c, w)
	if !ok {
		return
	}
	name := c.vars["model"]
	s.o.Books.View(func(st *ledger.State) {
		if m := st.Model(name); m != nil {
			name = m.Name
		}
	})
	for _, m := range models {
		if m.ID == name {
			writeJSON(w, http.StatusOK, m)
			return
		}
	}
	s.lost(w, c.r, router.Failure{Status: http.StatusNotFound, Code: string(ledger.CodeUnknownModel), Field: "model",
		Message: "model \"" + c.vars["model"] + "\" is unknown, or this key does not reach it: see GET /v1/models"})
}

// modelsOf gives what the caller's key reaches, or refuses the caller.
func (s *Server) modelsOf(c *call, w http.ResponseWriter) ([]modelRow, bool) {
	w.Header()["Waybill-Request"] = []string{c.id}
	if err := s.authenticate(c); err != nil {
		s.lost(w, c.r, *router.FailureOf(err))
		return nil, false
	}
	models := []modelRow{}
	now := ledger.InstantOf(s.o.Now())
	s.o.Books.View(func(st *ledger.State) {
		reach := reach{st: st, key: c.key, now: now, supply: router.Supply{Own: st.Wallet(c.key.Org), Pool: st.Wallet(ledger.Platform), Model: st.Model}}
		if o := st.Org(c.key.Org); o != nil {
			reach.plan = st.Plan(o.Plan)
		}
		if reach.to(router.ModelAuto, router.EndpointChat) {
			models = append(models, modelRow{ID: router.ModelAuto, Object: "model", OwnedBy: "waybill"})
		}
		for _, m := range st.Models() {
			endpoint := router.EndpointChat
			if !m.Has(ledger.FeatureChat) {
				endpoint = router.EndpointEmbed
			}
			if reach.to(m.Name, endpoint) {
				row := modelRow{ID: m.Name, Object: "model", OwnedBy: m.Provider}
				if p := st.PriceOf(m.Name, now); p != nil {
					row.Created = p.From.Time().Unix()
				}
				models = append(models, row)
			}
		}
	})
	return models, true
}

// reach tells which models a key gets to.
type reach struct {
	st     *ledger.State
	key    *ledger.Key
	plan   *ledger.Plan
	now    ledger.Instant
	supply router.Supply
}

// to tells whether a route to the model has a leg that the ledger would admit, money aside.
func (r reach) to(model string, endpoint router.Endpoint) bool {
	lane, legs, err := router.Route(&router.Request{Endpoint: endpoint, Model: model}, r.supply)
	if err != nil {
		return false
	}
	for _, l := range legs {
		open := l.Credential.Kind() == ledger.BYOK || r.plan != nil && r.plan.Allows(lane) && r.st.PriceOf(l.Model.Name, r.now) != nil
		if open && r.key.Allows(l.Model) {
			return true
		}
	}
	return false
}
