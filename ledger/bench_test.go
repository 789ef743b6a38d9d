package ledger

import "testing"

// busy is a state with an org on a plan and on credit, as the writer finds it.
func busy(b *testing.B, caps ...Cap) *State {
	w := newWorld()
	w.now = 1
	for _, c := range []Command{
		DefinePlan{operator, Plan{ID: "p", Lanes: []Lane{LaneAuto}, Credit: true, Tokens: 1 << 40}},
		PublishModel{operator, Model{Name: "openai/a", Provider: "openai", ID: "a", Context: 1 << 20, MaxOutput: 4096}},
		PublishPrice{operator, Price{ID: "x", Model: "openai/a", Tiers: []Tier{{0, Rates{1e9, 1e8, 1e9, 1e9, 1e10}}}}},
		AttachCredential{Who: operator, Org: Platform, Credential: "pool", Provider: "openai", Fingerprint: "f", Use: UsePrefer},
		OpenOrg{operator, "acme", "p"},
		GrantCredit{operator, "acme", "l1", 1000 * Dollar, 0, 0},
		IssueKey{Who: operator, Org: "acme", Key: "k1", Hash: secret("a"), Scopes: []Scope{ScopeInference}, Models: []string{"openai/*"}, Caps: caps},
	} {
		if _, refused, broken := w.do(c); refused != nil || broken != nil {
			b.Fatal(refused, broken)
		}
	}
	return w.state
}

var (
	benchChoice = Choice{"openai/a", "pool", PlatformPool}
	benchUsage  = Usage{Input: 400, CacheRead: 300, Output: 350, Reasoning: 100}
)

func benchAdmit(request string) Admit {
	return Admit{Who: By{Actor: "key/k1", Cause: request}, Org: "acme", Key: "k1", Request: request, Lane: LaneAuto, Dialect: DialectOpenAIChat,
		Asked: "auto", Inputs: Inputs{Legs: []Choice{benchChoice}}, Demand: Demand{Choice: benchChoice, Input: 900, Floor: 256}}
}

func benchSettle(request string) Settle {
	return Settle{Who: By{Actor: "waybill", Cause: request}, Org: "acme", Request: request, Usage: benchUsage, Source: UsageProvider,
		Finish: "stop", UpstreamID: "chatcmpl-0123456789", Answered: "a-2026-10-01", FirstByte: 100_000_000,
		Resolution: Resolution{Duration: 1_000_000_000, Attempts: []Attempt{{N: 1, Choice: benchChoice, Outcome: Answered, Status: 200, Latency: 1_000_000_000}}}}
}

// BenchmarkDecide is one request's two commands, decided, encoded and folded, in batches of 16 requests as under load.
func BenchmarkDecide(b *testing.B) { decideCalls(b, busy(b)) }

// BenchmarkDecideCapped is the same for a key with two caps.
func BenchmarkDecideCapped(b *testing.B) {
	decideCalls(b, busy(b, Cap{USD, maxCap, WindowDay}, Cap{Tok, maxCap, WindowMonth}))
}

func decideCalls(b *testing.B, s *State) {
	ids := counter(new(uint64))
	b.ReportAllocs()
	d := s.Draft(ids)
	for i := 0; b.Loop(); i++ {
		request := "r" + itoa(i)
		if _, err := d.Decide(Instant(i)*1000, benchAdmit(request)); err != nil {
			b.Fatal(err)
		}
		if _, err := d.Decide(Instant(i)*1000, benchSettle(request)); err != nil {
			b.Fatal(err)
		}
		if i%16 == 15 {
			s.Merge(d)
			d = s.Draft(ids)
		}
	}
}

// settledRecord is a settlement as the log has it.
func settledRecord(b *testing.B) Record {
	d := busy(b).Draft(counter(new(uint64)))
	if _, err := d.Decide(1, benchAdmit("r1")); err != nil {
		b.Fatal(err)
	}
	recs, err := d.Decide(1, benchSettle("r1"))
	if err != nil {
		b.Fatal(err)
	}
	return recs[0]
}

func BenchmarkEncodeSettled(b *testing.B) {
	r := settledRecord(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(r.Data)))
	for b.Loop() {
		if _, _, _, err := Encode(r.Event); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeSettled(b *testing.B) {
	r := settledRecord(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(r.Data)))
	for b.Loop() {
		if _, err := Decode(r.Type, r.Schema, r.Data); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReplay is what a refold of the log costs a settlement: decoding, postings and fold.
func BenchmarkReplay(b *testing.B) {
	s := busy(b)
	d := s.Draft(nil)
	r := settledRecord(b)
	b.ReportAllocs()
	for b.Loop() {
		e, err := Decode(r.Type, r.Schema, r.Data)
		if err != nil {
			b.Fatal(err)
		}
		r.Event = e
		d.Evolve(&r)
	}
}

func BenchmarkLeaf(b *testing.B) {
	r := settledRecord(b)
	b.ReportAllocs()
	var leaf []byte
	for b.Loop() {
		leaf = r.AppendLeaf(leaf[:0])
	}
}
