package sandbox

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The providers. Compatible is the small servers that speak Chat Completions.
const (
	OpenAI     = "openai"
	Anthropic  = "anthropic"
	Google     = "google"
	Compatible = "compatible"
)

// AttemptHeader is the request header that names the caller's attempt.
const AttemptHeader = "X-Client-Request-Id"

const defaultMaxBodyBytes = 32 << 20

// Options make a sandbox; the zero value is a good one.
type Options struct {
	Keys         []Key               // see SetKey
	Models       map[string][]string // provider to its models; a provider without an entry has any
	MaxBodyBytes int                 // of a request; 0 is 32 MiB
	KeepCalls    int                 // newest calls that the record keeps; 0 is all

	// Journal receives the record as lines of JSON, each in one Write, under a
	// lock. A call whose line cannot be written is not answered.
	Journal io.Writer

	Now   func() time.Time                                 // nil is the wall clock
	Sleep func(ctx context.Context, d time.Duration) error // nil waits for real; an error means that ctx is done
}

// Key is a provider secret that the sandbox knows.
type Key struct {
	Provider string // "" is every provider
	Secret   string
	Fails    Failure // each call with it fails so; "" is a good key
}

// Sandbox is the three providers as one http.Handler.
type Sandbox struct {
	models  map[string][]string
	maxBody int
	sleep   func(context.Context, time.Duration) error
	calls   *register
	lists   *register
	scripts scripts
	hung    hung

	keysMu sync.RWMutex
	keys   map[keyName]Failure
	closed map[string]bool // providers whose good keys are listed
}

type keyName struct{ provider, secret string }

// New makes a sandbox. It starts nothing: it lives as long as it is referred to.
func New(o Options) *Sandbox {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.MaxBodyBytes == 0 {
		o.MaxBodyBytes = defaultMaxBodyBytes
	}
	s := &Sandbox{
		models:  maps.Clone(o.Models),
		maxBody: o.MaxBodyBytes,
		sleep:   o.Sleep,
		calls:   newRegister(o),
		lists:   newRegister(Options{Now: o.Now, KeepCalls: o.KeepCalls}),
		keys:    map[keyName]Failure{},
		closed:  map[string]bool{},
	}
	for _, k := range o.Keys {
		s.SetKey(k)
	}
	return s
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SetKey adds a key or changes how it fails. Once a good key of a provider is
// set, secrets that are not set are refused; until then any but a failing one is
// good.
func (s *Sandbox) SetKey(k Key) {
	s.keysMu.Lock()
	defer s.keysMu.Unlock()
	providers := []string{k.Provider}
	if k.Provider == "" {
		providers = []string{OpenAI, Anthropic, Google, Compatible}
	}
	for _, provider := range providers {
		s.keys[keyName{provider, k.Secret}] = k.Fails
		if k.Fails == "" {
			s.closed[provider] = true
		}
	}
}

// keyFault is why a secret may not be used; nil if it may.
func (s *Sandbox) keyFault(d *dialect, secret string) *fault {
	if secret == "" {
		return faultOf(d.provider, missingKey, 0)
	}
	s.keysMu.RLock()
	fails, known := s.keys[keyName{d.provider, secret}]
	closed := s.closed[d.provider]
	s.keysMu.RUnlock()
	if fails == "" {
		fails = keyFailure(secret)
	}
	if fails == "" && !known && closed {
		fails = InvalidKey
	}
	if fails == "" {
		return nil
	}
	return faultOf(d.provider, fails, 0)
}

// Calls copies the record, oldest first.
func (s *Sandbox) Calls() []Call { return s.calls.after(0) }

// Lists copies the record of the lists of models, which are no calls of a model and in no journal.
func (s *Sandbox) Lists() []Call { return s.lists.after(0) }

// CallsAfter copies the calls whose Seq is greater than seq.
func (s *Sandbox) CallsAfter(seq int64) []Call { return s.calls.after(seq) }

// Err is why the journal failed first, if it did: from then on calls are refused with
// a 500, and those under way are cut.
func (s *Sandbox) Err() error { return s.calls.err() }

// BaseURL is the address of a provider as its own SDK takes it, for a sandbox
// served at root, such as "http://127.0.0.1:9000".
func BaseURL(root, provider string) string {
	root = strings.TrimSuffix(root, "/") + "/" + provider
	if provider == OpenAI || provider == Compatible {
		return root + "/v1"
	}
	return root
}

// ServeHTTP serves all that the package comment lists. A scripted cut panics with
// http.ErrAbortHandler, which net/http's server understands.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if path == "/calls" {
		s.serveCalls(w, r)
		return
	}
	name, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	t, known := targetOf(name, rest)
	d := t.d
	switch {
	case !known:
		http.NotFound(w, r)
	case t.endpoint == "":
		f := faultOf(d.provider, NotFound, 0).saying("Invalid URL (%s /%s)", r.Method, rest)
		f.code = ""
		s.refuse(w, d, f, nil)
	case t.endpoint.method() != r.Method:
		f := faultOf(d.provider, BadRequest, 0).saying("Not allowed to %s on /%s", r.Method, rest)
		f.status, f.code = http.StatusMethodNotAllowed, ""
		s.refuse(w, d, f, nil)
	case t.endpoint == ListModels:
		s.serveModels(w, r, t)
	default:
		s.serve(w, r, t)
	}
}

func (s *Sandbox) serveCalls(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseInt(cmp.Or(r.URL.Query().Get("after"), "0"), 10, 64)
	if err != nil || r.Method != http.MethodGet {
		http.Error(w, "sandbox: GET /calls or /calls?after=SEQ", http.StatusBadRequest)
		return
	}
	w.Header()["Content-Type"] = jsonType
	// The status is out: an error here is the client's, who sees a short body.
	_ = json.NewEncoder(w).Encode(s.CallsAfter(after))
}

// serve serves one call that is recorded, from its record to its last byte.
func (s *Sandbox) serve(w http.ResponseWriter, r *http.Request, t target) {
	d := t.d
	body, bodyErr := s.readBody(w, r)
	sum := sha256.Sum256(body)
	secret := d.secret(r.Header)
	seen := d.peek(r, body)
	if t.endpoint != Generate {
		seen.stream, seen.array = false, false
	}
	call, err := s.calls.open(Call{
		Attempt: r.Header.Get(AttemptHeader), Provider: d.provider, Dialect: d.name, Endpoint: t.endpoint,
		Model: seen.model, Stream: seen.stream, Key: Fingerprint(secret), BodySHA256: hex.EncodeToString(sum[:]),
	})
	if err != nil {
		s.refuse(w, d, faultOf(d.provider, ServerError, 0).saying("sandbox: %v", err), nil)
		return
	}
	x := &exchange{
		s: s, w: w, flusher: http.NewResponseController(w), ctx: r.Context(),
		d: d, call: call, id: answerID(call), seen: seen,
	}
	defer func() {
		// A client that left before its body was whole gets here with an open call.
		if !call.Ended {
			_ = s.calls.end(call, func(c *Call) { c.Outcome = Gone })
		}
	}()
	var tooLarge *http.MaxBytesError
	if bodyErr != nil && !errors.As(bodyErr, &tooLarge) {
		return // the client is gone
	}
	if f := s.admit(x, r, t, body, tooLarge != nil, secret); f != nil {
		x.refuse(f)
		return
	}
	d.header(w.Header(), x.a.request, nil)
	x.reply()
}

// admit checks a call as its provider would and composes the answer.
func (s *Sandbox) admit(x *exchange, r *http.Request, t target, body []byte, tooLarge bool, secret string) *fault {
	d := x.d
	if f := s.keyFault(d, secret); f != nil {
		return f
	}
	if f := d.checkHeader(r.Header); f != nil {
		return f
	}
	if tooLarge {
		return faultOf(d.provider, TooLarge, 0)
	}
	v, ok := parse(body)
	if !ok {
		return d.unreadable()
	}
	switch t.endpoint {
	case Embed:
		return s.admitEmbedding(x, r, v, secret)
	case Count:
		return s.admitCount(x, r, v)
	}
	p, f := d.read(r, v, familyOf(d.provider, x.seen.model))
	if f != nil {
		return f
	}
	s.calls.update(x.call, func(c *Call) { c.Messages, c.Images, c.Tools = p.messages, p.images, p.tools })
	if !s.serves(d.provider, p.model) {
		return faultOf(d.provider, NotFound, 0).about(p.model)
	}
	script, f := s.scriptFor(d, p, secret)
	if f != nil {
		return f
	}
	if f := faultOf(d.provider, promptBlocked, 0); script.Verdict == VerdictBlocked && f.status != 0 {
		return f
	}
	a, err := answerTo(p, script, d)
	if err != nil {
		return scriptFault(d.provider, err)
	}
	if script.Tier != "" {
		p.tier = script.Tier
	}
	a.mint(d, x.id, x.call)
	x.a, x.script = a, script
	s.calls.update(x.call, func(c *Call) { c.Tier = p.tier })
	return nil
}

// scriptFor is the script that a call follows.
func (s *Sandbox) scriptFor(d *dialect, p *prompt, secret string) (*Script, *fault) {
	script, err := parseDirective(p.lastUser)
	if err == nil && script == nil {
		script = s.scripts.take(d.provider, p.model, secret)
		err = script.validate()
	}
	switch {
	case err != nil:
	case d.noCacheWrite && script.CacheWrite+script.CacheWriteLong > 0:
		err = errors.New("cache_write: this provider reports no cache writes")
	case script.Redacted && d != messagesDialect:
		err = errors.New("redacted: only Anthropic has redacted thinking")
	case script.CallIDs && d != geminiDialect:
		err = errors.New("call_ids: this provider's calls have ids anyway")
	}
	if err != nil {
		return nil, scriptFault(d.provider, err)
	}
	return script, nil
}

// mint names an answer and its calls.
func (a *answer) mint(d *dialect, id string, call *Call) {
	a.id, a.request, a.created = d.answerID(id), requestID(id), call.OpenedAt.Unix()
	for i := range a.choices {
		calls := slices.Clone(a.choices[i].calls)
		for j := range calls {
			sum := sha256.Sum256([]byte(id + "/" + strconv.Itoa(i) + "/" + strconv.Itoa(j)))
			calls[j].id = d.callID(hex.EncodeToString(sum[:]))
		}
		a.choices[i].calls = calls
	}
}

// readBody reads a request's body up to the limit.
func (s *Sandbox) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limited := http.MaxBytesReader(w, r.Body, int64(s.maxBody))
	if n := r.ContentLength; n >= 0 && n <= int64(s.maxBody) {
		body := make([]byte, n)
		read, err := io.ReadFull(limited, body)
		return body[:read], err
	}
	return io.ReadAll(limited)
}

// answerID is a name for a call's answer that no other call has, also not after a
// restart: 32 hex digits.
func answerID(c *Call) string {
	sum := sha256.Sum256([]byte(c.Attempt + "\x00" + c.BodySHA256 + "\x00" +
		strconv.FormatInt(c.Seq, 10) + "\x00" + strconv.FormatInt(c.OpenedAt.UnixNano(), 10)))
	return hex.EncodeToString(sum[:16])
}

func requestID(id string) string { return "req_" + id[:24] }

var (
	jsonType = []string{"application/json"}
	sseType  = []string{"text/event-stream; charset=utf-8"}
	noCache  = []string{"no-cache"}
)

// refuse sends an error status; x is nil outside a generation call.
func (s *Sandbox) refuse(w http.ResponseWriter, d *dialect, f *fault, x *exchange) {
	request, array := requestID(strings.Repeat("0", 32)), false
	if x != nil {
		request, array = requestID(x.id), x.seen.array
	}
	h := w.Header()
	d.header(h, request, f)
	if f.kind == BadGateway {
		h.Set("Content-Type", "text/html")
		w.WriteHeader(f.status)
		_, _ = io.WriteString(w, badGatewayPage)
		return
	}
	var out frames
	if array {
		out.array = true
		out.event("", d.failure(f, request))
		out.buf.WriteByte(']')
	} else {
		out.value(d.failure(f, request))
	}
	h["Content-Type"] = jsonType
	w.WriteHeader(f.status)
	_, _ = w.Write(out.buf.Bytes())
}
