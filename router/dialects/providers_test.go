package dialects

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
)

// Each row is whole, tells where it was read, and is in the map that the node serves from.
func TestProviders(t *testing.T) {
	rows, err := load(embedded)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if err := r.check(); err != nil {
			t.Errorf("%s: %v", r.Name, err)
		}
		if p, ok := Providers[r.Name]; !ok || p.BaseURL != r.BaseURL || !slices.Equal(p.Dialects, r.Dialects) {
			t.Errorf("%s: got %+v", r.Name, p)
		}
		if day, _ := time.Parse(time.DateOnly, r.Checked); day.Year() < 2026 {
			t.Errorf("%s: checked on %s", r.Name, r.Checked)
		}
		if strings.HasSuffix(r.BaseURL, "/") {
			t.Errorf("%s: its address ends with a slash, which is put in before a path", r.Name)
		}
	}
	want := []string{"anthropic", "azure", "cerebras", "deepseek", "fireworks", "google", "groq", "minimax", "mistral", "moonshot", "ollama", "openai", "openrouter", "together", "vllm", "xai", "zai"}
	if got := slices.Sorted(maps.Keys(Providers)); !slices.Equal(got, want) {
		t.Errorf("providers %v, want %v", got, want)
	}
	for provider, variable := range map[string]string{"openai": "OPENAI_API_KEY", "google": "GEMINI_API_KEY", "azure": "AZURE_OPENAI_API_KEY", "vllm": ""} {
		if KeyVariables[provider] != variable {
			t.Errorf("%s: key in %q, want %q", provider, KeyVariables[provider], variable)
		}
	}
	for _, provider := range []string{"deepseek", "mistral", "together", "ollama"} {
		if !Providers[provider].Quirks.MaxTokens {
			t.Errorf("%s knows max_tokens alone", provider)
		}
	}
}

// What is wrong with a row is said by its name.
func TestBadProviders(t *testing.T) {
	const rest = `"dialects":["openai-chat"],"source":"https://x.example","checked":"2026-11-25"`
	for _, c := range []struct{ text, want string }{
		{`{`, "EOF"},
		{`{"providers":[{"name":"x","color":1,` + rest + `}]}`, "color"},
		{`{"providers":[{"name":"X",` + rest + `}]}`, "X: a provider's name"},
		{`{"providers":[{"name":"x",` + rest + `},{"name":"x",` + rest + `}]}`, "x: its name or the variable of its key is there twice"},
		{`{"providers":[{"name":"x","key_variable":"K",` + rest + `},{"name":"y","key_variable":"K",` + rest + `}]}`, "y: its name or"},
		{`{"providers":[{"name":"x","source":"https://x.example","checked":"2026-11-25"}]}`, "a dialect is missing"},
		{`{"providers":[{"name":"x","base_url":"x.example/v1",` + rest + `}]}`, "base_url: it is not an address"},
		{`{"providers":[{"name":"x","base_url":"https://u:p@x.example",` + rest + `}]}`, "base_url: it is not an address"},
		{`{"providers":[{"name":"x","quirks":{"key_header":"a b"},` + rest + `}]}`, "key_header"},
		{`{"providers":[{"name":"x","quirks":{"drop":["messages"]},` + rest + `}]}`, "without messages there is no call"},
		{`{"providers":[{"name":"x","quirks":{"drop":[""]},` + rest + `}]}`, "not the name of a field"},
		{`{"providers":[{"name":"x","dialects":["openai-chat"],"source":"hearsay","checked":"2026-11-25"}]}`, "source"},
		{`{"providers":[{"name":"x","dialects":["openai-chat"],"source":"https://x.example","checked":"lately"}]}`, "checked"},
	} {
		if _, err := load([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.text, err, c.want)
		}
	}
	for _, d := range [][]ledger.Dialect{nil, {"telex"}, {ledger.DialectGemini, ledger.DialectGemini}} {
		if CheckDialects(d) == nil {
			t.Errorf("%v was taken", d)
		}
	}
}
