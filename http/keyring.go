package http

import (
	"crypto/rand"
	"fmt"
	"net/http"

	"waybill/ledger"
	"waybill/router"
)

// key is what waybill issues to a developer, as the control API shows it. The secret itself shows once.
type key struct {
	ID           string         `json:"id"`
	Org          string         `json:"org"`
	Name         string         `json:"name"`
	Key          string         `json:"key,omitempty"`
	Scopes       []ledger.Scope `json:"scopes"`
	Models       []string       `json:"models"` // patterns; none: all
	Caps         []keyCap       `json:"caps"`
	Requests     int64          `json:"requests_per_minute"` // 0: as many as the org's plan allows
	Tokens       int64          `json:"tokens_per_minute"`   // likewise
	State        string         `json:"state"`               // active, revoked or expired
	ExpiresAt    Time           `json:"expires_at"`
	IssuedAt     Time           `json:"issued_at"`
	FormerEndsAt Time           `json:"former_ends_at"`     // until when the secret before a rotation still opens the key
	Warnings     []string       `json:"warnings,omitempty"` // when models are set: which of them match nothing now
}

type keys struct {
	Keys []key `json:"keys"`
}

type newKey struct {
	Name      string         `json:"name"`
	Scopes    []ledger.Scope `json:"scopes"` // inference unless given
	Models    []string       `json:"models"`
	Caps      []newCap       `json:"caps"`
	Requests  int64          `json:"requests_per_minute"`
	Tokens    int64          `json:"tokens_per_minute"`
	ExpiresAt Time           `json:"expires_at"`
}

// keyChange is a change of a key: what is left out stays.
type keyChange struct {
	Name      given[string]         `json:"name"`
	Scopes    given[[]ledger.Scope] `json:"scopes"`
	Models    given[[]string]       `json:"models"`
	Caps      given[[]newCap]       `json:"caps"` // all of them
	Requests  given[int64]          `json:"requests_per_minute"`
	Tokens    given[int64]          `json:"tokens_per_minute"`
	ExpiresAt given[Time]           `json:"expires_at"`
}

type keyRotation struct {
	FormerEndsAt Time `json:"former_ends_at"` // none: the former secret ends at once
}

func keyRoutes() []route {
	const all, one = "/api/v1/orgs/{org}/keys", "/api/v1/orgs/{org}/keys/{id}"
	return []route{
		create(all, "Issue a key; its secret shows this once", admin, issueKey),
		endpoint(http.MethodGet, all, "List an org's keys", admin, listKeys),
		endpoint(http.MethodGet, one, "Show a key", admin, showKey),
		endpoint(http.MethodPatch, one, "Change what a key is called and what it may do", admin, changeKey),
		endpoint(http.MethodDelete, one, "Revoke a key; calls that it opened go on", admin, revokeKey),
		endpoint(http.MethodPost, one+"/rotate", "Give a key a new secret, which shows this once", admin, rotateKey),
	}
}

func issueKey(c *call, in newKey) (key, error) {
	if err := validName(in.Name); err != nil {
		return key{}, err
	}
	if len(in.Scopes) == 0 {
		in.Scopes = []ledger.Scope{ledger.ScopeInference}
	}
	caps, err := capsOf(in.Caps)
	if err != nil {
		return key{}, err
	}
	secret, err := NewKey(rand.Reader)
	if err != nil {
		return key{}, err
	}
	id := "key_" + c.s.o.NewID()
	rec, err := c.s.o.Names.ExecuteNamed(c, ledger.IssueKey{Who: c.by, Org: c.org, Key: id, Hash: Hash(secret), Scopes: in.Scopes,
		Models: in.Models, Expires: ledger.Instant(in.ExpiresAt), Caps: caps, RequestsPerMinute: in.Requests, TokensPerMinute: in.Tokens}, Label{Kind: "key", ID: id, Scope: c.org, Name: in.Name})
	if err != nil {
		return key{}, err
	}
	if rec.Repeated {
		first := rec.Records[len(rec.Records)-1].Event.(*ledger.KeyIssued).Key
		return key{}, &ledger.Error{Code: ledger.CodeRepeated, Of: first, Message: "this Idempotency-Key issued key " + first + ", whose secret showed then and never again: rotate it, or issue another"}
	}
	row, err := c.keyOf(id, secret)
	row.Warnings = c.unmatched(in.Models)
	return row, err
}

// unmatched warns of a key's patterns that match no model: it calls nothing by them.
func (c *call) unmatched(models []string) (warnings []string) {
	c.s.o.Books.View(func(st *ledger.State) {
		for _, p := range router.PolicyViewOf(st, c.org).NoModel(models) {
			warnings = append(warnings, fmt.Sprintf("models: %q matches no model of the catalogue now; aliases and auto stand for models, by whose names a key is held", p))
		}
	})
	return warnings
}

// live gives a key of the call's org.
func (c *call) live(id string) (k *ledger.Key, err error) {
	c.s.o.Books.View(func(st *ledger.State) { k = st.Key(id) })
	if k == nil || k.Org != c.org {
		return nil, notFound("key", id)
	}
	return k, nil
}

func (c *call) keyOf(id, secret string) (key, error) {
	k, err := c.live(id)
	if err != nil {
		return key{}, err
	}
	l, err := c.s.o.Names.Label(c, "key", id)
	if err != nil {
		return key{}, err
	}
	var row key
	c.s.o.Books.View(func(st *ledger.State) { row = keyRow(st, k, l.Name, ledger.InstantOf(c.s.o.Now())) })
	row.Key = secret
	return row, nil
}

func keyRow(st *ledger.State, k *ledger.Key, name string, now ledger.Instant) key {
	row := key{ID: k.ID, Org: k.Org, Name: name, Scopes: k.Scopes, Models: append([]string{}, k.Models...), Caps: capRows(st.Spending(k.ID, now)),
		Requests: k.RequestsPerMinute, Tokens: k.TokensPerMinute, State: "active",
		ExpiresAt: Time(k.Expires), IssuedAt: Time(k.Issued), FormerEndsAt: Time(k.Ends)}
	switch {
	case k.Revoked:
		row.State = "revoked"
	case !k.Opens(k.Hash, now):
		row.State = "expired"
	}
	return row
}

func listKeys(c *call, _ nothing) (keys, error) {
	labels, err := c.s.o.Names.Labels(c, "key", c.org)
	if err != nil {
		return keys{}, err
	}
	names := byID(labels)
	out := keys{Keys: []key{}}
	now := ledger.InstantOf(c.s.o.Now())
	c.s.o.Books.View(func(st *ledger.State) {
		for _, k := range st.Keys(c.org) {
			out.Keys = append(out.Keys, keyRow(st, k, names[k.ID], now))
		}
	})
	return out, nil
}

func showKey(c *call, _ nothing) (key, error) { return c.keyOf(c.vars["id"], "") }

func changeKey(c *call, in keyChange) (key, error) {
	k, err := c.live(c.vars["id"])
	if err != nil {
		return key{}, err
	}
	limits, limited, err := in.limits(c, k)
	if err != nil {
		return key{}, err
	}
	if in.Name.set {
		if err := validName(in.Name.value); err != nil {
			return key{}, err
		}
	}
	var labels []Label
	if in.Name.set {
		labels = []Label{{Kind: "key", ID: k.ID, Scope: c.org, Name: in.Name.value}}
	}
	switch {
	case limited:
		_, err = c.s.o.Names.ExecuteNamed(c, limits, labels...)
	case in.Name.set:
		err = c.s.o.Names.Rename(c, labels[0])
	}
	c.s.keyNames.forget(k.ID)
	if err != nil {
		return key{}, err
	}
	row, err := c.keyOf(k.ID, "")
	row.Warnings = c.unmatched(in.Models.value)
	return row, err
}

// limits is what the change makes of what a key may do, and whether it changes any of it.
func (in *keyChange) limits(c *call, k *ledger.Key) (to ledger.LimitKey, any bool, err error) {
	caps := k.Caps
	if in.Caps.set {
		if caps, err = capsOf(in.Caps.value); err != nil {
			return to, false, err
		}
	}
	return ledger.LimitKey{Who: c.by, Org: c.org, Key: k.ID, Scopes: in.Scopes.or(k.Scopes), Models: in.Models.or(k.Models),
			Expires: ledger.Instant(in.ExpiresAt.or(Time(k.Expires))), Caps: caps,
			RequestsPerMinute: in.Requests.or(k.RequestsPerMinute), TokensPerMinute: in.Tokens.or(k.TokensPerMinute)},
		in.Scopes.set || in.Models.set || in.ExpiresAt.set || in.Caps.set || in.Requests.set || in.Tokens.set, nil
}

func revokeKey(c *call, _ nothing) (key, error) {
	id := c.vars["id"]
	if _, err := c.s.o.Books.Execute(c, ledger.RevokeKey{Who: c.by, Org: c.org, Key: id}); err != nil {
		return key{}, err
	}
	return c.keyOf(id, "")
}

func rotateKey(c *call, in keyRotation) (key, error) {
	id := c.vars["id"]
	secret, err := NewKey(rand.Reader)
	if err != nil {
		return key{}, err
	}
	rec, err := c.s.o.Books.Execute(c, ledger.RotateKey{Who: c.by, Org: c.org, Key: id, Hash: Hash(secret), FormerEnds: ledger.Instant(in.FormerEndsAt)})
	if err != nil {
		return key{}, err
	}
	if rec.Repeated {
		return key{}, &ledger.Error{Code: ledger.CodeRepeated, Of: id, Message: "this Idempotency-Key rotated the key before, and the new secret showed then and never again: rotate it anew"}
	}
	return c.keyOf(id, secret)
}
