package routertest_test

import (
	"context"
	"flag"
	"os"
	"testing"

	"waybill/ledger"
	"waybill/router/routertest"
	"waybill/store"
)

// open opens a real log.
func open(t testing.TB, first []ledger.Command) routertest.Store {
	o := store.Options{Dir: t.TempDir(), Ballast: -1}
	if err := store.Create(context.Background(), o, first); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestMain lets more tests wait at once than there are cores: nearly all that they do is to wait for disk and network.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func TestConformance(t *testing.T) { routertest.Run(t, open) }
