package main

import (
	"context"
	"net/url"
	"strings"
)

// modelView is a model as the control API shows it.
type modelView struct {
	ID        string   `json:"id"`
	Provider  string   `json:"provider"`
	Context   int64    `json:"context"`
	MaxOutput int64    `json:"max_output"`
	Features  []string `json:"features"`
	Retired   bool     `json:"retired"`
	Price     string   `json:"price"`
}

// reachView is a model that an org's calls reach, and what answers them now.
type reachView struct {
	modelView
	Name       string `json:"name"`
	Credential string `json:"credential_name"`
	Answers    struct {
		Credential string `json:"credential"`
		State      string `json:"state"`
		Since      string `json:"since"`
		Why        string `json:"reason"`
		Model      string `json:"model"`
		Route      string `json:"route"`
	} `json:"waybill"`
}

// modelRow is a model as a file has it.
type modelRow struct {
	Provider   string   `yaml:"provider" json:"provider"`
	UpstreamID string   `yaml:"upstream_id" json:"upstream_id"`
	Context    int64    `yaml:"context" json:"context"`
	MaxOutput  int64    `yaml:"max_output" json:"max_output"`
	Features   []string `yaml:"features" json:"features"`
}

var modelList = command{
	name:  "model list",
	about: "list the models of the catalogue, or what answers an org's calls right now",
	more: "With --org it lists what the org's calls reach, by its plan, its policy and its credentials, and through which credential they\n" +
		"are answered at this moment; with --key what one of its keys reaches.",
	example: []string{"waybill model list", "waybill model list --org acme --key prod-web"},
	setup: func(f *flags) action {
		org := f.String("org", "", "what the calls of `ORG` reach")
		key := f.String("key", "", "of these, what `KEY` reaches: its name or its id")
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, _ []string) error {
			path := "/models"
			switch {
			case *org != "":
				path = at("/orgs/%s/models", *org) + "?key=" + url.QueryEscape(*key)
			case *key != "":
				return misused("--key is of an org: say which with --org")
			}
			answer, err := a.call(ctx, "GET", path, nil)
			if err != nil {
				return err
			}
			if *org != "" {
				return show(w, answer, *asJSON, func(v struct{ Models []reachView }) error { return reachTable(w, v.Models) })
			}
			return show(w, answer, *asJSON, func(v struct{ Models []modelView }) error { return modelTable(w, v.Models...) })
		})
	},
}

var modelPublish = command{
	name:  "model publish",
	args:  "FILE",
	about: "put models into the catalogue, or new descriptions of them",
	more: `FILE is YAML or JSON, "-" the standard input. It has one row, or a list of them named models:

  provider: my-vllm           # one that waybill knows, or of the configuration
  upstream_id: qwen3-32b      # the provider's own name; callers say my-vllm/qwen3-32b
  context: 32768              # tokens in and out together
  max_output: 8192            # tokens
  features: [chat, sampling, tools, max_tokens]

The features are chat or embedding; reasoning, sampling, images, tools, structured, prefill, max_tokens, budget, auto_tools and
responses_tools. Capacity of the platform's is sold once the model has a price: see waybill price publish.`,
	example: []string{"waybill model publish qwen.yml"},
	setup: func(f *flags) action {
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			rows, several, err := readRows[modelRow](w, args[0], "models")
			if err != nil {
				return err
			}
			answer, err := publish(ctx, a, "/models", "models", rows, several)
			if err != nil {
				return err
			}
			return showRows(w, answer, several, *asJSON, "models", func(rows []modelView) error { return modelTable(w, rows...) })
		})
	},
}

var modelRetire = command{
	name:    "model retire",
	args:    "MODEL",
	about:   "take a model out of use; publishing it again brings it back",
	example: []string{"waybill model retire openai/gpt-4o"},
	setup: func(f *flags) action {
		asJSON := f.asJSON()
		return withAPI(func(ctx context.Context, w *work, a *api, args []string) error {
			answer, err := a.call(ctx, "DELETE", at("/models/%s", args[0]), nil)
			if err != nil {
				return err
			}
			return show(w, answer, *asJSON, func(m modelView) error { return modelTable(w, m) })
		})
	},
}

func reachTable(w *work, models []reachView) error {
	t := newTable("model", "answered by", "on", "state", "route", ">context")
	for _, m := range models {
		model, on, state := m.Answers.Model, m.Answers.Credential, m.Answers.State
		if model == "" {
			model = m.ID
		}
		if m.Credential != "" {
			on += "/" + m.Credential
		}
		if m.Answers.Since != "" {
			state += " since " + second(m.Answers.Since) + " (" + m.Answers.Why + ")"
		}
		context := ""
		if m.Context > 0 {
			context = grouped(m.Context)
		}
		t.row(m.Name, model, on, state, m.Answers.Route, context)
	}
	return t.write(w.stdout)
}

func modelTable(w *work, models ...modelView) error {
	t := newTable("model", ">context", ">max output", "price in force", "features")
	for _, m := range models {
		price := m.Price
		switch {
		case m.Retired:
			price = "retired"
		case price == "":
			price = "none: own keys only"
		}
		t.row(m.ID, grouped(m.Context), grouped(m.MaxOutput), price, strings.Join(m.Features, " "))
	}
	return t.write(w.stdout)
}
