package router

// Remembered is how many legs are in memory.
func (h *Health) Remembered() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.legs)
}
