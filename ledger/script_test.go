package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestCases runs the tables in testdata/cases. A case starts with == and a sentence; each further line is
//
//	at 2026-01-31T12:00   the clock          wait 36h             the clock, later
//	VERB ARGS NAME=VALUE  a command; what follows it says what it must do:
//	> TYPE path=value …   an event, with some of its fields; all events of the command are listed, in order
//	! CODE until=TIME     it is refused; events above it fell due before. Of a cap: until when, or shortly, or never
//	= ACCOUNT AMOUNT UNIT a balance now      ? KIND ID path=value …   a row of the state, or "gone"
//
// Money is written $1.25, or $1.25±5n where nanoseconds of the clock do not matter; draws are 10tok/p1+$0.5/l1+1msg;
// a field of "-" is absent; ~ instead of = is an instant up to a microsecond later.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/cases/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		var s *script
		for i, line := range strings.Split(string(text), "\n") {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' {
				continue
			}
			if title, ok := strings.CutPrefix(line, "== "); ok {
				s.end()
				s = startScript(t, name+": "+title)
				continue
			}
			if s == nil {
				t.Fatalf("%s:%d: a case starts with ==", file, i+1)
			}
			s.line(fmt.Sprintf("%s:%d: %s", filepath.Base(file), i+1, line), line)
		}
		s.end()
	}
}

// prelude is what every case begins with. Lines of a case may define more, or define these anew.
const prelude = `
at 2026-01-01
plan free messages=5 lanes=auto max_input=32768 max_output=2048
plan starter tokens=10000000 lanes=auto credit
plan teams tokens=20000000 lanes=auto,manual credit
plan tiny tokens=1000 lanes=auto,manual credit
plan payg lanes=auto,manual credit
model openai/luna context=1000000 max_output=128000
price luna-1 openai/luna 0:1/10 from=2026-01-01
credential pool platform openai prefer
`

type script struct {
	t      *testing.T
	title  string
	failed bool
	w      *world

	where   string // the last command
	recs    []Record
	refused error
	wanted  int // of recs that were looked at
	code    string
	until   string
	listed  bool // whether the case said anything of the events
}

func startScript(t *testing.T, title string) *script {
	s := &script{t: t, title: title, w: newWorld()}
	for _, line := range strings.Split(strings.TrimSpace(prelude), "\n") {
		s.line("prelude: "+line, line)
	}
	return s
}

func (s *script) fail(where, format string, args ...any) {
	s.t.Helper()
	s.failed = true
	s.t.Errorf("%s\n  %s\n  %s", s.title, where, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\n  "))
}

func (s *script) line(where, line string) {
	if s.failed {
		return // what follows a failure would only repeat it
	}
	kind, rest, _ := strings.Cut(line, " ")
	switch kind {
	case ">":
		s.event(where, strings.Fields(rest))
	case "!":
		s.code, s.until, _ = strings.Cut(rest, " until=")
		s.listed = true
	case "=":
		s.close()
		s.balance(where, strings.Fields(rest))
	case "?":
		s.close()
		s.row(where, strings.Fields(rest))
	case "at":
		s.close()
		s.w.now = instant(rest)
	case "wait":
		s.close()
		d, err := time.ParseDuration(rest)
		if err != nil {
			s.fail(where, "%v", err)
		}
		s.w.now += Instant(d)
	default:
		s.close()
		c, err := parseCommand(s.w, line)
		if err != nil {
			s.fail(where, "%v", err)
			return
		}
		s.where, s.wanted, s.code, s.until, s.listed = where, 0, "", "", false
		var broken error
		s.recs, s.refused, broken = s.w.do(c)
		if broken != nil {
			s.fail(where, "%v", broken)
		}
	}
}

// close looks back on the last command, once all that was said of it is read.
func (s *script) close() {
	if s.where == "" || s.failed {
		return
	}
	var code Code
	var until string
	if s.refused != nil {
		e := s.refused.(*Error)
		code, until = e.Code, e.Until.String()
		switch {
		case e.Until == Never:
			until = "never"
		case code == CodeCapReached && until == "":
			until = "shortly"
		}
	}
	if string(code) != s.code {
		s.fail(s.where, "refused with %q (%v), not with %q", code, s.refused, s.code)
	} else if want := s.until; want != until && (want == "shortly" || want == "never" || want == "" || instant(want).String() != until) {
		s.fail(s.where, "refused until %q, not until %q: %v", until, s.until, s.refused)
	} else if s.listed && s.wanted < len(s.recs) {
		s.fail(s.where, "an event more than was listed: %s %s", s.recs[s.wanted].Type, s.recs[s.wanted].Data)
	}
	s.where = ""
}

func (s *script) end() {
	if s != nil {
		s.close()
	}
}

func (s *script) event(where string, words []string) {
	s.listed = true
	if s.wanted >= len(s.recs) {
		s.fail(where, "no such event; refused: %v", s.refused)
		return
	}
	r := s.recs[s.wanted]
	s.wanted++
	if string(r.Type) != words[0] {
		s.fail(where, "is %s %s", r.Type, r.Data)
		return
	}
	if err := hasFields(r.Data, words[1:]); err != nil {
		s.fail(where, "%v in %s", err, r.Data)
	}
}

func (s *script) balance(where string, words []string) {
	a, err := ParseAccount(words[0])
	if err != nil {
		s.fail(where, "%v", err)
		return
	}
	unit, want := USD, int64(0)
	if text, ok := strings.CutPrefix(words[1], "$"); ok {
		want = int64(dollars(text))
	} else {
		unit = Unit(words[2])
		if want, err = strconv.ParseInt(words[1], 10, 64); err != nil {
			s.fail(where, "%v", err)
		}
	}
	if got := s.w.state.Balance(a, unit); got != want {
		s.fail(where, "is %d %s, not %d", got, unit, want)
	}
}

func (s *script) row(where string, words []string) {
	for k, v := range s.w.state.Rows() {
		if k.Kind != words[0] || k.ID != words[1] {
			continue
		}
		data, err := json.Marshal(v)
		if err == nil {
			err = hasFields(data, words[2:])
		}
		if err != nil {
			s.fail(where, "%v in %s", err, data)
		}
		return
	}
	if len(words) != 3 || words[2] != "gone" {
		s.fail(where, "there is no such row")
	}
}

// hasFields checks the fields of a JSON object, as a case writes them.
func hasFields(data []byte, wants []string) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return err
	}
	fields := map[string]string{}
	flatten(fields, "", v)
	for _, want := range wants {
		path, value, ok := strings.Cut(want, "=")
		near := false
		if !ok {
			if path, value, near = strings.Cut(want, "~"); !near {
				return fmt.Errorf("%q is not path=value", want)
			}
		}
		got, exists := fields[path]
		switch {
		case value == "-":
			if exists && got != "" {
				return fmt.Errorf("%s is %s, not absent", path, got)
			}
			continue
		case near:
			n, err := strconv.ParseInt(got, 10, 64)
			if d := Instant(n) - instant(value); err != nil || d < 0 || d > 1000 {
				return fmt.Errorf("%s is %s, not %s", path, Instant(n), value)
			}
			continue
		case strings.HasPrefix(value, "$") && !strings.Contains(value, "/"):
			value = strconv.FormatInt(int64(dollars(value[1:])), 10)
		case strings.HasPrefix(value, "20") && strings.Count(value, "-") >= 2:
			value = strconv.FormatInt(int64(instant(value)), 10)
		case strings.Contains(value, "$"):
			value = normalDraws(value)
		}
		if got != value {
			return fmt.Errorf("%s is %s, not %s", path, got, value)
		}
	}
	return nil
}

// flatten writes a JSON value as path → text; draws become one text.
func flatten(out map[string]string, path string, v any) {
	join := func(k string) string {
		if path == "" {
			return k
		}
		return path + "." + k
	}
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			flatten(out, join(k), e)
		}
	case []any:
		var draws []string
		for i, e := range v {
			if m, ok := e.(map[string]any); ok && m["unit"] != nil && m["window"] == nil {
				id, _ := m["id"].(string)
				draws = append(draws, drawText(Unit(m["unit"].(string)), id, m["amount"].(json.Number).String()))
				continue
			}
			flatten(out, join(strconv.Itoa(i)), e)
		}
		if draws != nil {
			out[path] = strings.Join(draws, "+")
		}
	default:
		out[path] = fmt.Sprint(v)
	}
}

func drawText(u Unit, id, amount string) string {
	switch u {
	case USD:
		n, _ := strconv.ParseInt(amount, 10, 64)
		return "$" + Nano(n).String() + "/" + id
	case Tok:
		return amount + "tok/" + id
	default:
		return amount + string(u)
	}
}

func normalDraws(s string) string {
	parts := strings.Split(s, "+")
	for i, p := range parts {
		if text, ok := strings.CutPrefix(p, "$"); ok {
			amount, lot, _ := strings.Cut(text, "/")
			parts[i] = "$" + dollars(amount).String() + "/" + lot
		}
	}
	return strings.Join(parts, "+")
}

func instant(s string) Instant {
	for _, layout := range []string{"2006-01-02", "2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339Nano} {
		if t, err := time.Parse(layout, s); err == nil {
			return InstantOf(t)
		}
	}
	panic("not a time: " + s)
}

func dollars(s string) Nano {
	n, err := ParseDollars(s)
	if err != nil {
		panic(err)
	}
	return n
}

// line is a command's words: those in place, and those with names.
type words struct {
	args  []string
	named map[string]string
}

func (w words) arg(i int) string {
	if i < len(w.args) {
		return w.args[i]
	}
	return ""
}
func (w words) num(name string) int64 {
	if w.named[name] == "" {
		return 0
	}
	n, err := strconv.ParseInt(w.named[name], 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}
func (w words) time(name string) Instant {
	if w.named[name] == "" {
		return 0
	}
	return instant(w.named[name])
}
func (w words) list(name string) []string {
	if w.named[name] == "" {
		return nil
	}
	return strings.Split(w.named[name], ",")
}
func (w words) money(i int) Nano {
	if w.arg(i) == "" {
		return 0
	}
	return dollars(strings.Replace(w.arg(i), "$", "", 1))
}
func listOf[T ~string](in []string) (out []T) {
	for _, s := range in {
		out = append(out, T(s))
	}
	return out
}

func parseCommand(w *world, line string) (c Command, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the line does not parse: %v", r)
		}
	}()
	fields := strings.Fields(line)
	ws := words{named: map[string]string{}}
	for _, f := range fields[1:] {
		if name, value, ok := strings.Cut(f, "="); ok {
			ws.named[name] = value
		} else {
			ws.args = append(ws.args, f)
		}
	}
	make, ok := verbs[fields[0]]
	if !ok {
		return nil, fmt.Errorf("there is no verb %q", fields[0])
	}
	return make(w, ws), nil
}

var operator = By{Actor: "operator", Cause: "test"}

// secret is the digest of a key's secret that a case writes as a word.
func secret(word string) string {
	return strings.Repeat("0", 64-len(word)) + word
}

var verbs = map[string]func(*world, words) Command{
	"org":     func(_ *world, a words) Command { return OpenOrg{operator, a.arg(0), a.arg(1)} },
	"suspend": func(_ *world, a words) Command { return SuspendOrg{operator, a.arg(0), a.arg(1)} },
	"erase":   func(_ *world, a words) Command { return EraseOrg{operator, a.arg(0)} },
	"restore": func(_ *world, a words) Command {
		return RestoreLog{operator, uint64(a.num("from")), uint64(a.num("known")), uint64(a.num("epoch"))}
	},
	"drill": func(_ *world, a words) Command {
		return CompleteDrill{operator, Drill{Position: uint64(a.num("position")), OK: a.named["failure"] == "" || a.num("ok") > 0, Failure: a.named["failure"], Behind: uint64(a.num("behind")), Duration: a.num("ns")}}
	},
	"reseat": func(_ *world, a words) Command {
		return RotateVault{operator, a.arg(0), uint64(a.num("rewrapped")), uint64(a.num("reencrypted"))}
	},
	"resume":    func(_ *world, a words) Command { return ResumeOrg{operator, a.arg(0)} },
	"mature":    func(_ *world, a words) Command { return Mature{a.arg(0)} },
	"subscribe": func(_ *world, a words) Command { return SubscribePlan{operator, a.arg(0), a.arg(1)} },
	"cancel":    func(_ *world, a words) Command { return CancelPlan{operator, a.arg(0)} },
	"plan": func(_ *world, a words) Command {
		p := Plan{ID: a.arg(0), Tokens: a.num("tokens"), Messages: a.num("messages"), Lanes: listOf[Lane](a.list("lanes")),
			Credit: slices.Contains(a.args, "credit"), Markup: a.num("markup"), Output: a.num("output"),
			MaxInput: a.num("max_input"), MaxOutput: a.num("max_output"), RequestsPerMinute: a.num("rpm"), TokensPerMinute: a.num("tpm")}
		for _, pair := range a.list("weights") {
			model, weight, _ := strings.Cut(pair, ":")
			n, err := strconv.ParseInt(weight, 10, 64)
			if err != nil {
				panic(err)
			}
			if p.Weights == nil {
				p.Weights = map[string]int64{}
			}
			p.Weights[model] = n
		}
		return DefinePlan{operator, p}
	},
	"model": func(_ *world, a words) Command {
		provider, id, _ := strings.Cut(a.arg(0), "/")
		return PublishModel{operator, Model{Name: a.arg(0), Provider: provider, ID: id, Context: a.num("context"),
			MaxOutput: a.num("max_output"), Features: a.list("features")}}
	},
	"retire":   func(_ *world, a words) Command { return RetireModel{operator, a.arg(0)} },
	"price":    parsePrice,
	"withdraw": func(_ *world, a words) Command { return WithdrawPrice{operator, a.arg(0)} },
	"purchase": func(_ *world, a words) Command {
		c := PurchaseCredit{Who: operator, Org: a.arg(0), Lot: a.arg(1), Amount: a.money(2), Reference: a.named["reference"], Expires: a.time("expires")}
		if c.Reference == "" {
			c.Reference = "pay-" + c.Lot
		}
		if a.named["paid"] != "" {
			c.Paid = dollars(strings.Replace(a.named["paid"], "$", "", 1))
		}
		return c
	},
	"grant": func(_ *world, a words) Command {
		return GrantCredit{operator, a.arg(0), a.arg(1), a.money(2), int(a.num("priority")), a.time("expires")}
	},
	"refund": func(_ *world, a words) Command {
		return RefundCredit{Who: operator, Org: a.arg(0), Lot: a.arg(1), Amount: a.money(2), Reference: "re-" + a.arg(1)}
	},
	"chargeback": func(_ *world, a words) Command {
		return RefundCredit{Who: operator, Org: a.arg(0), Lot: a.arg(1), Amount: a.money(2), Chargeback: true, Reference: "dp-" + a.arg(1)}
	},
	"adjust": func(_ *world, a words) Command {
		return AdjustCredit{operator, a.arg(0), a.arg(1), a.money(2), a.arg(3)}
	},
	"key": func(_ *world, a words) Command {
		c := IssueKey{operator, a.arg(1), a.arg(0), secret(a.arg(0)), listOf[Scope](a.list("scopes")), a.list("models"), a.time("expires"),
			parseCaps(a), a.num("rpm"), a.num("tpm")}
		if c.Scopes == nil {
			c.Scopes = []Scope{ScopeInference}
		}
		return c
	},
	"limit": func(_ *world, a words) Command {
		return LimitKey{operator, a.arg(1), a.arg(0), listOf[Scope](a.list("scopes")), a.list("models"), a.time("expires"),
			parseCaps(a), a.num("rpm"), a.num("tpm")}
	},
	"rotate": func(_ *world, a words) Command {
		return RotateKey{operator, a.arg(1), a.arg(0), secret(a.arg(2)), a.time("until")}
	},
	"revoke": func(_ *world, a words) Command { return RevokeKey{operator, a.arg(1), a.arg(0)} },
	"credential": func(_ *world, a words) Command {
		return AttachCredential{operator, a.arg(1), a.arg(0), a.arg(2), "…abcd", a.named["url"], Use(a.arg(3)), int(a.num("order")), parseCommitment(a), false}
	},
	"reseal": func(_ *world, a words) Command { return RotateCredential{operator, a.arg(1), a.arg(0), a.arg(2)} },
	"detach": func(_ *world, a words) Command { return DetachCredential{operator, a.arg(1), a.arg(0)} },
	"check": func(w *world, a words) Command {
		c := CheckCredential{operator, a.arg(1), a.arg(0), a.named["fingerprint"], CheckStatus(a.arg(2)), a.named["code"]}
		if c.Fingerprint == "" {
			c.Fingerprint = "…abcd"
		}
		return c
	},
	"commit": func(_ *world, a words) Command {
		return CommitCredential{operator, a.arg(1), a.arg(0), parseCommitment(a)}
	},
	"admit": func(w *world, a words) Command {
		lane := Lane(a.named["lane"])
		if lane == "" {
			lane = LaneManual
		}
		return Admit{Who: By{Actor: "key/" + a.named["key"], Cause: a.arg(1)}, Org: a.arg(0), Key: a.named["key"], Request: a.arg(1),
			Lane: lane, Dialect: DialectOpenAIChat, Asked: a.arg(2), Demand: parseDemand(w, a)}
	},
	"extend": func(w *world, a words) Command {
		return Extend{operator, a.arg(0), a.arg(1), parseDemand(w, a)}
	},
	"settle": func(_ *world, a words) Command {
		c := Settle{Who: operator, Org: a.arg(0), Request: a.arg(1), Source: UsageProvider, ServiceTier: a.named["tier"],
			Usage: Usage{a.num("in"), a.num("read"), a.num("write"), a.num("long"), a.num("out"), a.num("reasoning")}}
		c.Resolution.Attempts = parseAttempts(a)
		return c
	},
	"void": func(_ *world, a words) Command {
		return Void{operator, a.arg(0), a.arg(1), Resolution{Reason: a.named["reason"], Attempts: parseAttempts(a)}}
	},
	"interrupt": func(_ *world, a words) Command { return Interrupt{a.arg(0), a.arg(1), Rule(a.arg(2))} },
}
