package anthropic

import (
	"slices"
	"strings"
	"testing"

	"waybill/ledger"
	"waybill/router"
)

var able = []string{ledger.FeatureSampling, ledger.FeatureReasoning}

func TestEdit(t *testing.T) {
	minted := router.MintSeal("r")
	const head = `{ "model" : "fast","max_tokens":50,"x" : {"a":[1,  2]}, `
	const sent = `{"model":"up","max_tokens":50,"x":{"a":[1,  2]},`
	talk := func(blocks ...string) string {
		return `"messages":[{"role":"user","content":"q"},{"role":"assistant","x":1,"content":[` + strings.Join(blocks, ",") + `]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t"}]}]`
	}
	const (
		theirs = `{"type":"thinking","thinking":"","signature":"abc"}`
		hidden = `{"type":"redacted_thinking","data":"abc"}`
		call   = `{"type":"tool_use", "id":"t","name":"n","input":{"b":1,"a":2}}`
	)
	ours := `{"type":"thinking","thinking":"x","signature":"` + minted + `"}`
	const left = "messages[1].content[0]: left out, p/m cannot read thinking that was sealed elsewhere"
	for _, tt := range []struct {
		name, body, want string
		cap              int64
		features         []string
		foreign          bool
		warnings         []string
	}{
		{"nothing but the model", head + talk(theirs, hidden, call) + `}`, sent + talk(theirs, hidden, call) + `}`, 50, able, false, nil},
		{"clipped", head + talk(call) + `}`, strings.Replace(sent, "50", "40", 1) + talk(call) + `}`, 40, able, false, nil},
		{"no cap known", head + talk(call) + `}`, sent + talk(call) + `}`, 0, able, false, nil},
		{"warming the cache", strings.Replace(head, "50", "0", 1) + talk(call) + `}`, strings.Replace(sent, "50", "0", 1) + talk(call) + `}`, 40, able, false, nil},
		{"sampling refused", head + talk(call) + `,"temperature":0.5,"top_p":1,"top_k":4}`, sent + talk(call) + `,"top_p":1}`, 50, able[1:], false,
			[]string{"temperature: left out, p/m refuses it", "top_k: left out, p/m refuses it"}},
		{"reasoning refused", head + talk(call) + `,"thinking":{"type":"adaptive"},"output_config":{"effort":"low","x":1}}`, sent + talk(call) + `,"output_config":{"x":1}}`, 50, nil, false,
			[]string{"output_config.effort: left out, p/m refuses it"}},
		{"our own seal", head + talk(ours, call) + `}`, sent + talk(call) + `}`, 50, able, false, []string{left}},
		{"foreign", head + talk(theirs, hidden, call) + `}`, sent + talk(call) + `}`, 50, able, true, []string{left + " (and 1 more)"}},
		{"foreign, with a budget", head + talk(theirs, call) + `,"thinking":{"type":"enabled","budget_tokens":2000}}`, sent + talk(call) + `}`, 50, able, true,
			[]string{left, "thinking: left out, the calls that are being answered were not thought of by p/m"}},
		{"some foreign", head + talk(theirs, strings.ReplaceAll(theirs, "abc", "own"), hidden, strings.ReplaceAll(hidden, "abc", "own"), call) + `}`,
			sent + talk(strings.ReplaceAll(theirs, "abc", "own"), strings.ReplaceAll(hidden, "abc", "own"), call) + `}`, 50, able, true, []string{left + " (and 1 more)"}},
		{"nothing left", head + talk(theirs) + `}`, sent + `"messages":[{"role":"user","content":"q"},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t"}]}]}`, 50, able, true, []string{left}},
	} {
		r := decode(t, tt.body)
		got, warnings := edit(router.Call{Request: r, Model: ledger.Model{ID: "up", Name: "p/m", Features: tt.features}, OutputCap: tt.cap, Foreign: map[string]bool{"abc": tt.foreign}})
		if string(got) != tt.want || !slices.Equal(warnings, tt.warnings) {
			t.Errorf("%s:\ngot  %s %q\nwant %s %q", tt.name, got, warnings, tt.want, tt.warnings)
		}
		if string(r.Body) != tt.body {
			t.Errorf("%s: the caller's bytes were changed", tt.name)
		}
	}
}
