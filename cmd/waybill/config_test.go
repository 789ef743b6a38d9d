package main

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/router"
	"waybill/router/dialects"
)

// inFolder runs a test in a folder of its own, with the configuration that is given.
func inFolder(t *testing.T, text string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if text != "" {
		if err := os.WriteFile(defaultConfigFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDefaults(t *testing.T) {
	inFolder(t, "")
	c, err := configure(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.listen != "127.0.0.1:8080" || c.data != "data" || c.masterKeyFile != "data.key" || c.litestream != "" ||
		c.recovery != ledger.RuleVoid || c.drainTimeout != 30*time.Second || c.timeouts.connect != 5*time.Second {
		t.Errorf("defaults: %+v", c)
	}
}

// The file yields to the environment, and that to the flags.
func TestOrderOfConfiguration(t *testing.T) {
	inFolder(t, "listen: 127.0.0.1:1\ndata: one\ndrain_timeout: 1s\nrecovery: capture_held\n"+
		"upstreams: {openai: {base_url: 'http://127.0.0.1:9/v1/'}}\ntimeouts: {idle: 7s}\n")
	c, err := configure(map[string]string{"listen": "127.0.0.1:3"},
		environ([]string{"WAYBILL_LISTEN=127.0.0.1:2", "WAYBILL_DATA=two", "WAYBILL_DATA=too", "GEMINI_API_KEY= g ", "OPENAI_API_KEY="}))
	if err != nil {
		t.Fatal(err)
	}
	if c.listen != "127.0.0.1:3" || c.data != "too" || c.masterKeyFile != "too.key" || c.drainTimeout != time.Second ||
		c.recovery != ledger.RuleCaptureHeld || c.baseURL["openai"] != "http://127.0.0.1:9/v1" || c.timeouts.idle != 7*time.Second {
		t.Errorf("got %+v", c)
	}
	if len(c.platform) != 1 || c.platform["google"].Reveal() != "g" {
		t.Errorf("platform credentials: %d, want Google's alone, without its spaces", len(c.platform))
	}
}

// Providers come from what waybill knows, the file and the environment. What the file says of a provider that is known
// replaces that much of it.
func TestProvidersOfConfiguration(t *testing.T) {
	inFolder(t, `upstreams:
  my-vllm: {base_url: "http://10.0.0.5:8000/v1/", dialect: openai-chat, quirks: {max_tokens: true, drop: [store]}}
  relay: {base_url: "https://relay.example", dialects: [gemini, openai-chat]}
  mistral: {base_url: "https://api.eu.mistral.ai/v1"}
  groq: {quirks: {no_schema: true}}
  deepseek: {quirks: {}}
`)
	c, err := configure(nil, environ([]string{"WAYBILL_MISTRAL_BASE_URL=http://127.0.0.1:9/v1", "GROQ_API_KEY= gsk ", "AZURE_OPENAI_API_KEY=az", "WAYBILL_OPENAI_BASE_URL=http://127.0.0.1:8/v1"}))
	if err != nil {
		t.Fatal(err)
	}
	chat := []ledger.Dialect{ledger.DialectOpenAIChat}
	got := c.providers()
	for name, want := range map[string]router.Provider{
		"my-vllm":  {Dialects: chat, BaseURL: "http://10.0.0.5:8000/v1", Quirks: router.Quirks{MaxTokens: true, Drop: []string{"store"}}},
		"relay":    {Dialects: []ledger.Dialect{ledger.DialectGemini, ledger.DialectOpenAIChat}, BaseURL: "https://relay.example"},
		"mistral":  {Dialects: chat, BaseURL: "http://127.0.0.1:9/v1", Quirks: dialects.Providers["mistral"].Quirks},
		"groq":     {Dialects: chat, BaseURL: "https://api.groq.com/openai/v1", Quirks: router.Quirks{NoSchema: true}},
		"deepseek": {Dialects: chat, BaseURL: "https://api.deepseek.com"},
		"openai":   {Dialects: dialects.Providers["openai"].Dialects, BaseURL: "http://127.0.0.1:8/v1"},
		"azure":    dialects.Providers["azure"],
	} {
		if !reflect.DeepEqual(got[name], want) {
			t.Errorf("%s: %+v, want %+v", name, got[name], want)
		}
	}
	if len(got) != len(dialects.Providers)+2 || dialects.Providers["mistral"].BaseURL != "https://api.mistral.ai/v1" {
		t.Errorf("%d providers, mistral at %s: the known ones were altered", len(got), dialects.Providers["mistral"].BaseURL)
	}
	// Azure has no address of its own, so that a credential of the platform's would lead nowhere.
	if len(c.platform) != 1 || c.platform["groq"].Reveal() != "gsk" {
		t.Errorf("platform credentials for %v, want groq", slices.Sorted(maps.Keys(c.platform)))
	}
	c, err = configure(nil, environ([]string{"AZURE_OPENAI_API_KEY=az", "WAYBILL_AZURE_BASE_URL=https://r.openai.azure.com/openai/v1"}))
	if err != nil || c.platform["azure"].Reveal() != "az" {
		t.Errorf("platform credentials for %v, %v, want azure", slices.Sorted(maps.Keys(c.platform)), err)
	}
}

// The master key's file never stands in the data folder: a copy of the folder would open itself.
func TestMasterKeyStandsBesideTheFolder(t *testing.T) {
	inFolder(t, "")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for data, want := range map[string]string{"d": "d.key", "d/": "d.key", "a/d": "a/d.key", ".": here + ".key", "d/..": here + ".key", "..": filepath.Dir(here) + ".key"} {
		c, err := configure(map[string]string{"data": data}, nil)
		if err != nil || c.masterKeyFile != want {
			t.Errorf("--data %s: %s, %v, want %s", data, c.masterKeyFile, err, want)
		}
	}
}

func TestLitestreamFileIsFound(t *testing.T) {
	inFolder(t, "")
	if err := os.WriteFile(defaultLitestreamFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := configure(nil, nil)
	if err != nil || c.litestream != defaultLitestreamFile {
		t.Errorf("litestream %q, %v: want the file that is there", c.litestream, err)
	}
	if c, err = configure(map[string]string{"litestream": ""}, nil); err != nil || c.litestream != "" {
		t.Errorf("litestream %q, %v: want none, as the flag says", c.litestream, err)
	}
}

// What is wrong is refused by name and place, and nothing of it is a panic.
func TestBadConfiguration(t *testing.T) {
	for _, c := range []struct{ file, env, flag, want string }{
		{file: "lissen: x\n", want: `waybill.yml:1:1: unknown field "lissen"`},
		{file: "upstreams:\n  openai:\n    base_uri: x\n", want: `3:5: unknown field "base_uri"`},
		{file: "upstreams: {mistral: {base_url: x}}\n", want: "waybill.yml: upstreams.mistral: base_url: it is not an address"},
		{file: "upstreams:\n  my-vllm:\n    api_key: sk\n", want: `3:5: unknown field "api_key"`},
		{file: "upstreams:\n  my-vllm:\n    quirks: {max_token: true}\n", want: `3:14: unknown field "max_token"`},
		{file: "upstreams: {my-vllm: {dialect: openai-chat}}\n", want: "upstreams.my-vllm: base_url is missing"},
		{file: "upstreams: {my-vllm: {base_url: 'http://x/v1'}}\n", want: "upstreams.my-vllm: dialect: a dialect is missing"},
		{file: "upstreams: {my-vllm: {base_url: 'http://x/v1', dialect: telex}}\n", want: `upstreams.my-vllm: dialect: the dialect "telex" is not known`},
		{file: "upstreams: {my-vllm: {base_url: 'http://x/v1', dialect: gemini, dialects: [gemini]}}\n", want: "one of them is enough"},
		{file: "upstreams: {my_vllm: {base_url: 'http://x/v1', dialect: openai-chat}}\n", want: "upstreams.my_vllm: a provider's name is"},
		{file: "upstreams: {groq: {quirks: {key_header: 'a b'}}}\n", want: "upstreams.groq: quirks.key_header"},
		{file: "upstreams: {groq: {quirks: {drop: [model]}}}\n", want: "upstreams.groq: quirks.drop: without model there is no call"},
		{file: "listen: [1]\n", want: "1:9:"},
		{file: "listen: a: b\n", want: "1:9:"},
		{file: "listen: 127.0.0.1\n", want: "waybill.yml: listen: \"127.0.0.1\" is not HOST:PORT"},
		{file: "drain_timeout: soon\n", want: "drain_timeout: \"soon\" is not a time"},
		{file: "drain_timeout: -1s\n", want: "drain_timeout"},
		{file: "recovery: forget\n", want: "neither void"},
		{file: "durability: none\n", want: "not known"},
		{file: "litestream: nowhere.yml\n", want: "nowhere.yml"},
		{file: "upstreams: {openai: {base_url: 'ftp://x'}}\n", want: "upstreams.openai: base_url: it is not an address"},
		{file: "operator_token: 01234567890123456789\n", want: "unknown field"},
		{env: "WAYBILL_OPERATOR_TOKEN=short", want: "environment variable WAYBILL_OPERATOR_TOKEN"},
		{env: "WAYBILL_OPERATOR_TOKEN=wbk_0123456789012345678", want: "taken for a key"},
		{env: "WAYBILL_OPERATOR_TOKEN=0123456789 0123456789", want: "visible ASCII"},
		{env: "WAYBILL_OPERATOR_TOKEN=012345678901234567890é", want: "visible ASCII"},
		{env: "WAYBILL_GROQ_BASE_URL=groq", want: "environment variable WAYBILL_GROQ_BASE_URL"},
		{env: "WAYBILL_GOOGLE_BASE_URL=https://u:p@x", want: "environment variable WAYBILL_GOOGLE_BASE_URL"},
		{env: "WAYBILL_DATA=", want: "environment variable WAYBILL_DATA: it is empty"},
		{flag: "listen=8080", want: "--listen"},
	} {
		inFolder(t, c.file)
		given := map[string]string{}
		if name, value, ok := strings.Cut(c.flag, "="); ok {
			given[name] = value
		}
		_, err := configure(given, environ([]string{c.env}))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q %q %q: %v, want %q in it", c.file, c.env, c.flag, err, c.want)
		}
		var usage *usageError
		if c.flag != "" && !errors.As(err, &usage) {
			t.Errorf("--%s: %v is no usage error", c.flag, err)
		}
	}
}

func TestConfigFileThatIsNamedMustBeThere(t *testing.T) {
	inFolder(t, "")
	if _, err := configure(map[string]string{"config": filepath.Join(t.TempDir(), "none.yml")}, nil); err == nil {
		t.Error("a file that is not there was taken")
	}
}

// A domain is served where its authority looks for it, files wherever the node listens.
func TestTLSOfConfiguration(t *testing.T) {
	inFolder(t, "tls: {domain: LLM.example.com.}\n")
	for _, tt := range []struct {
		given        map[string]string
		listen, want string // or what is wrong
	}{
		{nil, ":443", "llm.example.com"},
		{map[string]string{"listen": "127.0.0.1:8080"}, "127.0.0.1:8080", "llm.example.com"},
		{map[string]string{"tls-domain": "", "tls-cert": "c", "tls-key": "k"}, "127.0.0.1:8080", ""},
		{map[string]string{"tls-cert": "c", "tls-key": "k"}, "", "leave out --tls-domain"},
		{map[string]string{"tls-domain": "", "tls-cert": "c"}, "", "go together"},
		{map[string]string{"tls-domain": "*.example.com"}, "", "not the name of a host"},
		{map[string]string{"tls-domain": "10.0.0.1"}, "", "not the name of a host"},
		{map[string]string{"tls-domain": "localhost"}, "", "not the name of a host"},
	} {
		c, err := configure(tt.given, nil)
		if tt.listen == "" {
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v: %v, want %s", tt.given, err, tt.want)
			}
			continue
		}
		if err != nil || c.listen != tt.listen || c.tls.domain != tt.want {
			t.Errorf("%v: %s %+v, %v", tt.given, c.listen, c.tls, err)
		}
	}
	if _, err := configure(map[string]string{"tls-domain": ""}, environ([]string{"WAYBILL_TLS_DIRECTORY=https://ca.example/dir"})); err == nil {
		t.Error("an authority without a domain")
	}
	if all, err := networks("10.1.0.0/16, 127.0.0.1,fd12::/48"); err != nil || len(all) != 3 || all[1].Bits() != 32 {
		t.Errorf("%v, %v", all, err)
	}
	for _, list := range []string{"10.1.0.1/16", "ten", "10.0.0.0/33", "fe80::1%eth0"} {
		if all, err := networks(list); err == nil {
			t.Errorf("%s is %v", list, all)
		}
	}
}
