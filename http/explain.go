package http

import (
	"bytes"
	"encoding/json"
	"maps"

	"waybill/ledger"
	"waybill/router"
)

// explanationAsked is a request of which it is to be told how it would be routed.
type explanationAsked struct {
	Request  json.RawMessage   `json:"request"`  // the body of a call, in any dialect
	Dialect  ledger.Dialect    `json:"dialect"`  // openai-chat unless given
	Endpoint router.Endpoint   `json:"endpoint"` // chat unless given, else count or embeddings
	Model    string            `json:"model"`    // of dialects that say it in the address
	Key      string            `json:"key"`      // that makes the call, by its id or its name; a key that may all unless given
	Metadata map[string]string `json:"metadata"` // beside what the request itself says in its member waybill
	Document document          `json:"document"` // another policy to try, as text or as an object; the org's own unless given
}

// explanation is how a request would be routed, and why.
type explanation struct {
	router.Explanation
	Version     uint64            `json:"policy_version"`             // that decided; 0: the defaults, or the document that came with the request
	Credentials map[string]string `json:"credential_names,omitempty"` // of the org's own, by their ids
	Warnings    []policyNote      `json:"warnings,omitempty"`         // of the document that came with the request
}

func explainPolicy(c *call, in explanationAsked) (out explanation, err error) {
	a, key, err := c.ask(in)
	if err != nil {
		return out, err
	}
	var trial *router.Policy
	if in.Document != nil {
		if trial, out.Warnings, err = c.parsePolicy(in.Document); err != nil {
			return out, err
		}
	}
	if out.Credentials, err = c.credentialNames(); err != nil {
		return out, err
	}
	now := c.s.o.Now()
	c.s.o.Books.View(func(st *ledger.State) {
		p := trial
		if p == nil && c.s.o.Dispatcher != nil {
			if p, out.Version, err = c.s.o.Dispatcher.Policies.Of(st.Policy(c.org)); err != nil {
				return
			}
		}
		v := router.ViewOf(st, c.org, key, p, a, ledger.InstantOf(now))
		v.Funds = router.FundsOf(st, c.org, key, ledger.InstantOf(now))
		if c.s.o.Dispatcher != nil {
			v.Condition = func(leg ledger.Choice) ledger.Condition { return c.s.o.Dispatcher.Health.Condition(leg, now) }
		}
		d, _ := router.Route(a, v) // a refusal is told as any other reason
		out.Explanation = router.Explain(d, a, v)
		if c.s.o.Dispatcher != nil {
			out.Standing(c.s.o.Dispatcher.Health, now)
		}
	})
	return out, err
}

// ask reads the request as a call would be read, and finds the key that it is made with.
func (c *call) ask(in explanationAsked) (a router.Ask, key string, err error) {
	if in.Dialect == "" {
		in.Dialect = ledger.DialectOpenAIChat
	}
	if in.Endpoint == "" {
		in.Endpoint = router.EndpointChat
	}
	inbound := c.s.o.Inbounds[in.Dialect]
	switch {
	case inbound == nil:
		return a, "", invalid("dialect", "must be openai-chat, openai-responses, anthropic-messages or gemini")
	case in.Endpoint != router.EndpointChat && in.Endpoint != router.EndpointCount && in.Endpoint != router.EndpointEmbed:
		return a, "", invalid("endpoint", "must be chat, count or embeddings")
	case len(bytes.TrimSpace(in.Request)) == 0:
		return a, "", invalid("request", "is missing: the body of a call, as its client sends it")
	}
	body, narrowed, metadata, err := router.Narrow(bytes.Clone(in.Request), nil)
	if err != nil {
		return a, "", err
	}
	q, err := inbound.Decode(router.Incoming{Endpoint: in.Endpoint, Body: body, Model: in.Model})
	if err != nil {
		return a, "", err
	}
	note := router.Note{Metadata: metadata}
	if len(in.Metadata) > 0 {
		note.Metadata = maps.Clone(in.Metadata)
		maps.Copy(note.Metadata, metadata)
	}
	if key, err = c.keyNamed(in.Key); err != nil {
		return a, "", err
	}
	if key != "" {
		if note.Key, err = c.s.keyNames.of(c, c.s.o.Names, key); err != nil {
			return a, "", err
		}
	}
	a = router.AskOf(q, note)
	a.Narrowed = narrowed
	return a, key, nil
}
