package openai

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/router"
)

// classes of the codes with which OpenAI refuses a call, ends a stream, or fails an answer that came with a 200, and of the
// types that stand in for a code, where they say more than the status: https://platform.openai.com/docs/guides/error-codes,
// the codes of a 429 that no waiting cures, and for failed answers ResponseErrorCode in OpenAI's Go SDK.
var classes = map[string]router.Class{
	"invalid_api_key":                      router.ClassCredential,
	"account_deactivated":                  router.ClassCredential,
	"unsupported_country_region_territory": router.ClassCredential,
	"data_residency_mismatch":              router.ClassCredential,
	"insufficient_quota":                   router.ClassCredential,
	"credit_balance_exhausted":             router.ClassCredential,
	"organization_spend_limit_exceeded":    router.ClassCredential,
	"project_spend_limit_exceeded":         router.ClassCredential,
	"organization_usage_limit_exceeded":    router.ClassCredential,
	"billing_hard_limit_reached":           router.ClassCredential,
	"billing_not_active":                   router.ClassCredential,
	"authentication_error":                 router.ClassCredential,
	"permission_error":                     router.ClassCredential,
	"model_not_found":                      router.ClassNotFound,
	"rate_limit_exceeded":                  router.ClassRateLimited,
	"slow_down":                            router.ClassRateLimited,
	"rate_limit_error":                     router.ClassRateLimited,
	"server_is_overloaded":                 router.ClassOverloaded,
	"overloaded_error":                     router.ClassOverloaded,
	"server_error":                         router.ClassServerError,
	"request_timeout":                      router.ClassTimeout,
	"vector_store_timeout":                 router.ClassTimeout,
	"context_length_exceeded":              router.ClassBadRequest,
	"content_policy_violation":             router.ClassBadRequest,
	"invalid_prompt":                       router.ClassBadRequest,
	"invalid_value":                        router.ClassBadRequest,
	"bio_policy":                           router.ClassBadRequest,
	"misalignment_policy_violation":        router.ClassBadRequest,
	"request_too_large":                    router.ClassBadRequest,
	"invalid_request_error":                router.ClassBadRequest,
}

// tooLarge begins the message of a 429 for a call that alone is beyond what an account may use in a minute: smaller ones are taken.
const tooLarge = "Request too large"

// Refusal reads an error of OpenAI's in either of its dialects: {"error":{"message","type","param","code"}}, and the event {"type":"error","code","message","param"},
// whose members stand by themselves. Status is 0 for an error inside an answer; that of an error in place of one may be 200.
func Refusal(status int, body gjson.Result) *router.UpstreamError {
	e := body.Get("error")
	switch {
	case e.Type == gjson.String: // some compatible servers
		return &router.UpstreamError{Class: router.ClassOf(status), Message: e.Str}
	case !e.IsObject():
		e = body
	}
	code, kind, field := e.Get("code").String(), e.Get("type").String(), e.Get("param").String()
	if kind == "error" {
		kind = ""
	}
	class, ok := classes[code]
	generic := kind == "invalid_request_error" || kind == "server_error" // which go with many a status
	if !ok && (status < 400 || !generic) {
		class, ok = classes[kind]
	}
	if !ok && status == 0 && strings.Contains(code, "image") {
		class, ok = router.ClassBadRequest, true
	}
	if !ok && status == http.StatusNotFound && field != "" && field != "model" { // an item of the input, say, that is not kept
		class, ok = router.ClassBadRequest, true
	}
	if !ok {
		class = router.ClassOf(status)
	}
	_, certain := classes[code]
	message := e.Get("message").String()
	return &router.UpstreamError{Class: class, Code: cmp.Or(code, kind), Field: field, TooLong: code == router.CodeTooLong,
		Message: message, Provoked: strings.HasPrefix(message, tooLarge), Doubtful: !certain && (status == http.StatusForbidden || status == http.StatusNotFound || kind == "permission_error")}
}

// Refusal reads the error of a call or a stream.
func (d *decoder) Refusal(status int, body gjson.Result) *router.UpstreamError {
	return Refusal(status, body)
}
