package dialects

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"waybill/ledger"
	"waybill/router"
)

//go:embed providers.json
var embedded []byte

// Providers are the providers that waybill knows, by the name that models and credentials have them under. KeyVariables
// are the environment variables in which their own clients look for a key, of those that have one.
var Providers, KeyVariables = known()

// row is a provider as the embedded file has it. Source is where its address and quirks were read, Checked when. A quirk that no
// source tells of is not assumed: a field that is sent and refused is a clear error, one that is left out is a loss.
type row struct {
	Name        string           `json:"name"`
	Dialects    []ledger.Dialect `json:"dialects"`
	BaseURL     string           `json:"base_url"` // none: each customer has an address of its own
	KeyVariable string           `json:"key_variable"`
	Quirks      router.Quirks    `json:"quirks"`
	Source      string           `json:"source"`
	Checked     string           `json:"checked"` // a day
	Note        string           `json:"note"`
}

func known() (map[string]router.Provider, map[string]string) {
	rows, err := load(embedded)
	if err != nil {
		panic("providers.json: " + err.Error()) // it is part of the program, and a test reads it
	}
	providers, variables := map[string]router.Provider{}, map[string]string{}
	for _, r := range rows {
		providers[r.Name] = router.Provider{Dialects: r.Dialects, BaseURL: r.BaseURL, Quirks: r.Quirks}
		if r.KeyVariable != "" {
			variables[r.Name] = r.KeyVariable
		}
	}
	return providers, variables
}

func load(text []byte) ([]row, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var f struct {
		Providers []row `json:"providers"`
	}
	if err := d.Decode(&f); err != nil {
		return nil, err
	}
	seen, variables := map[string]bool{}, map[string]bool{}
	for _, r := range f.Providers {
		if seen[r.Name] || variables[r.KeyVariable] && r.KeyVariable != "" {
			return nil, fmt.Errorf("%s: its name or the variable of its key is there twice", r.Name)
		}
		seen[r.Name], variables[r.KeyVariable] = true, true
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name, err)
		}
	}
	return f.Providers, nil
}

func (r row) check() error {
	if err := errors.Join(CheckName(r.Name), CheckDialects(r.Dialects), CheckQuirks(r.Quirks)); err != nil {
		return err
	}
	if r.BaseURL != "" {
		if _, err := CheckBaseURL(r.BaseURL); err != nil {
			return fmt.Errorf("base_url: %w", err)
		}
	}
	if u, err := url.Parse(r.Source); err != nil || u.Scheme != "https" {
		return fmt.Errorf("source: %q is no address", r.Source)
	}
	if _, err := time.Parse(time.DateOnly, r.Checked); err != nil {
		return fmt.Errorf("checked: %w", err)
	}
	return nil
}

var (
	providerName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
	headerName   = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	fieldName    = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)
)

// CheckName tells whether a provider may be called so: the name is the first part of its models' names.
func CheckName(name string) error {
	if !providerName.MatchString(name) {
		return errors.New("a provider's name is 1 to 32 of a-z, 0-9 and -")
	}
	return nil
}

// CheckBaseURL takes the address of a provider, without a slash at its end.
func CheckBaseURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("it is not an address such as https://api.example.com/v1")
	}
	return strings.TrimRight(s, "/"), nil
}

// CheckDialects tells whether waybill can speak with a provider that speaks these.
func CheckDialects(all []ledger.Dialect) error {
	if len(all) == 0 {
		return errors.New("a dialect is missing, such as openai-chat")
	}
	for i, d := range all {
		if Upstreams[d] == nil {
			return fmt.Errorf("the dialect %q is not known: openai-chat, openai-responses, anthropic-messages and gemini are", d)
		}
		if slices.Contains(all[:i], d) {
			return fmt.Errorf("the dialect %q is there twice", d)
		}
	}
	return nil
}

// CheckQuirks refuses quirks under which no call could be made.
func CheckQuirks(q router.Quirks) error {
	if q.KeyHeader != "" && !headerName.MatchString(q.KeyHeader) {
		return fmt.Errorf("key_header: %q is not the name of a header", q.KeyHeader)
	}
	for _, f := range q.Drop {
		switch {
		case !fieldName.MatchString(f):
			return fmt.Errorf("drop: %q is not the name of a field", f)
		case slices.Contains([]string{"model", "messages", "input", "contents", "stream", "max_tokens", "max_completion_tokens"}, f):
			return fmt.Errorf("drop: without %s there is no call", f)
		}
	}
	return nil
}
