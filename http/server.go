package http

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"waybill/ledger"
	"waybill/router"
)

// Server answers calls. It is an http.Handler, and serves the listeners that it has bound.
type Server struct {
	o       Options
	mux     *mux.Router
	bodies  *budget
	metrics *metrics
	limiter *limiter
	shares  *shares
	openapi []byte

	queries chan struct{} // places of what takes long
	exports chan struct{}

	keyNames  keyNames
	simulator simulator
	rotations sync.Mutex // of credentials

	calls   calls
	closing chan struct{} // closed when the node drains: streams of the control API end

	mu        sync.Mutex
	listeners []bound
	serving   []*http.Server
	closed    bool
}

// New makes a server of its parts.
func New(o Options) (*Server, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	o.Limits = o.Limits.withDefaults()
	s := &Server{o: o, bodies: newBudget(o.Limits.MaxBodies), limiter: newLimiter(), shares: newShares(), queries: make(chan struct{}, queriesAtOnce), exports: make(chan struct{}, exportsAtOnce), closing: make(chan struct{})}
	s.calls.idle = make(chan struct{}, 1)
	s.metrics = newMetrics(s)
	table := routes()
	var err error
	if s.openapi, err = describe(table, o.Version); err != nil {
		return nil, err
	}
	s.mux = mux.NewRouter().SkipClean(true)
	for _, r := range table {
		s.mux.HandleFunc(r.path, func(w http.ResponseWriter, q *http.Request) { s.serve(r, w, q) }).Methods(r.method)
	}
	s.mux.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.lost(w, r, router.Failure{Status: http.StatusNotFound, Code: "not_found", Message: "there is nothing at " + r.URL.Path})
	})
	s.mux.MethodNotAllowedHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, method, ok := strings.Cut(path.Base(r.URL.Path), ":"); ok && r.Method == http.MethodPost && spokenAt(r) == ledger.DialectGemini {
			s.lost(w, r, router.Failure{Status: http.StatusNotFound, Code: "not_found", Message: "a model has no method " + router.Quote(method) +
				" here: generateContent, streamGenerateContent, countTokens, embedContent and batchEmbedContents"})
			return
		}
		allowed := s.allowed(r)
		w.Header().Set("Allow", allowed)
		s.lost(w, r, router.Failure{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Message: r.Method + " is not for " + r.URL.Path + ", which takes " + allowed})
	})
	return s, nil
}

// allowed lists the methods that there are for a call's path.
func (s *Server) allowed(r *http.Request) string {
	var methods []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		other := *r
		other.Method = m
		var match mux.RouteMatch
		if s.mux.Match(&other, &match) && match.MatchErr == nil {
			methods = append(methods, m)
		}
	}
	return strings.Join(methods, ", ")
}

// ServeHTTP answers a call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := &visit{ResponseWriter: w, id: requestPrefix + s.o.NewID(), route: "none", patient: s.o.Limits.WriteTimeout}
	began := time.Now()
	protect(w.Header(), r)
	if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
		// A proxy in front that took the body's end to be elsewhere has no second call to smuggle on this connection.
		w.Header().Set("Connection", "close")
	}
	if r.ContentLength != 0 {
		// Whether or not anybody reads the body: the server itself waits for the rest of one before it answers. It lifts
		// the deadline when it has the whole body, and reads on to see the caller leave.
		_ = http.NewResponseController(w).SetReadDeadline(began.Add(s.o.Limits.BodyTimeout)) // not a connection: nothing to wait for
	}
	defer func() {
		if p := recover(); p != nil {
			s.panicked(v, r, p)
		}
		s.metrics.served(v, time.Since(began))
	}()
	s.mux.ServeHTTP(v, r)
}

// panicked answers a call whose handling failed by a bug of ours. One that has begun to answer is cut, so that what the
// caller holds does not look whole.
func (s *Server) panicked(v *visit, r *http.Request, p any) {
	if p == http.ErrAbortHandler {
		panic(p)
	}
	s.o.Logger.Error("panic", slog.String("request", v.id), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
	if v.status != 0 {
		panic(http.ErrAbortHandler)
	}
	s.lost(v, r, router.Failure{Status: http.StatusInternalServerError, Code: "panic", Message: "the node failed to do this; its log says why under " + v.id})
}

// lost answers a call that has come to no route, or out of one, in the shape that its path promises.
func (s *Server) lost(w http.ResponseWriter, r *http.Request, f router.Failure) {
	id := requestOf(w)
	if in := s.o.Inbounds[spokenAt(r)]; in != nil {
		f.Array = arrayed(r)
		s.refuse(w, in, id, f)
		return
	}
	s.problem(w, id, problemOf(f))
}

// arrayed tells whether a call wants a stream that is one JSON array, as Gemini's is unless it is asked for as SSE.
func arrayed(r *http.Request) bool {
	return strings.HasSuffix(r.URL.Path, ":streamGenerateContent") && r.URL.Query().Get("alt") != "sse"
}

// spokenAt is the dialect of a caller at an address, be there a route or not. Anthropic's clients are known by their
// version where they share a path with OpenAI's.
func spokenAt(r *http.Request) ledger.Dialect {
	path := r.URL.Path
	switch {
	case strings.HasPrefix(path, "/v1beta/"):
		return ledger.DialectGemini
	case !strings.HasPrefix(path, "/v1/"):
		return ""
	case strings.HasPrefix(path, "/v1/messages") || r.Header.Get("Anthropic-Version") != "":
		return ledger.DialectAnthropicMessages
	case strings.HasPrefix(path, "/v1/responses"):
		return ledger.DialectOpenAIResponses
	}
	return ledger.DialectOpenAIChat
}

// requestPrefix begins the id of a call.
const requestPrefix = "req_"

// visit is the answer to one call as it is written, and what is known of it for logs and metrics.
type visit struct {
	http.ResponseWriter
	id     string // waybill's id of the call
	route  string // its path in the table of routes
	status int    // 0: nothing has been written

	patient time.Duration // for the caller to take one write
}

// Unwrap lets an http.ResponseController find the connection.
func (v *visit) Unwrap() http.ResponseWriter { return v.ResponseWriter }

// wait bounds how long the caller may take for what is written next. One who does not take it in time counts as gone, so that no
// one can hold a call for ever by reading slowly.
func (v *visit) wait() {
	_ = http.NewResponseController(v.ResponseWriter).SetWriteDeadline(time.Now().Add(v.patient)) // not a connection: nobody to wait for
}

// WriteHeader notes the status.
func (v *visit) WriteHeader(status int) {
	if v.status == 0 && status >= 200 {
		v.status = status
	}
	v.ResponseWriter.WriteHeader(status)
}

// Write notes that there is an answer.
func (v *visit) Write(b []byte) (int, error) {
	v.wait()
	if v.status == 0 {
		v.status = http.StatusOK
	}
	return v.ResponseWriter.Write(b)
}

func requestOf(w http.ResponseWriter) string { return w.(*visit).id }

// calls counts the inference calls that are open.
type calls struct {
	mu       sync.Mutex
	open     int
	draining bool
	idle     chan struct{} // gets a token when the last one has ended, once draining
}

// enter lets a call in, unless the node drains.
func (c *calls) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		return false
	}
	c.open++
	return true
}

func (c *calls) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open--; c.open == 0 && c.draining {
		c.idle <- struct{}{}
	}
}

// drain lets no more calls in, and tells whether this is the first time that it is asked to.
func (c *calls) drain() (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		return false
	}
	c.draining = true
	if c.open == 0 {
		c.idle <- struct{}{}
	}
	return true
}

func (c *calls) count() (open int, draining bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open, c.draining
}

// settleTime is how long calls that were told to stop have for their settlements.
const settleTime = 15 * time.Second

// flushTime is how long the last bytes of answers that have ended may take to leave.
const flushTime = 2 * time.Second

// Drain ends the serving with as little harm as can be: new calls get 503, open ones may end until ctx does; then they are
// stopped, each with its dialect's error and a settlement, and after those the listeners are closed.
func (s *Server) Drain(ctx context.Context) error {
	if s.calls.drain() {
		close(s.closing)
		select {
		case <-s.calls.idle:
		case <-ctx.Done():
			s.stop()
			settle := time.NewTimer(settleTime)
			defer settle.Stop()
			select {
			case <-s.calls.idle:
			case <-settle.C:
				open, _ := s.calls.count()
				s.o.Logger.Error("calls did not end when they were stopped: the next start names them as interrupted", slog.Int("open", open))
			}
		}
	}
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	var err error
	for _, h := range s.servers() {
		if e := h.Shutdown(short); e != nil && err == nil && e != context.DeadlineExceeded {
			err = e
		}
	}
	if e := s.Close(); err == nil {
		err = e
	}
	return err
}

func (s *Server) stop() {
	if s.o.Stop != nil {
		s.o.Stop()
	}
}

func (s *Server) servers() []*http.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*http.Server(nil), s.serving...)
}

// bound is a listener and who calls over it.
type bound struct {
	net.Listener
	trusted bool
	tls     *tls.Config // nil: without TLS
}

// httpServer is net/http's part of serving one listener.
func (s *Server) httpServer(trust bool) *http.Server {
	l := s.o.Limits
	h := &http.Server{Handler: s, ReadHeaderTimeout: l.HeaderTimeout, IdleTimeout: l.IdleTimeout, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.o.Logger.Handler(), slog.LevelDebug), ConnContext: withConnection,
		// A connection of many calls that does not read, or is gone without a word, is found out as one of a single call is.
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 250, SendPingTimeout: l.WriteTimeout, PingTimeout: l.WriteTimeout, WriteByteTimeout: l.WriteTimeout}}
	if trust {
		h.BaseContext = func(net.Listener) context.Context { return context.WithValue(context.Background(), trusted{}, true) }
	}
	return h
}
