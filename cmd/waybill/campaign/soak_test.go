package campaign

import (
	"strings"
	"testing"
	"time"
)

// What goes up and down is flat, and so is what is more at first; what grows to the end is not, be it by one a minute.
func TestJudge(t *testing.T) {
	samples := func(change func(i int, s *Sample)) (all []Sample) {
		for i := range 30 {
			s := Sample{At: time.Duration(i) * time.Minute, Resident: 60e6, Live: 12e6, Goroutines: 40, Files: 30}
			if i%2 == 0 {
				s.Resident, s.Live, s.Goroutines, s.Files = 63e6, 13e6, 43, 32
			}
			change(i, &s)
			all = append(all, s)
		}
		return all
	}
	for name, c := range map[string]struct {
		change func(i int, s *Sample)
		grows  string
	}{
		"flat":                 {func(int, *Sample) {}, ""},
		"filling at first":     {func(i int, s *Sample) { s.Resident += 3e6 * float64(min(i, 9)); s.Live += 1e6 * float64(min(i, 9)) }, ""},
		"less":                 {func(i int, s *Sample) { s.Files -= float64(i) / 2 }, ""},
		"one peak":             {func(i int, s *Sample) { s.Goroutines += 1000 * float64(i/29) }, ""},
		"a goroutine a minute": {func(i int, s *Sample) { s.Goroutines += float64(i) }, "goroutines"},
		"a file a minute":      {func(i int, s *Sample) { s.Files += float64(i) }, "open files"},
		"a megabyte a minute":  {func(i int, s *Sample) { s.Resident += 1e6 * float64(i) }, "resident memory"},
		"half of one, live":    {func(i int, s *Sample) { s.Live += 0.5e6 * float64(i) }, "live heap"},
		"two files in three":   {func(i int, s *Sample) { s.Files += float64(i / 3 * 2) }, "open files"},
	} {
		t.Run(name, func(t *testing.T) {
			err := SoakReport{Trends: Judge(samples(c.change))}.Failed()
			if c.grows == "" && err != nil || c.grows != "" && (err == nil || !strings.HasPrefix(err.Error(), c.grows)) {
				t.Errorf("got %v, want %q to grow", err, c.grows)
			}
		})
	}
	if err := (SoakReport{Trends: Judge(nil)}).Failed(); err == nil {
		t.Error("no sample is taken for flat")
	}
}
