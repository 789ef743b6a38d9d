package http

import (
	"net/http"
	"slices"

	"waybill/ledger"
)

// routes is the one table of all that is served. What is called most comes first, since it is searched in order.
func routes() []route {
	return slices.Concat(
		[]route{chat("/v1/chat/completions", "Answer a conversation, in OpenAI's Chat Completions dialect", ledger.DialectOpenAIChat)},
		modelRoutes(),
		healthRoutes(),
		orgRoutes(), planRoutes(), keyRoutes(), credentialRoutes(),
		creditRoutes(), balanceRoutes(), traceRoutes(),
		eventRoutes(), catalogueRoutes(),
		[]route{{method: http.MethodGet, path: "/api/v1/openapi.json", summary: "This description", who: public, status: http.StatusOK,
			serve: func(s *Server, _ *call, w http.ResponseWriter) {
				w.Header()["Content-Type"] = plainJSON
				_, _ = w.Write(s.openapi) // a caller who has left reads nothing
			}}},
	)
}
