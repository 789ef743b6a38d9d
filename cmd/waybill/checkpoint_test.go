package main

import (
	"bufio"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"waybill/store"
)

func (s *site) lastCheckpoint() *store.SignedCheckpoint {
	s.t.Helper()
	c, err := store.LastCheckpoint(s.t.Context(), s.data())
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// TestCheckpointsOfAReplicatedNode: what a node with a replica signs, the replica holds; how it has left the log is signed; and who restores it
// elsewhere finds out by the checkpoint what there was, and goes on in an epoch of his own under the same key.
func TestCheckpointsOfAReplicatedNode(t *testing.T) {
	s := newSite(t)
	config := s.replicated()
	s.env = append(s.env, "WAYBILL_CHECKPOINT_INTERVAL=30ms")
	if status, out, _ := s.run("", "checkpoint"); status == exitOK {
		t.Fatalf("what a replica holds is for the node to know that serves, and signed is\n%s", out)
	}
	_, stop := s.serve()
	s.must("org", "open", "acme", "--plan", "teams")
	until(t, "the log is signed by itself", func() bool { c := s.lastCheckpoint(); return c != nil })
	var asked struct {
		Checkpoint, Key, Origin string
		Position                uint64
	}
	s.must("credit", "purchase", "acme", "5.00", "--reference", "r")
	if err := json.Unmarshal([]byte(s.must("checkpoint", "--json")), &asked); err != nil {
		t.Fatal(err)
	}
	s.must("credit", "grant", "acme", "1.00")
	if status := stop(); status != exitOK {
		t.Fatalf("status %d", status)
	}
	var v verified
	if err := json.Unmarshal([]byte(s.must("verify", "--json")), &v); err != nil {
		t.Fatal(err)
	}
	last := s.lastCheckpoint()
	if last.Position != v.Position || last.Key != asked.Key || v.Checkpoint != last.Note || asked.Position >= last.Position {
		t.Errorf("the log ends at %d; asked for was %d, and the last is %+v", v.Position, asked.Position, last)
	}
	if out := s.must("checkpoint"); out+"\n" != last.Note {
		t.Errorf("without the node it is\n%s", out)
	}

	other := filepath.Join(t.TempDir(), "data")
	var done struct {
		Known uint64 `json:"known_position"`
		Epoch uint64
	}
	if err := json.Unmarshal([]byte(s.must("restore", "--from", config, "--to", other, "--master-key-file", s.data()+".key", "--json", "--at", fmt.Sprint(asked.Position))), &done); err != nil {
		t.Fatal(err)
	}
	if done.Known != last.Position || done.Epoch != 2 {
		t.Errorf("known to have been is %d, not %d: %+v", done.Known, last.Position, done)
	}
	s.env = append(s.env, "WAYBILL_DATA="+other, "WAYBILL_MASTER_KEY_FILE="+s.data()+".key", "WAYBILL_LITESTREAM=")
	s.must("org", "list")
	c := s.must("checkpoint", "--json")
	if !strings.Contains(c, `"epoch": 2`) || !strings.Contains(c, asked.Key) {
		t.Errorf("%s", c)
	}
	if out := s.must("verify"); !strings.Contains(out, "in epoch 2") {
		t.Error(out)
	}
	kept := filepath.Join(t.TempDir(), "kept")
	if err := os.WriteFile(kept, []byte(asked.Checkpoint), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must("verify", "--head", kept)
	if err := os.WriteFile(kept, []byte(last.Note), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out, _ := s.run("", "verify", "--head", kept); status == exitOK { // who has kept it sees that the log is another one since
		t.Errorf("%s", out)
	}
}

// TestForkedLogTakesNoCalls: a log that is changed under its node, so that it does not extend what was signed, is not signed any more, and
// the node says why it takes no calls.
func TestForkedLogTakesNoCalls(t *testing.T) {
	s := newSite(t)
	s.env = append(s.env, "WAYBILL_CHECKPOINT_INTERVAL=20ms")
	s.must("org", "open", "acme", "--plan", "teams")
	n, err := openNode(t.Context(), s.conf(), nodeOptions{log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	if _, err := n.notary.Sign(t.Context()); err != nil || n.ready() != nil {
		t.Fatal(err, n.ready())
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: filepath.Join(s.data(), "waybill.db")}).String())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range []string{`DROP TRIGGER tree_no_update`, `UPDATE tree SET hashes = CAST(zeroblob(length(hashes)) AS BLOB) WHERE position <= 64`} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	defer n.behind(t.Context(), n.sign)()
	if n.ready() != nil {
		t.Error("it is said before there is anything to sign")
	}
	if err := n.api().post(t.Context(), "/orgs", map[string]string{"name": "beta", "plan": "teams"}, nil); err != nil {
		t.Fatal(err)
	}
	until(t, "it is found", func() bool { return n.ready() != nil })
	if err := n.ready(); !strings.Contains(err.Error(), "no checkpoint is signed any more") {
		t.Error(err)
	}
	if _, err := n.api().call(t.Context(), "GET", "/checkpoint", nil); err == nil || !strings.Contains(err.Error(), "no checkpoint is signed any more") {
		t.Errorf("who asks for one hears %v", err)
	}
}

// TestExportIsEnough: from what log export prints, and a checkpoint, a stranger computes the hash that was signed, by RFC 6962 and the
// description of the leaf alone.
func TestExportIsEnough(t *testing.T) {
	s := newSite(t)
	s.must("org", "open", "acme", "--plan", "teams")
	policy := filepath.Join(t.TempDir(), "policy.yml")
	if err := os.WriteFile(policy, []byte("routes:\n  - {when: {model: x}, refuse: \"no <&>  é\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must("policy", "set", "acme", policy)
	var c struct {
		Position uint64
		Hash     string
	}
	if err := json.Unmarshal([]byte(s.must("checkpoint", "--json")), &c); err != nil {
		t.Fatal(err)
	}
	var level [][]byte
	lines := bufio.NewScanner(strings.NewReader(s.must("log", "export")))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			Position, Version, Schema          uint64
			Stream, ID, Type, At, Actor, Cause string
			Data                               json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339Nano, e.At)
		if err != nil {
			t.Fatal(err)
		}
		id, err := hex.DecodeString(strings.ReplaceAll(e.ID, "-", ""))
		if err != nil {
			t.Fatal(err)
		}
		leaf := []byte{0, 1} // RFC 6962's mark of a leaf, and the leaf's version
		field := func(b []byte) { leaf = append(binary.BigEndian.AppendUint32(leaf, uint32(len(b))), b...) }
		number := func(n uint64) { field(binary.BigEndian.AppendUint64(nil, n)) }
		number(e.Position)
		field([]byte(e.Stream))
		number(e.Version)
		field(id)
		field([]byte(e.Type))
		number(e.Schema)
		number(uint64(at.UnixNano()))
		field([]byte(e.Actor))
		field([]byte(e.Cause))
		field(e.Data)
		h := sha256.Sum256(leaf)
		level = append(level, h[:])
	}
	if uint64(len(level)) != c.Position {
		t.Fatalf("%d events, and signed are %d", len(level), c.Position)
	}
	for len(level) > 1 { // a node without a neighbour goes up as it is
		var up [][]byte
		for i := 0; i < len(level); i += 2 {
			if i+1 == len(level) {
				up = append(up, level[i])
				continue
			}
			h := sha256.Sum256(append(append([]byte{1}, level[i]...), level[i+1]...))
			up = append(up, h[:])
		}
		level = up
	}
	if got := hex.EncodeToString(level[0]); got != c.Hash {
		t.Errorf("the hash of what is exported is %s, and signed is %s", got, c.Hash)
	}
}

// A replica that has lost the end of the log does not pass for one that has all that was signed: the vault's copy of the last checkpoint tells.
func TestSignedPastTheEnd(t *testing.T) {
	s := newSite(t)
	config := s.replicated()
	s.must("org", "open", "acme", "--plan", "starter")
	_, stop := s.serve()
	stop()
	if out := s.must("verify", "--from-replica"); !strings.Contains(out, "extends all that was signed") || strings.Contains(out, "ends early") {
		t.Errorf("%s", out)
	}
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	paths := regexp.MustCompile(`path: (\S+)`).FindAllStringSubmatch(string(text), -1)
	older := filepath.Join(t.TempDir(), "waybill.db")
	if err := os.CopyFS(older, os.DirFS(paths[1][1])); err != nil {
		t.Fatal(err)
	}
	_, stop = s.serve()
	s.must("credit", "purchase", "acme", "5.00", "--reference", "r")
	stop()
	if err := os.WriteFile(config, []byte(strings.Replace(string(text), paths[1][1], older, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := s.must("verify", "--from-replica"); !strings.Contains(out, "ends early: this log lacks ") || strings.Contains(out, "extends all") {
		t.Errorf("%s", out)
	}
	if out := s.elsewhere().must("restore", "--from", config); !strings.Contains(out, ", past its end") {
		t.Errorf("%s", out)
	}
}
