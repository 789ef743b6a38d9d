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
	"strings"
)

// MasterKey wraps the vault's data keys. It lives in a file outside the data folder, so that neither a copy of the folder
// nor a replica opens without it.
//
// While one takes the place of another, both are needed: the vault has data keys that either wraps, and what a replica or a
// backup has is under the former one alone. That one stands beside the file, in FILE.old.
type MasterKey struct {
	key    Secret // its bytes
	former Secret // likewise, of the key that it has replaced; none: nobody knows of one
}

// formerSuffix is what the file of a key is called once another key has its name.
const formerSuffix = ".old"

const masterKeySize = 32 // bytes: AES-256

// CreateMasterKey makes a key and its file: one line of base64, for its owner's eyes. A file that is there is kept.
func CreateMasterKey(path string) (MasterKey, error) {
	key := make([]byte, masterKeySize)
	rand.Read(key) // never fails: see crypto/rand
	m := MasterKey{key: NewSecret(string(key))}
	err := writeMasterKey(path, m)
	if errors.Is(err, fs.ErrExist) {
		return MasterKey{}, fmt.Errorf("there is a master key at %s already, and it may be the only one that opens a vault: it is not replaced", path)
	}
	if err != nil {
		return MasterKey{}, err
	}
	return m, nil
}

// syncFolder makes the names in a folder as durable as the files.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ReadMasterKey reads the file of a key, whose 32 bytes stand in base64 or hexadecimal, and beside it the one of the key that
// it has replaced, if that is there. It refuses one that others on the machine can read.
func ReadMasterKey(path string) (MasterKey, error) {
	m, err := readMasterKey(path)
	if err != nil {
		return m, err
	}
	if _, err := os.Lstat(path + formerSuffix); errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	former, err := readMasterKey(path + formerSuffix)
	if err != nil {
		return MasterKey{}, err
	}
	if former.ID() != m.ID() {
		m.former = former.key
	}
	return m, nil
}

func readMasterKey(path string) (MasterKey, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return MasterKey{}, fmt.Errorf("there is no master key at %s: waybill init makes one for a new node; that of this vault, without which nothing opens it, is named by WAYBILL_MASTER_KEY_FILE if it is elsewhere", path)
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
	return MasterKey{key: NewSecret(string(key))}, nil
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

// Former is the key that this one has replaced, and whether its file is there.
func (m MasterKey) Former() (MasterKey, bool) { return MasterKey{key: m.former}, !m.former.IsZero() }

// ID names the key without telling it: which master key wraps a data key is written beside it.
func (m MasterKey) ID() string {
	sum := sha256.Sum256([]byte("waybill master key id\n" + m.key.Reveal()))
	return hex.EncodeToString(sum[:8])
}
