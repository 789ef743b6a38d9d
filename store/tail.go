package store

import "sync"

// tails are those who wait for the log to grow.
type tails struct {
	mu    sync.Mutex
	head  uint64
	ended bool
	wait  map[uint64]chan struct{} // by the position they have
}

// beyond gives a channel that is closed once the log has an event after a position, or has ended.
func (t *tails) beyond(position uint64) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, ok := t.wait[position]; ok {
		return c
	}
	c := make(chan struct{})
	if t.ended || t.head > position {
		close(c)
		return c
	}
	if t.wait == nil {
		t.wait = map[uint64]chan struct{}{}
	}
	t.wait[position] = c
	return c
}

func (t *tails) grow(head uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.head = head
	for position, c := range t.wait {
		if position < head {
			close(c)
			delete(t.wait, position)
		}
	}
}

func (t *tails) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	for position, c := range t.wait {
		close(c)
		delete(t.wait, position)
	}
}
