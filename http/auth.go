package http

import (
	"crypto/subtle"
	"net/http"
	"net/netip"
	"strings"

	"waybill/ledger"
)

// caller is who makes a call.
type caller struct {
	operator bool
	key      *ledger.Key // nil for the operator
}

// actor is the caller's name in the log.
func (c caller) actor() string {
	if c.operator {
		return "operator"
	}
	return "key/" + c.key.ID
}

// access says who may call a route.
type access int

const (
	public    access = iota
	scraper          // the operator, or anyone on this machine
	inference        // a key with scope inference
	known            // the operator, or any key
	admin            // the operator, or a key of the org in the path with scope admin
	operator
)

func (a access) String() string {
	return [...]string{"anyone", "the operator's token, or any caller on loopback", "a key with scope inference",
		"the operator's token, or any key", "the operator's token, or a key of the org with scope admin", "the operator's token"}[a]
}

// trusted marks the context of calls that come over the Unix socket, or from within the process.
type trusted struct{}

// identify finds out who calls. No credentials at all is no error: the routes that anyone may call need none.
func (s *Server) identify(r *http.Request) (c caller, err error) {
	if r.Context().Value(trusted{}) != nil {
		return caller{operator: true}, nil
	}
	secret := secretOf(r.Header)
	if secret == "" {
		return caller{}, errNoKey
	}
	if KeyLike(secret) {
		c.key = s.key(secret)
	} else if s.o.OperatorHash != "" && subtle.ConstantTimeCompare([]byte(Hash(secret)), []byte(s.o.OperatorHash)) == 1 {
		c.operator = true
	}
	if c.key == nil && !c.operator {
		return caller{}, errUnknownKey
	}
	return c, nil
}

// key finds the key that a secret opens now, from memory. It is looked up by its digest, so that how long that takes says
// nothing about the secrets of others.
func (s *Server) key(secret string) (k *ledger.Key) {
	if !Valid(secret) {
		return nil
	}
	hash, now := Hash(secret), ledger.InstantOf(s.o.Now())
	s.o.Books.View(func(st *ledger.State) { k = st.KeyByHash(hash) })
	if k == nil || !k.Opens(hash, now) {
		return nil
	}
	return k
}

// secretOf takes the secret from where the clients of each dialect send it: the first that can be a key, else the first. Some
// clients send a secret of another service's beside it.
func secretOf(h http.Header) (secret string) {
	var all []string
	for _, v := range h["Authorization"] {
		if scheme, rest, ok := strings.Cut(v, " "); ok && strings.EqualFold(scheme, "Bearer") {
			all = append(all, strings.TrimSpace(rest))
		}
	}
	all = append(append(all, h["X-Api-Key"]...), h["X-Goog-Api-Key"]...)
	for _, s := range all {
		if secret == "" || Valid(s) {
			secret = s
		}
		if Valid(secret) {
			break
		}
	}
	return secret
}

// unknownKey tells a caller of inference what to send, in the header of the caller's dialect. Keys in addresses are not
// taken: addresses end up in logs, here and wherever they pass.
func unknownKey(r *http.Request) error {
	e := *errUnknownKey
	header := "Authorization: Bearer wbk_…"
	switch spokenAt(r) {
	case ledger.DialectAnthropicMessages:
		header = "x-api-key: wbk_…"
	case ledger.DialectGemini:
		header = "x-goog-api-key: wbk_…"
	}
	switch {
	case secretOf(r.Header) != "":
		e.Message = "the key is unknown, revoked or expired: send " + header
	case r.URL.Query().Has("key"):
		e.Message = "the key is not taken from the address, where ?key= ends up in logs: send " + header
	default:
		e.Message = "the call has no key: send " + header
	}
	return &e
}

// may tells whether the caller may use a route at all. Which org's, is for orgOf to say.
func (a access) may(c caller, r *http.Request) error {
	ok := false
	switch a {
	case public, known:
		ok = true
	case scraper:
		ok = c.operator || onLoopback(r)
	case inference:
		ok = c.key != nil && c.key.Has(ledger.ScopeInference)
	case admin:
		ok = c.operator || c.key.Has(ledger.ScopeAdmin)
	case operator:
		ok = c.operator
	}
	if !ok {
		return errForbidden
	}
	return nil
}

// onLoopback tells whether a call comes from this machine. What a proxy on this machine passes on does not.
func onLoopback(r *http.Request) bool {
	if r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != "" {
		return false
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && at.Addr().Unmap().IsLoopback()
}
