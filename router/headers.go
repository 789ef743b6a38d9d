package router

import (
	"net/http"
	"slices"
	"strings"

	"waybill/ledger"
)

// passed is what of the upstream's headers goes on to a caller who speaks its dialect: the request's id, and on the
// org's own credential everything that is the provider's own, such as its limits. Those of the platform's credentials
// concern the operator.
func (a *attempt) passed() http.Header {
	if a.dialect != a.task.Request.Dialect {
		return nil
	}
	out := http.Header{}
	hop := strings.Join(a.reply.Header()["Connection"], ",") // names what is for the upstream's connection alone
	for name, values := range a.reply.Header() {
		if hop != "" && slices.ContainsFunc(strings.Split(hop, ","), func(s string) bool { return strings.EqualFold(strings.TrimSpace(s), name) }) {
			continue
		}
		own := strings.HasPrefix(name, "Anthropic-") || strings.HasPrefix(name, "Openai-") || strings.HasPrefix(name, "X-Ratelimit-")
		if name == "Request-Id" || name == "X-Request-Id" || own && a.on.Credential.Kind() == ledger.BYOK {
			out[name] = values
		}
	}
	return out
}
