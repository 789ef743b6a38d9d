//go:build !linux

package store

import "os"

// reserve makes a file take up its size on disk.
func reserve(f *os.File, size int64) error { return fill(f, size) }
