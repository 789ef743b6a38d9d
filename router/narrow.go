package router

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"waybill/ledger"
)

// The headers by which a request narrows its policy, and says what the policy may match. The member "waybill" at the top of the
// body says the same: {models, credentials, goal, max_attempts, metadata}.
const (
	HeaderModels      = "Waybill-Models"       // patterns, by commas
	HeaderCredentials = "Waybill-Credentials"  // byok-only or platform-only
	HeaderGoal        = "Waybill-Goal"         // of the auto lane
	HeaderMaxAttempts = "Waybill-Max-Attempts" // legs
	HeaderMetadata    = "Waybill-Metadata"     // a JSON object of strings, or name=value by commas
)

// NarrowHeaders are all of these.
var NarrowHeaders = []string{HeaderModels, HeaderCredentials, HeaderGoal, HeaderMaxAttempts, HeaderMetadata}

// Bounds of what a request says of itself: it is matched, and kept.
const (
	maxNarrowModels  = 16
	maxMetadata      = 16
	maxMetadataName  = 64  // bytes
	maxMetadataValue = 256 // bytes
)

// narrowMember is the body's member that is waybill's.
const narrowMember = "waybill"

// Narrow reads how a request restricts its policy, and what it says of itself. Rest is the body without the member that says it,
// and else byte for byte what it was. Header and body both bind: of models what both allow, of attempts the fewer, of metadata
// all; where they contradict each other the request is refused. An error is a *FieldError that names the header or the field.
//
// Rest takes the place of the body, which is not to be used any more: a large one is not in memory twice. One that is not a
// JSON object is left as it is, for its dialect to refuse.
func Narrow(body []byte, h http.Header) (rest []byte, n ledger.Narrowing, metadata map[string]string, err error) {
	said, from, to, fault := findMember(body)
	var inBody, inHeader narrowing
	if fault == nil {
		fault = inBody.object(said)
	}
	if fault == nil {
		fault = inHeader.headers(h)
	}
	if fault == nil {
		fault = inBody.and(inHeader)
	}
	if fault != nil {
		return nil, ledger.Narrowing{}, nil, fault
	}
	if to > from {
		body = slices.Delete(body, from, to)
	}
	return body, inBody.Narrowing, inBody.metadata, nil
}

// findMember finds the member that is waybill's in a body, and what of the body is to be cut with it.
func findMember(body []byte) (said gjson.Result, from, to int, fault *FieldError) {
	if !names(body) {
		return said, 0, 0, nil
	}
	doc, err := Document(body)
	if err != nil || !doc.IsObject() {
		return said, 0, 0, nil
	}
	doc.ForEach(func(key, value gjson.Result) bool {
		if key.Str != narrowMember {
			return true
		}
		if said.Exists() {
			fault = &FieldError{narrowMember, "is given twice"}
			return false
		}
		said, from, to = value, key.Index, value.Index+len(value.Raw)
		return true
	})
	if fault != nil || !said.Exists() {
		return said, 0, 0, fault
	}
	// With the member goes one comma: the one after it or, of the last member, the one before.
	if after := to + blank(body[to:]); body[after] == ',' {
		to = after + 1
	} else if before := bytes.TrimRight(body[:from], " \t\r\n"); before[len(before)-1] == ',' {
		from = len(before) - 1
	}
	return said, from, to, nil
}

// names tells whether a body may name the member: as it is written, or with letters of it escaped, which are all from a to z.
func names(body []byte) bool {
	return slices.ContainsFunc([]string{`"` + narrowMember + `"`, `\u006`, `\u007`}, func(s string) bool { return bytes.Contains(body, []byte(s)) })
}

// blank is how much white space a text begins with.
func blank(b []byte) int { return len(b) - len(bytes.TrimLeft(b, " \t\r\n")) }

// narrowing is what one place of a request says.
type narrowing struct {
	ledger.Narrowing
	metadata map[string]string
}

func (n *narrowing) object(o gjson.Result) *FieldError {
	if o.Type == gjson.Null { // there is none, or it says nothing
		return nil
	}
	if !o.IsObject() {
		return &FieldError{narrowMember, "must be an object: models, credentials, goal, max_attempts, metadata"}
	}
	return Members(o, narrowMember+".", func(name string, v gjson.Result) (fault *FieldError) {
		at := narrowMember + "." + name
		switch name {
		case "models":
			list, fault := stringList(at, v)
			if fault == nil {
				fault = n.setModels(at, list)
			}
			return fault
		case "credentials":
			s, fault := StringField(at, v)
			if fault == nil {
				fault = n.setCredentials(at, s)
			}
			return fault
		case "goal":
			s, fault := StringField(at, v)
			if fault == nil {
				fault = n.setGoal(at, s)
			}
			return fault
		case "max_attempts":
			i, fault := IntField(at, v, 1, maxTries)
			n.MaxAttempts = int(i)
			return fault
		case "metadata":
			return n.setMetadata(at, v)
		}
		return &FieldError{at, "is not known: here may be models, credentials, goal, max_attempts, metadata"}
	})
}

func stringList(at string, v gjson.Result) (list []string, fault *FieldError) {
	if !v.IsArray() {
		return nil, &FieldError{at, "must be a list of strings"}
	}
	v.ForEach(func(_, s gjson.Result) bool {
		if s.Type != gjson.String {
			fault = &FieldError{at, "must be a list of strings"}
		}
		list = append(list, strings.Clone(s.Str)) // kept, when the body is long gone
		return fault == nil && len(list) <= maxNarrowModels
	})
	return list, fault
}

func (n *narrowing) headers(h http.Header) *FieldError {
	if name := strangeHeader(h); name != "" {
		return &FieldError{clipped(name), "is not known, and may be meant to narrow the request: here may be " + strings.Join(NarrowHeaders, ", ")}
	}
	one := func(name string, set func(at, v string) *FieldError) *FieldError {
		switch v := h[name]; len(v) {
		case 0:
			return nil
		case 1:
			return set(name, strings.TrimSpace(v[0]))
		}
		return &FieldError{name, "is given more than once"}
	}
	if v := h[HeaderModels]; len(v) > 0 {
		if fault := n.setModels(HeaderModels, splitList(v)); fault != nil {
			return fault
		}
	}
	if fault := one(HeaderCredentials, n.setCredentials); fault != nil {
		return fault
	}
	if fault := one(HeaderGoal, n.setGoal); fault != nil {
		return fault
	}
	if fault := one(HeaderMaxAttempts, n.setAttempts); fault != nil {
		return fault
	}
	v := h[HeaderMetadata]
	if len(v) == 0 {
		return nil
	}
	if text := strings.TrimSpace(v[0]); strings.HasPrefix(text, "{") {
		return one(HeaderMetadata, n.parseMetadata)
	}
	for _, pair := range splitList(v) {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return &FieldError{HeaderMetadata, fmt.Sprintf("%q is not name=value", clipped(pair))}
		}
		if fault := n.note(HeaderMetadata, strings.TrimSpace(name), strings.TrimSpace(value)); fault != nil {
			return fault
		}
	}
	return nil
}

// strangeHeader is a header that is taken for waybill's by its name and is not known, empty if there is none. Left out in silence, a
// misspelt one would have the request go where its caller has forbidden it to.
func strangeHeader(h http.Header) (strange string) {
	for name := range h {
		own := strings.TrimPrefix(name, "X-")
		if (strings.HasPrefix(own, "Waybill-") || strings.HasPrefix(own, "Waybill_")) && !slices.Contains(NarrowHeaders, name) && (strange == "" || name < strange) {
			strange = name
		}
	}
	return strange
}

// splitList is the elements of a header's list, be it on one line or on several.
func splitList(lines []string) []string {
	parts := strings.Split(strings.Join(lines, ","), ",")
	for i, p := range parts {
		parts[i] = strings.TrimSpace(p)
	}
	return parts
}

func (n *narrowing) setModels(at string, patterns []string) *FieldError {
	if len(patterns) == 0 || len(patterns) > maxNarrowModels {
		return &FieldError{at, fmt.Sprintf("must name 1 to %d models or patterns of them", maxNarrowModels)}
	}
	for _, p := range patterns {
		outside := func(c rune) bool { return c <= ' ' || c > '~' }
		if _, err := path.Match(p, ""); err != nil || p == "" || len(p) > maxNameText || strings.ContainsFunc(p, outside) {
			return &FieldError{at, fmt.Sprintf("%q is no pattern of models, such as openai/gpt-6-luna or claude-*", clipped(p))}
		}
	}
	n.Models = patterns
	return nil
}

func (n *narrowing) setCredentials(at, v string) *FieldError {
	if m := Mode(v); m != BYOKOnly && m != PlatformOnly {
		return &FieldError{at, fmt.Sprintf("%q is neither byok-only nor platform-only: a request narrows its policy, and orders nothing anew", clipped(v))}
	}
	n.Credentials = strings.Clone(v)
	return nil
}

func (n *narrowing) setGoal(at, v string) *FieldError {
	if goals[Goal(v)] == (weights{}) {
		return &FieldError{at, fmt.Sprintf("%q is no goal: balanced, cost, latency or reliability", clipped(v))}
	}
	n.Goal = strings.Clone(v)
	return nil
}

func (n *narrowing) setAttempts(at, v string) *FieldError {
	i, err := strconv.Atoi(v)
	if err != nil || i < 1 || i > maxTries {
		return &FieldError{at, fmt.Sprintf("must be a whole number from 1 to %d", maxTries)}
	}
	n.MaxAttempts = i
	return nil
}

func (n *narrowing) parseMetadata(at, text string) *FieldError {
	v, err := Document([]byte(text))
	if err != nil {
		return &FieldError{at, err.Error()}
	}
	return n.setMetadata(at, v)
}

func (n *narrowing) setMetadata(at string, v gjson.Result) *FieldError {
	if !v.IsObject() {
		return &FieldError{at, "must be an object of strings"}
	}
	return Members(v, at+".", func(name string, v gjson.Result) *FieldError {
		if v.Type != gjson.String {
			return &FieldError{at + "." + name, "must be a string"}
		}
		return n.note(at, name, v.Str)
	})
}

// note adds one entry of metadata.
func (n *narrowing) note(at, name, value string) *FieldError {
	had, twice := n.metadata[name]
	switch why := badMetadataName(name); {
	case why != "":
		return &FieldError{at, why}
	case len(value) > maxMetadataValue:
		return &FieldError{at, fmt.Sprintf("the value of %s has %d bytes: at most %d", name, len(value), maxMetadataValue)}
	case !printable(value):
		return &FieldError{at, "the value of " + name + " has characters that cannot be printed"}
	case twice && had != value:
		return &FieldError{at, "gives " + name + " two values"}
	case !twice && len(n.metadata) == maxMetadata:
		return &FieldError{at, fmt.Sprintf("has more than %d names", maxMetadata)}
	}
	if n.metadata == nil {
		n.metadata = map[string]string{}
	}
	n.metadata[strings.Clone(name)] = strings.Clone(value)
	return nil
}

// badMetadataName says why a text cannot name metadata, empty if it can: headers write it before a = and between commas.
func badMetadataName(name string) string {
	outside := func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`,="{`, c) }
	if name == "" || len(name) > maxMetadataName || strings.ContainsFunc(name, outside) {
		return fmt.Sprintf("%q is no name of metadata: up to %d letters, digits and signs, without spaces, commas and =", clipped(name), maxMetadataName)
	}
	return ""
}

// clipped is a caller's text, short enough to tell it in an error.
func clipped(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

// and has the narrowing bind as another one does too.
func (n *narrowing) and(o narrowing) *FieldError {
	switch {
	case o.Credentials == "":
	case n.Credentials != "" && n.Credentials != o.Credentials:
		return contradicts(HeaderCredentials, "credentials")
	default:
		n.Credentials = o.Credentials
	}
	switch {
	case o.Goal == "":
	case n.Goal != "" && n.Goal != o.Goal:
		return contradicts(HeaderGoal, "goal")
	default:
		n.Goal = o.Goal
	}
	if n.MaxAttempts == 0 || o.MaxAttempts > 0 && o.MaxAttempts < n.MaxAttempts {
		n.MaxAttempts = o.MaxAttempts
	}
	for _, name := range slices.Sorted(maps.Keys(o.metadata)) {
		if had, ok := n.metadata[name]; ok && had != o.metadata[name] {
			return contradicts(HeaderMetadata, "metadata."+name)
		}
		if fault := n.note(HeaderMetadata, name, o.metadata[name]); fault != nil {
			return fault
		}
	}
	if n.Models == nil || o.Models == nil {
		n.Models = append(n.Models, o.Models...)
		return nil
	}
	both, ok := bothAllow(n.Models, o.Models)
	switch {
	case !ok:
		return &FieldError{HeaderModels, "cannot be joined with waybill.models of the body: give patterns with * in one of the two only"}
	case len(both) == 0:
		return contradicts(HeaderModels, "models")
	}
	n.Models = both
	return nil
}

func contradicts(header, member string) *FieldError {
	return &FieldError{header, "contradicts waybill." + member + " of the body"}
}

// bothAllow is the patterns of what two lists of patterns allow, names taken as they are written. It is not to be had where
// patterns of one meet other patterns of the other.
func bothAllow(a, b []string) (both []string, ok bool) {
	loose := func(p string) bool { return strings.ContainsAny(p, `*?[\`) }
	keep := func(from, other []string) (open bool) {
		for _, p := range from {
			switch {
			case slices.Contains(both, p):
			case slices.Contains(other, p), !loose(p) && slices.ContainsFunc(other, func(o string) bool { return matchName(o, p) }):
				both = append(both, p)
			case loose(p):
				open = true
			}
		}
		return open
	}
	openA := keep(a, b)
	openB := keep(b, a)
	return both, !openA || !openB
}
