package store

import "testing"

// No two places have the same associated data, however their parts are cut. (Several of the bindings back each other up, so
// that a vault in which one is missing may still refuse every moved row.)
func TestPlacesDiffer(t *testing.T) {
	seen := map[string]int{}
	for i, p := range [][]byte{
		placeOfCheck("m"), placeOfCheck("n"),
		placeOfDataKey("m", "acme", "k"), placeOfDataKey("n", "acme", "k"), placeOfDataKey("m", "other", "k"), placeOfDataKey("m", "acme", "l"),
		placeOfDataKey("k", "acme", "m"), placeOfDataKey("m", "acm", "ek"), placeOfDataKey("", "acmek", "m"),
		placeOfSecret("acme", "c1", 1, "k"), placeOfSecret("other", "c1", 1, "k"), placeOfSecret("acme", "c2", 1, "k"),
		placeOfSecret("acme", "c1", 2, "k"), placeOfSecret("acme", "c1", 1, "l"), placeOfSecret("c1", "acme", 1, "k"),
		placeOfSecret("acmec", "1", 1, "k"), placeOfSecret("acme", "c", 11, "k"), placeOfSecret("acme", "c1", 1, "k1"), placeOfSecret("acme", "c1", 11, "k"),
	} {
		if j, ok := seen[string(p)]; ok {
			t.Errorf("places %d and %d are the same: %q", i, j, p)
		}
		seen[string(p)] = i
	}
}
