package http

import (
	"net/http"
	"slices"
)

// routes is the one table of all that is served. What is called most comes first, since it is searched in order.
func routes() []route {
	return slices.Concat(
		inferenceRoutes(),
		modelRoutes(),
		healthRoutes(),
		checklistRoutes(),
		orgRoutes(), planRoutes(), keyRoutes(), credentialRoutes(), policyRoutes(), reachRoutes(),
		creditRoutes(), balanceRoutes(), traceRoutes(), tableRoutes(),
		eventRoutes(), catalogueRoutes(), simulateRoutes(), custodyRoutes(), drillRoutes(), checkpointRoutes(),
		[]route{{method: http.MethodGet, path: "/api/v1/openapi.json", summary: "This description", who: public, status: http.StatusOK,
			serve: func(s *Server, _ *call, w http.ResponseWriter) {
				w.Header()["Content-Type"] = plainJSON
				_, _ = w.Write(s.openapi) // a caller who has left reads nothing
			}}},
	)
}
