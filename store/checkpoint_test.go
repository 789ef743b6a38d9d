package store

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	sumnote "golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"waybill/ledger"
)

// testKey signs in tests alone: the seed is 32 bytes of 7.
const testKey = "PRIVATE+KEY+waybill/2c6d5b32ad0a0b12+00000000+AQcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH"

// goldenLeaves are those of the first golden log.
func goldenLeaves(t *testing.T) (leaves [][]byte) {
	t.Helper()
	f, err := os.Open("../ledger/testdata/golden/0001/log.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l struct {
			Stream, ID, Type, Actor, Cause string
			Position, Version              uint64
			Schema                         int
			At                             ledger.Instant
			Data                           json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		r := ledger.Record{Position: l.Position, Stream: l.Stream, Version: l.Version, Type: ledger.Type(l.Type), Schema: l.Schema, At: l.At,
			Actor: l.Actor, Cause: l.Cause, Data: l.Data}
		if _, err := hex.Decode(r.ID[:], []byte(l.ID)); err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, r.AppendLeaf(nil))
	}
	return leaves
}

// signAs signs a text by a key whose name is another than the fixed one's.
func signAs(t *testing.T, name, text string) (signed, key string) {
	t.Helper()
	private := strings.Replace(testKey, "waybill/2c6d5b32ad0a0b12+00000000", name+"+00000000", 1)
	public, err := publicOf(private)
	if err != nil {
		t.Fatal(err)
	}
	private = strings.Replace(private, "+00000000+", "+"+strings.Split(public, "+")[1]+"+", 1)
	signer, err := sumnote.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	b, err := sumnote.Sign(&sumnote.Note{Text: text}, signer)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), public
}

// TestCheckpointVectors: what a fixed key signs of a fixed log never changes, at any of its sizes: outsiders have kept it.
func TestCheckpointVectors(t *testing.T) {
	leaves := goldenLeaves(t)
	var e edge
	var out strings.Builder
	identity := ""
	for i, leaf := range leaves {
		h := tlog.RecordHash(leaf)
		e.grow(nil, uint64(i+1), h)
		if i == 0 {
			identity = identityOf(h)
		}
		size := uint64(i + 1)
		if root := e.root(size); string(root[:]) != string(rootAlone(leaves[:size])) {
			t.Fatalf("size %d: the root is %v by one way, and %x by the definition", size, root, rootAlone(leaves[:size]))
		}
		if size != 1 && size != 2 && size != 3 && size != 8 && int(size) != len(leaves) {
			continue
		}
		c := Checkpoint{Identity: identity, Epoch: 1 + size/8, Position: size, Hash: e.root(size)}
		signed, key := signAs(t, keyName(identity), c.text())
		if got, err := OpenCheckpoint(signed, key); err != nil || got.Checkpoint != c || got.Note != signed {
			t.Fatalf("%+v, %v", got, err)
		}
		if head, err := ParseSavedCheckpoint(signed); err != nil || head != c.Head() {
			t.Fatalf("%v, %v", head, err)
		}
		out.WriteString(key + "\n\n" + signed + "\n")
	}
	const file = "testdata/checkpoint/vectors.txt"
	want, err := os.ReadFile(file)
	if err != nil || string(want) != out.String() {
		t.Errorf("%s has (%v)\n%s\nand what is signed is\n%s", file, err, want, out.String())
	}
}

// TestOpenCheckpoint: a text that is signed by the key is still no checkpoint of the log if it is not written as one.
func TestOpenCheckpoint(t *testing.T) {
	const hash = "PKMr6a6skU6s/5HUdGLfitSGCSFBCpBPzEAjwKlhEdY="
	const name = "waybill/0123456789abcdef"
	good := name + "/1\n113\n" + hash + "\n"
	signed, key := signAs(t, name, good)
	if c, err := OpenCheckpoint(signed, key); err != nil || c.Position != 113 || c.Epoch != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	for why, text := range map[string]string{
		"another log's origin": "waybill/fedcba9876543210/1\n113\n" + hash + "\n",
		"no epoch":             name + "\n113\n" + hash + "\n",
		"epoch 0":              name + "/0\n113\n" + hash + "\n",
		"epoch 01":             name + "/01\n113\n" + hash + "\n",
		"epoch +1":             name + "/+1\n113\n" + hash + "\n",
		"a further level":      name + "/1/1\n113\n" + hash + "\n",
		"another origin":       "example.com/log\n113\n" + hash + "\n",
		"a name that steers":   "waybill/\u009b2J0123456789ab/1\n113\n" + hash + "\n",
		"no origin":            "\n113\n" + hash + "\n",
		"size 0":               name + "/1\n0\n" + hash + "\n",
		"size -1":              name + "/1\n-1\n" + hash + "\n",
		"size 0113":            name + "/1\n0113\n" + hash + "\n",
		"size 1e3":             name + "/1\n1e3\n" + hash + "\n",
		"a huge size":          name + "/1\n9223372036854775807\n" + hash + "\n",
		"a larger size":        name + "/1\n99999999999999999999999999\n" + hash + "\n",
		"a short hash":         name + "/1\n113\nPKMr6a6skU6s\n",
		"loose bits":           name + "/1\n113\nPKMr6a6skU6s/5HUdGLfitSGCSFBCpBPzEAjwKlhEdZ=\n",
		"no hash":              name + "/1\n113\n\n",
		"an extension":         good + "more\n",
		"an empty line":        good + "\n",
		"two lines":            name + "/1\n113\n",
	} {
		by := name
		if why == "a name that steers" {
			by = "waybill/\u009b2J0123456789ab"
		}
		signed, key := signAs(t, by, text)
		if c, err := OpenCheckpoint(signed, key); err == nil {
			t.Errorf("%s: it is read as %+v", why, c)
		}
	}
	other, otherKey := signAs(t, "waybill/fedcba9876543210", good)
	sig := strings.TrimPrefix(signed, good+"\n")
	for why, c := range map[string]struct{ signed, key string }{
		"a key of another name":     {other, otherKey},
		"signed by another":         {other, key},
		"no key":                    {signed, ""},
		"a key with another id":     {signed, strings.Replace(key, "+", "+0", 1)},
		"two signatures":            {signed + strings.TrimPrefix(other, good+"\n"), key},
		"the same signature again":  {signed + sig, key},
		"no signature":              {good + "\n", key},
		"no end of line":            {strings.TrimSuffix(signed, "\n"), key},
		"something after":           {signed + "x", key},
		"a carriage return":         {strings.ReplaceAll(signed, "\n", "\r\n"), key},
		"a hyphen for the dash":     {strings.Replace(signed, "— ", "- ", 1), key},
		"too long":                  {signed + strings.Repeat(sig, 100), key},
		"nothing":                   {"", key},
		"loose bits of a signature": {loosened(signed), key},
	} {
		if s, err := OpenCheckpoint(c.signed, c.key); err == nil {
			t.Errorf("%s: it is read as %+v", why, s)
		}
	}
	for i := range signed {
		b := []byte(signed)
		b[i] ^= 1
		if s, err := OpenCheckpoint(string(b), key); err == nil {
			t.Errorf("byte %d changed: it is read as %+v", i, s)
		}
	}
}

// loosened writes the signature's last character as another one of the same value.
func loosened(signed string) string {
	i := strings.LastIndex(signed, "=")
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	at := strings.IndexByte(alphabet, signed[i-1])
	return signed[:i-1] + string(alphabet[at+1]) + signed[i:]
}
