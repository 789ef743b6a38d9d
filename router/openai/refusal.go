package openai

import (
	"github.com/tidwall/gjson"

	"waybill/router"
)

// classes of OpenAI's error codes, and of the types that stand in for one, where they say more than the status.
// https://platform.openai.com/docs/guides/error-codes and the codes of a 429 that no waiting cures.
var classes = map[string]router.Class{
	"invalid_api_key":                      router.ClassCredential,
	"account_deactivated":                  router.ClassCredential,
	"unsupported_country_region_territory": router.ClassCredential,
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
	"context_length_exceeded":              router.ClassBadRequest,
	"content_policy_violation":             router.ClassBadRequest,
	"invalid_prompt":                       router.ClassBadRequest,
}

// Refusal reads {"error":{"message","type","param","code"}}. Status is 0 for an error inside a stream.
func (d *decoder) Refusal(status int, body gjson.Result) *router.UpstreamError {
	e := body.Get("error")
	if e.Type == gjson.String { // some compatible servers
		return &router.UpstreamError{Class: router.ClassOf(status), Message: e.Str}
	}
	code, kind := e.Get("code").String(), e.Get("type").String()
	class, ok := classes[code]
	if !ok {
		class, ok = classes[kind]
	}
	if !ok {
		class = router.ClassOf(status)
		if status == 0 && kind == "invalid_request_error" {
			class = router.ClassBadRequest
		}
	}
	if code == "" {
		code = kind
	}
	return &router.UpstreamError{Class: class, Code: code, Message: e.Get("message").String()}
}
