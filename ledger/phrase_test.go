package ledger

import (
	"strconv"
	"strings"
)

// parseCaps reads caps=$1.50/day,2000/month: dollars, or plan tokens.
func parseCaps(a words) (caps []Cap) {
	for _, text := range a.list("caps") {
		amount, window, _ := strings.Cut(text, "/")
		c := Cap{Unit: Tok, Window: Window(window)}
		if usd, ok := strings.CutPrefix(amount, "$"); ok {
			c.Unit, c.Amount = USD, int64(dollars(usd))
		} else {
			n, err := strconv.ParseInt(amount, 10, 64)
			if err != nil {
				panic(err)
			}
			c.Amount = n
		}
		caps = append(caps, c)
	}
	return caps
}

// parseCommitment reads amount=$50000 until=2026-12-31.
func parseCommitment(a words) Commitment {
	c := Commitment{Until: a.time("until")}
	if text := a.named["amount"]; text != "" {
		c.Amount = dollars(strings.TrimPrefix(text, "$"))
	}
	return c
}

// parsePrice reads ID MODEL and tiers of ABOVE:INPUT/OUTPUT or ABOVE:INPUT/READ/WRITE/LONG/OUTPUT, in dollars a million.
func parsePrice(_ *world, a words) Command {
	p := Price{ID: a.arg(0), Model: a.arg(1), From: a.time("from"), To: a.time("to")}
	for _, text := range a.args[2:] {
		above, rates, _ := strings.Cut(text, ":")
		n, err := strconv.ParseInt(above, 10, 64)
		if err != nil {
			panic(err)
		}
		var r []Rate
		for _, s := range strings.Split(rates, "/") {
			d := dollars(s) // a rate below zero is the ledger's to refuse
			r = append(r, Rate(d))
		}
		t := Tier{Above: n, Rates: Rates{r[0], r[0], r[0], r[0], r[len(r)-1]}}
		if len(r) == 5 {
			t.Rates = Rates{r[0], r[1], r[2], r[3], r[4]}
		}
		p.Tiers = append(p.Tiers, t)
	}
	for name, v := range a.named {
		if name != "from" && name != "to" {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				panic(err)
			}
			if p.ServiceTiers == nil {
				p.ServiceTiers = map[string]int64{}
			}
			p.ServiceTiers[name] = n
		}
	}
	return PublishPrice{operator, p}
}

func parseDemand(w *world, a words) Demand {
	d := Demand{Choice: Choice{Model: a.arg(2), Credential: "pool", Kind: PlatformPool}, Input: a.num("in"), Output: a.num("out"),
		Floor: a.num("floor"), Answers: a.num("n"), ServiceTier: a.named["tier"]}
	if id := a.named["on"]; id != "" {
		d.Credential, d.Kind = id, BYOK
		if c := w.state.Credential(id); c != nil {
			d.Kind = c.Kind()
		}
	}
	return d
}

// parseAttempts reads absorbed=MODEL:IN:OUT, an attempt on platform capacity that was discarded.
func parseAttempts(a words) []Attempt {
	var out []Attempt
	for _, text := range a.list("discarded") {
		p := strings.Split(text, ":")
		in, err := strconv.ParseInt(p[1], 10, 64)
		if err != nil {
			panic(err)
		}
		outTokens, err := strconv.ParseInt(p[2], 10, 64)
		if err != nil {
			panic(err)
		}
		kind := PlatformPool
		if len(p) > 3 {
			kind = CredentialKind(p[3])
		}
		out = append(out, Attempt{N: 1, Choice: Choice{p[0], "pool", kind}, Outcome: Failed, Usage: Usage{Input: in, Output: outTokens}})
	}
	return out
}
