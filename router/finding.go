package router

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"time"

	"waybill/ledger"
	"waybill/ledger/secret"
)

// checkTime bounds the check of a credential.
const checkTime = 10 * time.Second

// Finding is what a check of a credential has found.
type Finding struct {
	Status  ledger.CheckStatus
	Code    string // the provider's
	Message string // for people; empty if the credential is taken
}

// Check asks a provider whether it takes a secret, by a call that costs nothing: the list of its models. What a list does
// not show, such as an account without money, only calls find out. Base is where calls with the secret go, if not to the
// provider's own address; fenced says that an org has set it.
func (d *Dispatcher) Check(ctx context.Context, provider, base string, key secret.Text, fenced bool) Finding {
	p, ok := d.Providers[provider]
	base = cmp.Or(base, p.BaseURL)
	if !ok || base == "" {
		return Finding{Status: ledger.CheckUnreachable, Message: "provider " + provider + " is not configured, or has no address"}
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	err := p.list(ctx, d.client(fenced), d.Upstreams[p.Dialects[0]].Listing(key), base, key)
	if err == nil {
		return Finding{Status: ledger.CheckOK}
	}
	return findingOf(err, err.Code+" "+err.Message)
}

// list makes the call.
func (p Provider) list(ctx context.Context, client *http.Client, e Envelope, base string, key secret.Text) *UpstreamError {
	path := cmp.Or(p.Quirks.CheckPath, e.Path)
	connected := false
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }})
	req, err := http.NewRequestWithContext(traced, http.MethodGet, base+path, nil)
	if err != nil {
		return &UpstreamError{Class: ClassConnection, Err: errors.New("the address makes no call")} // which may hold what nobody should read
	}
	req.Header = http.Header{"Accept": {"application/json"}, "User-Agent": {"waybill"}}
	for name, values := range e.Header {
		req.Header[name] = values
	}
	p.Quirks.authenticate(req.Header, key)
	resp, err := client.Do(req)
	if err != nil {
		reason := "no connection stands"
		switch {
		case errors.Is(err, ErrFenced):
			reason = ErrFenced.Error()
		case connected:
			reason = "no answer came"
		}
		return &UpstreamError{Class: ClassConnection, Err: errors.New(reason)}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	switch {
	case resp.StatusCode == http.StatusOK:
		return nil
	case err != nil:
		return &UpstreamError{Class: ClassConnection, Status: resp.StatusCode, Err: errors.New("the answer broke off")}
	}
	return refusal(e.Decoder, resp.StatusCode, resp.Header, body, key)
}

// findingOf is what a failure says of the credential that it met, by what of its words can be believed: of a check all, and of a
// call the code alone, since the message may say back what the caller wrote.
func findingOf(e *UpstreamError, words string) Finding {
	f := Finding{Status: ledger.CheckUnreachable, Code: codeOf(e.Code), Message: e.Error()}
	switch {
	case e.Class == ClassCredential && unfunded(e, words):
		f.Status = ledger.CheckUnfunded
	case e.Class == ClassCredential:
		f.Status = ledger.CheckDead
	case e.Class == ClassRateLimited:
		f.Status = ledger.CheckLimited
	}
	return f
}

// moneyWords are what providers say in a code or a message when a good key's account may spend no more. No field tells all
// of these from the other failures of a credential.
var moneyWords = []string{"quota", "billing", "credit", "spend", "usage limit", "usage_limit", "insufficient", "balance"}

// unfunded tells whether a failure of a credential is that its account has nothing left.
func unfunded(e *UpstreamError, words string) bool {
	switch {
	case e.Phrase != "", e.Status == http.StatusPaymentRequired, e.Status == http.StatusTooManyRequests:
		return true
	case e.Status == http.StatusUnauthorized:
		return false
	}
	words = strings.ToLower(words)
	return slices.ContainsFunc(moneyWords, func(word string) bool { return strings.Contains(words, word) })
}

// codeOf is a provider's code with the characters that the log takes.
func codeOf(code string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.:/", c) {
			return c
		}
		return -1
	}, code)
}
