package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestKinds: the table of kinds and the types that events give themselves are the same.
func TestKinds(t *testing.T) {
	for typ, k := range kinds {
		e := k.zero()
		if e.Type() != typ {
			t.Errorf("the table's %s calls itself %s", typ, e.Type())
		}
		if k.schema != len(upcasters[typ])+1 {
			t.Errorf("%s is at shape %d with %d upcasters", typ, k.schema, len(upcasters[typ]))
		}
		if family, fact, ok := strings.Cut(string(typ), "."); !ok || family == "" || fact == "" || strings.ToLower(string(typ)) != string(typ) {
			t.Errorf("%s is not dotted and lower-case", typ)
		}
		if p := e.postings("acme"); len(p) != 0 {
			t.Errorf("an empty %s moves %v", typ, p)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct {
		typ    Type
		schema int
		data   string
	}{
		{"org.renamed", 1, `{}`},
		{"org.opened", 2, `{}`},
		{"org.opened", 0, `{}`},
		{"org.opened", -1, `{}`},
		{"org.opened", 1, ``},
		{"org.opened", 1, `[]`},
		{"org.opened", 1, `{} {}`},
		{"credit.purchased", 1, `{"amount":1.5}`},
		{"credit.purchased", 1, `{"amount":"1"}`},
		{"credit.purchased", 1, `{"amount":9223372036854775808}`},
	} {
		if e, err := Decode(c.typ, c.schema, []byte(c.data)); err == nil {
			t.Errorf("%s schema %d %s is decoded as %+v", c.typ, c.schema, c.data, e)
		} else if !strings.Contains(err.Error(), string(c.typ)) {
			t.Errorf("the error does not name the event: %v", err)
		}
	}
	if _, _, _, err := Encode(&stranger{}); err == nil {
		t.Error("an event that the table does not have is encoded")
	}
}

type stranger struct{ OrgResumed }

func (*stranger) Type() Type { return "org.renamed" }

// TestUpcast takes a shape through a table of its own: the real one is empty until a shape is retired.
func TestUpcast(t *testing.T) {
	rename := func(from, to string) upcaster {
		return func(data []byte) ([]byte, error) {
			var m map[string]any
			if err := json.Unmarshal(data, &m); err != nil {
				return nil, err
			}
			m[to] = m[from]
			delete(m, from)
			return json.Marshal(m)
		}
	}
	table := map[Type]map[int]upcaster{
		"lot.made":   {1: rename("sum", "value"), 2: rename("value", "amount")},
		"lot.broken": {1: func([]byte) ([]byte, error) { return nil, errors.New("lost") }},
		"lot.gap":    {2: rename("a", "b")},
	}
	for _, c := range []struct {
		typ        Type
		from, to   int
		data, want string
		err        string
	}{
		{"lot.made", 1, 3, `{"sum":5}`, `{"amount":5}`, ""},
		{"lot.made", 2, 3, `{"value":5}`, `{"amount":5}`, ""},
		{"lot.made", 3, 3, `{"amount":5}`, `{"amount":5}`, ""},
		{"lot.made", 1, 1, `as it is`, `as it is`, ""},
		{"lot.made", 1, 3, `{`, "", "from shape 1"},
		{"lot.broken", 1, 2, `{}`, "", "lost"},
		{"lot.gap", 1, 3, `{}`, "", "no upcaster from shape 1"},
		{"lot.made", 3, 4, `{}`, "", "no upcaster from shape 3"},
	} {
		in := []byte(c.data)
		got, err := upcast(table, c.typ, c.from, c.to, in)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s %d→%d %s: %v, not %q", c.typ, c.from, c.to, c.data, err, c.err)
			}
			continue
		}
		if err != nil || string(got) != c.want {
			t.Errorf("%s %d→%d %s is %s (%v), not %s", c.typ, c.from, c.to, c.data, got, err, c.want)
		}
		if string(in) != c.data {
			t.Errorf("the stored bytes were changed to %s", in)
		}
	}
}

// FuzzDecode: whatever the bytes, decoding does not panic, what was decoded is encoded and decoded to the same, and
// folding it on any history does not panic either.
func FuzzDecode(f *testing.F) {
	for _, r := range goldenRecords(f) {
		f.Add(string(r.Type), r.Schema, r.Data)
	}
	f.Add("price.published", 1, []byte(`{"tiers":null}`))
	f.Add("credential.detached", 1, []byte(`{"credential":"nobody"}`))
	f.Add("period.opened", 1, []byte(`{"tokens":-5,"expired":9223372036854775807}`))
	f.Fuzz(func(t *testing.T, typ string, schema int, data []byte) {
		e, err := Decode(Type(typ), schema, data)
		if err != nil {
			return
		}
		again, schemaAgain, encoded, err := Encode(e)
		if err != nil || string(again) != typ || schemaAgain != kinds[Type(typ)].schema {
			t.Fatalf("%s is encoded as %s schema %d (%v)", typ, again, schemaAgain, err)
		}
		back, err := Decode(again, schemaAgain, encoded)
		if err != nil {
			t.Fatalf("its own encoding %s is not decoded: %v", encoded, err)
		}
		if _, _, twice, err := Encode(back); err != nil || !bytes.Equal(twice, encoded) {
			t.Fatalf("encoded as %s and then as %s (%v)", encoded, twice, err)
		}
		for _, stream := range []string{"acme", Platform} {
			s := NewState()
			d := s.Draft(nil)
			opened := &Record{Position: 1, Stream: "acme", Version: 1, At: 1, Type: "org.opened", Event: &OrgOpened{}}
			d.Evolve(opened)
			r := &Record{Position: 2, Stream: stream, Version: 2, At: 2, Type: again, Schema: schemaAgain, Data: encoded, Event: back}
			d.Evolve(r)
			for _, err := range d.Rows() {
				if err != nil {
					t.Fatal(err)
				}
			}
			s.Merge(d)
			_, _, _ = r.Request(), r.Attempted(), fmt.Sprint(dump(s))
			tr := Trace{}
			tr.Follow(r)
		}
	})
}
