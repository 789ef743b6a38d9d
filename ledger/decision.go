package ledger

// Inputs is what a routing decision was made from, and what it was: enough to make it again, under the same policy or
// another one. What else it read is the log's: the catalogue, prices, plans, keys and credentials at the admission.
type Inputs struct {
	Policy     uint64      `json:"policy,omitzero"`  // version; 0: the defaults
	Route      string      `json:"route,omitzero"`   // of the policy that matched: its name, or its place such as "routes[2]"; none: the defaults
	AsOf       uint64      `json:"as_of,omitzero"`   // position of the log that it was decided on: others may have come before the admission
	Decided    Instant     `json:"decided,omitzero"` // when
	Seed       uint64      `json:"seed,omitzero"`
	Endpoint   string      `json:"endpoint,omitzero"`     // none: chat
	Needs      []string    `json:"needs,omitempty"`       // features that the request needs of a model
	Input      int64       `json:"input,omitzero"`        // estimate of the input, in tokens
	Most       int64       `json:"input_bound,omitzero"`  // bound on the input, in tokens
	Output     int64       `json:"output_cap,omitzero"`   // as the caller set it, in tokens; 0: not at all
	Narrowed   *Narrowing  `json:"narrowed,omitempty"`    // by the request itself
	Origin     *Choice     `json:"origin,omitempty"`      // the leg that sealed reasoning into the conversation
	Sticky     *Choice     `json:"sticky,omitempty"`      // the leg whose cache holds the conversation
	Noted      bool        `json:"noted,omitzero"`        // the policy may have read the request's note: its key's name, its metadata
	Conditions []Condition `json:"conditions,omitempty"`  // of what was considered and has been observed
	Failing    []string    `json:"failing,omitempty"`     // credential and model of each breaker that was open; before Conditions
	Legs       []Choice    `json:"legs"`                  // what was decided
	Passed     []Passed    `json:"passed_over,omitempty"` // what was considered and not taken
	Scores     []Score     `json:"scores,omitempty"`      // of the auto lane
}

// Narrowing is how a request restricts its policy. It can forbid, never allow.
type Narrowing struct {
	Models      []string `json:"models,omitempty"`      // patterns of the models that may serve
	Credentials string   `json:"credentials,omitzero"`  // byok-only or platform-only
	Goal        string   `json:"goal,omitzero"`         // of the auto lane
	MaxAttempts int      `json:"max_attempts,omitzero"` // legs
}

// Condition is how a leg has been observed to do lately: integers, so that a decision from them is the same anywhere.
type Condition struct {
	Model      string `json:"model"`
	Credential string `json:"credential"`               // its id
	Open       bool   `json:"open,omitzero"`            // its breaker
	Failures   int64  `json:"failures,omitzero"`        // of a thousand calls
	FirstByte  int64  `json:"first_byte_ns,omitzero"`   // nanoseconds to the first content
	Throughput int64  `json:"tokens_a_second,omitzero"` // of output
}

// Passed is a leg that was considered and not taken.
type Passed struct {
	Choice
	Reason string `json:"reason"` // a word such as breaker_open or plan_excludes_model
}

// Score is how a candidate of the auto lane was ranked. The lowest total goes first.
type Score struct {
	Choice
	Cost        int64 `json:"cost"`        // a thousand is the best candidate
	Latency     int64 `json:"latency"`     // likewise
	Reliability int64 `json:"reliability"` // likewise
	Total       int64 `json:"total"`       // weighed by the goal
}
