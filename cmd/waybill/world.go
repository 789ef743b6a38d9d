package main

import (
	"time"

	"github.com/google/uuid"

	"waybill/router"
	"waybill/store"
)

// world is what a node takes from outside; the zero value is the real one, a simulation has its own.
type world struct {
	now       func() time.Time
	elapsed   func() time.Duration // a monotonic clock; nil: that of now
	newID     func() uuid.UUID
	eventID   func() uuid.UUID // nil: newID
	disk      store.Disk
	ballast   int64            // bytes; 0: the store's default
	transport router.Transport // to the upstreams
}

func (w world) orReal() world {
	if w.now == nil {
		w.now = time.Now
	}
	if w.newID == nil {
		w.newID = func() uuid.UUID { return uuid.Must(uuid.NewV7()) }
	}
	if w.eventID == nil {
		w.eventID = w.newID
	}
	return w
}
