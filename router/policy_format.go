package router

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"waybill/ledger"
)

// FormatPolicy writes a policy as people do, in YAML: ParsePolicy reads the same policy from it.
func FormatPolicy(p *Policy) []byte {
	if p == nil {
		return []byte("{}\n")
	}
	var w policyWriter
	w.settings("", p.Settings)
	if len(p.Aliases) > 0 {
		w.line("", "aliases", "")
		for _, name := range slices.Sorted(maps.Keys(p.Aliases)) {
			w.line("  ", scalar(name), scalar(p.Aliases[name]))
		}
	}
	if len(p.Routes) > 0 {
		w.line("", "routes", "")
	}
	for _, route := range p.Routes {
		w.route(route)
	}
	if w.Len() == 0 {
		return []byte("{}\n")
	}
	return w.Bytes()
}

// policyWriter writes a policy's lines.
type policyWriter struct{ bytes.Buffer }

func (w *policyWriter) line(indent, name, value string) {
	w.WriteString(indent + name + ":")
	if value != "" {
		w.WriteString(" " + value)
	}
	w.WriteByte('\n')
}

func (w *policyWriter) settings(indent string, s Settings) {
	if s.Credentials != "" {
		w.line(indent, "credentials", string(s.Credentials))
	}
	if s.PaidFallback != nil {
		w.line(indent, "paid_fallback", fmt.Sprint(*s.PaidFallback))
	}
	if s.MaxAttempts != 0 {
		w.line(indent, "max_attempts", fmt.Sprint(s.MaxAttempts))
	}
	if s.RetryOn != nil {
		w.line(indent, "retry_on", flowList(s.RetryOn))
	}
	var times []string
	for _, t := range []struct {
		name string
		d    Duration
	}{{"connect", s.Timeouts.Connect}, {"first_byte", s.Timeouts.FirstByte}, {"idle", s.Timeouts.Idle}, {"attempt", s.Timeouts.Attempt}, {"total", s.Timeouts.Total}} {
		if t.d != 0 {
			times = append(times, t.name+": "+shortDuration(t.d))
		}
	}
	if times != nil {
		w.line(indent, "timeouts", flow(times))
	}
	if s.OnAbort != "" {
		w.line(indent, "on_abort", string(s.OnAbort))
	}
	if s.Providers != nil {
		w.line(indent, "providers", flowList(s.Providers))
	}
}

// shortDuration is 10m where Go says 10m0s.
func shortDuration(d Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (w *policyWriter) route(r PolicyRoute) {
	start := w.Len()
	const indent = "    "
	if r.Name != "" {
		w.line(indent, "name", scalar(r.Name))
	}
	if members := r.When.members(); members != nil {
		w.line(indent, "when", flow(members))
	}
	w.settings(indent, r.Settings)
	if len(r.Try) > 0 {
		w.line(indent, "try", "")
		for _, t := range r.Try {
			members := []string{"model: " + scalar(t.Model)}
			if t.Credential != "" {
				members = append(members, "credential: "+scalar(t.Credential))
			}
			w.WriteString(indent + "  - " + flow(members) + "\n")
		}
	}
	if a := r.Auto; a != nil {
		var members []string
		if a.Goal != "" {
			members = append(members, "goal: "+string(a.Goal))
		}
		if len(a.Pool) > 0 {
			members = append(members, "pool: "+flowList(a.Pool))
		}
		w.line(indent, "auto", flow(members))
	}
	if r.Refuse != "" {
		w.line(indent, "refuse", scalar(r.Refuse))
	}
	if r.MaxFallbacks != nil {
		w.line(indent, "max_fallbacks", fmt.Sprint(*r.MaxFallbacks))
	}
	if r.Prefer != "" {
		w.line(indent, "prefer", r.Prefer)
	}
	if w.Len() == start {
		w.WriteString("  - {}\n")
		return
	}
	copy(w.Bytes()[start:], "  - ")
}

func (c When) members() (all []string) {
	for _, m := range []struct{ name, value string }{{"model", c.Model}, {"endpoint", c.Endpoint}, {"dialect", c.Dialect}, {"key", c.Key}} {
		if m.value != "" {
			all = append(all, m.name+": "+scalar(m.value))
		}
	}
	var data []string
	for _, name := range slices.Sorted(maps.Keys(c.Metadata)) {
		data = append(data, scalar(name)+": "+scalar(c.Metadata[name]))
	}
	if data != nil {
		all = append(all, "metadata: "+flow(data))
	}
	return all
}

func flow(members []string) string { return "{" + strings.Join(members, ", ") + "}" }

func flowList[T ~string](words []T) string {
	all := make([]string, len(words))
	for i, s := range words {
		all[i] = scalar(string(s))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// plainScalar is what YAML takes for text without quotes, anywhere, and no reader for anything else.
var plainScalar = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./-]*(:[A-Za-z][A-Za-z0-9_./-]*)*( [A-Za-z][A-Za-z0-9_./-]*)*$`)

// yamlWords are those that some reader of YAML takes for something else than text.
var yamlWords = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}

// scalar writes a text, in quotes where it needs them: those of JSON are YAML's too.
func scalar(s string) string {
	if plainScalar.MatchString(s) && !slices.Contains(yamlWords, strings.ToLower(s)) {
		return s
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil { // no string fails
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Resolve puts the ids of credentials in the place of their names, so that the log has no name and a decision can be made
// again. IDOf knows the credentials of the org's own, by their names and by their ids. The error is a *PolicyError that
// names each credential that there is not.
func (p *Policy) Resolve(idOf func(name string) (string, bool)) error {
	var e PolicyError
	p.eachOwn(func(_ int, at string, t *Try, name string) {
		id, ok := idOf(name)
		if !ok {
			e.Notes = append(e.Notes, p.noteAt(at, fmt.Sprintf("the org has no credential %q: attach it first", name)))
			return
		}
		t.Credential = string(ledger.BYOK) + "/" + id
	})
	if e.Notes != nil {
		return &e
	}
	return nil
}

// Named is the policy with the names of credentials in the place of their ids, to be shown. A credential whose name is not
// known, "", keeps its id.
func (p *Policy) Named(nameOf func(id string) string) *Policy {
	if p == nil {
		return nil
	}
	n := *p
	n.Routes = slices.Clone(p.Routes)
	for i := range n.Routes {
		n.Routes[i].Try = slices.Clone(p.Routes[i].Try)
	}
	n.eachOwn(func(_ int, _ string, t *Try, id string) {
		if name := nameOf(id); name != "" {
			t.Credential = string(ledger.BYOK) + "/" + name
		}
	})
	return &n
}

// eachOwn visits the legs that name a credential of the org's own, with the number of their route.
func (p *Policy) eachOwn(visit func(route int, at string, t *Try, which string)) {
	for i := range p.Routes {
		for j := range p.Routes[i].Try {
			t := &p.Routes[i].Try[j]
			if which, ok := strings.CutPrefix(t.Credential, string(ledger.BYOK)+"/"); ok {
				visit(i, tryPath(i, j)+".credential", t, which)
			}
		}
	}
}

// Adrift tells of each leg that names a credential which the org has not any more. NameOf gives what one was called, "" if that
// is not known.
func (p *Policy) Adrift(own []*ledger.Credential, nameOf func(id string) string) (notes []PolicyNote) {
	if p == nil {
		return nil
	}
	p.eachOwn(func(route int, at string, _ *Try, id string) {
		if !slices.ContainsFunc(own, func(c *ledger.Credential) bool { return c.ID == id }) {
			notes = append(notes, p.noteAt(at, fmt.Sprintf("route %q names byok/%s, which is detached: set the policy again, "+
				"also where another is attached under that name", p.routeName(route), cmp.Or(nameOf(id), id))))
		}
	})
	return notes
}

// noteAt is a note on a path of the policy, with its place where it came as text.
func (p *Policy) noteAt(at, message string) PolicyNote {
	where := p.at[at]
	return PolicyNote{at, where.line, where.column, message}
}
