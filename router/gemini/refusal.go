package gemini

import (
	"net/http"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// classes of the status words of Google's errors. A failed precondition is a region that is not served, or
// billing that is not set up: another credential may do.
var classes = map[string]router.Class{
	"INVALID_ARGUMENT":    router.ClassBadRequest,
	"OUT_OF_RANGE":        router.ClassBadRequest,
	"UNIMPLEMENTED":       router.ClassBadRequest,
	"FAILED_PRECONDITION": router.ClassCredential,
	"UNAUTHENTICATED":     router.ClassCredential,
	"PERMISSION_DENIED":   router.ClassCredential,
	"NOT_FOUND":           router.ClassNotFound,
	"RESOURCE_EXHAUSTED":  router.ClassRateLimited,
	"ABORTED":             router.ClassServerError,
	"CANCELLED":           router.ClassServerError,
	"DATA_LOSS":           router.ClassServerError,
	"INTERNAL":            router.ClassServerError,
	"UNKNOWN":             router.ClassServerError,
	"UNAVAILABLE":         router.ClassOverloaded,
	"DEADLINE_EXCEEDED":   router.ClassTimeout,
}

// unusable are the reasons in an error's details that condemn the credential, whatever the status: a bad key
// is an INVALID_ARGUMENT.
var unusable = map[string]bool{
	"ACCESS_TOKEN_EXPIRED": true,
	"BILLING_DISABLED":     true,
	"CONSUMER_INVALID":     true,
	"CONSUMER_SUSPENDED":   true,
	"SERVICE_DISABLED":     true,
}

// unfunded are what the messages of a RESOURCE_EXHAUSTED say when the account may spend no more.
var unfunded = []string{"spending cap", "spend cap", "spend limit", "credits are depleted"}

// tooLong is what the messages say of a prompt that the model has no room for. No field tells that error from others.
const tooLong = "exceeds the maximum number of tokens"

// Refusal reads {"error":{"code","message","status","details":[…]}}, which some answers wrap into a list.
// Status is 0 for an error inside a stream, where the body repeats it.
func (d *decoder) Refusal(status int, body gjson.Result) *router.UpstreamError {
	if body.IsArray() {
		body = body.Get("0")
	}
	e := body.Get("error")
	if status == 0 {
		status = int(e.Get("code").Int())
	}
	out := &router.UpstreamError{Code: e.Get("status").String(), Message: e.Get("message").String()}
	class, ok := classes[out.Code]
	if !ok {
		class = router.ClassOf(status)
	}
	out.Class, out.Doubtful = class, class == router.ClassNotFound || class == router.ClassCredential && status != http.StatusUnauthorized
	out.TooLong = class == router.ClassBadRequest && strings.Contains(strings.ToLower(out.Message), tooLong)
	e.Get("details").ForEach(func(_, detail gjson.Result) bool {
		readDetail(out, detail)
		return true
	})
	if class == router.ClassRateLimited {
		out.Unfunded(unfunded...)
	}
	return out
}

// readDetail reads one of google.rpc.ErrorInfo, QuotaFailure and RetryInfo. A quota of the day cannot be waited
// for, so that it condemns the credential as spent credit does: for its model alone, where every such quota is a model's.
func readDetail(out *router.UpstreamError, detail gjson.Result) {
	if reason := detail.Get("reason").String(); unusable[reason] || strings.HasPrefix(reason, "API_KEY_") {
		out.Class, out.Code, out.Doubtful, out.OneModel = router.ClassCredential, reason, false, false
	}
	if field := detail.Get("fieldViolations.0.field"); field.Type == gjson.String {
		out.Field = field.Str
	}
	detail.Get("violations").ForEach(func(_, v gjson.Result) bool {
		if quota := v.Get("quotaId").String(); strings.Contains(quota, "PerDay") {
			out.OneModel = strings.Contains(quota, "PerModel") && (out.OneModel || out.Class != router.ClassCredential)
			out.Class = router.ClassCredential
		}
		return true
	})
	if wait, err := time.ParseDuration(detail.Get("retryDelay").String()); err == nil {
		out.RetryAfter = router.RetryAfter(wait.Seconds())
	}
}
