package http

import (
	"crypto/rand"
	"net/http"

	"waybill/ledger"
)

// keyView is a key as the API shows it. Its secret is there once, when it is made.
type keyView struct {
	ID      string         `json:"id"`
	Org     string         `json:"org"`
	Key     string         `json:"key,omitempty"`
	Name    string         `json:"name"`
	Scopes  []ledger.Scope `json:"scopes"`
	Models  []string       `json:"models,omitempty"`
	Expires Time           `json:"expires_at"`
	Revoked bool           `json:"revoked"`
}

type keyList struct {
	Keys []keyView `json:"keys"`
}

func keyRoutes() []route {
	return []route{
		create("/api/v1/orgs/{org}/keys", "Issue a key; its secret is shown this once", admin, issueKey),
		endpoint(http.MethodGet, "/api/v1/orgs/{org}/keys", "An org's keys", admin, listKeys),
		endpoint(http.MethodDelete, "/api/v1/orgs/{org}/keys/{id}", "Revoke a key", admin, revokeKey),
	}
}

func viewKey(k *ledger.Key, name string) keyView {
	return keyView{ID: k.ID, Org: k.Org, Name: name, Scopes: k.Scopes, Models: k.Models, Expires: Time(k.Expires), Revoked: k.Revoked}
}

func issueKey(c *call, in struct {
	Name    string         `json:"name"`
	Scopes  []ledger.Scope `json:"scopes"`
	Models  []string       `json:"models"`
	Expires Time           `json:"expires_at"`
}) (keyView, error) {
	if in.Name == "" || len(in.Name) > 128 {
		return keyView{}, invalid("name", "must be 1 to 128 bytes")
	}
	if len(in.Scopes) == 0 {
		in.Scopes = []ledger.Scope{ledger.ScopeInference}
	}
	secret, err := NewKey(rand.Reader)
	if err != nil {
		return keyView{}, err
	}
	id := "key_" + c.s.o.NewID()
	rec, err := c.s.o.Names.ExecuteNamed(c, ledger.IssueKey{Who: c.by, Org: c.org, Key: id, Hash: Hash(secret), Scopes: in.Scopes, Models: in.Models,
		Expires: ledger.Instant(in.Expires)}, Label{Kind: "key", ID: id, Scope: c.org, Name: in.Name})
	if err != nil {
		return keyView{}, err
	}
	v, err := c.showKey(rec.Records[len(rec.Records)-1].Event.(*ledger.KeyIssued).Key)
	if !rec.Repeated {
		v.Key = secret
	}
	return v, err
}

func (c *call) showKey(id string) (keyView, error) {
	var k *ledger.Key
	c.s.o.Books.View(func(st *ledger.State) { k = st.Key(id) })
	if k == nil || k.Org != c.org {
		return keyView{}, notFound("key", id)
	}
	l, err := c.s.o.Names.Label(c, "key", id)
	return viewKey(k, l.Name), err
}

func listKeys(c *call, _ nothing) (out keyList, err error) {
	names, err := c.names("key", c.org)
	c.s.o.Books.View(func(st *ledger.State) {
		for _, k := range st.Keys(c.org) {
			out.Keys = append(out.Keys, viewKey(k, names[k.ID]))
		}
	})
	return out, err
}

func revokeKey(c *call, _ nothing) (keyView, error) {
	if _, err := c.s.o.Books.Execute(c, ledger.RevokeKey{Who: c.by, Org: c.org, Key: c.vars["id"]}); err != nil {
		return keyView{}, err
	}
	return c.showKey(c.vars["id"])
}
