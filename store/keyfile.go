package store

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// nextSuffix is what the file of a key is called that is about to take the place of another.
const nextSuffix = ".new"

// replaceMasterKey puts another key into a key's file: the one in the file from, or one that it makes if from is empty. Each
// step leaves the node a key that opens its vault, and a later call goes on behind the last step that was done: the next key is
// in FILE.new, the present one is also in FILE.old, the next one is in FILE. What FILE.old had before is never overwritten.
func replaceMasterKey(ctx context.Context, path, from string) (MasterKey, error) {
	present, err := readMasterKey(path)
	if err != nil {
		return MasterKey{}, err
	}
	next, err := stageMasterKey(path+nextSuffix, from)
	if err != nil {
		return MasterKey{}, err
	}
	if next.ID() == present.ID() {
		return MasterKey{}, errors.Join(errors.New("the new master key is the one in use already"), os.Remove(path+nextSuffix))
	}
	if err := ctx.Err(); err != nil {
		return MasterKey{}, err
	}
	if err := keepMasterKey(path, present); err != nil {
		return MasterKey{}, fmt.Errorf("keeping the present master key: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return MasterKey{}, err
	}
	if err := errors.Join(os.Rename(path+nextSuffix, path), syncFolder(filepath.Dir(path))); err != nil {
		return MasterKey{}, fmt.Errorf("putting the new master key in its place: %w", err)
	}
	next.former = present.key
	return next, nil
}

// stageMasterKey makes the next key durable in a file. Nothing is sealed under a key that is only there, so that one of an
// earlier attempt may be taken up again or replaced.
func stageMasterKey(path, from string) (MasterKey, error) {
	staged, unreadable := readMasterKey(path)
	if from == "" && unreadable == nil {
		return staged, nil
	}
	next := MasterKey{}
	if from != "" {
		var err error
		if next, err = readMasterKey(from); err != nil {
			return MasterKey{}, err
		}
		if unreadable == nil && next.ID() == staged.ID() {
			return staged, nil
		}
	} else {
		key := make([]byte, masterKeySize)
		rand.Read(key)
		next.key = NewSecret(string(key))
	}
	return next, placeMasterKey(path, next)
}

// keepMasterKey has the present key stand in FILE.old too. Another that stands there is the key of an earlier time, which old
// replicas and backups may need: it goes to FILE.old.ID.
func keepMasterKey(path string, present MasterKey) error {
	old := path + formerSuffix
	if _, err := os.Lstat(old); !errors.Is(err, fs.ErrNotExist) {
		former, err := readMasterKey(old)
		if err != nil {
			return err
		}
		if former.ID() == present.ID() {
			return nil
		}
		if err := os.Rename(old, old+"."+former.ID()); err != nil {
			return err
		}
	}
	return placeMasterKey(old, present)
}

// placeMasterKey writes the file of a key, whole or not at all, over what may be there.
func placeMasterKey(path string, m MasterKey) error {
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("making the master key: %w", err)
	}
	if err := writeMasterKey(part, m); err != nil {
		return err
	}
	return errors.Join(os.Rename(part, path), syncFolder(filepath.Dir(path)))
}

// writeMasterKey writes a new file: one line of base64, for its owner's eyes.
func writeMasterKey(path string, m MasterKey) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("making the master key: %w", err)
	}
	_, err = f.WriteString(base64.StdEncoding.EncodeToString([]byte(m.key.Reveal())) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close(), syncFolder(filepath.Dir(path))); err != nil {
		return errors.Join(fmt.Errorf("writing the master key: %w", err), os.Remove(path))
	}
	return nil
}
