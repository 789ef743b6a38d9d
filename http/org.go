package http

import (
	"net/http"

	"waybill/ledger"
)

// orgView is an org as the API shows it.
type orgView struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Plan  string `json:"plan"`
	Next  string `json:"next_plan,omitempty"` // the plan that waits for the period's end
	State string `json:"state"`
}

type orgList struct {
	Orgs []orgView `json:"orgs"`
}

func orgRoutes() []route {
	return []route{
		create("/api/v1/orgs", "Open an org on a plan", operator, openOrg),
		endpoint(http.MethodGet, "/api/v1/orgs", "Every org", operator, listOrgs),
		endpoint(http.MethodGet, "/api/v1/orgs/{org}", "One org", admin, func(c *call, _ nothing) (orgView, error) { return c.showOrg() }),
		endpoint(http.MethodPut, "/api/v1/orgs/{org}/plan", "Put an org on a plan", operator, subscribe),
		endpoint(http.MethodPost, "/api/v1/orgs/{org}/suspend", "Stop an org's calls", operator, suspend),
		endpoint(http.MethodPost, "/api/v1/orgs/{org}/resume", "Let an org call again", operator, resume),
		create("/api/v1/plans", "Define a plan", operator, definePlan),
	}
}

func openOrg(c *call, in struct {
	Name string `json:"name"`
	Plan string `json:"plan"`
}) (orgView, error) {
	if in.Name == "" || len(in.Name) > 128 {
		return orgView{}, invalid("name", "must be 1 to 128 bytes")
	}
	id := "org_" + c.s.o.NewID()
	rec, err := c.s.o.Names.ExecuteNamed(c, ledger.OpenOrg{Who: c.by, Org: id, Plan: in.Plan}, Label{Kind: "org", ID: id, Name: in.Name})
	if err != nil {
		return orgView{}, err
	}
	c.org = rec.Records[0].Stream // of the first time, if this call repeats it
	return c.showOrg()
}

func listOrgs(c *call, _ nothing) (out orgList, err error) {
	names, err := c.names("org", "")
	c.s.o.Books.View(func(st *ledger.State) {
		for _, o := range st.Orgs() {
			out.Orgs = append(out.Orgs, orgView{o.ID, names[o.ID], o.Plan, o.Next, o.State()})
		}
	})
	return out, err
}

func (c *call) showOrg() (orgView, error) {
	l, err := c.s.o.Names.Label(c, "org", c.org)
	var o *ledger.Org
	c.s.o.Books.View(func(st *ledger.State) { o = st.Org(c.org) })
	return orgView{o.ID, l.Name, o.Plan, o.Next, o.State()}, err
}

// names gives the names of a scope by their ids.
func (c *call) names(kind, scope string) (map[string]string, error) {
	labels, err := c.s.o.Names.Labels(c, kind, scope)
	names := map[string]string{}
	for _, l := range labels {
		names[l.ID] = l.Name
	}
	return names, err
}

// do executes a command on the org of the path and shows the org.
func (c *call) do(command ledger.Command) (orgView, error) {
	if _, err := c.s.o.Books.Execute(c, command); err != nil {
		return orgView{}, err
	}
	return c.showOrg()
}

func subscribe(c *call, in struct {
	Plan string `json:"plan"`
}) (orgView, error) {
	return c.do(ledger.SubscribePlan{Who: c.by, Org: c.org, Plan: in.Plan})
}

func suspend(c *call, in struct {
	Reason string `json:"reason"`
}) (orgView, error) {
	if in.Reason == "" {
		in.Reason = "requested"
	}
	return c.do(ledger.SuspendOrg{Who: c.by, Org: c.org, Reason: in.Reason})
}

func resume(c *call, _ nothing) (orgView, error) {
	return c.do(ledger.ResumeOrg{Who: c.by, Org: c.org})
}

func definePlan(c *call, in ledger.Plan) (ledger.Plan, error) {
	_, err := c.s.o.Books.Execute(c, ledger.DefinePlan{Who: c.by, Plan: in})
	return in, err
}
