package router

import (
	"cmp"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"waybill/ledger/secret"
)

// Bounds of what is kept of a provider's words, in bytes, and of what is believed of its hint.
const (
	maxMessage    = 500
	maxWord       = 128 // a code, an id, a name
	maxRetryAfter = time.Minute
)

// ClassOf classes an HTTP status where the provider's own code says nothing better.
func ClassOf(status int) Class {
	switch status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden:
		return ClassCredential
	case http.StatusNotFound:
		return ClassNotFound
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return ClassTimeout
	case http.StatusConflict, http.StatusTooEarly:
		return ClassServerError
	case http.StatusTooManyRequests:
		return ClassRateLimited
	case http.StatusServiceUnavailable, 529:
		return ClassOverloaded
	}
	if status >= 400 && status < 500 {
		return ClassBadRequest
	}
	return ClassServerError
}

// refusal reads a provider's error answer by its dialect, falls back on the status and the bare text, and
// removes the secret.
func refusal(d Decoder, status int, header http.Header, body []byte, key secret.Text) *UpstreamError {
	doc, err := Document(body)
	if err != nil {
		doc = gjson.Result{}
	}
	e := d.Refusal(status, doc)
	if e.Message == "" && err != nil {
		e.Message = strings.TrimSpace(string(body))
	}
	if e.Message == "" && status == http.StatusOK {
		e.Message = "a JSON body came in place of a stream"
	}
	if e.Message == "" {
		e.Message = cmp.Or(http.StatusText(status), "no reason given")
	}
	if hint := retryAfter(header); hint > 0 {
		e.RetryAfter = hint
	}
	return presentable(e, status, key)
}

// presentable makes an upstream's failure fit to be shown and logged: without the secret that some providers
// and proxies echo, valid UTF-8, on one line, and short.
func presentable(e *UpstreamError, status int, key secret.Text) *UpstreamError {
	if e.Status == 0 {
		e.Status = status
	}
	e.Code, e.Field = plain(e.Code, key, maxWord), plain(e.Field, key, maxWord)
	e.Message = plain(e.Message, key, maxMessage)
	return e
}

func plain(s string, key secret.Text, limit int) string {
	if !key.IsZero() {
		s = strings.ReplaceAll(s, key.Reveal(), "[redacted]")
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > limit {
		n := limit
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, s)
}

// retryAfter reads the hint that both official SDKs read, in their order: milliseconds first, then seconds,
// which may be fractional or a date. A date is held against the answer's own, so that no clock but the
// provider's has a part in it.
func retryAfter(h http.Header) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil {
		return RetryAfter(ms / 1000)
	}
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(value, 64); err == nil {
		return RetryAfter(seconds)
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	from, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	return RetryAfter(until.Sub(from).Seconds())
}

// RetryAfter takes a provider's hint in seconds for what it can be worth: nothing if it is negative or no
// number, a minute at most.
func RetryAfter(seconds float64) time.Duration {
	if math.IsNaN(seconds) || seconds <= 0 {
		return 0
	}
	return time.Duration(min(seconds, maxRetryAfter.Seconds()) * float64(time.Second))
}
