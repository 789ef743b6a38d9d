package store

import (
	"os"
	"syscall"
)

// reserve makes a file take up its size on disk.
func reserve(f *os.File, size int64) error {
	err := syscall.Fallocate(int(f.Fd()), 0, 0, size)
	if err == syscall.EOPNOTSUPP {
		return fill(f, size)
	}
	return err
}
