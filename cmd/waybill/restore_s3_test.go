package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// onS3 gives the site a replica in a bucket of a server of its own, which the function takes away.
func (s *site) onS3() (config string, end func()) {
	s.t.Helper()
	s.t.Setenv("AWS_CA_BUNDLE", "") // to have it back at the end; the client does not bear it
	os.Unsetenv("AWS_CA_BUNDLE")
	bucket := s3mem.New()
	if err := bucket.CreateBucket("waybill"); err != nil {
		s.t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(bucket).Server())
	s.t.Cleanup(server.Close)
	config = filepath.Join(s.t.TempDir(), "litestream.yml")
	text := "dbs:\n"
	for _, name := range []string{"waybill.db", "vault.db"} {
		text += fmt.Sprintf(`  - path: %s
    replica:
      type: s3
      bucket: waybill
      path: node/%s
      endpoint: %s
      region: us-east-1
      force-path-style: true
      access-key-id: test
      secret-access-key: test-secret
      sync-interval: 50ms
`, filepath.Join(s.data(), name), name, server.URL)
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.env = append(s.env, "WAYBILL_LITESTREAM="+config)
	return config, server.Close
}

// What a folder is to a replica, a bucket on an S3 server is too.
func TestRestoreFromS3(t *testing.T) {
	s := newSite(t)
	config, end := s.onS3()
	s.busy(5)
	s.drillsOK()
	to := s.elsewhere()
	out := to.must("restore", "--from", config)
	if !strings.Contains(out, "epoch     2 begins") || strings.Contains(out, "failing") {
		t.Errorf("restore says\n%s", out)
	}
	if got := to.headOf(); got <= s.headOf()-1 {
		t.Errorf("the log ends at %d, and the original at %d", got, s.headOf())
	}
	to.must("verify")
	to.sameBalances(s)
	s.stockRestores(config)
	end()
	if status, out, err := s.run("", "drill"); status != exitFailed || !strings.Contains(out, "unreachable") || strings.Contains(err, "test-secret") {
		t.Errorf("without its server: status %d, %s%s", status, out, err)
	}
}
