package store

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFingerprint(t *testing.T) {
	// The hashes are from sha256sum.
	for _, c := range []struct{ secret, want string }{
		{"sk-proj-0123456789abcdef", "…cdef:"},
		{"thirteenchars", "…hars:"},
		{"twelve-chars", "…:"},
		{"", "…:e3b0c442"},
		{"abc", "…:ba7816bf"},
		{"a-long-enough-ké", "…:"},
		{"a-long-enough\x1b[0m", "…:"},
	} {
		got := Fingerprint(NewSecret(c.secret))
		if !strings.HasPrefix(got, c.want) || len(got) != strings.Index(got, ":")+9 {
			t.Errorf("%q: got %s, want %s…", c.secret, got, c.want)
		}
	}
	if Fingerprint(NewSecret("same-tail-aaaa")) == Fingerprint(NewSecret("SAME-tail-aaaa")) {
		t.Error("two secrets have one fingerprint")
	}
}

func TestMasterKeyFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "data.key")
	made, err := CreateMasterKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := CreateMasterKey(path); err == nil {
		t.Error("a second key replaced the first")
	}
	read, err := ReadMasterKey(path)
	if err != nil || read.key.Reveal() != made.key.Reveal() {
		t.Errorf("read another key: %v", err)
	}
	if other := newKey(t); other.key.Reveal() == made.key.Reveal() || other.ID() == made.ID() {
		t.Error("two keys are the same")
	}
	raw := []byte(made.key.Reveal())
	for _, f := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%d", "%q"} {
		for _, x := range []any{made, &made} {
			shown := fmt.Sprintf(f, x)
			if strings.Contains(strings.ToLower(shown), fmt.Sprintf("%x", raw[:4])) || strings.Contains(shown, string(raw[:4])) || strings.Contains(shown, fmt.Sprintf("%d %d", raw[0], raw[1])) {
				t.Errorf("%q shows it: %q", f, shown)
			}
		}
	}

	write := func(text string, mode os.FileMode) string {
		p := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	std := base64.StdEncoding.EncodeToString(raw)
	for _, text := range []string{std, std + "\n", strings.TrimRight(std, "="), base64.URLEncoding.EncodeToString(raw), hex.EncodeToString(raw),
		strings.ToUpper(hex.EncodeToString(raw)) + "\r\n"} {
		for _, mode := range []os.FileMode{0o600, 0o400, 0o440} {
			if k, err := ReadMasterKey(write(text, mode)); err != nil || k.key.Reveal() != made.key.Reveal() {
				t.Errorf("mode %o, %d characters: %v", mode, len(text), err)
			}
		}
	}
	for _, c := range []struct{ name, path, want string }{
		{"missing", filepath.Join(dir, "none"), "waybill init"},
		{"a folder", dir, "not a file"},
		{"short", write(std[:40], 0o600), "has 30 bytes"},
		{"long", write(std[:43]+"AAAA", 0o600), "has 35 bytes"},
		{"huge", write(strings.Repeat("A", 1<<20), 0o600), "bytes, where a key has 32"},
		{"empty", write("", 0o600), "has 0 bytes"},
		{"no text", write(std[:20]+"%"+std[21:], 0o600), "neither base64 nor hexadecimal"},
		{"world-readable", write(std, 0o644), "chmod 600"},
		{"group-readable", write(std, 0o640), "chmod 600"},
	} {
		_, err := ReadMasterKey(c.path)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		} else if strings.Contains(err.Error(), std[:12]) {
			t.Errorf("%s: the error tells the key", c.name)
		}
	}
}
