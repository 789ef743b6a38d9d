package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Lock is the right to write in a data folder. The kernel drops it with the process, however that ends.
type Lock struct{ f *os.File }

// TakeLock locks a data folder, or says who has it. Open does it by itself; a node takes the lock first, because it has
// more to open there, and a replicator that must not meet another.
func TakeLock(dir string) (*Lock, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(f.Name()) // only to name it
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another waybill (process %s) has the data folder %s: stop it first, or use another folder",
				strings.TrimSpace(string(holder)), dir)
		}
		return nil, fmt.Errorf("locking the data folder %s: %w", dir, err)
	}
	if err := errors.Join(f.Truncate(0), write(f, fmt.Sprintln(os.Getpid()))); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking the data folder: %w", err)
	}
	return &Lock{f}, nil
}

func write(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

// Release gives the lock back.
func (l *Lock) Release() error { return l.f.Close() }

// release is Release of a lock that may be another's.
func (l *Lock) release() error {
	if l == nil {
		return nil
	}
	return l.Release()
}
