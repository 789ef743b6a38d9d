package sandbox

import (
	"fmt"
	"strings"
	"time"
)

// Failure is a way for a provider to refuse a call. Each provider has its own
// status, type, code and text for it.
type Failure string

// The failures that can be scripted.
const (
	RateLimited   Failure = "rate_limited"   // too fast: retry after the hint
	Overloaded    Failure = "overloaded"     // the provider has no capacity
	ServerError   Failure = "server_error"   // 500
	Timeout       Failure = "timeout"        // the provider gave up
	BadGateway    Failure = "bad_gateway"    // 502 with a proxy's HTML page
	BadRequest    Failure = "bad_request"    // 400
	InvalidKey    Failure = "invalid_key"    // the key is dead
	OutOfCredit   Failure = "out_of_credit"  // the key's balance is spent
	SpendLimit    Failure = "spend_limit"    // the key's owner set a cap and reached it
	Forbidden     Failure = "forbidden"      // 403
	NotFound      Failure = "not_found"      // no such model
	Conflict      Failure = "conflict"       // 409
	TooLarge      Failure = "too_large"      // the body
	ContextLength Failure = "context_length" // the prompt
)

// Failures that come about, but are not scripted.
const (
	missingKey    Failure = "missing_key"
	promptBlocked Failure = "prompt_blocked" // where a blocked prompt is an error status
)

// badDirective is what a directive or script that cannot be followed is recorded as.
const badDirective Failure = "bad_directive"

// fault is a refusal, before a dialect puts it into its body.
type fault struct {
	kind    Failure
	status  int
	class   string // OpenAI's and Anthropic's error type, Gemini's RPC status
	code    string // OpenAI's code, Gemini's reason
	param   string // OpenAI's
	message string
	retry   time.Duration // hint; zero is none
	invalid string        // Gemini: the field that a BadRequest detail names
}

const badGatewayPage = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n" +
	"<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"

const defaultRetryAfter = time.Second

// failureTable says how each provider words each failure.
var failureTable = map[string]map[Failure]fault{
	OpenAI: {
		RateLimited:   {status: 429, class: "requests", code: "rate_limit_exceeded", message: "Rate limit reached for requests. Please slow down and try again."},
		Overloaded:    {status: 503, class: "server_error", code: "server_is_overloaded", message: "The server is currently overloaded. Please try again later."},
		ServerError:   {status: 500, class: "server_error", message: "The server had an error while processing your request. Sorry about that!"},
		Timeout:       {status: 408, class: "server_error", code: "request_timeout", message: "Request timed out."},
		BadGateway:    {status: 502, class: "server_error", message: "Bad gateway."},
		BadRequest:    {status: 400, class: "invalid_request_error", code: "invalid_value", message: "Invalid request, as scripted."},
		InvalidKey:    {status: 401, class: "invalid_request_error", code: "invalid_api_key", message: "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys."},
		OutOfCredit:   {status: 429, class: "insufficient_quota", code: "credit_balance_exhausted", message: "You exceeded your current quota, please check your plan and billing details."},
		SpendLimit:    {status: 429, class: "insufficient_quota", code: "organization_spend_limit_exceeded", message: "Your organization has reached its spend limit."},
		Forbidden:     {status: 403, class: "request_forbidden", code: "unsupported_country_region_territory", message: "Country, region, or territory not supported."},
		NotFound:      {status: 404, class: "invalid_request_error", code: "model_not_found", message: "The model `{model}` does not exist or you do not have access to it."},
		Conflict:      {status: 409, class: "invalid_request_error", code: "conflict", message: "The resource was updated by another request."},
		TooLarge:      {status: 413, class: "invalid_request_error", code: "request_too_large", message: "The request body is too large."},
		missingKey:    {status: 401, class: "invalid_request_error", message: "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth."},
		promptBlocked: {status: 400, class: "invalid_request_error", code: "invalid_prompt", message: "Invalid prompt: your prompt was flagged as potentially violating our usage policy."},
		ContextLength: {status: 400, class: "invalid_request_error", code: "context_length_exceeded", param: "messages", message: "Input tokens exceed the configured limit of this model. Please reduce the length of the messages."},
	},
	Anthropic: {
		RateLimited:   {status: 429, class: "rate_limit_error", message: "This request would exceed your organization's rate limit of requests per minute."},
		Overloaded:    {status: 529, class: "overloaded_error", message: "Overloaded"},
		ServerError:   {status: 500, class: "api_error", message: "Internal server error"},
		Timeout:       {status: 504, class: "timeout_error", message: "Request timed out"},
		BadGateway:    {status: 502, class: "api_error", message: "Bad gateway"},
		BadRequest:    {status: 400, class: "invalid_request_error", message: "Invalid request, as scripted"},
		InvalidKey:    {status: 401, class: "authentication_error", message: "invalid x-api-key"},
		OutOfCredit:   {status: 402, class: "billing_error", message: "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."},
		SpendLimit:    {status: 400, class: "invalid_request_error", message: "You have reached your specified API usage limits. You will regain access on the first day of next month."},
		Forbidden:     {status: 403, class: "permission_error", message: "Your API key does not have permission to use the specified resource"},
		NotFound:      {status: 404, class: "not_found_error", message: "model: {model}"},
		Conflict:      {status: 409, class: "conflict_error", message: "The resource was changed by another request"},
		TooLarge:      {status: 413, class: "request_too_large", message: "Request exceeds the maximum size"},
		missingKey:    {status: 401, class: "authentication_error", message: "x-api-key header is required"},
		ContextLength: {status: 400, class: "invalid_request_error", message: "prompt is too long: it exceeds the maximum number of tokens of this model"},
	},
	Google: {
		RateLimited:   {status: 429, class: "RESOURCE_EXHAUSTED", message: "You exceeded your current quota. Please retry after the delay in the details."},
		Overloaded:    {status: 503, class: "UNAVAILABLE", message: "The model is overloaded. Please try again later."},
		ServerError:   {status: 500, class: "INTERNAL", message: "An internal error has occurred. Please retry."},
		Timeout:       {status: 504, class: "DEADLINE_EXCEEDED", message: "The request timed out. Please try again."},
		BadGateway:    {status: 502, class: "UNAVAILABLE", message: "Bad gateway."},
		BadRequest:    {status: 400, class: "INVALID_ARGUMENT", message: "Request contains an invalid argument, as scripted."},
		InvalidKey:    {status: 400, class: "INVALID_ARGUMENT", code: "API_KEY_INVALID", message: "API key not valid. Please pass a valid API key."},
		OutOfCredit:   {status: 429, class: "RESOURCE_EXHAUSTED", message: "Your prepayment credits are depleted. Please manage your project and billing in AI Studio."},
		SpendLimit:    {status: 429, class: "RESOURCE_EXHAUSTED", message: "Your project has exceeded its monthly spending cap."},
		Forbidden:     {status: 403, class: "PERMISSION_DENIED", message: "The caller does not have permission."},
		NotFound:      {status: 404, class: "NOT_FOUND", message: "models/{model} is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the list of available models and their supported methods."},
		Conflict:      {status: 409, class: "ABORTED", message: "The operation was aborted."},
		TooLarge:      {status: 400, class: "INVALID_ARGUMENT", message: "Request payload size exceeds the limit."},
		missingKey:    {status: 403, class: "PERMISSION_DENIED", message: "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API."},
		ContextLength: {status: 400, class: "INVALID_ARGUMENT", message: "The input token count exceeds the maximum number of tokens allowed."},
	},
}

// known reports a failure that can be scripted.
func (f Failure) known() bool {
	_, ok := failureTable[OpenAI][f]
	return ok && f != missingKey && f != promptBlocked
}

// faultOf is a provider's wording of a failure.
func faultOf(provider string, kind Failure, retry time.Duration) *fault {
	if provider == Compatible {
		provider = OpenAI // they copy its errors with its words
	}
	f := failureTable[provider][kind]
	f.kind, f.retry = kind, retry
	if kind == RateLimited && retry == 0 {
		f.retry = defaultRetryAfter
	}
	return &f
}

// saying replaces a failure's usual text.
func (f *fault) saying(format string, args ...any) *fault {
	f.message = fmt.Sprintf(format, args...)
	return f
}

// about names the model in a failure's text.
func (f *fault) about(model string) *fault {
	f.message = strings.ReplaceAll(f.message, "{model}", model)
	return f
}

// scriptFault is the 400 that answers a directive or script which cannot be followed.
func scriptFault(provider string, err error) *fault {
	f := faultOf(provider, BadRequest, 0).saying("sandbox: %v", err)
	f.kind = badDirective
	return f
}

// keyMark in a secret makes it fail always, in the way that follows it.
const keyMark = "sandbox-fail-"

// keyFailure is how a secret fails by its own text; "" if it does not.
func keyFailure(secret string) Failure {
	_, name, marked := strings.Cut(secret, keyMark)
	if !marked {
		return ""
	}
	if f := Failure(strings.ReplaceAll(name, "-", "_")); f.known() {
		return f
	}
	return InvalidKey
}
