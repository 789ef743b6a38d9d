package http_test

import (
	"crypto/rand"
	"strings"
	"testing"

	wbhttp "waybill/http"
)

func TestKey(t *testing.T) {
	key, err := wbhttp.NewKey(rand.Reader)
	if err != nil || !strings.HasPrefix(key, "wbk_") || len(key) != 40 || !wbhttp.Valid(key) {
		t.Fatalf("key %q: %v", key, err)
	}
	// The form is for ever: secret scanners and other programs know it.
	fixed, err := wbhttp.NewKey(strings.NewReader(strings.Repeat("\x00\x01\x02\xff\x3d", 64)))
	if err != nil || fixed != "wbk_012z012z012z012z012z012z012z012frSyK" {
		t.Errorf("key of fixed bytes: %q, %v", fixed, err)
	}
	for i := range key {
		for _, c := range "09AZaz-" {
			if wrong := key[:i] + string(c) + key[i+1:]; wrong != key && wbhttp.Valid(wrong) {
				t.Errorf("%q is taken for a key", wrong)
			}
		}
	}
	for _, wrong := range []string{"", "wbk_", key[1:], key + "0", strings.ToUpper(key)} {
		if wbhttp.Valid(wrong) {
			t.Errorf("%q is taken for a key", wrong)
		}
	}
	if _, err := wbhttp.NewKey(strings.NewReader("too few")); err == nil {
		t.Error("a key of too few random bytes")
	}
}
