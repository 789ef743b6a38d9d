package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// command is one thing that waybill does.
type command struct {
	name     string   // as it is typed, such as "org open"
	args     string   // its arguments, such as "ORG [LOT]"; one in brackets may be left out, one with … takes the rest
	about    string   // one line
	more     string   // what --help says beyond it
	example  []string // lines to type
	settings []string // of the configuration, taken as flags beside --data and --config
	alone    bool     // it looks at no data folder, no file of configuration and no environment: only at its flags
	// setup declares the command's own flags and gives what runs once they are read.
	setup func(f *flags) action
}

// action does a command's work with its arguments.
type action func(ctx context.Context, w *work, args []string) error

// usageError is a command line that says too little, too much or something that makes no sense.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func misused(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// flags are a command's flags.
type flags struct {
	*flag.FlagSet
	json     *bool
	settings map[string]*string
}

// asJSON declares --json: the command then prints what the control API answers.
func (f *flags) asJSON() *bool {
	f.json = f.Bool("json", false, "print JSON: the object that the control API answers")
	return f.json
}

func (c command) flags() (*flags, action) {
	f := &flags{FlagSet: flag.NewFlagSet(c.name, flag.ContinueOnError), settings: map[string]*string{}}
	f.SetOutput(io.Discard) // run prints errors and help itself, in one way
	for _, s := range settings() {
		if s.flag != "" && (s.flag == "data" && !c.alone || slices.Contains(c.settings, s.flag)) {
			f.settings[s.flag] = f.String(s.flag, "", s.about)
		}
	}
	if !c.alone {
		f.settings["config"] = f.String("config", "", "configuration `FILE` (default ./waybill.yml, if there is one)")
	}
	return f, c.setup(f)
}

// run reads the command line and the configuration, then does the work.
func (c command) run(ctx context.Context, w *work, line []string) error {
	f, do := c.flags()
	args, err := f.read(line)
	if err != nil {
		return err
	}
	if err := c.count(args); err != nil {
		return err
	}
	given := map[string]string{}
	f.Visit(func(g *flag.Flag) {
		if v := f.settings[g.Name]; v != nil {
			given[g.Name] = *v
		}
	})
	read := configure
	if c.alone {
		read = flagsAlone
	}
	if w.conf, err = read(given, w.env); err != nil {
		return err
	}
	return do(ctx, w, args)
}

// flagWords has what package flag says name flags as they are typed here.
var flagWords = strings.NewReplacer("flag provided but not defined: -", "there is no flag --", "flag needs an argument: -", "there must be a value behind --",
	" for flag -", " for --", " for -", " for --")

// read takes flags wherever they stand: before, between or after the arguments. What follows "--" is an argument.
func (f *flags) read(line []string) (args []string, err error) {
	for {
		rest := line
		if err := f.Parse(line); errors.Is(err, flag.ErrHelp) {
			return nil, err
		} else if err != nil {
			return nil, misused("%s", flagWords.Replace(err.Error()))
		}
		line = f.Args()
		if n := len(rest) - len(line); n > 0 && rest[n-1] == "--" {
			return append(args, line...), nil
		}
		if len(line) == 0 {
			return args, nil
		}
		args, line = append(args, line[0]), line[1:]
	}
}

// count holds the arguments against those that the command takes.
func (c command) count(args []string) error {
	names := strings.Fields(c.args)
	for i, name := range names {
		if i >= len(args) && !strings.HasPrefix(name, "[") {
			return misused("%s is missing", name)
		}
		if i < len(args) && args[i] == "" {
			return misused("%s is empty", name)
		}
	}
	if len(args) > len(names) {
		return misused("%q is one argument too many", args[len(names)])
	}
	return nil
}

func (c command) usage() string {
	s := "waybill " + c.name
	if c.args != "" {
		s += " " + c.args
	}
	return s + " [flags]"
}

func (c command) help(out io.Writer) {
	fmt.Fprintf(out, "%s.\n\nusage: %s\n", capital(c.about), c.usage())
	if c.more != "" {
		fmt.Fprintf(out, "\n%s\n", c.more)
	}
	fmt.Fprint(out, "\nexample:\n")
	for _, line := range c.example {
		fmt.Fprintf(out, "  %s\n", line)
	}
	f, _ := c.flags()
	fmt.Fprint(out, "\nflags:\n")
	t := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	f.VisitAll(func(g *flag.Flag) {
		value, about := flag.UnquoteUsage(g)
		if value != "" {
			value = " " + value
		}
		if !slices.Contains([]string{"", "false", "0", "0s"}, g.DefValue) {
			about += " (default " + g.DefValue + ")"
		}
		fmt.Fprintf(t, "  --%s%s\t%s\n", g.Name, value, about)
	})
	t.Flush()
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
