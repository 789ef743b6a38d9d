package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	r := crashes(t, built(t), "--kills", kills, "--seed", seed)
	if fmt.Sprint(r.Kills) != kills || fmt.Sprint(r.Seed) != seed {
		t.Errorf("%+v", r)
	}
	if r.Kills >= 50 && r.Between < 10 {
		t.Errorf("only %d of %d kills fell between an upstream's end and its settlement", r.Between, r.Kills)
	}
}

// The same with a replica, from which the node is restored in the end: it has all of which it said that the replica had it, and
// every purchase that was acknowledged.
func TestCrashesWithReplica(t *testing.T) {
	r := crashes(t, built(t), "--kills", "3", "--replica", "--durability", "money")
	if is := r.Restored; is == nil || is.Replicated == 0 || is.Position < is.Replicated || is.Seen < is.Replicated || is.Purchases != 0 {
		t.Errorf("%+v", is)
	}
}

// A soak takes its samples, and finds no difference. Whether a node is flat is seen in half an hour, not here.
func TestSoak(t *testing.T) {
	var r campaign.SoakReport
	err := benchmark(t, built(t), &r, "--soak", "4s", "--every", "1s")
	if len(r.Samples) == 0 || r.Samples[0].Resident == 0 || r.Samples[0].Live == 0 || r.Samples[0].Goroutines == 0 || r.Samples[0].Files == 0 || len(r.Trends) != 4 {
		t.Fatalf("%v: %+v", err, r)
	}
	if r.Statuses[200] == 0 || r.Whole == 0 || r.Served == 0 || r.Purchases == 0 || len(r.Differences) != 0 {
		t.Errorf("%+v", r)
	}
	for _, is := range r.Trends {
		if err == nil && !is.Flat {
			t.Errorf("%+v, and the exit status is 0", is)
		}
	}
	if err != nil && len(r.Samples) >= 3 && !strings.Contains(string(stderrOf(err)), "and before") {
		t.Errorf("%v: %s", err, stderrOf(err))
	}
}

// benchmark runs the command with JSON.
func benchmark(t *testing.T, binary string, into any, args ...string) error {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"bench", "--json"}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	out, err := cmd.Output()
	if jerr := json.Unmarshal(out, into); jerr != nil {
		t.Fatalf("%v, %v\n%s%s", err, jerr, out, stderrOf(err))
	}
	return err
}

// crashes runs a crash campaign, and wants no difference.
func crashes(t *testing.T, binary string, args ...string) (r campaign.CrashReport) {
	t.Helper()
	if err := benchmark(t, binary, &r, append([]string{"--crash"}, args...)...); err != nil {
		t.Errorf("%v: %s", err, stderrOf(err))
	}
	if r.Whole == 0 || r.Purchases == 0 || len(r.Differences) != 0 {
		t.Errorf("%+v", r)
	}
	t.Logf("%+v", r)
	return r
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
