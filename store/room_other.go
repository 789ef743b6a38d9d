//go:build !linux

package store

import "errors"

// Room tells how many bytes are free for this process on the disk of a folder, and how many it has.
func Room(string) (free, total int64, err error) { return 0, 0, errors.ErrUnsupported }

func sameDisk(string, string) (bool, error) { return false, errors.ErrUnsupported }

// ClockKept tells whether something keeps the machine's clock right.
func ClockKept() (bool, error) { return false, errors.ErrUnsupported }
