package store

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// MasterKey wraps the vault's data keys. It lives in a file outside the data folder, so that neither a copy of the folder
// nor a replica opens without it.
type MasterKey struct {
	key Secret // its bytes
}

const masterKeySize = 32 // bytes: AES-256

// CreateMasterKey makes a key and its file: one line of base64, for its owner's eyes. A file that is there is kept.
func CreateMasterKey(path string) (MasterKey, error) {
	key := make([]byte, masterKeySize)
	rand.Read(key) // never fails: see crypto/rand
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return MasterKey{}, fmt.Errorf("there is a master key at %s already, and it may be the only one that opens a vault: it is not replaced", path)
	}
	if err != nil {
		return MasterKey{}, fmt.Errorf("making the master key: %w", err)
	}
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close(), syncFolder(filepath.Dir(path))); err != nil {
		return MasterKey{}, errors.Join(fmt.Errorf("writing the master key: %w", err), os.Remove(path))
	}
	return MasterKey{NewSecret(string(key))}, nil
}

// syncFolder makes the names in a folder as durable as the files.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ReadMasterKey reads the file of a key, whose 32 bytes stand in base64 or hexadecimal. It refuses one that others on the
// machine can read.
func ReadMasterKey(path string) (MasterKey, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return MasterKey{}, fmt.Errorf("there is no master key at %s: waybill init makes one for a new node; without its own, a vault cannot be opened", path)
	}
	if err != nil {
		return MasterKey{}, fmt.Errorf("reading the master key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return MasterKey{}, fmt.Errorf("reading the master key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return MasterKey{}, fmt.Errorf("the master key %s is not a file", path)
	}
	// 0440 is how systemd hands over a credential: its group bits are the mask of an access list that names one user.
	if mode := info.Mode().Perm(); mode&0o077 != 0 && mode != 0o440 {
		return MasterKey{}, fmt.Errorf("the master key %s is open to others (mode %#o): chmod 600 it", path, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return MasterKey{}, fmt.Errorf("reading the master key: %w", err)
	}
	key, err := decodeKey(strings.TrimSpace(string(text)))
	if err != nil {
		return MasterKey{}, fmt.Errorf("the master key %s %w", path, err)
	}
	return MasterKey{NewSecret(string(key))}, nil
}

// decodeKey never says in its errors what it read.
func decodeKey(text string) ([]byte, error) {
	var raw []byte
	var err error
	if len(text) == hex.EncodedLen(masterKeySize) {
		raw, err = hex.DecodeString(text)
	} else {
		plain := strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "=")
		raw, err = base64.RawStdEncoding.DecodeString(plain)
	}
	if err != nil {
		return nil, fmt.Errorf("is neither base64 nor hexadecimal")
	}
	if len(raw) != masterKeySize {
		return nil, fmt.Errorf("has %d bytes, where a key has %d", len(raw), masterKeySize)
	}
	return raw, nil
}

// id names the key without telling it: which master key wraps a data key is written beside it.
func (m MasterKey) id() string {
	sum := sha256.Sum256([]byte("waybill master key id\n" + m.key.Reveal()))
	return hex.EncodeToString(sum[:8])
}
