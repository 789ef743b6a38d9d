package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// Call is the record of one call.
type Call struct {
	Seq        int64     `json:"seq"`     // 1, 2, … in order of arrival
	Attempt    string    `json:"attempt"` // the X-Client-Request-Id header
	Provider   string    `json:"provider"`
	Dialect    string    `json:"dialect"`
	Endpoint   Endpoint  `json:"endpoint"`
	Model      string    `json:"model"`       // as asked; "" if the body never said
	Key        string    `json:"key"`         // fingerprint of the secret: eight hex digits of its SHA-256; "" without one
	BodySHA256 string    `json:"body_sha256"` // of what arrived
	Stream     bool      `json:"stream"`
	OpenedAt   time.Time `json:"opened_at"`

	Messages int `json:"messages"` // turns that arrived, the system's included
	Images   int `json:"images"`   // and audio clips, and files
	Tools    int `json:"tools"`

	Ended    bool      `json:"ended"`
	Outcome  Outcome   `json:"outcome"`
	Status   int       `json:"status"`    // 0 if no status line was to be sent
	Tokens   Tokens    `json:"tokens"`    // what was produced by then; zero if the answer did not begin
	AnswerID string    `json:"answer_id"` // the provider's own id of the answer; "" if it did not begin
	Finish   string    `json:"finish"`    // the provider's finish reason; "" if it was not to be sent
	Tier     string    `json:"tier"`      // the service tier that the answer reports; "" if the provider reports none
	EndedAt  time.Time `json:"ended_at,omitzero"`
}

// Outcome says what became of a call: one of the constants or "failed:" and a [Failure].
type Outcome string

const (
	Open      Outcome = "open"      // being answered
	Completed Outcome = "completed" // the answer, whole
	Cut       Outcome = "cut"       // by script: connection dropped
	Truncated Outcome = "truncated" // by script: body ended early
	Hung      Outcome = "hung"      // by script: stopped, for now or until the client left
	Gone      Outcome = "client_gone"
)

// Failed is the outcome of a call that got an error.
func Failed(f Failure) Outcome { return Outcome("failed:" + string(f)) }

// Fingerprint names a provider secret without telling it.
func Fingerprint(secret string) string {
	if secret == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:4])
}

// register is the list of calls and its journal.
type register struct {
	now  func() time.Time
	keep int

	mu      sync.Mutex
	journal *json.Encoder // nil without one
	failed  error         // the first that the journal gave
	last    int64
	calls   []*Call
}

// journalLine is one line of the journal.
type journalLine struct {
	Event string `json:"event"` // "opened" or "ended"
	*Call
}

func newRegister(o Options) *register {
	r := &register{now: o.Now, keep: o.KeepCalls}
	if o.Journal != nil {
		r.journal = json.NewEncoder(wholeLines{o.Journal})
	}
	return r
}

// wholeLines reports a short write, which json.Encoder would not.
type wholeLines struct{ w io.Writer }

func (l wholeLines) Write(line []byte) (int, error) {
	n, err := l.w.Write(line)
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	return n, err
}

// open adds a call to the record. On an error it is not recorded and must not be served.
func (r *register) open(c Call) (*Call, error) {
	c.OpenedAt, c.Outcome = r.now(), Open
	r.mu.Lock()
	defer r.mu.Unlock()
	c.Seq = r.last + 1
	if err := r.write("opened", &c); err != nil {
		return nil, err
	}
	r.last = c.Seq
	if r.keep > 0 && len(r.calls) >= 2*r.keep {
		r.calls = append(r.calls[:0], r.calls[len(r.calls)-r.keep+1:]...)
	}
	r.calls = append(r.calls, &c)
	return &c, nil
}

// end closes a call, once. On an error the call stays open and its end must not be served.
func (r *register) end(c *Call, update func(*Call)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.Ended {
		return nil
	}
	ended := *c
	update(&ended)
	ended.Ended, ended.EndedAt = true, r.now()
	if err := r.write("ended", &ended); err != nil {
		return err
	}
	*c = ended
	return nil
}

// update changes an open call without a line in the journal.
func (r *register) update(c *Call, change func(*Call)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !c.Ended {
		change(c)
	}
}

func (r *register) write(event string, c *Call) error {
	if r.journal == nil {
		return nil
	}
	if err := r.journal.Encode(journalLine{event, c}); err != nil {
		err = fmt.Errorf("write the sandbox's journal: %w", err)
		if r.failed == nil {
			r.failed = err
		}
		return err
	}
	return nil
}

// err is the journal's first failure.
func (r *register) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// after copies the calls whose Seq is greater than seq.
func (r *register) after(seq int64) []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := r.calls
	if r.keep > 0 && len(kept) > r.keep {
		kept = kept[len(kept)-r.keep:]
	}
	calls := make([]Call, 0, len(kept))
	for _, c := range kept {
		if c.Seq > seq {
			calls = append(calls, *c)
		}
	}
	return calls
}
