package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"waybill/ledger"
	"waybill/router"
)

// policy is how an org has its calls routed, as the control API shows it.
type policy struct {
	Org     string `json:"org"`
	Version uint64 `json:"version"` // 0: none was ever set
	SetAt   Time   `json:"set_at"`
	// Document is the policy as people write it, in YAML, and Policy the same as JSON: with the names of credentials, and
	// without the comments of the text that was set, which are not kept. Without a policy it is the defaults.
	Document string          `json:"document"`
	Policy   json.RawMessage `json:"policy"`
	Warnings []policyNote    `json:"warnings,omitempty"` // what of it cannot be meant, as things are now, by its place in the document
}

// policyNote is one thing to say of a policy, and where in its text.
type policyNote = router.PolicyNote

// newPolicy is a policy to be set: the text itself as the body, YAML or JSON, or an object that carries it.
type newPolicy struct {
	Document document      `json:"document"` // text, or the policy itself as an object
	Version  given[uint64] `json:"version"`  // that it takes the place of, as If-Match says it too, 0 if none was set yet; left out: of any
}

// document is the text of a policy.
type document []byte

// UnmarshalJSON takes text, or an object that is itself a policy.
func (d *document) UnmarshalJSON(b []byte) error {
	var text string
	switch err := json.Unmarshal(b, &text); {
	case err == nil:
		*d = document(text)
	case b[0] == '{':
		*d = bytes.Clone(b)
	default:
		return &fieldFault{"a document is a policy's text, or the policy as an object, and not " + short(b)}
	}
	return nil
}

// readBody takes the body for the text, unless it is an object with a document, which no policy has.
func (n *newPolicy) readBody(body []byte) error {
	var wrapper map[string]json.RawMessage
	if json.Unmarshal(body, &wrapper) == nil && wrapper["document"] != nil {
		return readJSON(body, n)
	}
	n.Document = body
	return nil
}

func policyRoutes() []route {
	const path = "/api/v1/orgs/{org}/policy"
	return []route{
		endpoint(http.MethodGet, path, "Show how an org has its calls routed", admin, showPolicy),
		endpoint(http.MethodPut, path, "Set an org's policy: its text, YAML or JSON, as the body or as document; what is wrong with it is told with line and column. With If-Match, only in the place of the version that has this ETag, \"0\" if none was ever set; else 412", admin, setPolicy),
		endpoint(http.MethodDelete, path, "Go back to the defaults. If-Match is as with PUT", admin, clearPolicy),
		question(path+"/explain", "Tell how a request would be routed, and why, without calling or holding anything", admin, explainPolicy),
	}
}

// showPolicy shows the policy, and what there would be to say of it if it were set now: models go, and credentials.
func showPolicy(c *call, _ nothing) (policy, error) {
	out, err := c.policyOf()
	if err != nil || out.Version == 0 {
		return out, err
	}
	if out.Warnings, err = c.adrift(nil); err != nil || out.Warnings != nil {
		return out, err
	}
	_, out.Warnings, err = c.parsePolicy([]byte(out.Document))
	if p, ok := errors.AsType[*router.PolicyError](err); ok {
		out.Warnings, err = append(p.Notes, out.Warnings...), nil
	}
	return out, err
}

// policyOf shows the policy of the call's org, with the names of its credentials.
func (c *call) policyOf() (policy, error) {
	names, err := c.credentialNames()
	if err != nil {
		return policy{}, err
	}
	var row *ledger.Policy
	c.s.o.Books.View(func(st *ledger.State) { row = st.Policy(c.org) })
	out, p := policy{Org: c.org}, &router.Policy{Settings: router.DefaultSettings}
	if row != nil {
		set, err := router.PolicyOf(row.Document)
		if err != nil {
			return policy{}, err
		}
		if out.Version, out.SetAt = row.Version, Time(row.Set); set != nil {
			p = set.Named(func(id string) string { return names[id] })
		}
	}
	out.Document = string(router.FormatPolicy(p))
	if out.Policy, err = json.Marshal(p); err != nil {
		return policy{}, fmt.Errorf("writing a policy: %w", err)
	}
	c.header["Etag"] = []string{strconv.Quote(strconv.FormatUint(out.Version, 10))}
	return out, nil
}

// credentialNames are the names of the org's own credentials, by their ids.
func (c *call) credentialNames() (map[string]string, error) {
	labels, err := c.s.o.Names.Labels(c, "credential", c.org)
	return byID(labels), err
}

// adrift tells where the org's policy names credentials that are detached. Names gives what some of them were called.
func (c *call) adrift(names map[string]string) (notes []policyNote, err error) {
	c.s.o.Books.View(func(st *ledger.State) {
		row := st.Policy(c.org)
		if row == nil {
			return
		}
		p, e := router.PolicyOf(row.Document)
		notes, err = p.Adrift(st.Wallet(c.org), func(id string) string { return names[id] }), e
	})
	return notes, err
}

// parsePolicy reads a policy's text, holds it against what the org has, and puts the ids of credentials in the place of their names.
func (c *call) parsePolicy(text []byte) (p *router.Policy, warnings []policyNote, err error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil, invalid("document", "is empty: send the policy's text, and DELETE to go back to the defaults")
	}
	if p, err = router.ParsePolicy(text); err != nil {
		return nil, nil, err
	}
	names, err := c.credentialNames()
	if err != nil {
		return nil, nil, err
	}
	var errs []policyNote
	c.s.o.Books.View(func(st *ledger.State) {
		ids := map[string]string{}
		for _, k := range st.Wallet(c.org) {
			ids[k.ID] = k.ID
		}
		for _, k := range st.Wallet(c.org) { // a name goes before an id
			ids[names[k.ID]] = k.ID
		}
		if err = p.Resolve(func(name string) (string, bool) { id, ok := ids[name]; return id, ok }); err == nil {
			errs, warnings = p.Check(router.PolicyViewOf(st, c.org))
		}
	})
	if len(errs) > 0 {
		err = &router.PolicyError{Notes: errs}
	}
	return p, warnings, err
}

func setPolicy(c *call, in newPolicy) (policy, error) {
	replaces, err := c.replaces(in.Version)
	if err != nil {
		return policy{}, err
	}
	p, warnings, err := c.parsePolicy(in.Document)
	if err != nil {
		return policy{}, err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return policy{}, fmt.Errorf("writing a policy: %w", err)
	}
	if err := c.setPolicy(text, replaces); err != nil {
		return policy{}, err
	}
	out, err := c.policyOf()
	out.Warnings = warnings
	return out, err
}

func clearPolicy(c *call, _ nothing) (policy, error) {
	replaces, err := c.replaces(given[uint64]{})
	if err == nil {
		err = c.setPolicy(nil, replaces)
	}
	if err != nil {
		return policy{}, err
	}
	return c.policyOf()
}

// setPolicy sets the document. That If-Match names another version than the present one is told as HTTP has it.
func (c *call) setPolicy(document []byte, replaces *uint64) error {
	_, err := c.s.o.Books.Execute(c, ledger.SetPolicy{Who: c.by, Org: c.org, Document: document, Replaces: replaces})
	if le, ok := errors.AsType[*ledger.Error](err); ok && le.Code == ledger.CodeConflict && c.r.Header.Get("If-Match") != "" {
		const status = http.StatusPreconditionFailed
		return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: string(le.Code), Detail: le.Message, Field: "If-Match"}
	}
	return err
}

// replaces is the version of the policy that a change is made to, by the body or by If-Match; nil for any.
func (c *call) replaces(version given[uint64]) (*uint64, error) {
	tag := c.r.Header.Get("If-Match")
	if tag != "" && tag != "*" {
		n, err := strconv.ParseUint(strings.Trim(strings.TrimPrefix(tag, "W/"), `"`), 10, 63)
		switch {
		case err != nil:
			return nil, invalid("If-Match", "must be the ETag that GET gives, such as \"3\"")
		case version.set && version.value != n:
			return nil, invalid("If-Match", "says another version than the body")
		}
		return &n, nil
	}
	if !version.set {
		return nil, nil
	}
	return &version.value, nil
}
