package http

import (
	"context"
	"sync"

	"waybill/router"
)

// keyNames remembers what keys are called: a policy may match it, and a call must not wait for the database. Names change
// through this server alone. Its zero value is ready.
type keyNames struct {
	mu    sync.RWMutex
	known map[string]string // by key
	turns uint64            // changes, so that nobody remembers what was read before one
}

// manyNames is how many are remembered before all are forgotten and read anew.
const manyNames = 1 << 16

// of gives the name of a key, from memory but for the first time.
func (n *keyNames) of(ctx context.Context, names Naming, key string) (string, error) {
	n.mu.RLock()
	name, ok := n.known[key]
	turns := n.turns
	n.mu.RUnlock()
	if ok {
		return name, nil
	}
	l, err := names.Label(ctx, "key", key)
	if err != nil {
		return "", err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if turns == n.turns {
		if n.known == nil || len(n.known) >= manyNames {
			n.known = map[string]string{}
		}
		n.known[key] = l.Name
	}
	return l.Name, nil
}

// forget has a name read anew: it may have changed.
func (n *keyNames) forget(key string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.turns++
	delete(n.known, key)
}

// note is what a policy may read of a call that the log does not hold. It is there for every call, be there a policy or none: one
// may be set before the call is routed.
func (s *Server) note(c *call, metadata map[string]string) (n router.Note, err error) {
	n.Metadata = metadata
	n.Key, err = s.keyNames.of(c, s.o.Names, c.key.ID)
	return n, err
}
