package store

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	sumnote "golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"waybill/ledger"
)

// NotaryOptions say how a node signs.
type NotaryOptions struct {
	Now func() time.Time // nil: time.Now
	// Held is how far into the log all is held that must hold it: what goes beyond is not signed. nil: this folder alone, all of it.
	Held func() uint64
	// Sync waits until Held has come to where the log stands now, or for as long as it wants to. nil: it is there.
	Sync func(context.Context) error
	// NewKey has a key made in the place of one that is lost, though checkpoints were signed by that.
	NewKey bool
}

// Notary signs checkpoints of an open log, each an extension of the one before, and proves by them what is in the log. The key is a
// secret of the vault, which also has the last checkpoint; all of them are in a table beside the log.
type Notary struct {
	s        *Store
	v        *Vault
	o        NotaryOptions
	signer   sumnote.Signer
	key      string // public
	identity string
	epoch    uint64
	began    uint64 // position from which on there is something to sign in this epoch

	mu     sync.Mutex // held while signing
	last   SignedCheckpoint
	base   Checkpoint // which the next must extend; zero: none
	broken error      // why nothing is signed any more
}

const (
	// nodeSecrets is under which name in the vault the node has secrets of its own. No org is called so.
	nodeSecrets = "node"
	signingKey  = "checkpoint-key"
	// keyValue is under which name beside the log the public key stands.
	keyValue = "checkpoint_key"
)

// errNothingSigned is a notary that has not signed since its log began, was restored, or got another key, and must not now.
var errNothingSigned = unavailable("no checkpoint is signed yet: the replica does not hold the log so far, try again")

// OpenNotary gives an open log its notary. It makes the signing key if there never was one, and refuses a log that does not
// extend what was signed of it: then an older copy was put in its place, or it was cut or changed.
func OpenNotary(ctx context.Context, s *Store, v *Vault, o NotaryOptions) (*Notary, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	n := &Notary{s: s, v: v, o: o}
	s.View(func(st *ledger.State) { n.epoch = st.Epoch() })
	var err error
	if n.identity, err = s.identity(ctx); err != nil {
		return nil, err
	}
	all, err := s.restores(ctx)
	if err != nil {
		return nil, err
	}
	n.began = 1
	if len(all) > 0 {
		n.began = all[len(all)-1].position
	}
	of, err := s.newestCheckpoint(ctx)
	if err != nil {
		return nil, err
	}
	if err := n.openKey(ctx, of); err != nil {
		return nil, err
	}
	kept, err := v.checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	if kept != nil && kept.Key != n.key {
		return nil, fmt.Errorf("the last checkpoint in the vault is signed by the key %s, which is not the node's: vault.db was changed", short(kept.Key))
	}
	for _, c := range []*SignedCheckpoint{of, kept} {
		if c == nil {
			continue
		}
		if err := s.extends(ctx, c.Checkpoint, n.identity, all); err != nil {
			return nil, fmt.Errorf("the log in %s is not the one that was signed: %w; it was put back to an older copy, cut or changed: put the newest waybill.db and vault.db back, or make the node anew from its replica with waybill restore",
				s.dir, err)
		}
		if c.Epoch > n.last.Epoch || c.Epoch == n.last.Epoch && c.Position >= n.last.Position { // of one, the vault has what the present key signed
			n.last = *c
		}
	}
	if end := restoredFrom(all, n.last.Epoch); n.last.Position <= end {
		n.base = n.last.Checkpoint
	}
	return n, n.level(ctx, of, kept)
}

// level brings the two places in which the last checkpoint stands to one state: a crash came between them, or one was restored.
func (n *Notary) level(ctx context.Context, of, kept *SignedCheckpoint) error {
	if n.last.Position == 0 {
		return nil
	}
	if of == nil || of.Note != n.last.Note {
		if err := n.s.addCheckpoint(ctx, n.last); err != nil {
			return err
		}
	}
	if n.last.Key == n.key && (kept == nil || kept.Note != n.last.Note) {
		return n.v.keepCheckpoint(ctx, n.last)
	}
	return nil
}

// openKey takes the signing key out of the vault, or makes it. of is the newest checkpoint that stands beside the log.
func (n *Notary) openKey(ctx context.Context, of *SignedCheckpoint) error {
	secret, err := n.v.Get(ctx, nodeSecrets, signingKey)
	if errors.Is(err, ErrNoSecret) {
		if of != nil && of.Epoch >= n.epoch && !n.o.NewKey {
			return fmt.Errorf("the vault has no signing key, and the log was signed up to position %d: vault.db is new, an older copy or another node's; put the newest back, or make the node anew from its replica with waybill restore; or go on without its secrets, and with a new key, which whoever checks receipts must be told, by waybill serve --accept-new-key", of.Position)
		}
		var private string
		if private, _, err = sumnote.GenerateKey(rand.Reader, keyName(n.identity)); err != nil {
			return fmt.Errorf("making the signing key: %w", err)
		}
		secret = NewSecret(private)
		err = n.v.Put(ctx, nodeSecrets, signingKey, secret)
	}
	if err != nil {
		return err
	}
	if n.signer, n.key, err = signerOf(secret); err != nil {
		return fmt.Errorf("the signing key in the vault: %w", err)
	}
	if n.signer.Name() != keyName(n.identity) {
		return fmt.Errorf("the vault signs for the log %s, and the log in %s is %s: waybill.db and vault.db are of two nodes", n.signer.Name(), n.s.dir, keyName(n.identity))
	}
	stands, err := n.s.NodeValue(ctx, keyValue)
	if err == nil && string(stands) != n.key {
		err = n.s.SetNodeValue(ctx, keyValue, []byte(n.key))
	}
	return err
}

// Key is the public key, as outsiders need it.
func (n *Notary) Key() string { return n.key }

// Err is why nothing is signed any more, nil while all is well.
func (n *Notary) Err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.broken
}

// Sign signs what the log is now, as far as it is held, unless that is signed already, and gives the last checkpoint.
func (n *Notary) Sign(ctx context.Context) (SignedCheckpoint, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.broken != nil {
		return SignedCheckpoint{}, n.broken
	}
	position, _, err := n.s.Head(ctx)
	if err != nil {
		return SignedCheckpoint{}, err
	}
	if n.o.Held != nil {
		position = min(position, n.o.Held())
	}
	if position >= n.began && (n.last.Epoch != n.epoch || position > n.last.Position || position == n.last.Position && n.last.Key != n.key) {
		if err := n.sign(ctx, position); err != nil {
			return SignedCheckpoint{}, err
		}
	}
	if !n.current(n.last) {
		return SignedCheckpoint{}, errNothingSigned
	}
	return n.last, nil
}

// current tells whether a checkpoint is of the log as it goes on from here, by the key that outsiders are told.
func (n *Notary) current(c SignedCheckpoint) bool { return c.Epoch == n.epoch && c.Key == n.key }

// Fresh is Sign once all that the log has now is held, if that is not long to wait for.
func (n *Notary) Fresh(ctx context.Context) (SignedCheckpoint, error) {
	if n.o.Sync != nil {
		// A replica that does not answer in time is no reason to give nothing: what it holds is signed.
		if err := n.o.Sync(ctx); err != nil && ctx.Err() != nil {
			return SignedCheckpoint{}, err
		}
	}
	return n.Sign(ctx)
}

// Covering gives a checkpoint of the log as it goes on from here that covers a position.
func (n *Notary) Covering(ctx context.Context, position uint64) (c SignedCheckpoint, err error) {
	n.mu.Lock()
	c, err = n.last, n.broken
	n.mu.Unlock()
	if err == nil && (c.Position < position || !n.current(c)) {
		c, err = n.Fresh(ctx)
	}
	if err == nil && c.Position < position {
		err = unavailable("event %d is not signed yet: the replica does not hold it, try again", position)
	}
	return c, err
}

// sign signs the log as it was at a position. Nobody gets to see a checkpoint that is not kept: the vault has it first, since it is the
// one that must know if the log is put back to an older state.
func (n *Notary) sign(ctx context.Context, position uint64) error {
	c := Checkpoint{Identity: n.identity, Epoch: n.epoch, Position: position}
	var err error
	if c.Hash, err = n.s.extension(ctx, n.base, position); err != nil {
		if e, ok := errors.AsType[*forked](err); ok {
			n.broken = unavailable("no checkpoint is signed any more, and no call admitted: %s", e)
			return n.broken
		}
		return err
	}
	text, err := sumnote.Sign(&sumnote.Note{Text: c.text()}, n.signer)
	if err != nil {
		return fmt.Errorf("signing the checkpoint at %d: %w", position, err)
	}
	signed, err := OpenCheckpoint(string(text), n.key)
	if err != nil {
		return fmt.Errorf("signing the checkpoint at %d: %w", position, err)
	}
	signed.At = ledger.InstantOf(n.o.Now())
	if err := n.v.keepCheckpoint(ctx, signed); err != nil {
		return err
	}
	if err := n.s.addCheckpoint(ctx, signed); err != nil {
		return err
	}
	n.last, n.base = signed, signed.Checkpoint
	return nil
}

// forked is a log that does not extend what was signed of it.
type forked struct{ why string }

func (f *forked) Error() string { return f.why }

func forkedBy(format string, args ...any) error { return &forked{fmt.Sprintf(format, args...)} }

// extension proves that the log, as it was at a position, extends a checkpoint, and gives its hash there.
func (r *Reader) extension(ctx context.Context, base Checkpoint, position uint64) (tlog.Hash, error) {
	hash, err := r.Root(ctx, position)
	if err != nil {
		return hash, torn(err)
	}
	if base.Position == 0 {
		return hash, nil
	}
	proof, err := tlog.ProveTree(int64(position), int64(base.Position), r.hashes(ctx))
	if err != nil {
		return hash, torn(err)
	}
	if err := tlog.CheckTree(proof, int64(position), hash, int64(base.Position), base.Hash); err != nil {
		return hash, forkedBy("the log at position %d does not extend the checkpoint that was signed at position %d: events were changed since, with their hashes", position, base.Position)
	}
	return hash, nil
}

// torn tells a tree that lacks what it had from a file that cannot be read.
func torn(err error) error {
	if errors.Is(err, sql.ErrNoRows) || errors.Is(err, errTreeRow) {
		return &forked{err.Error()}
	}
	return err
}

// signerOf reads a private key as the vault has it, and gives the public one beside it.
func signerOf(secret Secret) (sumnote.Signer, string, error) {
	signer, err := sumnote.NewSigner(secret.Reveal())
	if err != nil {
		return nil, "", errors.New("it is not one") // without the words of what failed: they may quote it
	}
	public, err := publicOf(secret.Reveal())
	if err != nil {
		return nil, "", err
	}
	v, err := sumnote.NewVerifier(public)
	if err != nil || v.Name() != signer.Name() || v.KeyHash() != signer.KeyHash() {
		return nil, "", errors.New("its public key is another than it says")
	}
	return signer, public, nil
}

// publicOf is the public key of a private one: PRIVATE+KEY+name+hash+base64 of the algorithm's byte and the seed.
func publicOf(private string) (string, error) {
	parts := strings.SplitN(private, "+", 5)
	if len(parts) != 5 {
		return "", errors.New("it is not one")
	}
	seed, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(seed) != 1+ed25519.SeedSize {
		return "", errors.New("it is not one")
	}
	return sumnote.NewEd25519VerifierKey(parts[2], ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey))
}
