package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"waybill/cmd/waybill/campaign"
)

// The crash campaign, as people run it. WAYBILL_KILLS says how often the node is killed, WAYBILL_SEED at which moments.
func TestCrashes(t *testing.T) {
	kills, seed := "4", "1"
	if s := os.Getenv("WAYBILL_KILLS"); s != "" {
		kills = s
	}
	if s := os.Getenv("WAYBILL_SEED"); s != "" {
		seed = s
	}
	cmd := exec.Command(built(t), "bench", "--crash", "--kills", kills, "--seed", seed, "--json")
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	out, err := cmd.Output()
	var r campaign.CrashReport
	if jerr := json.Unmarshal(out, &r); err != nil || jerr != nil {
		t.Fatalf("seed %s: %v, %v\n%s%s", seed, err, jerr, out, stderrOf(err))
	}
	if fmt.Sprint(r.Kills) != kills || fmt.Sprint(r.Seed) != seed || r.Whole == 0 || r.Purchases == 0 || len(r.Differences) != 0 {
		t.Errorf("%+v", r)
	}
	if r.Kills >= 50 && r.Between < 10 {
		t.Errorf("only %d of %d kills fell between an upstream's end and its settlement", r.Between, r.Kills)
	}
	t.Logf("%+v", r)
}

func stderrOf(err error) []byte {
	if e, ok := err.(*exec.ExitError); ok {
		return e.Stderr
	}
	return nil
}

// built is the program, as it is now.
func built(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "waybill")
	if out, err := exec.Command("go", "build", "-o", binary, "waybill/cmd/waybill").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return binary
}
