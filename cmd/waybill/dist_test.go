package main

import (
	"context"
	"database/sql"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The unit is one that systemd takes, and it confines the process. Where there is no systemd, what it says is all that is looked at.
func TestUnit(t *testing.T) {
	text, err := os.ReadFile("../../.dist/waybill.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"User=waybill", "NoNewPrivileges=yes", "ProtectSystem=strict", "Restart=on-failure", "LoadCredential=master.key:/etc/waybill/master.key", "WAYBILL_MASTER_KEY_FILE=%d/master.key"} {
		if !strings.Contains(string(text), line) {
			t.Errorf("the unit does not say %s", line)
		}
	}
	// What it starts is a command line that is understood.
	start := regexp.MustCompile(`(?m)^ExecStart=\S+ (.*)$`).FindStringSubmatch(string(text))
	if c, rest, ok := find(commands(), strings.Fields(start[1])); !ok || c.name != "serve" {
		t.Errorf("%q starts nothing", start[1])
	} else if f, _ := c.flags(); f != nil {
		if _, err := f.read(rest); err != nil {
			t.Errorf("%q: %v", start[1], err)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^Environment=(\w+)=`).FindAllStringSubmatch(string(text), -1) {
		known := false
		for _, s := range settings() {
			known = known || s.env == m[1]
		}
		if !known {
			t.Errorf("the unit sets %s, which nothing reads", m[1])
		}
	}
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze here")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "waybill.service")
	if err := os.WriteFile(unit, []byte(strings.ReplaceAll(string(text), "/usr/local/bin/waybill", self)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, "verify", "--man=no", unit).CombinedOutput(); err != nil || strings.Contains(string(out), unit) {
		t.Errorf("%v: %s", err, out)
	}
	out, err := exec.Command(tool, "security", "--offline=true", "--no-pager", unit).CombinedOutput()
	if err != nil && strings.Contains(string(out), "unrecognized option") { // there is such a one from version 250 on
		t.Skipf("this systemd does not rate a unit that is not loaded: %s", out)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	rated := regexp.MustCompile(`exposure level for waybill.service: ([0-9.]+)`).FindSubmatch(out)
	if rated == nil {
		t.Fatalf("%s", out)
	}
	if level, err := strconv.ParseFloat(string(rated[1]), 64); err != nil || level > 2 {
		t.Errorf("exposed to %s of 10", rated[1])
	}
}

// The container is built of what is here, and runs as nobody.
func TestContainer(t *testing.T) {
	text, err := os.ReadFile("../../.dist/Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^COPY (.+) \S+$`).FindAllStringSubmatch(string(text), -1) {
		for _, name := range strings.Fields(m[1]) {
			if _, err := os.Stat(filepath.Join("../..", name)); err != nil && !strings.HasPrefix(name, "--from") && !strings.HasPrefix(name, "/") {
				t.Errorf("COPY %s: %v", name, err)
			}
		}
	}
	last := string(text)[strings.LastIndex(string(text), "\nFROM "):]
	for _, line := range []string{"FROM scratch", "USER 65532:65532", "VOLUME /var/lib/waybill", `ENTRYPOINT ["/waybill"]`, `CMD ["serve"]`} {
		if !strings.Contains(last, line+"\n") {
			t.Errorf("the image does not say %s", line)
		}
	}
	all, err := filepath.Glob("../../*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all { // a new folder of code must be copied too
		if folder := filepath.Base(filepath.Dir(file)); !strings.Contains(string(text), "COPY "+folder+" "+folder+"\n") {
			t.Errorf("the container is built without %s", folder)
		}
	}
}

// A folder that a later waybill has written is refused, by what to do, and stays as it is.
func TestDowngrade(t *testing.T) {
	for _, file := range []string{"waybill.db", "vault.db"} {
		t.Run(file, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			say := func(args ...string) (status int, said string) {
				var out strings.Builder
				status = run(t.Context(), append(args, "--data", dir), nil, strings.NewReader(""), io.Discard, &out)
				return status, out.String()
			}
			if status, said := say("init"); status != exitOK {
				t.Fatal(said)
			}
			db, err := sql.Open("sqlite", filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1); PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // for a node that starts all the same
			defer cancel()
			var out strings.Builder
			status := run(ctx, []string{"serve", "--listen", "127.0.0.1:0", "--data", dir}, nil, strings.NewReader(""), io.Discard, &out)
			if status != exitFailed || !strings.Contains(out.String(), "was written by a newer one, run that") {
				t.Errorf("status %d: %s", status, out.String())
			}
			if after, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(after) != string(before) {
				t.Errorf("%s has changed: %v", file, err)
			}
			if file == "waybill.db" {
				if status, said := say("verify"); status != exitFailed || !strings.Contains(said, "newer") {
					t.Errorf("verify: status %d: %s", status, said)
				}
			}
		})
	}
}
