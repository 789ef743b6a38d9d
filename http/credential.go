package http

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"waybill/ledger"
	"waybill/ledger/secret"
)

// credential is a provider secret that waybill keeps, as the control API shows it: never the secret.
type credential struct {
	ID          string     `json:"id"`
	Org         string     `json:"org"`
	Provider    string     `json:"provider"`
	Name        string     `json:"name"`
	Kind        string     `json:"kind"` // byok or platform
	Fingerprint string     `json:"fingerprint"`
	BaseURL     string     `json:"base_url,omitempty"` // where the provider's own is not meant
	Use         ledger.Use `json:"use"`                // prefer, fallback or only
	Order       int        `json:"order"`
	AttachedAt  Time       `json:"attached_at"`
	RotatedAt   Time       `json:"rotated_at"`

	State        string         `json:"state"`          // as the latest check found it: ok, dead, unfunded, limited, unreachable; or unchecked
	Code         string         `json:"code,omitempty"` // the provider's, of that check
	CheckedAt    Time           `json:"checked_at"`
	Failing      string         `json:"failing,omitempty"` // why calls on it fail now: a class such as credential or overloaded
	FailingSince Time           `json:"failing_since"`
	Commitment   commitmentView `json:"commitment,omitzero"`
	Warning      string         `json:"warning,omitempty"`  // what a check that was just made found wrong
	Warnings     []policyNote   `json:"warnings,omitempty"` // when it is attached or detached: where the policy names one that is gone
}

type credentials struct {
	Credentials []credential `json:"credentials"`
}

type newCredential struct {
	Provider string      `json:"provider"`
	Name     string      `json:"name"` // the provider's unless given
	Secret   secret.Text `json:"secret"`
	BaseURL  string      `json:"base_url"`
	Use      ledger.Use  `json:"use"` // prefer unless given
	Order    int         `json:"order"`

	Commitment newCommitment `json:"commitment"`
	RequireOK  bool          `json:"require_ok"` // refuse it unless a check finds it good
}

type credentialRotation struct {
	Secret secret.Text `json:"secret"`
}

func credentialRoutes() []route {
	var all []route
	for _, of := range []struct {
		path, whose string
		who         access
	}{{"/api/v1/orgs/{org}/credentials", "an org's own", admin}, {"/api/v1/platform/credentials", "the platform's", operator}} {
		one := of.path + "/{id}"
		all = append(all,
			create(of.path, "Attach a provider secret as one of "+of.whose+" credentials", of.who, attachCredential),
			endpoint(http.MethodGet, of.path, "List "+of.whose+" credentials, in the order of use", of.who, listCredentials),
			endpoint(http.MethodGet, one, "Show one of "+of.whose+" credentials", of.who, showCredential),
			endpoint(http.MethodDelete, one, "Detach one of "+of.whose+" credentials and destroy its secret", of.who, detachCredential),
			endpoint(http.MethodPost, one+"/rotate", "Replace the secret of one of "+of.whose+" credentials", of.who, rotateCredential),
			endpoint(http.MethodPost, one+"/check", "Ask the provider, by a free call, whether it takes one of "+of.whose+" credentials", of.who, checkCredential),
			endpoint(http.MethodPut, one+"/commitment", "Say what the owner of one of "+of.whose+" credentials has agreed to spend on it; drawing it down begins anew", of.who, commitCredential),
			endpoint(http.MethodDelete, one+"/commitment", "Take the commitment of one of "+of.whose+" credentials away", of.who, uncommitCredential))
	}
	return all
}

var errNoVault = &ledger.Error{Code: ledger.CodeUnavailable, Message: "the vault is not open: the node has no master key"}

func attachCredential(c *call, in newCredential) (credential, error) {
	in.Name, in.Use = cmp.Or(in.Name, in.Provider), cmp.Or(in.Use, ledger.UsePrefer)
	vault := c.s.o.Vault
	switch {
	case vault == nil:
		return credential{}, errNoVault
	case !slices.Contains(c.s.o.Providers, in.Provider):
		return credential{}, invalid("provider", "must be one of "+strings.Join(c.s.o.Providers, ", "))
	}
	base, err := c.baseURL(in.BaseURL)
	if err = cmp.Or(err, validName(in.Name), validSecret(in.Secret)); err != nil {
		return credential{}, err
	}
	if base == "" && !c.s.addressed(in.Provider) {
		return credential{}, invalid("base_url", "is needed, for "+in.Provider+" has no address of its own: say where its calls go (--base-url ADDRESS), or let the operator configure upstreams."+in.Provider+".base_url")
	}
	committed, err := in.Commitment.of()
	if err != nil {
		return credential{}, err
	}
	found, err := c.check(in, base)
	if err != nil {
		return credential{}, err
	}
	id := "cred_" + c.s.o.NewID()
	// A caller who leaves must not end this between the vault and the log: then an error would not say whether the event
	// is there, and its secret could be deleted beneath it.
	ctx := context.WithoutCancel(c)
	// The vault first: an event about a secret that is not there would be a credential that never works.
	print, err := vault.Put(ctx, c.org, id, in.Secret)
	if err != nil {
		return credential{}, err
	}
	rec, err := c.s.o.Names.ExecuteNamed(ctx, ledger.AttachCredential{Who: c.by, Org: c.org, Credential: id, Provider: in.Provider,
		Fingerprint: print, BaseURL: base, Use: in.Use, Order: in.Order, Commitment: committed, Trusted: c.operator && base != "" && c.org != ledger.Platform}, Label{Kind: "credential", ID: id, Scope: c.org, Name: in.Name})
	if err != nil || rec.Repeated {
		if e := vault.Delete(ctx, c.org, id); e != nil {
			return credential{}, errors.Join(err, e)
		}
	}
	if err != nil {
		return credential{}, err
	}
	row, err := c.found(ctx, rec.Records[len(rec.Records)-1].Event.(*ledger.CredentialAttached).Credential, found)
	if err != nil {
		return credential{}, err
	}
	row.Warnings, err = c.adrift(nil)
	return row, err
}

// addressed tells whether calls for a provider have somewhere to go without a credential's own base URL. Without a
// dispatcher there are no calls.
func (s *Server) addressed(provider string) bool {
	return s.o.Dispatcher == nil || s.o.Dispatcher.Providers[provider].BaseURL != ""
}

// validSecret takes what can stand in a header.
func validSecret(t secret.Text) error {
	s := t.Reveal()
	if s == "" || len(s) > 4096 || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return invalid("secret", "is 1 to 4096 visible ASCII characters")
	}
	return nil
}

// attached gives a credential of the call's org, or of the platform.
func (c *call) attached(id string) (k *ledger.Credential, err error) {
	c.s.o.Books.View(func(st *ledger.State) { k = st.Credential(id) })
	if k == nil || k.Org != c.org {
		return nil, notFound("credential", id)
	}
	return k, nil
}

func (c *call) credentialOf(id string) (credential, error) {
	k, err := c.attached(id)
	if err != nil {
		return credential{}, err
	}
	l, err := c.s.o.Names.Label(c, "credential", id)
	if err != nil {
		return credential{}, err
	}
	var row credential
	c.s.o.Books.View(func(st *ledger.State) { row = c.s.credentialRow(st, k, l.Name) })
	return row, nil
}

func (s *Server) credentialRow(st *ledger.State, k *ledger.Credential, name string) credential {
	row := credential{ID: k.ID, Org: k.Org, Provider: k.Provider, Name: name, Kind: string(k.Kind()), Fingerprint: k.Fingerprint, BaseURL: k.BaseURL,
		Use: k.Use, Order: k.Order, AttachedAt: Time(k.Attached), RotatedAt: Time(k.Rotated),
		State: cmp.Or(string(k.Checked.Status), unchecked), Code: k.Checked.Code, CheckedAt: Time(k.Checked.At),
		Commitment: commitmentOf(k, ledger.InstantOf(s.o.Now()))}
	if state := s.failing(st, k); state.Failing {
		row.Failing, row.FailingSince = string(state.Why), Time(ledger.InstantOf(state.Since))
	}
	return row
}

func listCredentials(c *call, _ nothing) (credentials, error) {
	labels, err := c.s.o.Names.Labels(c, "credential", c.org)
	if err != nil {
		return credentials{}, err
	}
	names := byID(labels)
	out := credentials{Credentials: []credential{}}
	c.s.o.Books.View(func(st *ledger.State) {
		for _, k := range st.Wallet(c.org) {
			out.Credentials = append(out.Credentials, c.s.credentialRow(st, k, names[k.ID]))
		}
	})
	return out, nil
}

func showCredential(c *call, _ nothing) (credential, error) { return c.credentialOf(c.vars["id"]) }

func detachCredential(c *call, _ nothing) (credential, error) {
	if c.s.o.Vault == nil {
		return credential{}, errNoVault
	}
	gone, err := c.credentialOf(c.vars["id"])
	if err != nil {
		return credential{}, err
	}
	// The event first: what the log calls attached must have its secret. A crash between the two is mended at start.
	if _, err := c.s.o.Names.ExecuteNamed(c, ledger.DetachCredential{Who: c.by, Org: c.org, Credential: gone.ID},
		Label{Kind: "credential", ID: gone.ID, Scope: c.org}); err != nil {
		return credential{}, err
	}
	if err := c.s.o.Vault.Delete(context.WithoutCancel(c), c.org, gone.ID); err != nil {
		return credential{}, fmt.Errorf("credential %s is detached, but its secret is still in the vault, until the next start: %w", gone.ID, err)
	}
	if d := c.s.o.Dispatcher; d != nil {
		d.Health.Clear(gone.ID)
	}
	gone.Warnings, err = c.adrift(map[string]string{gone.ID: gone.Name})
	return gone, err
}

func rotateCredential(c *call, in credentialRotation) (credential, error) {
	if c.s.o.Vault == nil {
		return credential{}, errNoVault
	}
	k, err := c.attached(c.vars["id"])
	if err = cmp.Or(err, validSecret(in.Secret)); err != nil {
		return credential{}, err
	}
	ctx := context.WithoutCancel(c) // as in attachCredential
	if err := c.rotate(ctx, k, in.Secret); err != nil {
		return credential{}, err
	}
	if d := c.s.o.Dispatcher; d != nil {
		d.Health.Renewed(k.ID)
	}
	return c.recheck(ctx, k.ID)
}

// rotate replaces the secret in the vault and in the log. One at a time does: else the vault could have the secret of one rotation and
// the log the fingerprint of another, or one that is refused could put back what is outdated.
func (c *call) rotate(ctx context.Context, k *ledger.Credential, to secret.Text) error {
	c.s.rotations.Lock()
	defer c.s.rotations.Unlock()
	vault := c.s.o.Vault
	former, err := vault.Secret(ctx, k)
	readable := err == nil // a rotation is also how an unreadable one is mended
	print, err := vault.Put(ctx, c.org, k.ID, to)
	if err != nil {
		return err
	}
	_, err = c.s.o.Books.Execute(ctx, ledger.RotateCredential{Who: c.by, Org: c.org, Credential: k.ID, Fingerprint: print})
	if err == nil {
		return nil
	}
	if readable {
		if _, e := vault.Put(ctx, c.org, k.ID, former); e != nil {
			err = errors.Join(err, e)
		}
	}
	// Detached in the meantime, or its org erased: then neither secret may stay. Whoever did that deletes after its event, and so
	// either there or here what was put back above.
	if _, gone := c.attached(k.ID); gone != nil {
		if e := vault.Delete(ctx, c.org, k.ID); e != nil {
			err = errors.Join(err, e)
		}
	}
	return err
}
