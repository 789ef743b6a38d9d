package ledger

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// A golden log is what a released waybill wrote. There may be more, and none is edited: what can be read today must be
// readable for ever. To add one after a shape has changed: go test ./ledger -run TestGolden -update 0002
var update = flag.String("update", "", "write a golden log with this number, which must be new")

const goldenDir = "testdata/golden"

// goldenLine is one record of a golden log. Leaf is the SHA-256 of its leaf's bytes.
type goldenLine struct {
	Position uint64          `json:"position"`
	Stream   string          `json:"stream"`
	Version  uint64          `json:"version"`
	ID       string          `json:"id"`
	Type     Type            `json:"type"`
	Schema   int             `json:"schema"`
	At       Instant         `json:"at"`
	Actor    string          `json:"actor"`
	Cause    string          `json:"cause"`
	Data     json.RawMessage `json:"data"`
	Leaf     string          `json:"leaf"`
}

func TestGolden(t *testing.T) {
	if *update != "" {
		writeGolden(t, *update)
	}
	dirs, err := filepath.Glob(goldenDir + "/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no golden logs: %v", err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) { readGolden(t, dir) })
	}
}

// readGolden decodes a golden log through its upcasters, folds it, and compares what follows with what did then.
func readGolden(t *testing.T, dir string) {
	s := NewState()
	sums := map[string]int64{}
	for _, r := range goldenLog(t, dir) {
		if r.Schema == kinds[r.Type].schema {
			if _, _, data, err := Encode(r.Event); err != nil || !bytes.Equal(data, r.Data) {
				t.Errorf("position %d: %s was written as %s and is now %s (%v): a field was renamed or lost, which takes a new shape and an upcaster",
					r.Position, r.Type, r.Data, data, err)
			}
		}
		if !Balanced(r.Postings()) {
			t.Errorf("position %d: %s does not balance", r.Position, r.Type)
		}
		for _, p := range r.Postings() {
			sums[p.Account.String()+" "+string(p.Unit)] += p.Amount
		}
		d := s.Draft(nil)
		d.Evolve(&r)
		s.Merge(d)
	}
	maps.DeleteFunc(sums, func(_ string, n int64) bool { return n == 0 })
	balances := map[string]int64{}
	for b := range s.Balances() {
		balances[b.Account.String()+" "+string(b.Unit)] = b.Amount
	}
	if !maps.Equal(sums, balances) {
		t.Errorf("the postings sum to %v, and the balances are %v", sums, balances)
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(balances)) {
		fmt.Fprintf(&text, "%s %d\n", name, balances[name])
	}
	if want := read(t, dir+"/balances.txt"); text.String() != want {
		t.Errorf("the balances are another:\n%s", difference(want, text.String()))
	}
	rows := goldenRows(t, s)
	for line := range strings.Lines(read(t, dir+"/state.jsonl")) {
		var want goldenRow
		if err := json.Unmarshal([]byte(line), &want); err != nil {
			t.Fatal(err)
		}
		got, ok := rows[want.Kind+" "+want.ID]
		if !ok || !within(want.Data, got) {
			t.Errorf("row %s %s was %v and is now %v", want.Kind, want.ID, want.Data, got)
		}
		delete(rows, want.Kind+" "+want.ID)
	}
	if len(rows) > 0 {
		t.Errorf("rows that were not there: %v", rows)
	}
}

// goldenRow is a row of the state that a golden log leaves. A later waybill may know more of it, and nothing else.
type goldenRow struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	Data any    `json:"data"`
}

func goldenRows(t *testing.T, s *State) map[string]any {
	out := map[string]any{}
	for k, v := range s.Rows() {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var any any
		if err := json.Unmarshal(data, &any); err != nil {
			t.Fatal(err)
		}
		out[k.Kind+" "+k.ID] = any
	}
	return out
}

// within tells whether all that one JSON value says is so in another.
func within(want, got any) bool {
	w, ok := want.(map[string]any)
	if !ok {
		if ws, ok := want.([]any); ok {
			gs, ok := got.([]any)
			return ok && slices.EqualFunc(ws, gs, within)
		}
		return reflect.DeepEqual(want, got)
	}
	g, ok := got.(map[string]any)
	if !ok {
		return false
	}
	for k, v := range w {
		if !within(v, g[k]) {
			return false
		}
	}
	return true
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// goldenLog reads a golden log and checks each record's leaf.
func goldenLog(t testing.TB, dir string) (recs []Record) {
	t.Helper()
	lines := bufio.NewScanner(strings.NewReader(read(t, dir+"/log.jsonl")))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l goldenLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		r := Record{Position: l.Position, Stream: l.Stream, Version: l.Version, Type: l.Type, Schema: l.Schema, At: l.At,
			Actor: l.Actor, Cause: l.Cause, Data: l.Data}
		if _, err := hex.Decode(r.ID[:], []byte(l.ID)); err != nil {
			t.Fatal(err)
		}
		if leaf := fmt.Sprintf("%x", sha256.Sum256(r.AppendLeaf(nil))); leaf != l.Leaf {
			t.Errorf("position %d: its leaf hashes to %s, not %s: the encoding of leaves is frozen", l.Position, leaf, l.Leaf)
		}
		var err error
		if r.Event, err = Decode(l.Type, l.Schema, l.Data); err != nil {
			t.Fatal(err)
		}
		recs = append(recs, r)
	}
	return recs
}

// goldenRecords is the records of every golden log.
func goldenRecords(t testing.TB) (recs []Record) {
	dirs, err := filepath.Glob(goldenDir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		recs = append(recs, goldenLog(t, dir)...)
	}
	return recs
}

// TestGoldenIsWhole: each kind of event, and each of its fields, is in a golden log. Whoever adds one adds a sample.
func TestGoldenIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range goldenRecords(t) {
		seen[string(r.Type)] = true
		used(seen, string(r.Type), reflect.ValueOf(r.Event).Elem())
	}
	never := map[string]bool{ // a row's, of the state: the event sets the others
		"price.published.Withdrawn": true, "price.published.Position": true, "model.published.Retired": true,
	}
	for typ, k := range kinds {
		if !seen[string(typ)] {
			t.Errorf("no golden log has a sample of %s", typ)
			continue
		}
		for _, f := range fieldsOf(string(typ), reflect.TypeOf(k.zero()).Elem()) {
			if !seen[f] && !never[f] {
				t.Errorf("no golden log has a value of %s", f)
			}
		}
	}
}

// fieldsOf lists the paths of a struct's fields, and of the structs in them.
func fieldsOf(path string, t reflect.Type) (out []string) {
	for t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return []string{path}
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			out = append(out, fieldsOf(path, f.Type)...)
		} else {
			out = append(out, fieldsOf(path+"."+f.Name, f.Type)...)
		}
	}
	return out
}

// used marks the paths at which a value has something.
func used(seen map[string]bool, path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			used(seen, path, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.Anonymous {
				used(seen, path, v.Field(i))
			} else {
				used(seen, path+"."+f.Name, v.Field(i))
			}
		}
	default:
		if !v.IsZero() {
			seen[path] = true
		}
	}
}

// writeGolden writes what the present waybill makes of the story, and never over another.
func writeGolden(t *testing.T, number string) {
	dir := filepath.Join(goldenDir, number)
	if len(number) != 4 || strings.Trim(number, "0123456789") != "" {
		t.Fatalf("-update %s: four digits", number)
	}
	if err := os.MkdirAll(goldenDir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatalf("a golden log is never written again: %v", err)
	}
	w := goldenStory(t)
	var log, balances, rows bytes.Buffer
	encode := func(b *bytes.Buffer, v any) {
		line, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	for _, r := range w.log {
		encode(&log, goldenLine{r.Position, r.Stream, r.Version, hex.EncodeToString(r.ID[:]), r.Type, r.Schema, r.At, r.Actor,
			r.Cause, r.Data, fmt.Sprintf("%x", sha256.Sum256(r.AppendLeaf(nil)))})
	}
	lines := []string{}
	for b := range w.state.Balances() {
		lines = append(lines, fmt.Sprintf("%s %s %d\n", b.Account, b.Unit, b.Amount))
	}
	slices.Sort(lines)
	balances.WriteString(strings.Join(lines, ""))
	all := goldenRows(t, w.state)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		kind, id, _ := strings.Cut(name, " ")
		encode(&rows, goldenRow{kind, id, all[name]})
	}
	for name, b := range map[string]*bytes.Buffer{"log.jsonl": &log, "balances.txt": &balances, "state.jsonl": &rows} {
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
