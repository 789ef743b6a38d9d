package router_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"waybill/router"
)

// fullPolicy says everything that a policy can say.
const fullPolicy = `# a comment
credentials: byok-first
paid_fallback: false
max_attempts: 3
retry_on: [rate_limited, overloaded, server_error, timeout, connection, credential]
timeouts: {connect: 5s, first_byte: 60s, idle: 60s, attempt: 2m, total: 10m}
on_abort: drain
providers: [openai, anthropic, google]
aliases: {fast: openai/gpt-6-luna, cheap: "auto:cost"}
routes:
  - name: claude on our own key
    when: {model: "claude-*", endpoint: chat, dialect: any, key: "prod-*", metadata: {team: research, x-app: "*"}}
    try:
      - {model: anthropic/claude-sonnet-5-5, credential: byok/acme}
      - {model: fast, credential: platform}
      - model: gpt-6-sol
    max_fallbacks: 1
    prefer: commitment
  - when:
      endpoint: embeddings
    credentials: platform-only
    retry_on: []
  - name: "no: not this"
    when: {key: "1"}
    refuse: 'it''s "closed"'
  - name: everything else
    when: {model: auto}
    auto: {goal: balanced, pool: [openai/gpt-6-luna, anthropic/claude-haiku-5-5]}
    max_fallbacks: 2
  - auto: {}
`

// canonical is a policy as the log keeps it.
func canonical(t testing.TB, p *router.Policy) string {
	t.Helper()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func parsePolicy(t testing.TB, text string) *router.Policy {
	t.Helper()
	p, err := router.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

func TestPolicySurvivesItsForms(t *testing.T) {
	p := parsePolicy(t, fullPolicy)
	want := canonical(t, p)
	if !strings.Contains(want, `"retry_on":[]`) {
		t.Error("an empty retry_on is lost, and what is never to be tried again would be: " + want)
	}
	shown := router.FormatPolicy(p)
	if got := canonical(t, parsePolicy(t, string(shown))); got != want {
		t.Errorf("the policy that is shown is another:\n%s\n%s\n%s", shown, got, want)
	}
	if got := canonical(t, parsePolicy(t, want)); got != want {
		t.Errorf("its JSON is read as another:\n%s\n%s", got, want)
	}
	var pretty bytes.Buffer
	json.Indent(&pretty, []byte(want), "", "\t")
	if got := canonical(t, parsePolicy(t, pretty.String())); got != want {
		t.Errorf("its JSON with tabs is read as another:\n%s", got)
	}
	stored, err := router.PolicyOf([]byte(want))
	if err != nil {
		t.Fatal(err)
	}
	if got := canonical(t, stored); got != want {
		t.Errorf("the log gives another:\n%s\n%s", got, want)
	}
	if again := router.FormatPolicy(stored); !bytes.Equal(again, shown) {
		t.Errorf("it is shown in another order:\n%s\n%s", again, shown)
	}
}

func TestPolicyErrorsSayWhere(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown field", "credential: byok-first\n", "1:1: credential: is not known: here may be aliases, routes"},
		{"unknown in when", "routes:\n  - when: {modle: x}\n", "2:12: routes[0].when.modle: is not known: here may be model, endpoint"},
		{"mode", "credentials: mine\n", `1:14: credentials: "mine" is none of byok-first, byok-only, platform-first, platform-only`},
		{"bool", "paid_fallback: yes\n", "1:16: paid_fallback: must be true or false, and is text"},
		{"twice", "on_abort: drain\non_abort: cancel\n", "2:1: on_abort: is given twice: first on line 1"},
		{"twice in JSON", `{"on_abort":"drain","on_abort":"cancel"}`, "1:21: on_abort: is given twice"},
		{"number for text", "routes:\n- when: {key: 42}\n", `2:15: routes[0].when.key: must be text, and is a number: write it in quotes, "42"`},
		{"null", "routes:\n- when:\n  try: [{model: a/b}]\n", "2:3: routes[0].when: has no value"},
		{"attempts", "max_attempts: 9\n", "1:15: max_attempts: is 9: from 1 to 8"},
		{"attempts text", "max_attempts: many\n", "1:15: max_attempts: must be a whole number, and is text"},
		{"unit", "timeouts: {connect: 5}\n", "1:21: timeouts.connect: needs a unit: 5s or 5ms"},
		{"long", "timeouts: {total: 31m}\n", "1:19: timeouts.total: is 31m0s: from 100ms to 30m0s"},
		{"short", "timeouts: {total: 99ms}\n", "is 99ms: from 100ms"},
		{"pattern", "routes:\n- when: {model: \"[a\"}\n", `2:17: routes[0].when.model: "[a" is no pattern`},
		{"dialect", "routes:\n- name: a\n- when:\n    dialect: openai\n", `4:14: routes[1].when.dialect: "openai" is none of openai-chat`},
		{"endpoint", "routes:\n- when: {endpoint: embed}\n", `routes[0].when.endpoint: "embed" is none of chat, embeddings, count, any`},
		{"alias of alias", "aliases: {a: b, b: openai/x}\n", `1:14: aliases.a: "b" is an alias itself`},
		{"alias of itself", "aliases: {a: a}\n", `aliases.a: "a" is an alias itself`},
		{"alias auto", "aliases: {auto: openai/x}\n", `aliases.auto: "auto" cannot be an alias`},
		{"alias goal", "aliases: {a: \"auto:fun\"}\n", `"fun" is no goal`},
		{"goal", "routes:\n- auto: {goal: speed}\n", `2:16: routes[0].auto.goal: "speed" is none of balanced, cost, latency, reliability`},
		{"try and auto", "routes:\n- try: [{model: a/b}]\n  auto: {}\n", "2:3: routes[0]: has try and auto: one of them at the most"},
		{"try and refuse", "routes:\n- try: [{model: a/b}]\n  refuse: no\n", "has try and refuse"},
		{"no model", "routes:\n- try:\n  - credential: byok\n", "3:5: routes[0].try[0]: names no model"},
		{"auto in try", "routes:\n- try: [{model: auto}]\n", "auto is a lane, not a model"},
		{"alias of auto in try", "aliases: {x: auto}\nroutes:\n- try: [{model: x}]\n", `3:17: routes[0].try[0].model: "x" is an alias of auto`},
		{"pattern in try", "routes:\n- try: [{model: claude-*}]\n", `"claude-*" is not a name: patterns stand in when`},
		{"credential", "routes:\n- try: [{model: a/b, credential: acme}]\n", `2:34: routes[0].try[0].credential: "acme" is none of platform, byok, byok/NAME`},
		{"class", "retry_on: [bad_request]\n", `retry_on[0]: "bad_request" is none of`},
		{"prefer", "routes:\n- prefer: cheap\n", `2:11: routes[0].prefer: "cheap" is none of commitment`},
		{"empty try", "routes:\n- try: []\n", "routes[0].try: is empty: leave it out"},
		{"legs", "routes:\n- try: [" + strings.Repeat("{model: a/b},", 9) + "]\n", "routes[0].try: has 9 elements: at most 8"},
		{"routes", "routes:\n" + strings.Repeat("- {}\n", 101), "routes: has 101 elements: at most 100"},
		{"names", "routes:\n- name: a\n- name: a\n", `3:9: routes[1].name: "a" is the name of routes[0] too`},
		{"anchors", "aliases: &a {x: openai/y}\n", "1:10: anchors and aliases of YAML are not taken"},
		{"bare star", "routes:\n- when: {model: *}\n", "anchors and aliases of YAML are not taken"},
		{"tag", "max_attempts: !!int 3\n", "tags of YAML are not taken"},
		{"documents", "max_attempts: 3\n---\nmax_attempts: 4\n", "a policy is one document, and here begins another"},
		{"empty", "# nothing\n", "1:1: the document is empty"},
		{"list", "- a\n", "1:1: must have members"},
		{"syntax", "a: b: c\n", "1:4: mapping value is not allowed"},
		{"not UTF-8", "name: \xff", "not text in UTF-8"},
		{"control", "on_abort: \"\x01\"", "control characters"},
		{"large", strings.Repeat("#", 64<<10+1), "has 65537 bytes: at most 65536"},
		{"deep", strings.Repeat("[", 10000), "nests deeper than 8 levels"},
		{"deep dashes", strings.Repeat("- ", 10000) + "a", "nests deeper than 8 levels"},
		{"many words", strings.Repeat("a: ", 20000), "there is more than a policy can have"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := router.ParsePolicy([]byte(c.text))
			if err == nil {
				t.Fatalf("taken as %s", canonical(t, p))
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("says %q\nnot  %q", err, c.want)
			}
		})
	}
}

func TestPolicyErrorsComeTogether(t *testing.T) {
	_, err := router.ParsePolicy([]byte("credentials: mine\nmax_attempts: 0\nroutes:\n  - when: {dialect: x}\n    tries: 1\n"))
	e, ok := err.(*router.PolicyError)
	if !ok || len(e.Notes) != 4 {
		t.Fatalf("%T %v", err, err)
	}
	if n := e.Notes[2]; n.Path != "routes[0].when.dialect" || n.Line != 4 || n.Column != 21 {
		t.Errorf("%+v", n)
	}
}

func FuzzParsePolicy(f *testing.F) {
	for _, text := range []string{fullPolicy, "{}", "a: &x [*x, *x]", "routes: [{when: {metadata: {a: \"\\u00e9\"}}}]", "aliases:\n  ? a\n  : b",
		"routes:\n- name: |\n    on\n  refuse: >-\n    a\n    b\n", `{"routes":[{"name":"\ud83d\ude00 x","auto":{}}]}`, "\ufeffmax_attempts: 0x2\r\n", "- - - -", "\"\"\"", "%YAML 1.2\n---\n{}\n...\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		alarm := time.AfterFunc(10*time.Second, func() { panic(fmt.Sprintf("hangs on %q", text)) })
		defer alarm.Stop()
		p, err := router.ParsePolicy(text)
		if err != nil {
			if e, ok := err.(*router.PolicyError); !ok || len(e.Notes) == 0 {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		want := canonical(t, p)
		if got := canonical(t, parsePolicy(t, string(router.FormatPolicy(p)))); got != want {
			t.Errorf("shown as\n%s\nwhich is\n%s\nnot\n%s", router.FormatPolicy(p), got, want)
		}
		if got := canonical(t, parsePolicy(t, want)); got != want {
			t.Errorf("its JSON is read as\n%s\nnot\n%s", got, want)
		}
	})
}
