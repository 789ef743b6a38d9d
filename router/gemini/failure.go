package gemini

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"waybill/router"
)

// statuses are the words of Google's RPC for HTTP statuses. 402 has none: like an account that is not set up for billing,
// it is a failed precondition, and the details name it.
var statuses = map[int]string{
	http.StatusBadRequest:            "INVALID_ARGUMENT",
	http.StatusUnauthorized:          "UNAUTHENTICATED",
	http.StatusPaymentRequired:       "FAILED_PRECONDITION",
	http.StatusForbidden:             "PERMISSION_DENIED",
	http.StatusNotFound:              "NOT_FOUND",
	http.StatusRequestTimeout:        "DEADLINE_EXCEEDED",
	http.StatusConflict:              "ALREADY_EXISTS",
	http.StatusRequestEntityTooLarge: "INVALID_ARGUMENT",
	http.StatusTooManyRequests:       "RESOURCE_EXHAUSTED",
	499:                              "CANCELLED",
	http.StatusInternalServerError:   "INTERNAL",
	http.StatusNotImplemented:        "UNIMPLEMENTED",
	http.StatusGatewayTimeout:        "DEADLINE_EXCEEDED",
}

// rpc begins the names of the details' types.
const rpc = "type.googleapis.com/google.rpc."

type errorDetail struct {
	Type       string            `json:"@type"`
	Reason     string            `json:"reason,omitzero"`
	Domain     string            `json:"domain,omitzero"`
	Metadata   map[string]string `json:"metadata,omitempty"`
	Violations []fieldViolation  `json:"fieldViolations,omitempty"`
	Delay      string            `json:"retryDelay,omitzero"`
	Request    string            `json:"requestId,omitzero"`
}

type fieldViolation struct {
	Field       string `json:"field"`
	Description string `json:"description"`
}

// Failure writes {"error":{"code","message","status","details"}}, which the SDKs raise as an APIError. The class is the
// reason in the details' ErrorInfo, in upper case as Google has reasons, and as it is in the metadata. Where the answer was to be
// one JSON array, the error is its only element.
func (Inbound) Failure(f router.Failure) []byte {
	var body struct {
		Error struct {
			Code    int           `json:"code"`
			Message string        `json:"message"`
			Status  string        `json:"status"`
			Details []errorDetail `json:"details"`
		} `json:"error"`
	}
	e := &body.Error
	e.Code, e.Message, e.Status = f.Status, f.Message, statusOf(f.Status)
	about := map[string]string{"code": f.Code}
	if f.Of != "" {
		about["of"] = f.Of
	}
	e.Details = []errorDetail{{Type: rpc + "ErrorInfo", Reason: strings.ToUpper(f.Code), Domain: "waybill", Metadata: about}}
	if f.Field != "" {
		e.Details = append(e.Details, errorDetail{Type: rpc + "BadRequest", Violations: []fieldViolation{{f.Field, f.Message}}})
	}
	if f.RetryAfter > 0 {
		seconds := strconv.FormatFloat(f.RetryAfter.Seconds(), 'f', -1, 64)
		e.Details = append(e.Details, errorDetail{Type: rpc + "RetryInfo", Delay: seconds + "s"})
	}
	if f.Request != "" {
		e.Details = append(e.Details, errorDetail{Type: rpc + "RequestInfo", Request: f.Request})
	}
	b, _ := json.Marshal(body) // strings and numbers alone: it cannot fail
	if f.Array {
		return append(append([]byte{'['}, b...), ']')
	}
	return b
}

func statusOf(status int) string {
	if s, ok := statuses[status]; ok {
		return s
	}
	if status >= 500 {
		return "UNAVAILABLE"
	}
	return "INVALID_ARGUMENT"
}
