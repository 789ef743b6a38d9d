package campaign

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Sample is what a node takes up while nothing is open: what it has then it keeps.
type Sample struct {
	At         time.Duration `json:"at_ns"` // since the beginning
	Resident   float64       `json:"resident_bytes"`
	Live       float64       `json:"live_heap_bytes"` // after the last collection
	Goroutines float64       `json:"goroutines"`
	Files      float64       `json:"open_files"`
	Events     float64       `json:"events"`
	Calls      int64         `json:"calls"`
}

// metrics are a node's, by name.
type metrics map[string]float64

// metrics asks for them. Those with labels are left out.
func (n *Node) metrics(ctx context.Context) (metrics, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second) // a node that hangs is a finding
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+OperatorToken)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("/metrics: status %d, %v: %s", resp.StatusCode, err, b)
	}
	m := metrics{}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(line, "#") && !strings.Contains(name, "{") {
			if m[name], err = strconv.ParseFloat(value, 64); err != nil {
				return nil, fmt.Errorf("/metrics: %s: %w", line, err)
			}
		}
	}
	return m, nil
}

// sample takes one.
func (s *soak) sample(ctx context.Context) error {
	resume, m, err := s.settle(ctx)
	defer resume()
	if err != nil {
		return err
	}
	x := Sample{At: time.Since(s.began), Calls: s.report.Calls}
	for name, into := range map[string]*float64{"process_resident_memory_bytes": &x.Resident, "go_gc_heap_live_bytes": &x.Live, "go_goroutines": &x.Goroutines,
		"process_open_fds": &x.Files, "waybill_log_position": &x.Events} {
		v, ok := m[name]
		if !ok {
			return fmt.Errorf("/metrics has no %s", name)
		}
		*into = v
	}
	s.report.Samples = append(s.report.Samples, x)
	fmt.Fprintf(s.Log, "%s: %.1f MB resident, %.1f MB live, %g goroutines, %g files open, %d calls made, %g events\n", x.At.Round(time.Second), x.Resident/1e6, x.Live/1e6, x.Goroutines, x.Files, x.Calls, x.Events)
	return nil
}

// Trend is how one figure went: the medians of the second third of the samples, and of the last. The first third is left out, in
// which caches fill.
type Trend struct {
	Figure string  `json:"figure"`
	Second float64 `json:"second_third"`
	Last   float64 `json:"last_third"`
	Most   float64 `json:"most"` // that the last may be
	Flat   bool    `json:"flat"`
}

// tolerances are how much more the last third may have: a part of the second third's, or so much, whichever is more. What a runtime
// and an allocator do from one minute to the next is less.
var tolerances = []struct {
	figure string
	of     func(Sample) float64
	part   float64
	least  float64
}{
	{"resident memory, MB", func(s Sample) float64 { return s.Resident / 1e6 }, 0.10, 8},
	{"live heap, MB", func(s Sample) float64 { return s.Live / 1e6 }, 0.10, 4},
	{"goroutines", func(s Sample) float64 { return s.Goroutines }, 0, 5},
	{"open files", func(s Sample) float64 { return s.Files }, 0, 5},
}

// Judge tells of each figure whether it is flat.
func Judge(samples []Sample) (all []Trend) {
	third := len(samples) / 3
	for _, f := range tolerances {
		t := Trend{Figure: f.figure}
		if third > 0 {
			t.Second, t.Last = middle(samples[third:len(samples)-third], f.of), middle(samples[len(samples)-third:], f.of)
			t.Most = t.Second + max(f.part*t.Second, f.least)
			t.Flat = t.Last <= t.Most
		}
		all = append(all, t)
	}
	return all
}

// middle is the median.
func middle(samples []Sample, of func(Sample) float64) float64 {
	var v []float64
	for _, s := range samples {
		v = append(v, of(s))
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
