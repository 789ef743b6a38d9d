package bench

import (
	"math"
	"slices"
	"time"
)

// percentile is the value below which a share of the samples lies; it sorts them.
func percentile(d []time.Duration, share float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(len(d)-1, int(share*float64(len(d))))]
}

// median of the rounds, NaN where none measured it.
func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	v = slices.Clone(v)
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

func millis(d time.Duration) float64 { return d.Seconds() * 1000 }
