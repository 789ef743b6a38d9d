package main

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// small is a site with one org on the plan free, and its key.
func small(t *testing.T) (s *site, key string) {
	t.Helper()
	s = newSite(t)
	s.must("org", "open", "small", "--plan", "free")
	return s, s.must("key", "issue", "small", "--name", "k")
}

// hang makes a call that hangs upstream, and gives its end when it comes.
func (s *site) hang(url, key string) (ended chan error) {
	s.t.Helper()
	ended = make(chan error, 1)
	before := len(s.up.Calls())
	client := sdk(url, key)
	go func() {
		_, err := client.Chat.Completions.New(context.Background(), chat("auto", "Hello [[sandbox hang=headers]]"))
		ended <- err
	}()
	until(s.t, "the call hangs", func() bool { return len(s.up.Calls()) > before })
	return ended
}

// ready tells whether a node takes calls. To make one instead would spend what there is before the node says no.
func ready(url string) bool {
	r, err := http.Get(url + "/readyz")
	if err != nil {
		return false
	}
	r.Body.Close()
	return r.StatusCode == http.StatusOK
}

// A node that is told to stop takes no more calls, and lets those that are open end.
func TestStopLetsCallsEnd(t *testing.T) {
	s, key := small(t)
	url, stop := s.serve()
	ended := s.hang(url, key)
	status := make(chan int, 1)
	go func() { status <- stop() }()
	until(t, "new calls are refused", func() bool { return !ready(url) })
	client := sdk(url, key)
	if _, err := client.Chat.Completions.New(t.Context(), chat("auto", "Hello")); err == nil {
		t.Error("a call is taken after the node was told to stop")
	}
	until(t, "the call is let go", func() bool { return s.up.Release("") > 0 })
	if err := <-ended; err != nil {
		t.Errorf("the open call: %v", err)
	}
	if n := <-status; n != exitOK {
		t.Errorf("status %d", n)
	}
	if got := s.must("sql", "--csv", "SELECT state, count(*) FROM requests WHERE state <> 'settled' GROUP BY state"); strings.Contains(got, "admitted") {
		t.Errorf("requests are open: %s", got)
	}
	s.must("verify")
}

// What has not ended by then is ended with an error, and no call stays open.
func TestStopEndsCallsThatDoNot(t *testing.T) {
	s, key := small(t)
	url, stop := s.serve("--drain-timeout", "50ms")
	ended := s.hang(url, key)
	if n := stop(); n != exitOK {
		t.Errorf("status %d", n)
	}
	if err := <-ended; err == nil {
		t.Error("the call was answered")
	}
	if got := s.must("sql", "--csv", "SELECT state, reason FROM requests"); strings.Contains(got, "admitted") || strings.Contains(got, "interrupted") {
		t.Errorf("the request is not resolved: %s", got)
	}
	s.must("verify")
}

// The rule says who pays for a call that a crash interrupted.
func TestRecoveryByTheRule(t *testing.T) {
	for rule, left := range map[string]string{"void": "5", "capture_held": "4"} {
		t.Run(rule, func(t *testing.T) {
			s, key := small(t)
			url, stop := s.serve()
			ended := s.hang(url, key)
			crashed := s.copied() // as the disk is while the call is open
			s.up.Release("")
			<-ended
			stop()
			// Who looks first does not decide.
			position := crashed.must("sql", "--csv", "SELECT max(position) FROM events")
			request := strings.Fields(crashed.must("sql", "--csv", "SELECT id FROM requests"))[1]
			asked := filepath.Join(t.TempDir(), "request.json")
			if err := os.WriteFile(asked, []byte(`{"model":"auto","messages":[{"role":"user","content":"Hello"}]}`), 0o600); err != nil {
				t.Fatal(err)
			}
			adopts := &site{t: t, env: append(slices.Clone(crashed.env), "WAYBILL_OPERATOR_TOKEN=wbo_not_of_any_command_but_serve")}
			for _, reads := range [][]string{{"balance", "small"}, {"policy", "show", "small"}, {"policy", "explain", "small", asked}, {"policy", "simulate", "small"},
				{"key", "list", "small"}, {"org", "list"}, {"org", "show", "small"}, {"credential", "list", "platform"}, {"credit", "lots", "small"},
				{"model", "list", "--org", "small"}, {"price", "list"}, {"log", "tail"}, {"explain", request}} {
				adopts.must(reads...)
			}
			if got := crashed.must("sql", "--csv", "SELECT max(position) FROM events"); got != position {
				t.Errorf("reading has taken the log from %s to %s", position, got)
			}
			crashed.env = append(crashed.env, "WAYBILL_RECOVERY="+rule)
			if got := crashed.must("sql", "--csv", "SELECT state FROM requests"); !strings.Contains(got, "admitted") {
				t.Fatalf("the copy is not of a crash: %s", got)
			}
			_, stop = crashed.serve()
			if got := crashed.must("balance", "small", "--json"); !strings.Contains(got, `"messages": `+left+`,`) {
				t.Errorf("want %s messages:\n%s", left, got)
			}
			stop()
			crashed.must("verify")
		})
	}
}

// What the environment brings is taken up by the node that serves, and by no command that has it too.
func TestOnlyServeTakesUpTheEnvironment(t *testing.T) {
	s := newSite(t)
	const token = "wbo_of_a_command_that_does_not_serve"
	other := &site{t: t, env: append(slices.Clone(s.env), "WAYBILL_OPERATOR_TOKEN="+token)}
	if got := other.must("credential", "list", "platform", "--json"); strings.Contains(got, "cred_") {
		t.Errorf("a list has attached %s", got)
	}
	url, _ := s.serve()
	if got := s.must("credential", "list", "platform", "--json"); strings.Count(got, `"cred_`) != 3 {
		t.Errorf("serve has attached %s", got)
	}
	client := openai.NewClient(option.WithBaseURL(url), option.WithAPIKey(token), option.WithMaxRetries(0))
	if err := client.Get(t.Context(), "api/v1/orgs", nil, nil); err == nil {
		t.Error("a list has replaced the operator's token")
	}
}

// While the log differs from what follows from it, nothing is spent.
func TestLogInDoubtTakesNoCalls(t *testing.T) {
	s, key := small(t)
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: filepath.Join(s.data(), "waybill.db")}).String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`UPDATE state SET data = CAST(replace(CAST(data AS TEXT), '"messages":5', '"messages":6') AS BLOB) WHERE kind = 'plan' AND id = 'free'`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	address, _ := s.serve()
	until(t, "the difference is found", func() bool { return !ready(address) })
	client := sdk(address, key)
	_, err = client.Chat.Completions.New(t.Context(), chat("auto", "Hello"))
	refusal(t, err, 503, "not_ready")
	if e, ok := errors.AsType[*openai.Error](err); !ok || !strings.Contains(e.Message, "position") || strings.Contains(e.Message, "messages") || strings.Contains(e.Message, "should be") {
		t.Errorf("it does not say where, or says what: %v", err)
	}
	if said := fetch(t, address+"/readyz"); !strings.Contains(said, "at position") || strings.Contains(said, "should be") {
		t.Errorf("everybody is told: %s", said)
	}
	if status, _, _ := s.run("", "verify"); status != exitFailed {
		t.Errorf("verify: status %d", status)
	}
}

// The token in the environment replaces the one that is lost.
func TestOperatorTokenIsReplaced(t *testing.T) {
	s := newSite(t)
	s.env = append(s.env, "WAYBILL_OPERATOR_TOKEN=wbo_a_new_one_that_is_known")
	url, _ := s.serve()
	for token, opens := range map[string]bool{"wbo_a_new_one_that_is_known": true, "wbo_another_one_that_is_wrong": false} {
		client := openai.NewClient(option.WithBaseURL(url), option.WithAPIKey(token), option.WithMaxRetries(0))
		var answer struct{ Orgs []struct{ Name string } }
		if err := client.Get(t.Context(), "api/v1/orgs", nil, &answer); (err == nil) != opens {
			t.Errorf("token %s: %v", token, err)
		}
	}
}

// A port that is taken is said before anything is served.
func TestPortIsTaken(t *testing.T) {
	s := newSite(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if status, out, log := s.run("", "serve", "--listen", l.Addr().String()); status != exitFailed || out != "" || !strings.Contains(log, "address already in use") {
		t.Errorf("status %d, %q, %q", status, out, log)
	}
	s.must("org", "list") // the folder is free again
}
