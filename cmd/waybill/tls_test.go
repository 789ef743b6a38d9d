package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What an authority gives stands beside the data folder.
func TestWhereCertificatesAreKept(t *testing.T) {
	dir := t.TempDir()
	c, err := (encryption{domain: "llm.example.com"}).config(filepath.Join(dir, "data"), slog.Default())
	if err != nil || c == nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "data.tls")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	if c, err := (encryption{}).config(dir, slog.Default()); c != nil || err != nil {
		t.Errorf("TLS unasked: %v", err)
	}
	if _, err := (encryption{cert: filepath.Join(dir, "none.pem"), key: "none.key"}).config(dir, slog.Default()); err == nil || !strings.Contains(err.Error(), "none.pem") {
		t.Errorf("files that are not there: %v", err)
	}
}
