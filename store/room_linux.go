package store

import "syscall"

// Room tells how many bytes are free for this process on the disk of a folder, and how many it has.
func Room(dir string) (free, total int64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	return int64(s.Bavail) * s.Bsize, int64(s.Blocks) * s.Bsize, nil
}

// sameDisk tells whether two folders are on one file system.
func sameDisk(a, b string) (bool, error) {
	var x, y syscall.Stat_t
	if err := syscall.Stat(a, &x); err != nil {
		return false, err
	}
	if err := syscall.Stat(b, &y); err != nil {
		return false, err
	}
	return x.Dev == y.Dev, nil
}

// ClockKept tells whether something keeps the machine's clock right, as the kernel knows.
func ClockKept() (bool, error) {
	var t syscall.Timex
	state, err := syscall.Adjtimex(&t)
	const unsynchronised = 5 // TIME_ERROR
	return state != unsynchronised, err
}
