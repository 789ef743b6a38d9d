package router

import (
	"errors"
	"sync"
)

// Bounds of what is in memory at one time of the answers that are on their way, in bytes. An org has its share: what its own upstreams
// send it, or its callers are slow to take, must not end the calls of the others. What every answer may have is not counted, so that
// ordinary ones find room whatever there is.
const (
	maxRoom    = 512 << 20
	maxOrgRoom = maxRoom / 4
	freeRoom   = 128 << 10
)

var errNoRoom = &UpstreamError{Class: ClassServerError, Err: errors.New("the node holds as many bytes of answers as it may"), Provoked: true}

// rooms counts what is in memory of answers. Its zero value is ready.
type rooms struct {
	mu  sync.Mutex
	all int64
	of  map[string]int64 // by org, without those that have none
}

// take counts so much more of an org's, if there may be more. What is less than nothing is given back.
func (r *rooms) take(org string, n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > 0 && (r.all+n > maxRoom || r.of[org]+n > maxOrgRoom) {
		return false
	}
	if r.of == nil {
		r.of = map[string]int64{}
	}
	r.all += n
	if r.of[org] += n; r.of[org] == 0 {
		delete(r.of, org)
	}
	return true
}

// Room is what one attempt has in memory of its answer. It is of the goroutine that reads the answer; a nil one counts nothing.
type Room struct {
	rooms  *rooms
	org    string
	unread int64 // bytes that were read and are in no frame yet
	kept   int64 // of what the attempt has
	taken  int64 // of both, beyond what is free
}

// read counts bytes that were read, or that have become a frame, if there is room.
func (r *Room) read(n int) bool {
	if r == nil {
		return true
	}
	r.unread += int64(n)
	return r.fill()
}

// keep says how much the attempt has, if there is room.
func (r *Room) keep(n int64) bool {
	r.kept = n
	return r.fill()
}

// leave gives everything back.
func (r *Room) leave() {
	r.unread, r.kept = 0, 0
	r.fill()
}

func (r *Room) fill() bool {
	more := max(0, r.unread+r.kept-freeRoom) - r.taken
	if more == 0 {
		return true
	}
	ok := r.rooms.take(r.org, more)
	if ok {
		r.taken += more
	}
	return ok
}

// fits counts a step of a stream, what is held back, and of an answer that is translated also what its writer may have to say again.
func (a *attempt) fits(step *Chunk) bool {
	n := int64(len(step.Frame) + len(a.pending))
	if a.translates {
		n += a.received
	}
	return a.room.keep(n)
}
