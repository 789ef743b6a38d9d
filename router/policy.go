package router

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"waybill/ledger"
)

// Policy is how an org wants its calls routed: one document, YAML or JSON, whose first matching route wins. What it does not
// say, DefaultSettings say.
type Policy struct {
	Settings
	// Aliases are names of the org's own for models; a caller may use them as a model's name.
	Aliases map[string]string `json:"aliases,omitempty"`
	Routes  []PolicyRoute     `json:"routes,omitempty"`

	at map[string]place // where each path stands in the text that it was parsed from
}

// Settings hold for every call; a route may set them anew for those that it matches. A zero value is not set.
type Settings struct {
	Credentials  Mode      `json:"credentials,omitzero"`
	PaidFallback *bool     `json:"paid_fallback,omitempty"` // may a failing credential of the org's own move to the platform's
	MaxAttempts  int       `json:"max_attempts,omitzero"`   // legs of a call
	RetryOn      []Class   `json:"retry_on,omitzero"`       // failures that move on to the next leg; an empty list is none
	Timeouts     Deadlines `json:"timeouts,omitzero"`
	OnAbort      OnAbort   `json:"on_abort,omitzero"`
	Providers    []string  `json:"providers,omitempty"` // the only ones that calls may go to; all if none
}

// Mode says whose credentials serve, and whose first.
type Mode string

// The modes.
const (
	BYOKFirst     Mode = "byok-first"
	BYOKOnly      Mode = "byok-only"
	PlatformFirst Mode = "platform-first"
	PlatformOnly  Mode = "platform-only"
)

// OnAbort says what becomes of a call whose caller has left.
type OnAbort string

// What may become of it.
const (
	AbortDrain  OnAbort = "drain"  // the answer is read to its end, for a bounded time, so that its usage is known
	AbortCancel OnAbort = "cancel" // the call is ended at once
)

// Deadlines bound a call and its attempts. A zero value is not set.
type Deadlines struct {
	Connect   Duration `json:"connect,omitzero"`    // of an attempt, until its connection stands
	FirstByte Duration `json:"first_byte,omitzero"` // of a streamed attempt, until the first byte of its answer
	Idle      Duration `json:"idle,omitzero"`       // between two bytes of an answer
	Attempt   Duration `json:"attempt,omitzero"`    // a whole attempt; what bounds one that is not streamed and hangs
	Total     Duration `json:"total,omitzero"`      // the whole call, all attempts together
}

// Duration is a time.Duration that documents write as Go does: 5s, 1m30s.
type Duration time.Duration

// PolicyRoute is one rule of a policy: for the calls that it matches, what to try. Without try, auto and refuse the legs are
// those of the model that the caller named, under the route's own settings.
type PolicyRoute struct {
	Name string `json:"name,omitzero"`
	When When   `json:"when,omitzero"`
	Settings
	Try    []Try  `json:"try,omitempty"`
	Auto   *Auto  `json:"auto,omitempty"`
	Refuse string `json:"refuse,omitzero"` // why such calls are not served: the caller's error says it
	// MaxFallbacks bounds the legs after the first.
	MaxFallbacks *int `json:"max_fallbacks,omitempty"`
	// Prefer "commitment" takes credentials with commitment left before the others.
	Prefer string `json:"prefer,omitzero"`
}

// When says which calls a route matches: all that satisfy each of its conditions. * stands for any run of characters but a
// slash.
type When struct {
	Model    string            `json:"model,omitzero"`    // as asked, or the full or bare name of what that means; auto matches auto:cost too
	Endpoint string            `json:"endpoint,omitzero"` // chat, embeddings, count or any
	Dialect  string            `json:"dialect,omitzero"`  // the caller's, or any
	Key      string            `json:"key,omitzero"`      // the key's name
	Metadata map[string]string `json:"metadata,omitempty"`
}

// Try is a leg that a route names: a model, and on which credential.
type Try struct {
	Model string `json:"model"`
	// Credential is platform, byok, or byok/NAME with the name or id of one of the org's own; none: as the mode says.
	Credential string `json:"credential,omitzero"`
}

// Auto leaves the choice of the model to waybill.
type Auto struct {
	Goal Goal     `json:"goal,omitzero"`
	Pool []string `json:"pool,omitempty"` // models, full names; the plan's pool if none
}

// Goal is what the auto lane looks for.
type Goal string

// The goals. A caller asks for one by the model's name: auto:cost.
const (
	GoalBalanced    Goal = "balanced"
	GoalCost        Goal = "cost"
	GoalLatency     Goal = "latency"
	GoalReliability Goal = "reliability"
)

// DefaultSettings are those of an org without a policy. Its timeouts are the node's.
var DefaultSettings = Settings{
	Credentials: BYOKFirst, PaidFallback: new(bool), MaxAttempts: 3,
	RetryOn: []Class{ClassRateLimited, ClassOverloaded, ClassServerError, ClassTimeout, ClassConnection, ClassCredential, ClassNotFound},
	OnAbort: AbortDrain,
}

// String writes the duration as documents do.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the duration as documents do.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a duration such as 5s.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is no duration, such as 5s or 1m30s", b)
	}
	*d = Duration(v)
	return nil
}

// over gives the settings with those of a route set anew.
func (s Settings) over(base Settings) Settings {
	if s.Credentials == "" {
		s.Credentials = base.Credentials
	}
	if s.PaidFallback == nil {
		s.PaidFallback = base.PaidFallback
	}
	if s.MaxAttempts == 0 {
		s.MaxAttempts = base.MaxAttempts
	}
	if s.RetryOn == nil {
		s.RetryOn = base.RetryOn
	}
	if s.OnAbort == "" {
		s.OnAbort = base.OnAbort
	}
	if s.Providers == nil {
		s.Providers = base.Providers
	}
	for _, d := range []struct{ own, base *Duration }{
		{&s.Timeouts.Connect, &base.Timeouts.Connect}, {&s.Timeouts.FirstByte, &base.Timeouts.FirstByte},
		{&s.Timeouts.Idle, &base.Timeouts.Idle}, {&s.Timeouts.Attempt, &base.Timeouts.Attempt}, {&s.Timeouts.Total, &base.Timeouts.Total},
	} {
		if *d.own == 0 {
			*d.own = *d.base
		}
	}
	return s
}

// Policies keeps the policies that were read, so that a call does not read its org's again. Its zero value is ready.
type Policies struct {
	mu   sync.Mutex
	read map[string]readPolicy // by org
}

type readPolicy struct {
	of     *ledger.Policy
	policy *Policy
}

// Of gives what a row of the ledger's says, and its version: nil and 0 for an org without one.
func (c *Policies) Of(row *ledger.Policy) (*Policy, uint64, error) {
	if row == nil {
		return nil, 0, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if have, ok := c.read[row.Org]; ok && have.of == row {
		return have.policy, row.Version, nil
	}
	policy, err := PolicyOf(row.Document)
	if err != nil {
		return nil, 0, err
	}
	if c.read == nil {
		c.read = map[string]readPolicy{}
	}
	c.read[row.Org] = readPolicy{row, policy}
	return policy, row.Version, nil
}

// PolicyOf reads a document as the log keeps it; nil for the defaults.
func PolicyOf(document []byte) (p *Policy, err error) {
	if err := json.Unmarshal(document, &p); err != nil {
		return nil, fmt.Errorf("the policy in the log: %w", err)
	}
	return p, nil
}
