package http

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/gorilla/mux"

	"waybill/ledger"
)

// route is a row of the one table from which the server is built and described.
type route struct {
	method, path string
	summary      string
	who          access
	status       int // of a good answer
	// in and out are the shapes of the request and the answer. The fields of in that are tagged query come from the
	// query string, the others from the JSON body. media is the answer's type where that is not JSON.
	in, out reflect.Type
	media   string
	serve   func(s *Server, c *call, w http.ResponseWriter)
	reads   bool // it changes nothing, whatever its method
}

// nothing is the shape of a request without fields.
type nothing struct{}

// call is one call of the control API.
type call struct {
	context.Context
	caller
	s    *Server
	r    *http.Request
	id   string // waybill's id of the call
	org  string // the id of the org in the path, or Platform
	vars map[string]string
	by   ledger.By

	header http.Header // of the answer
	reads  bool        // see route
}

// bodyReader is a shape whose body need not be JSON.
type bodyReader interface{ readBody(body []byte) error }

// maxControlBody bounds the body of a call of the control API, in bytes.
const maxControlBody = 1 << 20

// endpoint is a row of the control API: JSON in, JSON out.
func endpoint[In, Out any](method, path, summary string, who access, do func(c *call, in In) (Out, error)) route {
	return row(method, http.StatusOK, path, summary, who, do)
}

// create is an endpoint that makes something.
func create[In, Out any](path, summary string, who access, do func(c *call, in In) (Out, error)) route {
	return row(http.MethodPost, http.StatusCreated, path, summary, who, do)
}

// question is an endpoint that takes a body and changes nothing.
func question[In, Out any](path, summary string, who access, do func(c *call, in In) (Out, error)) route {
	r := row(http.MethodPost, http.StatusOK, path, summary, who, do)
	r.reads = true
	return r
}

func row[In, Out any](method string, status int, path, summary string, who access, do func(c *call, in In) (Out, error)) route {
	r := route{method: method, path: path, summary: summary, who: who, status: status, in: reflect.TypeFor[In](), out: reflect.TypeFor[Out]()}
	r.serve = func(s *Server, c *call, w http.ResponseWriter) {
		var in In
		if err := c.read(w, &in); err != nil {
			s.problem(w, c.id, err)
			return
		}
		out, err := do(c, in)
		if err == nil {
			err = c.confirm()
		}
		if err != nil {
			s.problem(w, c.id, err)
			return
		}
		writeJSON(w, status, out)
	}
	return r
}

// confirm waits until what a call has changed is as durable as its answer says.
func (c *call) confirm() error {
	if c.s.o.Confirm == nil || c.reads || c.r.Method == http.MethodGet {
		return nil
	}
	return c.s.o.Confirm(c)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("an answer that is no JSON: %w", err)) // a bug of ours: the recovery answers it
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // a caller who has left reads nothing
}

// idHeaders are the headers in which the dialects' own clients look for the id of a call. An upstream that speaks the
// caller's dialect puts its own there.
var idHeaders = map[ledger.Dialect]string{
	ledger.DialectOpenAIChat:        "X-Request-Id",
	ledger.DialectOpenAIResponses:   "X-Request-Id",
	ledger.DialectAnthropicMessages: "Request-Id",
}

// serve lets a call through to its route, if its caller may use it.
func (s *Server) serve(rt route, w http.ResponseWriter, r *http.Request) {
	v := w.(*visit)
	v.route = rt.path
	if rt.who == inference {
		if name, ok := idHeaders[spokenAt(r)]; ok {
			w.Header()[name] = []string{v.id}
		}
		rt.serve(s, &call{Context: r.Context(), s: s, r: r, id: v.id, vars: mux.Vars(r)}, w)
		return // in its own dialect, refusals too
	}
	w.Header().Set("Waybill-Request", v.id)
	who, err := s.identify(r)
	if err != nil && rt.who > scraper {
		s.problem(w, v.id, err)
		return
	}
	if err := rt.who.may(who, r); err != nil {
		s.problem(w, v.id, err)
		return
	}
	if who.key != nil {
		leave, f := s.admit(r.Context(), w, who.key.ID)
		if f != nil {
			retryHeaders(w.Header(), *f)
			s.problem(w, v.id, problemOf(*f))
			return
		}
		defer leave()
	}
	c := &call{Context: r.Context(), caller: who, s: s, r: r, id: v.id, vars: mux.Vars(r), header: w.Header(), reads: rt.reads}
	if err := c.enter(); err != nil {
		s.problem(w, v.id, err)
		return
	}
	rt.serve(s, c, w)
}

// enter finds out which org a call concerns. One that the caller may not see is not known, as one that is not there.
func (c *call) enter() error {
	name, ok := c.vars["org"]
	if !ok {
		if strings.HasPrefix(c.r.URL.Path, "/api/v1/platform/") {
			c.org = ledger.Platform
		}
		return nil
	}
	id, err := c.find(name)
	if err != nil {
		return err
	}
	c.org = id
	return nil
}

// find gives the id of an org that is named by it or by its name, if the caller may see that org.
func (c *call) find(name string) (id string, err error) {
	c.s.o.Books.View(func(st *ledger.State) {
		if st.Org(name) != nil {
			id = name
		}
	})
	if id == "" {
		if id, err = c.s.o.Names.Find(c, "org", "", name); err != nil {
			return "", err
		}
	}
	if id == "" || c.key != nil && id != c.key.Org {
		return "", notFound("org", name)
	}
	return id, nil
}

// read takes what the caller sent into the shape that the route has for it.
func (c *call) read(w http.ResponseWriter, in any) error {
	c.by = ledger.By{Cause: c.id}
	if c.operator || c.key != nil {
		c.by.Actor = c.actor()
	}
	v := reflect.ValueOf(in).Elem()
	if err := readQuery(c.r, v); err != nil {
		return err
	}
	if c.r.Method == http.MethodGet {
		return nil
	}
	body, taken, f := c.s.body(w, c.r, maxControlBody)
	if f != nil {
		return problemOf(*f)
	}
	defer c.s.bodies.give(taken)
	var err error
	if c.by, err = byOf(c.r, c.by, body); err != nil {
		return err
	}
	if shape, ok := in.(bodyReader); ok {
		return shape.readBody(body)
	}
	return readJSON(body, in)
}

// byOf completes a command's By with the caller's Idempotency-Key, if there is one: then the command is done once.
func byOf(r *http.Request, by ledger.By, body []byte) (ledger.By, error) {
	key := r.Header.Get("Idempotency-Key")
	if n := len(key); n >= 2 && key[0] == '"' && key[n-1] == '"' {
		key = key[1 : n-1] // as RFC 8941 writes a string
	}
	if key == "" {
		return by, nil
	}
	if len(key) > 255 || strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return by, invalid("Idempotency-Key", "is 1 to 255 visible ASCII characters")
	}
	by.Cause, by.Input = key, digest(r.Method, r.URL.Path, string(body))
	return by, nil
}

// digest is what is asked, in short: to tell the same call again from another call under the same key.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d\n", len(p))
		_, _ = io.WriteString(h, p) // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil))
}

// readJSON reads a body strictly: what is not known is not meant, and a misspelt field must not be lost silently.
func readJSON(body []byte, in any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		body = []byte("{}")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(in)
	switch {
	case err == nil && len(bytes.TrimSpace(body[d.InputOffset():])) > 0:
		return invalid("body", "goes on after its end")
	case err == nil:
		if name, is := repeated(body); is {
			return invalid(name, "is given twice")
		}
		return nil
	}
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		is, named := jsonNames[t.Value]
		if !named { // "number 5.5"
			_, is, _ = strings.Cut(t.Value, " ")
		}
		return invalid(cmp.Or(t.Field, "body"), "must be "+kindName(t.Type)+", and is "+is)
	}
	if f, ok := errors.AsType[*fieldFault](err); ok {
		return invalid(faulty(body, reflect.TypeOf(in).Elem()), f.Error())
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return invalid(strings.Trim(name, `"`), "is not a field of this request")
	}
	return invalid("body", "is not the JSON object that this takes: "+strings.TrimPrefix(err.Error(), "json: "))
}

// faulty finds the field that does not take its value, which encoding/json does not say.
func faulty(body []byte, shape reflect.Type) string {
	var values map[string]json.RawMessage
	if json.Unmarshal(body, &values) != nil {
		return "body"
	}
	for _, f := range reflect.VisibleFields(shape) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if v, ok := values[name]; ok && json.Unmarshal(v, reflect.New(f.Type).Interface()) != nil {
			return name
		}
	}
	return "body"
}

// jsonNames are what encoding/json calls the kinds of values.
var jsonNames = map[string]string{"string": "a string", "number": "a number", "bool": "true or false", "array": "a list", "object": "an object"}

func kindName(t reflect.Type) string {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return "a string"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "a whole number"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}

// readQuery reads the fields that are tagged query.
func readQuery(r *http.Request, v reflect.Value) error {
	values := r.URL.Query()
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("query")
		text := values.Get(name)
		if name == "" || text == "" {
			continue
		}
		f := v.Field(i)
		switch p := f.Addr().Interface().(type) {
		case *string:
			*p = text
		case *uint64:
			n, err := strconv.ParseUint(text, 10, 63)
			if err != nil {
				return invalid(name, "must be a position: a whole number that is not negative")
			}
			*p = n
		case *limit:
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 || n > maxLimit {
				return invalid(name, fmt.Sprintf("must be between 1 and %d", maxLimit))
			}
			*p = limit(n)
		case *Time:
			if err := p.parse(text); err != nil {
				return invalid(name, err.Error())
			}
		default:
			return fmt.Errorf("query field %s of kind %s", name, f.Kind())
		}
	}
	return nil
}

// limit is how many rows a page has.
type limit int

const (
	usualLimit = 100
	maxLimit   = 1000
)

func (l limit) or() int {
	if l == 0 {
		return usualLimit
	}
	return int(l)
}
