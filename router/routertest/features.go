package routertest

import (
	"fmt"
	"slices"
	"strings"

	"waybill/ledger"
)

// Feature is one cell of the table: what becomes of something that callers of a dialect do when an upstream answers them.
type Feature struct {
	Name string
	In   ledger.Dialect
	Up   string // the upstream's name
	Outcome
}

// Features are the whole table, feature by feature, caller by caller, upstream by upstream. Each cell is the claim of a scenario,
// which Run holds against what happens.
func Features() (out []Feature) {
	for i := range Scenarios {
		sc := &Scenarios[i]
		if sc.Feature == "" {
			continue
		}
		for _, in := range Clients {
			for _, up := range Upstreams {
				p := Pair{in, up}
				o := Outcome{Verdict: Unsaid}
				if sc.For == nil || sc.For(p) {
					o = sc.outcome(p)
				}
				if o.Field != "" {
					o.Field = in.Field(o.Field)
				}
				out = append(out, Feature{sc.Feature, in.Dialect(), up.Name, o})
			}
		}
	}
	return out
}

// callers are the dialects' names for people.
var callers = map[ledger.Dialect]string{chat: "Chat", responses: "Responses", messages: "Messages", gemini: "Gemini"}

// marks are the verdicts in a cell.
var marks = map[Verdict]string{Carried: "✓", Approximate: "≈", Warned: "–", Refused: "✗"}

// Markdown renders the table for people: a row a feature, a column an upstream, with notes below that say what is not carried,
// for whom, and why.
func Markdown() string {
	t := table{cells: map[string][]Feature{}, notes: map[string]int{}}
	for _, f := range Features() {
		if len(t.rows) == 0 || t.rows[len(t.rows)-1] != f.Name {
			t.rows = append(t.rows, f.Name)
		}
		t.cells[f.Name+"\x00"+f.Up] = append(t.cells[f.Name+"\x00"+f.Up], f)
	}
	return t.markdown()
}

type table struct {
	rows  []string
	cells map[string][]Feature // of a row and a column, by caller
	notes map[string]int
	order []string // of the notes
}

func (t *table) markdown() string {
	var b strings.Builder
	b.WriteString("| | callers |")
	line := "|---|---|"
	for _, u := range Upstreams {
		b.WriteString(" " + u.Title + " |")
		line += "---|"
	}
	b.WriteString("\n" + line + "\n")
	for _, row := range t.rows {
		fmt.Fprintf(&b, "| %s | %s |", row, t.who(row))
		for _, u := range Upstreams {
			b.WriteString(" " + t.cell(row, u) + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\n✓ carried; ≈ carried as the nearest thing, with a `Waybill-Warning`; – left out, with a `Waybill-Warning`; ✗ refused, with an error that names the field;\nempty: there is no such thing.\n\n")
	for i, note := range t.order {
		fmt.Fprintf(&b, "%d. %s\n", i+1, note)
	}
	return b.String()
}

// who says which callers can say a feature at all.
func (t *table) who(row string) string {
	var names []string
	for _, in := range Clients {
		for _, u := range Upstreams {
			f := t.of(row, u.Name, in.Dialect())
			if f.Verdict != Unsaid {
				names = append(names, callers[in.Dialect()])
				break
			}
		}
	}
	if len(names) == len(Clients) {
		return "all"
	}
	return strings.Join(names, ", ")
}

func (t *table) of(row, up string, in ledger.Dialect) Feature {
	for _, f := range t.cells[row+"\x00"+up] {
		if f.In == in {
			return f
		}
	}
	return Feature{Outcome: Outcome{Verdict: Unsaid}}
}

// cell is what becomes of a feature at an upstream: one mark if it is the same for all callers that have it, else each with a note.
func (t *table) cell(row string, up Upstream) string {
	said := slices.DeleteFunc(slices.Clone(t.cells[row+"\x00"+up.Name]), func(f Feature) bool { return f.Verdict == Unsaid })
	if len(said) == 0 {
		return ""
	}
	var out []string
	for _, v := range []Verdict{Carried, Approximate, Warned, Refused} {
		var of []Feature
		for _, f := range said {
			if f.Verdict == v {
				of = append(of, f)
			}
		}
		switch {
		case len(of) == 0:
		case v == Carried:
			out = append(out, marks[v])
			for _, f := range of {
				if f.Why != "" {
					out = append(out, fmt.Sprintf("[%d]", t.note(of, len(of) < len(said))))
					break
				}
			}
		default:
			out = append(out, fmt.Sprintf("%s [%d]", marks[v], t.note(of, len(of) < len(said))))
		}
	}
	return strings.Join(out, " ")
}

// note is the number of what is to be said of a verdict that is not plain; some says that it is not so for every caller.
func (t *table) note(of []Feature, some bool) int {
	some = some || slices.ContainsFunc(of, func(f Feature) bool { return f.Why == "" })
	of = slices.DeleteFunc(of, func(f Feature) bool { return f.Why == "" })
	text := of[0].Why
	var fields, from []string
	for _, f := range of {
		from = append(from, callers[f.In])
		if word := "`" + f.Field + "`"; f.Field != "" && !slices.Contains(unknown, f.Field) && !slices.Contains(fields, word) {
			fields = append(fields, word)
		}
	}
	if len(fields) > 0 {
		text = strings.Join(fields, ", ") + ": " + text
	}
	if some {
		text += " (callers of " + strings.Join(from, ", ") + ")"
	}
	text += "."
	n, ok := t.notes[text]
	if !ok {
		t.order = append(t.order, text)
		n = len(t.order)
		t.notes[text] = n
	}
	return n
}
