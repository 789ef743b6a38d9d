package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
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

// newDataKey makes a key for an org and wraps it.
func newDataKey(master sealer, masterID, org string) (k dataKey, wrapped []byte, err error) {
	var key [32]byte
	rand.Read(key[:])
	k.id = rand.Text()
	if k.sealer, err = newSealer(key[:]); err != nil {
		return dataKey{}, nil, err
	}
	return k, master.seal(key[:], placeOfDataKey(masterID, org, k.id)), nil
}

// unwrap opens a data key.
func unwrap(master sealer, masterID, org, id string, wrapped []byte) (dataKey, error) {
	key, err := master.open(wrapped, placeOfDataKey(masterID, org, id))
	if err != nil {
		return dataKey{}, fmt.Errorf("data key %s of %s does not open: %w", id, org, err)
	}
	s, err := newSealer(key)
	return dataKey{id, s}, err
}

func placeOfCheck(masterID string) []byte { return place(sealedCheck, masterID) }

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
