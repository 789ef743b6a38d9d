package store

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"waybill/ledger"
)

// recordsOf is what the log has of a request.
func (g *signing) recordsOf(request string) (recs []ledger.Record) {
	g.Helper()
	all, err := g.s.Page(g.Context(), 0, 10_000)
	if err != nil {
		g.Fatal(err)
	}
	for _, r := range all {
		if r.Request() == request {
			recs = append(recs, r)
		}
	}
	return recs
}

func (g *signing) receipt(request string) (Receipt, []byte) {
	g.Helper()
	r, err := g.n.Receipt(g.Context(), g.recordsOf(request))
	if err != nil {
		g.Fatal(err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		g.Fatal(err)
	}
	return r, b
}

// checked is what somebody finds who gets a file and trusts a key.
func checked(file []byte, key string) (Proven, error) {
	r, err := ParseReceipt(file)
	if err != nil {
		return Proven{}, err
	}
	return r.Check(key)
}

// checkedAlone is the same by the second verifier, as far as that goes: whether the events are in the log.
func checkedAlone(file []byte, key string) (leaves [][]byte, err error) {
	var r struct{ Proofs []string }
	if err := json.Unmarshal(file, &r); err != nil {
		return nil, err
	}
	for _, proof := range r.Proofs {
		p, err := verifyAlone(proof, key)
		if err != nil {
			return nil, err
		}
		if name, _, _ := strings.Cut(key, "+"); !strings.HasPrefix(p.origin, name+"/") {
			return nil, fmt.Errorf("origin %s", p.origin)
		}
		leaves = append(leaves, p.leaf)
	}
	return leaves, nil
}

// TestReceipts: of every request in the story, at every size of the log: what its receipt proves is what happened, and a second verifier
// says so too.
func TestReceipts(t *testing.T) {
	g := newSigning(t)
	g.tell()
	var requests []string
	all, err := g.s.Page(t.Context(), 0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if _, ok := r.Event.(*ledger.RequestAdmitted); ok {
			requests = append(requests, r.Request())
		}
	}
	if len(requests) < 10 {
		t.Fatalf("%d requests", len(requests))
	}
	for i := range 20 {
		states := map[string]int{}
		for _, request := range requests {
			_, file := g.receipt(request)
			p, err := checked(file, g.n.Key())
			if err != nil {
				t.Fatalf("%s: %v", request, err)
			}
			want := g.recordsOf(request)
			fold := newTraces()
			var trace *ledger.Trace
			for i := range want {
				if trace, err = fold.fold(&want[i]); err != nil {
					t.Fatal(err)
				}
			}
			if fmt.Sprintf("%+v", p.Trace) != fmt.Sprintf("%+v", *trace) || len(p.Records) != len(want) || p.Checkpoint.Note != g.n.last.Note {
				t.Fatalf("%s: proved is %+v, and it was %+v", request, p.Trace, *trace)
			}
			leaves, err := checkedAlone(file, g.n.Key())
			if err != nil || len(leaves) != len(want) {
				t.Fatalf("%s: the second verifier: %v", request, err)
			}
			for i, leaf := range leaves {
				if !bytes.Equal(leaf, want[i].AppendLeaf(nil)) {
					t.Fatalf("%s: it has another event %d", request, i)
				}
			}
			for _, other := range []string{"acme", "beta", "gamma"} {
				if org := want[0].Stream; org != other && bytes.Contains(bytes.Join(leaves, nil), []byte(other)) {
					t.Errorf("%s: a receipt of %s has something of %s", request, org, other)
				}
			}
			states[p.Trace.State]++
		}
		if i == 0 && (states["settled"] == 0 || states["voided"] == 0 || states["interrupted"] == 0 || states["admitted"] == 0) {
			t.Fatalf("%v", states)
		}
		g.do(ledger.GrantCredit{Who: asked(fmt.Sprint("grow-", i)), Org: "beta", Lot: fmt.Sprint("g", i), Amount: ledger.Dollar})
		g.sign()
	}
}

// TestReceiptOfChangedLog: no receipt is given of an event that is not the one that the tree has.
func TestReceiptOfChangedLog(t *testing.T) {
	g := newSigning(t)
	g.tell()
	recs := g.recordsOf("acme-1")
	recs[1].Data = bytes.Replace(recs[1].Data, []byte("acme-1"), []byte("acme-2"), 1)
	if r, err := g.n.Receipt(t.Context(), recs); err == nil || !strings.Contains(err.Error(), "run waybill verify") {
		t.Fatalf("%v, %v", r, err)
	}
}

// TestReceiptBytes changes every byte of a receipt's file, leaves some out, and cuts it off everywhere. What is still
// taken says the very same; and where the second verifier finds something wrong, so does the first.
func TestReceiptBytes(t *testing.T) {
	g := newSigning(t)
	g.tell()
	_, file := g.receipt("gamma-1")
	key := g.n.Key()
	want, err := checked(file, key)
	if err != nil {
		t.Fatal(err)
	}
	taken := 0
	try := func(what string, b []byte) {
		t.Helper()
		got, err := checked(b, key)
		if _, alone := checkedAlone(b, key); alone != nil && err == nil {
			t.Fatalf("%s: it is taken, and the second verifier says %v", what, alone)
		}
		if err == nil {
			taken++
			if fmt.Sprintf("%+v", got.Checkpoint) != fmt.Sprintf("%+v", want.Checkpoint) || fmt.Sprintf("%+v", got.Trace) != fmt.Sprintf("%+v", want.Trace) || len(got.Records) != len(want.Records) {
				t.Fatalf("%s: it is taken, as %+v", what, got)
			}
		}
	}
	for i := 0; i < len(file); i += stride(7) {
		b := slices.Clone(file)
		b[i] ^= []byte{1, 0x20, 2, 0x80}[i%4]
		try(fmt.Sprintf("byte %d, which is %q, is %q", i, file[i], b[i]), b)
		if i%5 == 0 {
			try(fmt.Sprintf("byte %d is not there", i), slices.Delete(slices.Clone(file), i, i+1))
		}
		if _, err := checked(file[:i], key); err == nil {
			t.Fatalf("its first %d bytes are taken", i)
		}
	}
	if taken > 0 {
		t.Logf("%d changes that change nothing", taken)
	}
	var spaced bytes.Buffer
	if err := json.Indent(&spaced, file, "", "  "); err != nil {
		t.Fatal(err)
	}
	if _, err := checked(spaced.Bytes(), key); err != nil { // as the command line prints it
		t.Errorf("with spaces between: %v", err)
	}
}

// edited is a receipt of which one thing is another.
func edited(t *testing.T, r Receipt, edit func(*Receipt)) []byte {
	t.Helper()
	r.Proofs = slices.Clone(r.Proofs)
	edit(&r)
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// reproof rewrites one of a receipt's proofs.
func reproof(t *testing.T, r *Receipt, i int, edit func(*proof)) {
	t.Helper()
	p, err := parseProof(r.Proofs[i])
	if err != nil {
		t.Fatal(err)
	}
	p.hashes = slices.Clone(p.hashes)
	edit(&p)
	r.Proofs[i] = p.String()
}

// TestReceiptHostile: each field by another's, each value by one that could pass for it. Every one is refused, with its reason.
func TestReceiptHostile(t *testing.T) {
	g := newSigning(t)
	g.tell()
	early := g.sign()
	r, file := g.receipt("gamma-1") // admitted, extended, settled
	key := g.n.Key()
	g.do(ledger.GrantCredit{Who: asked("later"), Org: "beta", Lot: "later", Amount: ledger.Dollar})
	late := g.sign()
	other, _ := g.receipt("gamma-0")
	acme, _ := g.receipt("acme-0")
	lateOwn, _ := g.receipt("gamma-1")
	if len(r.Proofs) != 3 || early.Position >= late.Position {
		t.Fatalf("%d proofs, %d, %d", len(r.Proofs), early.Position, late.Position)
	}
	identity := early.Identity
	// forge is the receipt under a checkpoint that the fixed key signs, as somebody would do who has no key of the node's.
	forge := func(name, text string) (Receipt, string) {
		signed, public := signAs(t, name, text)
		f := r
		f.Key, f.Proofs = public, slices.Clone(r.Proofs)
		for i := range f.Proofs {
			reproof(t, &f, i, func(p *proof) { p.note = signed })
		}
		return f, public
	}
	forged, forgedKey := forge(keyName(identity), early.text())
	swapped := strings.Replace(forgedKey, strings.Split(forgedKey, "+")[1], strings.Split(key, "+")[1], 1)
	cases := []struct {
		name string
		file []byte
		key  string
		says string
	}{
		{"another format", edited(t, r, func(r *Receipt) { r.Format = "waybill-receipt@v2" }), key, "format"},
		{"another request's name", edited(t, r, func(r *Receipt) { r.Request = "gamma-0" }), key, "request"},
		{"another org's name", edited(t, r, func(r *Receipt) { r.Org = "acme" }), key, "org"},
		{"no key", edited(t, r, func(r *Receipt) { r.Key = "" }), key, "key"},
		{"another key in it", edited(t, r, func(r *Receipt) { r.Key = forgedKey }), key, "key"},
		{"forged under another key", edited(t, forged, func(*Receipt) {}), key, "key"},
		{"forged under another key, and the node's in it", edited(t, forged, func(r *Receipt) { r.Key = key }), key, "signed by the key"},
		{"the node's, for another trusted key", file, forgedKey, "key"},
		{"a trusted key with the id of another", edited(t, forged, func(r *Receipt) { r.Key = swapped }), swapped, "public key"},
		{"no trusted key", edited(t, r, func(r *Receipt) { r.Key = "" }), "", "public key"},
		{"no proofs", edited(t, r, func(r *Receipt) { r.Proofs = nil }), key, "no events"},
		{"no settlement in the middle", edited(t, r, func(r *Receipt) { r.Proofs = []string{r.Proofs[2], r.Proofs[0]} }), key, "admits no request"},
		{"the end alone", edited(t, r, func(r *Receipt) { r.Proofs = r.Proofs[2:] }), key, "admits no request"},
		{"an event twice", edited(t, r, func(r *Receipt) { r.Proofs = append(r.Proofs, r.Proofs[2]) }), key, "does not come after"},
		{"in another order", edited(t, r, func(r *Receipt) { r.Proofs[1], r.Proofs[2] = r.Proofs[2], r.Proofs[1] }), key, "event"},
		{"another request's settlement", edited(t, lateOwn, func(r *Receipt) { r.Proofs[2] = other.Proofs[1] }), key, "is of request"},
		{"another org's settlement", edited(t, lateOwn, func(r *Receipt) { r.Proofs[2] = acme.Proofs[1] }), key, "is of request"},
		{"another request whole", edited(t, other, func(o *Receipt) { o.Request = "gamma-1" }), key, "is of request"},
		{"under two checkpoints", edited(t, r, func(r *Receipt) { r.Proofs[2] = lateOwn.Proofs[2] }), key, "another checkpoint"},
		{"under a later checkpoint", edited(t, r, func(r *Receipt) {
			for i := range r.Proofs {
				reproof(t, r, i, func(p *proof) { p.note = late.Note })
			}
		}), key, "does not lead"},
		{"another event's path", edited(t, r, func(r *Receipt) {
			q, _ := parseProof(r.Proofs[1])
			reproof(t, r, 2, func(p *proof) { p.hashes = q.hashes })
		}), key, "does not lead"},
		{"another event's place", edited(t, r, func(r *Receipt) {
			reproof(t, r, 2, func(p *proof) { p.index-- })
		}), key, "does not lead"},
		{"a place past the end", edited(t, r, func(r *Receipt) {
			reproof(t, r, 2, func(p *proof) { p.index = early.Position })
		}), key, "covers"},
		{"a huge place", edited(t, r, func(r *Receipt) {
			reproof(t, r, 2, func(p *proof) { p.index = 1<<63 - 1 })
		}), key, "index"},
		{"a shorter path", edited(t, r, func(r *Receipt) {
			reproof(t, r, 2, func(p *proof) { p.hashes = p.hashes[:len(p.hashes)-1] })
		}), key, "does not lead"},
		{"a longer path", edited(t, r, func(r *Receipt) {
			reproof(t, r, 2, func(p *proof) { p.hashes = append(p.hashes, p.hashes[0]) })
		}), key, "does not lead"},
		{"a path without end", edited(t, r, func(r *Receipt) {
			reproof(t, r, 2, func(p *proof) { p.hashes = make(tlog.RecordProof, 10_000) })
		}), key, "longer"},
		{"no event", edited(t, r, func(r *Receipt) { reproof(t, r, 2, func(p *proof) { p.leaf = nil }) }), key, "does not lead"},
		{"a smaller charge", edited(t, r, func(r *Receipt) {
			reproof(t, r, 2, func(p *proof) { p.leaf = bytes.Replace(p.leaf, []byte(`"output":600`), []byte(`"output":500`), 1) })
		}), key, "does not lead"},
		{"an inner node for a leaf", edited(t, r, func(r *Receipt) { // its hash is in the tree, one level up
			reproof(t, r, 2, func(p *proof) {
				h := tlog.RecordHash(p.leaf)
				p.leaf, p.hashes, p.index = append(slices.Clone(h[:]), p.hashes[0][:]...), p.hashes[1:], p.index/2
			})
		}), key, "does not lead"},
		{"a line more in a proof", edited(t, r, func(r *Receipt) { r.Proofs[2] = strings.Replace(r.Proofs[2], "index", "extra AA==\nindex", 1) }), key, "proof 3"},
		{"extra data of another spelling", edited(t, r, func(r *Receipt) { r.Proofs[2] = strings.Replace(r.Proofs[2], "extra ", "extra  ", 1) }), key, "proof 3"},
		{"base64 over two lines", edited(t, r, func(r *Receipt) { r.Proofs[2] = strings.Replace(r.Proofs[2], "extra A", "extra A\r\n", 1) }), key, "proof 3"},
		{"index with a zero in front", edited(t, r, func(r *Receipt) { r.Proofs[2] = strings.Replace(r.Proofs[2], "index ", "index 0", 1) }), key, "proof 3"},
		{"another version of proofs", edited(t, r, func(r *Receipt) { r.Proofs[2] = strings.Replace(r.Proofs[2], "@v1", "@v2", 1) }), key, "proof 3"},
		{"something after a proof", edited(t, r, func(r *Receipt) { r.Proofs[0] += "\n" }), key, "checkpoint"},
		{"another signature beside", edited(t, r, func(r *Receipt) {
			line := forged.Proofs[0][strings.LastIndex(forged.Proofs[0], "— "):]
			for i := range r.Proofs {
				r.Proofs[i] += line
			}
		}), key, "beside"},
		{"a member more", append(slices.Clone(file[:len(file)-1]), []byte(`,"charge":"0"}`)...), key, "unknown"},
		{"a member twice", append(slices.Clone(file[:len(file)-1]), []byte(`,"org":"acme"}`)...), key, "duplicate"},
		{"a member in capitals", bytes.Replace(file, []byte(`"org"`), []byte(`"Org"`), 1), key, "unknown"},
		{"something after it", append(slices.Clone(file), 'x'), key, "JSON"},
		{"itself again", append(slices.Clone(file), file...), key, "JSON"},
		{"nothing", nil, key, "JSON"},
		{"null", []byte("null"), key, "format"},
		{"a list", []byte("[]"), key, "JSON"},
		{"deep", []byte(strings.Repeat("[", 1<<20)), key, "JSON"},
		{"too large", bytes.Repeat([]byte(" "), MaxReceipt+1), key, "more than"},
		{"very many proofs", edited(t, r, func(r *Receipt) { r.Proofs = make([]string, 10_000) }), key, "more than a request"},
	}
	// Whoever has the fixed key can sign what he likes, for those who trust it: but not another log's or an unsound statement.
	for name, text := range map[string]string{
		"signed for another log":   strings.Replace(early.text(), identity, "fedcba9876543210", 1),
		"signed for no epoch":      strings.Replace(early.text(), "/1\n", "/0\n", 1),
		"signed for no log":        strings.Replace(early.text(), "waybill/", "example/", 1),
		"signed for a huge log":    strings.Replace(early.text(), fmt.Sprintf("\n%d\n", early.Position), "\n9223372036854775807\n", 1),
		"signed for a large log":   strings.Replace(early.text(), fmt.Sprintf("\n%d\n", early.Position), "\n281474976710656\n", 1),
		"signed for an empty log":  strings.Replace(early.text(), fmt.Sprintf("\n%d\n", early.Position), "\n0\n", 1),
		"signed for a shorter log": strings.Replace(early.text(), fmt.Sprintf("\n%d\n", early.Position), fmt.Sprintf("\n%d\n", early.Position/2), 1),
		"signed with more":         early.text() + "extension\n",
	} {
		f, public := forge(keyName(identity), text)
		cases = append(cases, struct {
			name string
			file []byte
			key  string
			says string
		}{name, edited(t, f, func(*Receipt) {}), public, ""})
	}
	for _, c := range cases {
		p, err := checked(c.file, c.key)
		if err == nil {
			t.Errorf("%s: it is taken, as %+v", c.name, p)
		} else if !strings.Contains(err.Error(), c.says) || len(err.Error()) > 500 {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// What they are made of is sound: a forger's own key is a key, and the node's receipt one under each of its checkpoints.
	if _, err := checked(edited(t, forged, func(*Receipt) {}), forgedKey); err != nil {
		t.Error(err)
	}
	for _, sound := range []Receipt{r, lateOwn, other, acme} {
		if _, err := checked(edited(t, sound, func(*Receipt) {}), key); err != nil {
			t.Error(err)
		}
	}
	// A receipt that breaks off earlier is one of a request that is open: it proves what it has.
	if p, err := checked(edited(t, r, func(r *Receipt) { r.Proofs = r.Proofs[:2] }), key); err != nil || p.Trace.State != "admitted" {
		t.Errorf("%+v, %v", p.Trace, err)
	}
}

// TestReceiptOfAnotherEpoch: the checkpoint of one epoch does not carry what another has at the same place.
func TestReceiptOfAnotherEpoch(t *testing.T) {
	leaves := goldenLeaves(t)
	forkAt := len(leaves) - 3
	fork := append(slices.Clone(leaves[:forkAt]), []byte("epoch 2 began here"), leaves[forkAt+1], leaves[forkAt+2])
	for _, c := range []struct {
		name         string
		from, shown  [][]byte
		index        int
		wantVerified bool
	}{
		{"own", leaves, leaves, forkAt, true}, {"before the fork", leaves, fork, 2, false}, {"after it", fork, leaves, forkAt + 1, false},
	} {
		tree := storedHashes(t, c.from)
		hashes, err := tlog.ProveRecord(int64(len(c.from)), int64(c.index), tree)
		if err != nil {
			t.Fatal(err)
		}
		check := Checkpoint{Identity: "0123456789abcdef", Epoch: 2, Position: uint64(len(c.shown)), Hash: tlog.Hash(rootAlone(c.shown))}
		note, key := signAs(t, keyName(check.Identity), check.text())
		p := proof{leaf: c.from[c.index], index: uint64(c.index), hashes: hashes, note: note}
		if err := p.check(check); (err == nil) != c.wantVerified {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := verifyAlone(p.String(), key); (err == nil) != c.wantVerified {
			t.Errorf("%s: the second verifier: %v", c.name, err)
		}
	}
}

// storedHashes is a tree over leaves.
func storedHashes(t *testing.T, leaves [][]byte) tlog.HashReaderFunc {
	t.Helper()
	var stored []tlog.Hash
	read := func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			out[i] = stored[x]
		}
		return out, nil
	}
	for i, leaf := range leaves {
		more, err := tlog.StoredHashes(int64(i), leaf, tlog.HashReaderFunc(read))
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
	}
	return read
}

// FuzzReceipt: nothing panics on what a stranger sends, and what is taken is taken by the second verifier too.
func FuzzReceipt(f *testing.F) {
	signedText := "waybill/0123456789abcdef/1\n1\n" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n"
	f.Add([]byte(`{"format":"waybill-receipt@v1","request":"r","org":"o","key":"k","proofs":["c2sp.org/tlog-proof@v1\nextra AQ==\nindex 0\n\n` + strings.ReplaceAll(signedText, "\n", `\n`) + `"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseReceipt(b)
		if err != nil {
			return
		}
		if _, err := r.Check(r.Key); err == nil {
			if _, err := checkedAlone(b, r.Key); err != nil {
				t.Fatal(err)
			}
		}
	})
}
