package http_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wbhttp "waybill/http"
	"waybill/ledger"
	"waybill/ledger/secret"
	"waybill/router"
	"waybill/store"
)

// custody is the vault as a whole, without a log that records its rotations and with a replica that forgets within a day.
type custody struct {
	vault   *store.Vault
	keyFile string
}

func (c custody) Rotate(ctx context.Context, _ ledger.By, r wbhttp.VaultRotation) (wbhttp.VaultReport, error) {
	var done store.Rotated
	var err error
	if !r.DryRun {
		if done, err = c.vault.Rotate(ctx, c.keyFile, store.Rotation{NewKey: r.NewKeyFile, KeepKey: r.KeepKey, Reencrypt: r.Reencrypt}, func(store.Rotated) error { return nil }); err != nil {
			return wbhttp.VaultReport{}, &ledger.Error{Code: ledger.CodeUnavailable, Message: err.Error()}
		}
	}
	at, err := c.vault.Report(ctx)
	out := wbhttp.VaultReport{Master: at.Master, File: c.keyFile, UnderWay: at.UnderWay, Rewrapped: done.Rewrapped, Reencrypted: done.Reencrypted}
	for _, k := range at.Keys {
		out.Keys = append(out.Keys, wbhttp.VaultKey(k))
	}
	if key, err := store.ReadMasterKey(c.keyFile); err == nil {
		if former, ok := key.Former(); ok {
			out.Former, out.FormerFile = former.ID(), c.keyFile+".old"
		}
	}
	return out, err
}

func (c custody) EraseOrg(ctx context.Context, org string) (int64, error) {
	return c.vault.EraseOrg(ctx, org)
}
func (c custody) Forgets() (vault, log time.Duration, err error) {
	return time.Hour, 24 * time.Hour, nil
}

// An org is erased once: its keys open nothing, its name is free, its figures are where they were, and to ask again changes nothing.
func TestEraseOrg(t *testing.T) {
	n := newNode(t, nil)
	op := n.as(operatorToken)
	org, key := n.open("acme", "teams", "inference", "admin")
	op.call("POST", "/api/v1/orgs/acme/credits", `{"kind":"purchase","amount_usd":"5.00","reference":"p1"}`).want(201)
	op.call("POST", "/api/v1/orgs/acme/credentials", `{"provider":"openai","name":"key of Jane","secret":"sk-own-of-acme"}`).want(201)
	op.call("PUT", "/api/v1/orgs/acme/policy", `{"document":"credentials: byok-first"}`).want(200)
	request := n.as(key).chat(luna, "hi", "").want(200).header.Get("Waybill-Request")
	paths := []string{"/balance", "/entries", "/requests", "/requests/" + request, "/usage", "/keys", "/credentials", "/policy", ""}
	before := map[string]any{}
	for _, p := range paths[:2] {
		before[p] = strip(op.call("GET", "/api/v1/orgs/"+org+p, "").want(200).body)
	}
	if a := n.as(key).call("POST", "/api/v1/orgs/acme/erase", "").want(403); a.text("code") != "forbidden" {
		t.Errorf("an org's admin: %s", a.body)
	}
	a := op.call("POST", "/api/v1/orgs/acme/erase", "").want(200)
	if a.text("id") != org || a.text("state") != "erased" || a.get("secrets") != 1.0 || a.text("vault_replica_forgets_at") == "" || a.text("log_replica_forgets_at") <= a.text("vault_replica_forgets_at") {
		t.Errorf("%s", a.body)
	}
	n.as(key).chat(luna, "hi", "").want(401)
	n.as(key).call("GET", "/api/v1/orgs/"+org, "").want(401)
	op.call("GET", "/api/v1/orgs/acme", "").want(404)
	for _, p := range paths {
		a := op.call("GET", "/api/v1/orgs/"+org+p, "").want(200)
		if strings.Contains(string(a.body), "acme") || strings.Contains(string(a.body), "Jane") {
			t.Errorf("%s: %s", p, a.body)
		}
		if want, ok := before[p]; ok && strip(a.body) != want {
			t.Errorf("%s was %s and is %s", p, want, strip(a.body))
		}
	}
	head := op.call("GET", "/healthz", "").get("position")
	again := op.call("POST", "/api/v1/orgs/"+org+"/erase", "").want(200)
	if again.text("erased_at") != a.text("erased_at") || again.get("secrets") != 0.0 || op.call("GET", "/healthz", "").get("position") != head {
		t.Errorf("again: %s", again.body)
	}
	// Nothing follows.
	keyID := op.call("GET", "/api/v1/orgs/"+org+"/keys", "").text("keys.0.id")
	for _, c := range [][3]string{{"POST", "/suspend", "{}"}, {"POST", "/resume", "{}"}, {"PUT", "/plan", `{"plan":"starter"}`}, {"POST", "/keys", `{"name":"new"}`},
		{"PATCH", "/keys/" + keyID, `{"name":"Jane"}`}, {"POST", "/credentials", `{"provider":"openai","secret":"sk-new"}`}, {"PUT", "/policy", `{"document":"credentials: byok-only"}`},
		{"POST", "/credits", `{"kind":"purchase","amount_usd":"1.00","reference":"p2"}`}} {
		if a := op.call(c[0], "/api/v1/orgs/"+org+c[1], c[2]).want(409); a.text("code") != "conflict" || !strings.Contains(a.text("detail"), "erased") {
			t.Errorf("%s %s: %s", c[0], c[1], a.body)
		}
	}
	if a := op.call("POST", "/api/v1/vault/rotate", `{"dry_run":true}`).want(200); a.get("keys.0.secrets") != 3.0 {
		t.Errorf("the vault has more than the platform's secrets: %s", a.body)
	}
	op.call("POST", "/api/v1/orgs", `{"name":"acme"}`).want(201)
}

// forgetful does not know how long the replica keeps what goes.
type forgetful struct{ wbhttp.Custody }

func (forgetful) Forgets() (vault, log time.Duration, err error) {
	return 0, 0, &ledger.Error{Code: ledger.CodeUnavailable, Message: "litestream.yml is no YAML"}
}

// Where nobody can tell until when the replica needs the former key, or has what is erased, nothing is begun of which that must be told.
func TestCustodyThatCannotTell(t *testing.T) {
	n := newNode(t, func(o *wbhttp.Options) { o.Custody = forgetful{o.Custody} })
	op := n.as(operatorToken)
	_, key := n.open("acme", "teams", "admin")
	before := op.call("POST", "/api/v1/vault/rotate", `{"dry_run":true}`).want(200).body
	for _, path := range []string{"/api/v1/orgs/acme/erase", "/api/v1/vault/rotate"} {
		if a := op.call("POST", path, "").want(503); !strings.Contains(a.text("detail"), "is no YAML") {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	n.as(key).call("GET", "/api/v1/orgs/acme", "").want(200)
	if now := op.call("POST", "/api/v1/vault/rotate", `{"dry_run":true}`).want(200).body; string(now) != string(before) {
		t.Errorf("it was %s and is %s", before, now)
	}
}

// strip is an answer without the position that it is of.
func strip(body []byte) string {
	var v map[string]any
	if json.Unmarshal(body, &v) != nil {
		return string(body)
	}
	delete(v, "position")
	delete(v, "at")
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// intruder is a vault in which something happens while a secret is taken in.
type intruder struct {
	wbhttp.Vault
	during *func()
}

func (i intruder) Put(ctx context.Context, org, credential string, s secret.Text) (string, error) {
	print, err := i.Vault.Put(ctx, org, credential, s)
	if do := *i.during; do != nil {
		*i.during = nil
		do()
	}
	return print, err
}

// A secret that is rotated or attached while its org is erased, or while it is detached, does not come to stay.
func TestSecretsThatComeTooLate(t *testing.T) {
	during := new(func())
	var vault wbhttp.Vault
	n := newNode(t, func(o *wbhttp.Options) { vault = o.Vault; o.Vault = intruder{vault, during} })
	op := n.as(operatorToken)
	holds := func(org, id string) bool {
		_, err := vault.Secret(t.Context(), &ledger.Credential{ID: id, Org: org})
		if err != nil && !errors.Is(err, store.ErrNoSecret) {
			t.Error(err)
		}
		return err == nil
	}
	for name, end := range map[string]func(org, id string){
		"erased":   func(org, _ string) { op.call("POST", "/api/v1/orgs/"+org+"/erase", "").want(200) },
		"detached": func(org, id string) { op.call("DELETE", "/api/v1/orgs/"+org+"/credentials/"+id, "").want(200) },
	} {
		org, _ := n.open(name, "teams")
		id := op.call("POST", "/api/v1/orgs/"+org+"/credentials", `{"provider":"openai","secret":"sk-first"}`).want(201).text("id")
		*during = func() { end(org, id) }
		if a := op.call("POST", "/api/v1/orgs/"+org+"/credentials/"+id+"/rotate", `{"secret":"sk-second"}`); a.status != 404 && a.status != 409 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if holds(org, id) {
			t.Errorf("%s: a secret is in the vault again", name)
		}
	}
	org, _ := n.open("third", "teams")
	*during = func() { op.call("POST", "/api/v1/orgs/"+org+"/erase", "").want(200) }
	op.call("POST", "/api/v1/orgs/"+org+"/credentials", `{"provider":"openai","secret":"sk-late"}`).want(409)
	if a := op.call("POST", "/api/v1/vault/rotate", `{"dry_run":true}`).want(200); a.get("keys.0.secrets") != 3.0 {
		t.Errorf("more than the platform's secrets are left: %s", a.body)
	}
}

// The vault's keys are the operator's to replace; calls on what they seal go on, and a key that is no key is told.
func TestRotateVault(t *testing.T) {
	n := newNode(t, nil)
	op := n.as(operatorToken)
	_, key := n.open("acme", "teams", "inference", "admin")
	n.as(key).call("POST", "/api/v1/vault/rotate", "{}").want(403)
	before := op.call("POST", "/api/v1/vault/rotate", `{"dry_run":true}`).want(200)
	if before.get("under_way") != false || before.get("former") != nil || before.get("keys.0.data_keys") != 1.0 || before.get("keys.0.secrets") != 3.0 {
		t.Errorf("%s", before.body)
	}
	a := op.call("POST", "/api/v1/vault/rotate", `{"reencrypt":true}`).want(200)
	if a.text("master") == before.text("master") || a.text("keys.0.master") != a.text("master") || a.get("rewrapped") != 1.0 || a.get("reencrypted") != 3.0 ||
		a.text("former.master") != before.text("master") || a.text("former.needed_until") == "" {
		t.Errorf("%s", a.body)
	}
	n.as(key).chat(luna, "hi", "").want(200)
	if a := op.call("POST", "/api/v1/vault/rotate", `{"keep_key":true,"new_key_file":"x"}`).want(400); a.text("field") != "keep_key" {
		t.Errorf("%s", a.body)
	}
	file := t.TempDir() + "/text"
	n.must(os.WriteFile(file, []byte("what stands here is nobody's business"), 0o600))
	if a := op.call("POST", "/api/v1/vault/rotate", `{"new_key_file":"`+file+`"}`).want(503); strings.Contains(a.text("detail"), "business") || !strings.Contains(a.text("detail"), "neither base64") {
		t.Errorf("%s", a.body)
	}
	if again := op.call("POST", "/api/v1/vault/rotate", `{"dry_run":true}`).want(200); again.text("master") != a.text("master") {
		t.Errorf("%s", again.body)
	}
}

// turns are a vault and books that notice when a rotation begins before the last one has ended.
type turns struct {
	wbhttp.Vault
	router.Books
	open, overlaps *atomic.Int64
}

func (t turns) Put(ctx context.Context, org, credential string, s secret.Text) (string, error) {
	if t.open.Add(1) > 1 {
		t.overlaps.Add(1)
	}
	return t.Vault.Put(ctx, org, credential, s)
}

func (t turns) Execute(ctx context.Context, c ledger.Command) (ledger.Receipt, error) {
	if _, is := c.(ledger.RotateCredential); is {
		defer t.open.Add(-1)
	}
	return t.Books.Execute(ctx, c)
}

// Of rotations at one time, the vault and the log end with the same.
func TestRotationsTakeTurns(t *testing.T) {
	at := turns{open: &atomic.Int64{}, overlaps: &atomic.Int64{}}
	n := newNode(t, func(o *wbhttp.Options) {
		at.Vault, at.Books = o.Vault, o.Books
		o.Vault, o.Books = at, at
	})
	org, key := n.open("acme", "teams", "admin")
	id := n.as(key).call("POST", "/api/v1/orgs/acme/credentials", `{"provider":"openai","secret":"sk-first"}`).want(201).text("id")
	at.open.Store(0) // what was attached counts for nothing
	at.overlaps.Store(0)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			n.as(key).call("POST", "/api/v1/orgs/acme/credentials/"+id+"/rotate", fmt.Sprintf(`{"secret":"sk-%d"}`, i)).want(200)
		})
	}
	all.Wait()
	if at.overlaps.Load() > 0 {
		t.Errorf("%d rotations began before the last one had ended", at.overlaps.Load())
	}
	var now *ledger.Credential
	n.store.View(func(s *ledger.State) { now = s.Credential(id) })
	has, err := at.Vault.Secret(t.Context(), now)
	if n.must(err); now.Org != org || store.Fingerprint(has) != now.Fingerprint {
		t.Errorf("the vault has %s, and the log %s", store.Fingerprint(has), now.Fingerprint)
	}
}
