package router

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"waybill/ledger"
)

// The times of checks.
const (
	checkEvery   = time.Hour
	checkJitter  = checkEvery / 10     // so that nodes and providers do not meet at the full hour
	checkAgain   = time.Minute         // between two checks of a credential that calls suspect
	checkFresh   = 24 * time.Hour      // a finding that is not new is recorded anew after so long
	suspectTrip  = 5 * time.Minute     // how long a credential rests whose account calls have found to be empty
	checkSettled = 5 * checkEvery / 10 // a credential that was checked so lately is left out of a round
)

// Bounds of the checks at one time: of a round; and because calls have failed, of the platform's credentials and of all others.
const (
	checksAtOnce   = 8
	suspectsAtOnce = 4
)

// manySuspects bounds the credentials that wait for a check because calls have failed on them, the platform's and all others.
const manySuspects = 64

// Checker keeps an eye on every credential: all of them by the hour, and one on which a call has failed at once.
type Checker struct {
	d   *Dispatcher
	log *slog.Logger

	platform chan suspicion // of its credentials, which nobody else's keep waiting: all orgs' calls depend on them
	own      chan suspicion // of orgs' own
	mu       sync.Mutex
	checked  map[string]time.Time // by credential: the latest check of this process
}

// suspicion is a credential on which a call has failed, and how.
type suspicion struct {
	credential *ledger.Credential
	found      Finding
}

// NewChecker makes the checker of a dispatcher's credentials, and has the dispatcher tell it of those that fail.
func NewChecker(d *Dispatcher, log *slog.Logger) *Checker {
	k := &Checker{d: d, log: log, platform: make(chan suspicion, manySuspects), own: make(chan suspicion, manySuspects), checked: map[string]time.Time{}}
	d.Suspect = k.suspect
	return k
}

// Run checks until ctx ends. What was found dead before the process began is taken for dead until it is checked again.
func (k *Checker) Run(ctx context.Context) {
	for _, c := range k.credentials() {
		if c.Checked.Status == ledger.CheckDead {
			k.d.Health.Trip(c.ID, time.Time{}, ClassCredential, k.d.Now())
		}
	}
	var work sync.WaitGroup // a round may take long, and so may a provider that does not answer: nobody waits for them
	defer work.Wait()
	for range suspectsAtOnce {
		work.Go(func() { k.confirmAll(ctx, k.platform) })
		work.Go(func() { k.confirmAll(ctx, k.own) })
	}
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			k.Round(ctx)
			next.Reset(checkEvery - checkJitter + rand.N(2*checkJitter))
		}
	}
}

// confirmAll confirms suspicions as they come.
func (k *Checker) confirmAll(ctx context.Context, suspects <-chan suspicion) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-suspects:
			k.confirm(ctx, s)
		}
	}
}

// Round checks every credential that was not checked lately, a few at a time.
func (k *Checker) Round(ctx context.Context) {
	var checks sync.WaitGroup
	defer checks.Wait()
	turns := make(chan struct{}, checksAtOnce)
	for _, c := range k.credentials() {
		now := k.d.Now()
		if known := c.Checked.At; known > 0 && now.Sub(known.Time()) < checkSettled || now.Sub(k.latest(c.ID)) < checkSettled {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case turns <- struct{}{}:
		}
		k.note(c.ID, now)
		checks.Go(func() {
			defer func() { <-turns }()
			_, err := k.d.Verify(ctx, ledger.By{Actor: "waybill", Cause: "check"}, c)
			k.report(ctx, c, err)
		})
	}
}

// credentials are all that are attached.
func (k *Checker) credentials() (all []*ledger.Credential) {
	k.d.Books.View(func(s *ledger.State) {
		all = slices.Clone(s.Wallet(ledger.Platform))
		for _, o := range s.Orgs() {
			all = append(all, s.Wallet(o.ID)...)
		}
	})
	return all
}

func (k *Checker) latest(credential string) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.checked[credential]
}

// note notes a check, and forgets those that no longer matter.
func (k *Checker) note(credential string, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, at := range k.checked {
		if now.Sub(at) > 2*checkEvery {
			delete(k.checked, id)
		}
	}
	k.checked[credential] = now
}

// suspect notes a credential on which a call has failed. Calls do not wait: where too many are suspected, the round finds the rest.
func (k *Checker) suspect(c *ledger.Credential, e *UpstreamError) {
	now := k.d.Now()
	if now.Sub(k.latest(c.ID)) < checkAgain {
		return
	}
	suspects := k.own
	if c.Kind() == ledger.Platform {
		suspects = k.platform
	}
	select {
	case suspects <- suspicion{c, findingOf(e, e.Code)}:
		k.note(c.ID, now)
	default:
	}
}

// confirm checks a credential on which a call has failed. A list of models shows no empty account: that, the call has found.
func (k *Checker) confirm(ctx context.Context, s suspicion) {
	by := ledger.By{Actor: "waybill", Cause: "check"}
	if s.found.Status == ledger.CheckUnfunded {
		k.report(ctx, s.credential, k.d.found(ctx, by, s.credential, s.found, k.d.Now().Add(suspectTrip)))
		return
	}
	found, err := k.d.look(ctx, s.credential)
	if err == nil && found.Status != ledger.CheckOK { // else the failure was of this one call or model, and the breaker's to mind
		err = k.d.Found(ctx, by, s.credential, found)
	}
	k.report(ctx, s.credential, err)
}

// report logs why a check was not done or not recorded. One that was overtaken, by the credential's end or a new secret, is none.
func (k *Checker) report(ctx context.Context, c *ledger.Credential, err error) {
	le, refused := errors.AsType[*ledger.Error](err)
	overtaken := refused && (le.Code == ledger.CodeNotFound || le.Code == ledger.CodeConflict || le.Code == ledger.CodeOrgSuspended)
	if err != nil && !overtaken && ctx.Err() == nil {
		k.log.Warn("a credential was not checked", slog.String("credential", c.ID), slog.String("error", err.Error()))
	}
}

// Verify checks a credential, and sees to what was found as Found does.
func (d *Dispatcher) Verify(ctx context.Context, by ledger.By, c *ledger.Credential) (Finding, error) {
	f, err := d.look(ctx, c)
	if err != nil {
		return f, err
	}
	return f, d.Found(ctx, by, c, f)
}

// Found has routing know what a check of a credential found, and records it if it is new. What was found of a former secret
// says nothing of the present one, and is refused.
func (d *Dispatcher) Found(ctx context.Context, by ledger.By, c *ledger.Credential, f Finding) error {
	return d.found(ctx, by, c, f, time.Time{})
}

// found is Found; what is no good is not called until then, or if that is zero until it is found to be good.
func (d *Dispatcher) found(ctx context.Context, by ledger.By, c *ledger.Credential, f Finding, until time.Time) error {
	var known ledger.Checked
	present := false
	d.Books.View(func(s *ledger.State) { // while a rotation waits, which clears afterwards what is found here of the former secret
		if now := s.Credential(c.ID); now != nil && now.Fingerprint == c.Fingerprint {
			known, present = now.Checked, true
			d.mind(c, f, until)
		}
	})
	if !present {
		return &ledger.Error{Code: ledger.CodeConflict, Message: "credential " + c.ID + " is detached by now, or has another secret"}
	}
	return d.recordFinding(ctx, by, c, f, known)
}

// look checks a credential with the secret that the vault has.
func (d *Dispatcher) look(ctx context.Context, c *ledger.Credential) (Finding, error) {
	key, err := d.Secrets.Secret(context.WithoutCancel(ctx), c)
	if err != nil {
		return Finding{}, err
	}
	f := d.Check(ctx, c.Provider, c.BaseURL, key, c.Fenced())
	return f, ctx.Err() // a check that was cut short has found nothing
}

// mind has routing know what a check found: what is no good is not called, what is good is. Of one that found nothing out, nothing follows.
func (d *Dispatcher) mind(c *ledger.Credential, f Finding, until time.Time) {
	switch f.Status {
	case ledger.CheckOK:
		d.Health.Clear(c.ID)
	case ledger.CheckDead, ledger.CheckUnfunded:
		d.Health.Trip(c.ID, until, ClassCredential, d.Now())
	}
}

// recordFinding puts a finding into the log, if it says something else than the latest there, or that is old. That a provider did
// not answer says nothing of a credential, and does not take the place of what is known.
func (d *Dispatcher) recordFinding(ctx context.Context, by ledger.By, c *ledger.Credential, f Finding, known ledger.Checked) error {
	fresh := known.At > 0 && d.Now().Sub(known.At.Time()) < checkFresh
	if fresh && (f.Status == ledger.CheckUnreachable || known.Status == f.Status && known.Code == f.Code) {
		return nil
	}
	_, err := d.Books.Execute(context.WithoutCancel(ctx), ledger.CheckCredential{Who: by, Org: c.Org, Credential: c.ID, Fingerprint: c.Fingerprint,
		Status: f.Status, Code: f.Code})
	return err
}
