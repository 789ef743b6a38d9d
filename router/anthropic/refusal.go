package anthropic

import (
	"net/http"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// classes of Anthropic's error types. https://platform.claude.com/docs/en/api/errors
var classes = map[string]router.Class{
	"invalid_request_error": router.ClassBadRequest,
	"request_too_large":     router.ClassBadRequest,
	"authentication_error":  router.ClassCredential,
	"permission_error":      router.ClassCredential,
	"billing_error":         router.ClassCredential,
	"not_found_error":       router.ClassNotFound,
	"conflict_error":        router.ClassServerError,
	"rate_limit_error":      router.ClassRateLimited,
	"timeout_error":         router.ClassTimeout,
	"api_error":             router.ClassServerError,
	"overloaded_error":      router.ClassOverloaded,
}

// unfunded are what the messages say when the credential's account may spend no more. The type is then
// invalid_request_error or rate_limit_error, and no field tells these from the others of that type.
var unfunded = []string{"credit balance is too low", "api usage limits", "spend limit", "spending limit"}

// tooLong is what the messages say of a prompt that the model has no room for. No field tells that error from others.
const tooLong = "prompt is too long"

// Refusal reads {"type":"error","error":{"type","message"}}. Status is 0 for an error inside a stream.
func (d *decoder) Refusal(status int, body gjson.Result) *router.UpstreamError {
	e := body.Get("error")
	out := &router.UpstreamError{Code: e.Get("type").String(), Message: e.Get("message").String()}
	class, ok := classes[out.Code]
	if !ok {
		class = router.ClassOf(status)
	}
	out.TooLong = class == router.ClassBadRequest && strings.Contains(strings.ToLower(out.Message), tooLong)
	out.Class, out.Doubtful = class, class == router.ClassNotFound || out.Code == "permission_error" || !ok && status == http.StatusForbidden
	if class == router.ClassBadRequest || class == router.ClassRateLimited {
		out.Unfunded(unfunded...)
	}
	return out
}
