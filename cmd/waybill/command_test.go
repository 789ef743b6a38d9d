package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// Flags may stand before, between and after the arguments.
func TestFlagsStandAnywhere(t *testing.T) {
	for _, c := range []struct {
		line, plan string
		args       []string
		json       bool
	}{
		{"a b", "free", []string{"a", "b"}, false},
		{"--plan teams a b", "teams", []string{"a", "b"}, false},
		{"a --plan teams b --json", "teams", []string{"a", "b"}, true},
		{"a b --plan=teams", "teams", []string{"a", "b"}, false},
		{"-plan teams -- a --json", "teams", []string{"a", "--json"}, false},
		{"a -- b --plan", "free", []string{"a", "b", "--plan"}, false},
	} {
		var plan *string
		var json *bool
		f, _ := command{name: "x", setup: func(f *flags) action {
			plan, json = f.String("plan", "free", ""), f.asJSON()
			return nil
		}}.flags()
		args, err := f.read(strings.Fields(c.line))
		if err != nil || *plan != c.plan || *json != c.json || !slices.Equal(args, c.args) {
			t.Errorf("%q: %q, plan %s, json %t, %v", c.line, args, *plan, *json, err)
		}
	}
}

func TestArgumentsAreCounted(t *testing.T) {
	c := command{name: "x", args: "ORG [LOT]"}
	for line, want := range map[string]string{"": "ORG is missing", "a": "", "a b": "", "a b c": `"c" is one argument too many`} {
		err := c.count(strings.Fields(line))
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
}

// A command line that is wrong is status 2, says what is wrong, and does nothing.
func TestUsageErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	for line, want := range map[string]string{
		"frobnicate":              `there is no command "frobnicate"`,
		"org":                     `"org" is the beginning of: org open`,
		"org close":               `there is no command "org close"`,
		"org close --help":        `Run "waybill org --help" for what they do`,
		"org open":                "NAME is missing",
		"org open a b":            "one argument too many",
		"org open a --colour red": "there is no flag --colour",
		"org open a --plan":       "there must be a value behind --plan",
		"org open a --json=5":     `invalid boolean value "5" for --json`,
		"key issue a --cap usd=5": `invalid value "usd=5" for --cap: a cap is`,
		"bench --soak 2m":         "--every 20s",
		"serve --listen nowhere":  "--listen",
		"help frobnicate":         "there is no command",
	} {
		status, out, err := try(t, strings.Fields(line)...)
		if status != exitUsage || out != "" || !strings.Contains(err, want) {
			t.Errorf("waybill %s: status %d, %q, %q: want %q", line, status, out, err, want)
		}
	}
}

// try runs the program in this process.
func try(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err strings.Builder
	status = run(context.Background(), args, nil, strings.NewReader(""), &out, &err)
	return status, out.String(), err.String()
}

// Each command says what it does, shows an example that names it, and takes --json if it prints a table.
func TestEveryCommandExplainsItself(t *testing.T) {
	for _, c := range commands() {
		status, out, err := try(t, append(strings.Fields(c.name), "--help")...)
		if status != exitOK || err != "" || !strings.Contains(out, "usage: waybill "+c.name) {
			t.Errorf("waybill %s --help: status %d, %q, %q", c.name, status, out, err)
		}
		if !slices.ContainsFunc(c.example, func(line string) bool { return strings.Contains(line, "waybill "+c.name) }) {
			t.Errorf("waybill %s --help has no example", c.name)
		}
	}
}

// The first word of several commands, asked for help in any way, lists them with an example.
func TestEveryGroupExplainsItself(t *testing.T) {
	for _, c := range commands() {
		word, rest, _ := strings.Cut(c.name, " ")
		if rest == "" {
			continue
		}
		for _, line := range []string{word + " --help", word + " -h", word + " help", "help " + word} {
			status, out, err := try(t, strings.Fields(line)...)
			if status != exitOK || err != "" || !strings.Contains(out, "usage: waybill "+word+" COMMAND") || !strings.Contains(out, "waybill "+c.name) || !strings.Contains(out, c.about) ||
				!strings.Contains(out, "example:\n  ") {
				t.Errorf("waybill %s: status %d, %q, %q", line, status, out, err)
			}
		}
	}
}

func TestTables(t *testing.T) {
	tab := newTable("name", ">tokens", "note")
	tab.row("é\x1b[31m", "9", "x")
	tab.row("longer", "1,000", "")
	var out strings.Builder
	if err := tab.write(&out); err != nil {
		t.Fatal(err)
	}
	want := "name    tokens  note\né�[31m       9  x\nlonger   1,000\n"
	if out.String() != want {
		t.Errorf("got\n%q, want\n%q", out.String(), want)
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 20_000_000: "20,000,000"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestCounted(t *testing.T) {
	for n, want := range map[int64]string{0: "0 data keys", 1: "1 data key", 2000: "2,000 data keys"} {
		if got := counted(n, "data key"); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// Who is to type a secret is told so; a program that sends one is not.
func TestSecretIsAskedFor(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var said strings.Builder
	if _, err := (&work{stdin: null, stderr: &said}).secret(); err == nil || !strings.Contains(said.String(), "paste it") {
		t.Errorf("at a terminal: %v, %q", err, said.String())
	}
	said.Reset()
	if s, err := (&work{stdin: strings.NewReader("sk-1\n"), stderr: &said}).secret(); err != nil || s.Reveal() != "sk-1" || said.String() != "" {
		t.Errorf("from a program: %v, %q", err, said.String())
	}
}

func TestUsageErrorIsFound(t *testing.T) {
	var u *usageError
	if err := misused("no %s", "way"); !errors.As(err, &u) || err.Error() != "no way" {
		t.Error(err)
	}
}
