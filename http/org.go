package http

import (
	"net/http"
	"strings"
	"unicode"

	"waybill/ledger"
)

// org is who pays, as the control API shows it.
type org struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Plan     string `json:"plan"`
	NextPlan string `json:"next_plan,omitempty"` // from the period's end on
	State    string `json:"state"`               // active, suspended or erased
	OpenedAt Time   `json:"opened_at"`
	ErasedAt Time   `json:"erased_at"`
}

type orgs struct {
	Orgs []org `json:"orgs"`
}

type newOrg struct {
	Name string `json:"name"`
	Plan string `json:"plan"` // free unless given
}

type planChoice struct {
	Plan string `json:"plan"`
}

type suspension struct {
	Reason string `json:"reason"` // a word such as abuse or unpaid; requested unless given
}

func orgRoutes() []route {
	return []route{
		create("/api/v1/orgs", "Open an org on a plan", operator, openOrg),
		endpoint(http.MethodGet, "/api/v1/orgs", "List the orgs", operator, listOrgs),
		endpoint(http.MethodGet, "/api/v1/orgs/{org}", "Show an org", admin, showOrg),
		endpoint(http.MethodPut, "/api/v1/orgs/{org}/plan", "Put an org on a plan: an upgrade at once, anything else at the period's end", operator, changePlan),
		endpoint(http.MethodPost, "/api/v1/orgs/{org}/suspend", "Stop an org's calls; its money stays as it is", operator, suspendOrg),
		endpoint(http.MethodPost, "/api/v1/orgs/{org}/resume", "Let a suspended org call again", operator, resumeOrg),
	}
}

func openOrg(c *call, in newOrg) (org, error) {
	if err := validName(in.Name); err != nil {
		return org{}, err
	}
	if strings.HasPrefix(in.Name, "org_") || in.Name == ledger.Platform || strings.Contains(in.Name, "/") {
		return org{}, invalid("name", "must have no slash, not begin with org_, and not be platform: it stands for the org in paths")
	}
	if in.Plan == "" {
		in.Plan = ledger.FreePlan
	}
	id := "org_" + c.s.o.NewID()
	rec, err := c.s.o.Names.ExecuteNamed(c, ledger.OpenOrg{Who: c.by, Org: id, Plan: in.Plan}, Label{Kind: "org", ID: id, Name: in.Name})
	if err != nil {
		return org{}, err
	}
	return c.orgOf(rec.Records[len(rec.Records)-1].Stream)
}

// validName takes what a person would call a thing.
func validName(name string) error {
	if name == "" || len(name) > 128 || strings.TrimSpace(name) != name || strings.ContainsFunc(name, unicode.IsControl) {
		return invalid("name", "is 1 to 128 bytes of text, without spaces around it")
	}
	return nil
}

func listOrgs(c *call, _ nothing) (orgs, error) {
	labels, err := c.s.o.Names.Labels(c, "org", "")
	if err != nil {
		return orgs{}, err
	}
	names := byID(labels)
	out := orgs{Orgs: []org{}}
	c.s.o.Books.View(func(st *ledger.State) {
		for _, o := range st.Orgs() {
			out.Orgs = append(out.Orgs, orgRow(o, names[o.ID]))
		}
	})
	return out, nil
}

func byID(labels []Label) map[string]string {
	names := make(map[string]string, len(labels))
	for _, l := range labels {
		names[l.ID] = l.Name
	}
	return names
}

func orgRow(o *ledger.Org, name string) org {
	return org{ID: o.ID, Name: name, Plan: o.Plan, NextPlan: o.Next, State: o.State(), OpenedAt: Time(o.Opened), ErasedAt: Time(o.Erased)}
}

func showOrg(c *call, _ nothing) (org, error) { return c.orgOf(c.org) }

// orgOf shows an org as it stands now.
func (c *call) orgOf(id string) (org, error) {
	l, err := c.s.o.Names.Label(c, "org", id)
	if err != nil {
		return org{}, err
	}
	var o *ledger.Org
	c.s.o.Books.View(func(st *ledger.State) { o = st.Org(id) })
	if o == nil {
		return org{}, notFound("org", id)
	}
	return orgRow(o, l.Name), nil
}

func changePlan(c *call, in planChoice) (org, error) {
	return c.changeOrg(ledger.SubscribePlan{Who: c.by, Org: c.org, Plan: in.Plan})
}

func suspendOrg(c *call, in suspension) (org, error) {
	if in.Reason == "" {
		in.Reason = "requested"
	}
	return c.changeOrg(ledger.SuspendOrg{Who: c.by, Org: c.org, Reason: in.Reason})
}

func resumeOrg(c *call, _ nothing) (org, error) {
	return c.changeOrg(ledger.ResumeOrg{Who: c.by, Org: c.org})
}

func (c *call) changeOrg(cmd ledger.Command) (org, error) {
	if _, err := c.s.o.Books.Execute(c, cmd); err != nil {
		return org{}, err
	}
	return c.orgOf(c.org)
}
