package store

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	sumnote "golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"waybill/ledger"
)

// Checkpoint says what a log was when it had so many events: the hash of the Merkle tree over them (RFC 6962).
type Checkpoint struct {
	Identity string // of the log: the beginning of its first event's hash, in hex
	Epoch    uint64 // in which it was said: each restore of the log begins one
	Position uint64 // of the last event that it covers
	Hash     tlog.Hash
}

// SignedCheckpoint is one as its node signed it, in the text that outsiders keep (C2SP tlog-checkpoint in a signed note).
type SignedCheckpoint struct {
	Checkpoint
	Note string
	Key  string         // public, as C2SP writes a note's verifier key
	At   ledger.Instant // when it was signed: the node's own memory, not a part of the text
}

const (
	// identityLength is as many hex digits as name a log.
	identityLength = 16
	originPrefix   = "waybill/"
	// maxPosition bounds what is read of others: no log has more events, and sums of positions stay far from overflow.
	maxPosition = 1 << 48
	// maxNote bounds a signed text, in bytes. One of ours has about 250.
	maxNote = 4096
)

// keyName is the name under which a log's checkpoints are signed, in all of its epochs.
func keyName(identity string) string { return originPrefix + identity }

// Origin is the first line of the text: which log, and in which epoch of it.
func (c Checkpoint) Origin() string {
	return keyName(c.Identity) + "/" + strconv.FormatUint(c.Epoch, 10)
}

// Head is where the log stood.
func (c Checkpoint) Head() SavedHead { return SavedHead{c.Position, c.Hash} }

func (c Checkpoint) text() string {
	return c.Origin() + "\n" + strconv.FormatUint(c.Position, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Hash[:]) + "\n"
}

// identityOf names a log by the leaf hash of its first event.
func identityOf(first tlog.Hash) string { return hex.EncodeToString(first[:])[:identityLength] }

func parseCheckpoint(text string) (c Checkpoint, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return c, errors.New("its text has not three lines")
	}
	name, ok := strings.CutPrefix(lines[0], originPrefix)
	identity, epoch, ok2 := strings.Cut(name, "/")
	if !ok || !ok2 || len(identity) != identityLength || strings.Trim(identity, "0123456789abcdef") != "" {
		return c, fmt.Errorf("its origin %q is not that of a waybill log", lines[0])
	}
	c.Identity = identity
	if c.Epoch, err = strconv.ParseUint(epoch, 10, 63); err != nil || c.Epoch == 0 {
		return c, fmt.Errorf("its origin %q names no epoch", lines[0])
	}
	if c.Position, err = strconv.ParseUint(lines[1], 10, 63); err != nil || c.Position == 0 || c.Position > maxPosition {
		return c, fmt.Errorf("its size %q is not a number of events", lines[1])
	}
	hash, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(hash) != tlog.HashSize {
		return c, errors.New("its third line is not a hash")
	}
	c.Hash = tlog.Hash(hash)
	if c.text() != text { // zeros in front, loose bits at an end: each statement has one text
		return c, errors.New("its text is not written as a checkpoint is")
	}
	return c, nil
}

// OpenCheckpoint reads a signed checkpoint and verifies it by a public key. It takes what a waybill node signs and no other note:
// one signature, by that key, whose name is the log's.
func OpenCheckpoint(signed, key string) (s SignedCheckpoint, err error) {
	if len(signed) > maxNote {
		return s, fmt.Errorf("the checkpoint has %d bytes, where it has at most %d", len(signed), maxNote)
	}
	verifier, err := sumnote.NewVerifier(key)
	if err != nil {
		return s, fmt.Errorf("the public key %q is none: %w", short(key), err)
	}
	n, err := sumnote.Open([]byte(signed), sumnote.VerifierList(verifier))
	if u, ok := errors.AsType[*sumnote.UnverifiedNoteError](err); ok && len(u.Note.UnverifiedSigs) > 0 {
		by := u.Note.UnverifiedSigs[0]
		return s, fmt.Errorf("the checkpoint is signed by the key %s+%08x, and not by %s+%08x", short(by.Name), by.Hash, short(verifier.Name()), verifier.KeyHash())
	}
	if _, ok := errors.AsType[*sumnote.InvalidSignatureError](err); ok {
		return s, errors.New("the checkpoint's signature is wrong: its text was changed, or another key signed it")
	}
	if err != nil {
		return s, fmt.Errorf("the checkpoint is no signed note: %w", err)
	}
	if len(n.UnverifiedSigs) > 0 {
		return s, errors.New("the checkpoint has signatures by other keys beside the log's own: nothing is known of them")
	}
	c, err := parseCheckpoint(n.Text)
	if err != nil {
		return s, fmt.Errorf("the checkpoint is signed, but %w", err)
	}
	if keyName(c.Identity) != verifier.Name() {
		return s, fmt.Errorf("the checkpoint is of the log %s, and its key signs for %s", keyName(c.Identity), short(verifier.Name()))
	}
	// A note may repeat its signature, and base64 has several forms of one value: a checkpoint has one.
	raw, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64)
	if err != nil || n.Text+"\n— "+n.Sigs[0].Name+" "+base64.StdEncoding.EncodeToString(raw)+"\n" != signed {
		return s, errors.New("the checkpoint is not written as it was signed")
	}
	return SignedCheckpoint{Checkpoint: c, Note: signed, Key: key}, nil
}

// short keeps what others wrote from filling an error.
func short(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}

// ParseSavedCheckpoint reads a checkpoint that a person has kept, as the head that it says the log had. Its signature is not looked at:
// whoever kept it trusts it.
func ParseSavedCheckpoint(signed string) (SavedHead, error) {
	text, _, ok := strings.Cut(signed, "\n\n")
	if !ok {
		return SavedHead{}, errors.New("it has no signature")
	}
	c, err := parseCheckpoint(text + "\n")
	return c.Head(), err
}
