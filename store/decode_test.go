package store

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"waybill/ledger"
)

// TestDecode holds the faster decoder to the standard one, on every event and field that was ever released.
func TestDecode(t *testing.T) {
	logs, err := filepath.Glob("../ledger/testdata/golden/*/log.jsonl")
	if err != nil || len(logs) == 0 {
		t.Fatal("no golden logs", err)
	}
	for _, name := range logs {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var r struct {
				Type   ledger.Type
				Schema int
				Data   json.RawMessage
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			want, err := ledger.Decode(r.Type, r.Schema, r.Data)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := decode(r.Type, r.Schema, r.Data); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s %s: %+v, %v; want %+v", r.Type, r.Data, got, err, want)
			}
		}
	}
	if _, err := decode("credit.granted", 1, []byte(`{"lot":"l","lot":"m"}`)); err == nil {
		t.Error("a field that stands twice was read: which one counts?")
	}
}
