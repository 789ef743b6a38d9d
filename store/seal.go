package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// What a sealed value is for. The purpose, this scheme's number and the place of the value are its associated data: a
// value that is moved to another place does not open.
const (
	sealScheme     = "1"
	sealedCheck    = "waybill vault check"
	sealedDataKey  = "waybill data key"
	sealedProvider = "waybill provider secret"
	sealedRotation = "waybill vault rotation"
)

// sealer is AES-256-GCM with a random nonce of 96 bits in front. A key seals far fewer than the 2^32 values that this
// bears (NIST SP 800-38D): the master key one for each org, a data key one for each secret.
type sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) (sealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return sealer{}, fmt.Errorf("a sealing key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return sealer{}, fmt.Errorf("a sealing key: %w", err)
	}
	return sealer{aead}, nil
}

func (s sealer) seal(value []byte, place []byte) []byte { return s.aead.Seal(nil, nil, value, place) }

func (s sealer) open(sealed []byte, place []byte) ([]byte, error) {
	return s.aead.Open(nil, nil, sealed, place)
}

// dataKey is the key of an org, opened.
type dataKey struct {
	id string
	sealer
}

// errOtherKey is a data key under a master key that is not at hand.
var errOtherKey = errors.New("master key")

// ring is the master keys by their ids: the one that wraps, and while it takes another's place that one too.
type ring struct {
	current string
	sealers map[string]sealer
}

func newRing(m MasterKey) (*ring, error) {
	r := &ring{current: m.ID(), sealers: map[string]sealer{}}
	for _, k := range []MasterKey{m, {key: m.former}} {
		if k.key.IsZero() {
			continue
		}
		s, err := newSealer([]byte(k.key.Reveal()))
		if err != nil {
			return nil, err
		}
		r.sealers[k.ID()] = s
	}
	return r, nil
}

// alone is the present key without the one before it.
func (r *ring) alone() *ring {
	return &ring{r.current, map[string]sealer{r.current: r.sealers[r.current]}}
}

// ids names the keys, for people.
func (r *ring) ids() string {
	s := "key " + r.current
	for id := range r.sealers {
		if id != r.current {
			s += ", and the one before it key " + id
		}
	}
	return s
}

// check opens the check value of a vault.
func (r *ring) check(master string, sealed []byte) error {
	s, ok := r.sealers[master]
	if ok {
		if _, err := s.open(sealed, placeOfCheck(master)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("the master key does not open it: it was sealed under key %s, and this is %s", master, r.ids())
}

// newDataKey makes a key for an org and wraps it.
func (r *ring) newDataKey(org string) (k dataKey, wrapped []byte, err error) {
	var key [32]byte
	rand.Read(key[:])
	k.id = rand.Text()
	if k.sealer, err = newSealer(key[:]); err != nil {
		return dataKey{}, nil, err
	}
	return k, r.wrap(key[:], org, k.id), nil
}

func (r *ring) wrap(key []byte, org, id string) []byte {
	return r.sealers[r.current].seal(key, placeOfDataKey(r.current, org, id))
}

// unwrap opens a data key that a master key has wrapped.
func (r *ring) unwrap(master, org, id string, wrapped []byte) (dataKey, error) {
	key, err := r.key(master, org, id, wrapped)
	if err != nil {
		return dataKey{}, err
	}
	s, err := newSealer(key)
	return dataKey{id, s}, err
}

// key gives the bytes of a data key.
func (r *ring) key(master, org, id string, wrapped []byte) ([]byte, error) {
	s, ok := r.sealers[master]
	if !ok {
		return nil, fmt.Errorf("data key %s of %s is under %w %s, and this is %s: that one's file belongs beside this one's, as FILE%s",
			id, org, errOtherKey, master, r.ids(), formerSuffix)
	}
	key, err := s.open(wrapped, placeOfDataKey(master, org, id))
	if err != nil {
		return nil, fmt.Errorf("data key %s of %s does not open: %w", id, org, err)
	}
	return key, nil
}

func placeOfCheck(masterID string) []byte { return place(sealedCheck, masterID) }

func placeOfRotation(masterID string) []byte { return place(sealedRotation, masterID) }

func placeOfDataKey(masterID, org, id string) []byte { return place(sealedDataKey, org, id, masterID) }

func placeOfSecret(org, id string, version int64, dataKey string) []byte {
	return place(sealedProvider, org, id, dataKey, strconv.FormatInt(version, 10))
}

// place is associated data: each part behind its length, so that no two lists of parts give the same bytes.
func place(purpose string, parts ...string) []byte {
	var b []byte
	for _, p := range append([]string{purpose, sealScheme}, parts...) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(p)))
		b = append(b, p...)
	}
	return b
}
