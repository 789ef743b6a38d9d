package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	wbhttp "waybill/http"
	"waybill/ledger"
)

// compatible is a site whose operator has named servers of their own in the configuration, and nothing else: one that refuses
// what small servers refuse, and in Azure's place one that takes the key in a header of its own.
func compatible(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	inFolder(t, fmt.Sprintf(`upstreams:
  my-vllm:
    base_url: %[1]s/compatible/strict
    dialect: openai-chat
    quirks: {max_tokens: true, no_developer: true, no_stream_options: true, no_schema: true, drop: [reasoning_effort]}
  azure: {base_url: %[1]s/compatible/azure, dialect: openai-chat}
`, s.up.URL()))
	return s
}

// An org that brings its own key calls a provider that the operator added by configuration alone, with any client, and owes
// nothing for it.
func TestProviderFromConfigurationAlone(t *testing.T) {
	s := compatible(t)
	s.must("org", "open", "acme", "--plan", "free")
	key := s.must("key", "issue", "acme", "--name", "sdk")
	url, _ := s.serve()
	ctx, cancel := context.WithTimeout(t.Context(), sdkTimeout)
	defer cancel()
	for _, provider := range []string{"my-vllm", "azure"} {
		if status, _, out := s.run("sk-"+provider, "credential", "attach", "acme", provider, "--name", provider); status != exitOK {
			t.Fatal(out)
		}
		for name, make := range sdkClients {
			client := make(t, url, key)
			for _, scenario := range []string{"plain", "turns", "cap", "unicode", "tool", "tools", "no tool", "image"} {
				for _, stream := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%s/%s/stream=%t", provider, name, scenario, stream), func(t *testing.T) {
						sdkScenarios[scenario](&sdkRun{T: t, client: name, model: provider + "/some-model", stream: stream, c: client, ctx: ctx})
					})
				}
			}
		}
		if _, err := sdkClients["chat"](t, url, key).ask(ctx, question{model: provider + "/some-model", cap: 100, turns: []turn{{text: "[[sandbox input=900 cached=300 output=20]]"}}}); err != nil {
			t.Error(err)
		}
	}
	got := s.must("sql", "SELECT DISTINCT provider, model, credential, state, usage_source, charge_nano FROM requests ORDER BY provider, usage_source", "--csv")
	want := "azure,azure/some-model,byok,settled,provider,0\nmy-vllm,my-vllm/some-model,byok,settled,provider,0"
	if _, rows, _ := strings.Cut(got, "\n"); strings.ReplaceAll(rows, "\r", "") != want {
		t.Errorf("the requests are\n%s\nwant\n%s", rows, want)
	}
	got = s.must("sql", "SELECT input_tokens, cache_read_tokens, output_tokens FROM requests WHERE input_tokens + cache_read_tokens = 900 AND output_tokens = 20 AND reasoning_tokens = 0", "--csv")
	if strings.Count(got, "600,300,20") != 2 {
		t.Errorf("usage: %s, want 600 tokens read, 300 from the cache and 20 written, of each provider", got)
	}
	s.must("verify")

	_, err := sdkClients["chat"](t, url, key).ask(ctx, question{model: "their-vllm/some-model", cap: 100, turns: []turn{{text: "Hello"}}})
	refusal(t, err, 404, "unknown_model")
}

// The operator sells such a provider's capacity once a model of it is published, with its price.
func TestProviderFromConfigurationIsSold(t *testing.T) {
	s := compatible(t)
	s.must("org", "open", "acme", "--plan", "teams")
	key := s.must("key", "issue", "acme", "--name", "sdk")
	url, _ := s.serve()
	ctx, cancel := context.WithTimeout(t.Context(), sdkTimeout)
	defer cancel()
	if status, _, out := s.run("sk-pool", "credential", "attach", "platform", "my-vllm"); status != exitOK {
		t.Fatal(out)
	}
	q := question{model: "my-vllm/some-model", cap: 100, turns: []turn{{text: "Hello [[sandbox input=1000 output=10]]"}}}
	client := sdkClients["chat"](t, url, key)
	_, err := client.ask(ctx, q)
	refusal(t, err, 404, "unknown_model")
	socket := wbhttp.Dial(filepath.Join(s.data(), socketName))
	defer socket.Close()
	a := api{socket}
	if err := a.post(ctx, "/models", map[string]any{"provider": "my-vllm", "upstream_id": "some-model", "context": 32768, "max_output": 4096,
		"features": []string{ledger.FeatureChat, ledger.FeatureMaxTokens, ledger.FeatureSampling, ledger.FeatureTools}}, nil); err != nil {
		t.Fatal(err)
	}
	_, err = client.ask(ctx, q)
	refusal(t, err, 403, "unpriced_model")
	if err := a.post(ctx, "/prices", map[string]any{"model": "my-vllm/some-model", "tiers": []map[string]any{{"above": 0, "input": "0.10", "cache_read": "0.01", "cache_write": "0.10",
		"cache_write_long": "0.10", "output": "0.40"}}}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err = client.ask(ctx, q); err != nil {
		t.Fatal(err)
	}
	got := s.must("sql", "SELECT model, credential, plan_tokens, list_cost_nano FROM requests WHERE state = 'settled'", "--csv")
	if !strings.HasSuffix(strings.ReplaceAll(got, "\r", ""), "\nmy-vllm/some-model,platform,1010,104000") { // 1000 × 100 + 10 × 400 nano-dollars
		t.Errorf("the request is %s", got)
	}
}
