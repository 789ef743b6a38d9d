package router

// Remembered is how many breakers are in memory.
func (h *Health) Remembered() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.breakers)
}
