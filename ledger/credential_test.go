package ledger

import (
	"fmt"
	"testing"
)

// An org has a bounded number of credentials of its own, and the platform as many as its operator likes. Of an older log that has
// more nothing is refused, but to attach another.
func TestCredentialsAreBounded(t *testing.T) {
	w := play(t, "org acme tiny\norg beta tiny\ncredential moved beta openai prefer")
	attach := func(org, id string) Command {
		return AttachCredential{Who: operator, Org: org, Credential: id, Provider: "openai", Fingerprint: "f", Use: UsePrefer}
	}
	try := func(c Command, code Code) {
		t.Helper()
		_, refused, broken := w.decide(c)
		e, _ := refused.(*Error)
		if broken != nil || (e == nil) != (code == "") || e != nil && e.Code != code {
			t.Fatalf("%+v: refused %v, broken %v", c, refused, broken)
		}
	}
	commit := func() {
		t.Helper()
		if err := w.commit(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 63 {
		try(attach("acme", fmt.Sprint("own-", i)), "")
		if i%10 == 0 {
			commit()
		}
	}
	// Within one batch, what it attached and detached counts, and nothing counts twice.
	try(RotateCredential{operator, "acme", "own-1", "f2"}, "")
	try(DetachCredential{operator, "beta", "moved"}, "")
	try(attach("acme", "moved"), "")
	try(attach("acme", "over"), CodeConflict)
	try(DetachCredential{operator, "acme", "own-0"}, "")
	try(attach("acme", "instead"), "")
	try(attach("acme", "over"), CodeConflict)
	commit()
	try(attach("acme", "over"), CodeConflict)
	try(attach("beta", "its-first"), "")
	for i := range 70 {
		try(attach(Platform, fmt.Sprint("pool-", i)), "")
	}
	commit()

	head, at := w.state.Head()
	d := w.state.Draft(func() [16]byte { return [16]byte{} })
	d.Evolve(&Record{Position: head + 1, Stream: "acme", Version: w.state.Version("acme") + 1, At: at + 1,
		Event: &CredentialAttached{Credential: "of-old", Provider: "openai", Fingerprint: "f", Use: UsePrefer}})
	w.state.Merge(d)
	if n := len(w.state.Wallet("acme")); n != 65 {
		t.Fatalf("%d credentials", n)
	}
	for _, c := range []Command{RotateCredential{operator, "acme", "of-old", "f2"}, DetachCredential{operator, "acme", "own-2"}} {
		if _, err := d.Decide(w.now, c); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := d.Decide(w.now, attach("acme", "over")); err == nil {
		t.Error("of 64 credentials there is one more")
	}
}
