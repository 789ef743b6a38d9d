package store

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// What follows is a second verifier, written from RFC 6962 and the C2SP texts (signed-note, tlog-checkpoint, tlog-proof) and from no code of
// this module or of the libraries that it uses. What it finds and what Receipt.Check finds must be the same.

// provedAlone is what the second verifier takes a proof to say.
type provedAlone struct {
	origin string
	size   uint64
	index  uint64
	leaf   []byte
}

// verifyAlone verifies one tlog-proof by a note's verifier key.
func verifyAlone(proof, vkey string) (p provedAlone, err error) {
	head, note, ok := strings.Cut(proof, "\n\n")
	if !ok {
		return p, errors.New("no checkpoint")
	}
	lines := strings.Split(head, "\n")
	if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "extra ") || !strings.HasPrefix(lines[2], "index ") {
		return p, errors.New("no tlog-proof with extra data")
	}
	if p.leaf, err = strict64(lines[1][6:]); err != nil {
		return p, err
	}
	if p.index, err = decimal(lines[2][6:]); err != nil {
		return p, err
	}
	var path [][]byte
	for _, l := range lines[3:] {
		h, err := strict64(l)
		if err != nil || len(h) != 32 {
			return p, errors.New("no hash")
		}
		path = append(path, h)
	}
	root, err := openAlone(note, vkey, &p)
	if err != nil {
		return p, err
	}
	leaf := sha256.Sum256(append([]byte{0}, p.leaf...))
	got, ok := rootByPath(leaf[:], p.index, p.size, path)
	if !ok || string(got) != string(root) {
		return p, errors.New("the path does not lead to the root")
	}
	return p, nil
}

// rootByPath goes up from a leaf by the audit path of RFC 6962, 2.1.1 as RFC 9162, 2.1.3.2 walks it.
func rootByPath(r []byte, index, size uint64, path [][]byte) ([]byte, bool) {
	if index >= size {
		return nil, false
	}
	node := func(a, b []byte) []byte {
		h := sha256.Sum256(append(append([]byte{1}, a...), b...))
		return h[:]
	}
	fn, sn := index, size-1
	for _, p := range path {
		if sn == 0 {
			return nil, false
		}
		if fn&1 == 1 || fn == sn {
			r = node(p, r)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			r = node(r, p)
		}
		fn, sn = fn>>1, sn>>1
	}
	return r, sn == 0
}

// openAlone verifies a signed note that is a checkpoint.
func openAlone(note, vkey string, p *provedAlone) (root []byte, err error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("no verifier key")
	}
	key, err := strict64(parts[2])
	if err != nil || len(key) != 33 || key[0] != 1 {
		return nil, errors.New("no Ed25519 key")
	}
	sum := sha256.Sum256([]byte(parts[0] + "\n" + string(key)))
	if hex.EncodeToString(sum[:4]) != parts[1] {
		return nil, errors.New("the key's id is another")
	}
	i := strings.LastIndex(note, "\n\n")
	if i < 0 || !strings.HasSuffix(note, "\n") {
		return nil, errors.New("no note")
	}
	text, sigs := note[:i+1], note[i+2:]
	verified := false
	for line := range strings.SplitSeq(strings.TrimSuffix(sigs, "\n"), "\n") {
		name, b64, ok := strings.Cut(strings.TrimPrefix(line, "— "), " ")
		sig, err := strict64(b64)
		if !ok || !strings.HasPrefix(line, "— ") || err != nil || len(sig) < 4 {
			return nil, errors.New("no signature line")
		}
		if name == parts[0] && binary.BigEndian.Uint32(sig) == binary.BigEndian.Uint32(sum[:4]) {
			if len(sig) != 68 || !ed25519.Verify(key[1:], []byte(text), sig[4:]) {
				return nil, errors.New("a wrong signature")
			}
			verified = true
		}
	}
	if !verified {
		return nil, errors.New("not signed by the key")
	}
	lines := strings.Split(text, "\n")
	if len(lines) != 4 {
		return nil, fmt.Errorf("%d lines", len(lines)-1)
	}
	p.origin = lines[0]
	if p.size, err = decimal(lines[1]); err != nil {
		return nil, err
	}
	if root, err = strict64(lines[2]); err != nil || len(root) != 32 {
		return nil, errors.New("no root")
	}
	return root, nil
}

func strict64(s string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err == nil && base64.StdEncoding.EncodeToString(b) != s {
		err = errors.New("base64 with something between")
	}
	return b, err
}

func decimal(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err == nil && strconv.FormatUint(n, 10) != s {
		err = errors.New("a number with something before it")
	}
	return n, err
}

// rootAlone is MTH of RFC 6962, 2.1, by its definition.
func rootAlone(leaves [][]byte) []byte {
	switch len(leaves) {
	case 0:
		h := sha256.Sum256(nil)
		return h[:]
	case 1:
		h := sha256.Sum256(append([]byte{0}, leaves[0]...))
		return h[:]
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	h := sha256.Sum256(append(append([]byte{1}, rootAlone(leaves[:k])...), rootAlone(leaves[k:])...))
	return h[:]
}
