package router

import (
	"fmt"
	"strings"
)

// manyAlike is how many warnings of one kind name their places: a conversation may have hundreds.
const manyAlike = 4

// condensed tells of each kind of loss at its first places, and how many more there are.
func condensed(warnings []string) []string {
	if len(warnings) <= manyAlike {
		return warnings
	}
	kinds := map[string]int{}
	kind := func(w string) string {
		_, what, _ := strings.Cut(w, ": ")
		return what
	}
	for _, w := range warnings {
		kinds[kind(w)]++
	}
	told := map[string]int{}
	var out []string
	for _, w := range warnings {
		k := kind(w)
		if told[k]++; told[k] > manyAlike {
			continue
		}
		if more := kinds[k] - manyAlike; more > 0 && told[k] == manyAlike {
			w += fmt.Sprintf(", and %d more like it", more)
		}
		out = append(out, w)
	}
	return out
}
