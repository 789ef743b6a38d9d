package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"waybill/ledger"
	"waybill/ledger/secret"
	"waybill/router"
	"waybill/router/dialects"
)

// upstream is what waybill.yml says of a provider. One that waybill knows may have another address, speak other dialects or
// have other quirks, which then are all that it has; of any other its address and what it speaks must be said. A secret has no
// place here: it is attached as a credential, or for a provider that is known taken from the environment.
type upstream struct {
	BaseURL  *string          `yaml:"base_url"`
	Dialect  ledger.Dialect   `yaml:"dialect"`
	Dialects []ledger.Dialect `yaml:"dialects"` // where it speaks several, the main one first
	Quirks   *router.Quirks   `yaml:"quirks"`
}

func (c *config) setUpstream(name string, u upstream) error {
	if err := dialects.CheckName(name); err != nil {
		return err
	}
	p, known := dialects.Providers[name]
	if u.Dialect != "" {
		if len(u.Dialects) > 0 {
			return errors.New("dialect and dialects say the same: one of them is enough")
		}
		u.Dialects = []ledger.Dialect{u.Dialect}
	}
	if len(u.Dialects) > 0 {
		p.Dialects = u.Dialects
	}
	if err := dialects.CheckDialects(p.Dialects); err != nil {
		return fmt.Errorf("dialect: %w", err)
	}
	if u.Quirks != nil {
		p.Quirks = *u.Quirks
	}
	if err := dialects.CheckQuirks(p.Quirks); err != nil {
		return fmt.Errorf("quirks.%w", err)
	}
	switch {
	case u.BaseURL != nil:
		if err := c.setBaseURL(name, *u.BaseURL); err != nil {
			return fmt.Errorf("base_url: %w", err)
		}
	case !known:
		return errors.New("base_url is missing: waybill knows no provider of this name, so its address must be said")
	}
	c.upstreams[name] = p
	return nil
}

func (c *config) setBaseURL(provider, address string) (err error) {
	c.baseURL[provider], err = dialects.CheckBaseURL(address)
	return err
}

// providers are all that calls may go to, each with its address if it has one.
func (c config) providers() map[string]router.Provider {
	all := maps.Clone(dialects.Providers)
	maps.Copy(all, c.upstreams)
	for name, address := range c.baseURL {
		p := all[name]
		p.BaseURL = address
		all[name] = p
	}
	return all
}

// upstreamSettings are those of the known providers in the environment: WAYBILL_NAME_BASE_URL, and the key in the variable in
// which the provider's own clients look for one.
func upstreamSettings() (all []setting) {
	for _, provider := range slices.Sorted(maps.Keys(dialects.Providers)) {
		all = append(all, setting{env: "WAYBILL_" + strings.ToUpper(provider) + "_BASE_URL", set: func(c *config, v string) error {
			return c.setBaseURL(provider, v)
		}})
	}
	for provider, variable := range dialects.KeyVariables {
		all = append(all, setting{env: variable, set: func(c *config, v string) error {
			// A credential of the platform needs an address to go to, which not each provider has.
			if v = strings.TrimSpace(v); v != "" && c.providers()[provider].BaseURL != "" {
				c.platform[provider] = secret.New(v)
			}
			return nil
		}})
	}
	return all
}
