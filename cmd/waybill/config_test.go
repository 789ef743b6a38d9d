package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
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
	if len(c.platform) != 1 || c.platform["google"] != "g" {
		t.Errorf("platform credentials: %d, want Google's alone, without its spaces", len(c.platform))
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
		{file: "lissen: x\n", want: `waybill.yml: [1:1] unknown field "lissen"`},
		{file: "upstreams:\n  openai:\n    base_uri: x\n", want: `[3:5] unknown field "base_uri"`},
		{file: "upstreams: {mistral: {base_url: x}}\n", want: `unknown field "mistral"`},
		{file: "listen: [1]\n", want: "[1:9]"},
		{file: "listen: a: b\n", want: "[1:9]"},
		{file: "listen: 127.0.0.1\n", want: "waybill.yml: listen: \"127.0.0.1\" is not HOST:PORT"},
		{file: "drain_timeout: soon\n", want: "drain_timeout: \"soon\" is not a time"},
		{file: "drain_timeout: -1s\n", want: "drain_timeout"},
		{file: "recovery: forget\n", want: "neither void"},
		{file: "durability: replicated\n", want: "not built yet"},
		{file: "durability: none\n", want: "not known"},
		{file: "litestream: nowhere.yml\n", want: "nowhere.yml"},
		{file: "upstreams: {openai: {base_url: 'ftp://x'}}\n", want: "upstreams.openai.base_url: it is not an address"},
		{file: "operator_token: 01234567890123456789\n", want: "unknown field"},
		{env: "WAYBILL_OPERATOR_TOKEN=short", want: "environment variable WAYBILL_OPERATOR_TOKEN"},
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
