package http

import (
	"errors"
	"net/http"
	"slices"

	"waybill/ledger"
)

// credentialView is a credential as the API shows it: never its secret.
type credentialView struct {
	ID          string                `json:"id"`
	Provider    string                `json:"provider"`
	Name        string                `json:"name"`
	Kind        ledger.CredentialKind `json:"kind"`
	Use         ledger.Use            `json:"use"`
	Order       int                   `json:"order"`
	Fingerprint string                `json:"fingerprint"`
}

type credentialList struct {
	Credentials []credentialView `json:"credentials"`
}

func credentialRoutes() (table []route) {
	for path, who := range map[string]access{"/api/v1/orgs/{org}/credentials": admin, "/api/v1/platform/credentials": operator} {
		table = append(table,
			create(path, "Attach a provider credential", who, attach),
			endpoint(http.MethodGet, path, "The credentials, in the order of use", who, listCredentials),
			endpoint(http.MethodDelete, path+"/{id}", "Detach a credential and destroy its secret", who, detach))
	}
	return table
}

// attach puts the secret into the vault first, then the event into the log: a credential that the log knows has a secret.
func attach(c *call, in struct {
	Provider string     `json:"provider"`
	Name     string     `json:"name"`
	Secret   string     `json:"secret"`
	Use      ledger.Use `json:"use"`
	Order    int        `json:"order"`
}) (credentialView, error) {
	switch {
	case c.s.o.Vault == nil:
		return credentialView{}, &ledger.Error{Code: ledger.CodeUnavailable, Message: "this node has no vault"}
	case !slices.Contains(c.s.o.Providers, in.Provider):
		return credentialView{}, invalid("provider", "is not one that this node knows")
	case in.Name == "" || len(in.Name) > 128:
		return credentialView{}, invalid("name", "must be 1 to 128 bytes")
	case in.Secret == "" || len(in.Secret) > 4096:
		return credentialView{}, invalid("secret", "must be 1 to 4096 bytes")
	}
	if in.Use == "" {
		in.Use = ledger.UsePrefer
	}
	id := "cred_" + c.s.o.NewID()
	fingerprint, err := c.s.o.Vault.Put(c, c.org, id, in.Secret)
	if err != nil {
		return credentialView{}, err
	}
	_, err = c.s.o.Names.ExecuteNamed(c, ledger.AttachCredential{Who: c.by, Org: c.org, Credential: id, Provider: in.Provider,
		Fingerprint: fingerprint, Use: in.Use, Order: in.Order}, Label{Kind: "credential", ID: id, Scope: c.org, Name: in.Name})
	if err != nil {
		return credentialView{}, errors.Join(err, c.s.o.Vault.Delete(c, c.org, id))
	}
	var k *ledger.Credential
	c.s.o.Books.View(func(st *ledger.State) { k = st.Credential(id) })
	return viewCredential(k, in.Name), nil
}

func viewCredential(k *ledger.Credential, name string) credentialView {
	return credentialView{k.ID, k.Provider, name, k.Kind(), k.Use, k.Order, k.Fingerprint}
}

func listCredentials(c *call, _ nothing) (out credentialList, err error) {
	names, err := c.names("credential", c.org)
	c.s.o.Books.View(func(st *ledger.State) {
		for _, k := range st.Wallet(c.org) {
			out.Credentials = append(out.Credentials, viewCredential(k, names[k.ID]))
		}
	})
	return out, err
}

// detach takes the credential out of use first, and destroys its secret then.
func detach(c *call, _ nothing) (credentialList, error) {
	id := c.vars["id"]
	if _, err := c.s.o.Books.Execute(c, ledger.DetachCredential{Who: c.by, Org: c.org, Credential: id}); err != nil {
		return credentialList{}, err
	}
	if err := c.s.o.Vault.Delete(c, c.org, id); err != nil {
		return credentialList{}, err
	}
	return listCredentials(c, nothing{})
}
