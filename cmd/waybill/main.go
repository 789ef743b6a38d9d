// Command waybill is an LLM gateway and the ledger that bills what passes through it, in one binary.
//
// One file a command. serve.go is the only one that wires the packages together; every other command speaks to the
// node that it builds, through the control API: over the data folder's socket if a node is running, in this process if not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1 // the command could not do it, or found that something is wrong
	exitUsage  = 2 // it was not told right
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once: the first one has asked it to end in order.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// commands are all there are, in the order in which help lists them.
func commands() []command {
	return []command{
		demoCommand, initCommand, serveCommand,
		orgOpen, orgList, orgShow, orgPlan, orgSuspend, orgResume, orgErase,
		keyIssue, keyList, keyLimit, keyRotate, keyRevoke,
		credentialAttach, credentialList, credentialCheck, credentialCommit, credentialRotate, credentialDetach,
		policySet, policyShow, policyExplain, policySimulate, policyClear,
		creditPurchase, creditGrant, creditRefund, creditLots,
		balanceCommand, explainCommand,
		priceList, pricePublish, priceWithdraw,
		modelList, modelPublish, modelRetire,
		logTail, logExport, verifyCommand,
		checkpointCommand, receiptCommand, verifyReceipt,
		exportTraces, sqlCommand,
		restoreCommand, drillCommand,
		vaultRotate,
		checklistCommand, benchCommand, versionCommand,
	}
}

// run is the whole program, for main and for tests: it ends with an exit status.
func run(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	all := commands()
	if len(args) == 1 && args[0] == "--version" { // as other programs have it
		args = []string{"version"}
	}
	if len(args) == 0 || isHelp(args[0]) {
		return help(all, args, stdout, stderr)
	}
	c, rest, ok := find(all, args)
	group := inGroup(all, args[0])
	switch {
	case !ok && len(group) > 0 && len(args) > 1 && isHelp(args[1]):
		groupHelp(stdout, group)
		return exitOK
	case !ok && len(group) > 0:
		fmt.Fprintf(stderr, "waybill: %s\nRun \"waybill %s --help\" for what they do.\n", unknown(all, args), args[0])
		return exitUsage
	case !ok:
		fmt.Fprintf(stderr, "waybill: %s\nRun \"waybill help\" for the list of commands.\n", unknown(all, args))
		return exitUsage
	}
	return c.status(ctx, &work{env: environ(env), stdin: stdin, stdout: stdout, stderr: stderr}, rest)
}

// status runs a command, says what it was not told right or could not do, and gives the exit status.
func (c command) status(ctx context.Context, w *work, line []string) int {
	err := c.run(ctx, w, line)
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, flag.ErrHelp):
		c.help(w.stdout)
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(w.stderr, "waybill %s: %v\nusage: %s\nRun \"waybill %s --help\" for more.\n", c.name, err, c.usage(), c.name)
		return exitUsage
	default:
		fmt.Fprintf(w.stderr, "waybill %s: %v\n", c.name, err)
		return exitFailed
	}
}

func isHelp(word string) bool {
	return word == "help" || word == "-h" || word == "-help" || word == "--help"
}

// help lists the commands, or explains the one that is named after it.
func help(all []command, args []string, stdout, stderr io.Writer) int {
	if len(args) > 1 {
		if c, _, ok := find(all, args[1:]); ok {
			c.help(stdout)
			return exitOK
		}
		if group := inGroup(all, args[1]); len(group) > 0 {
			groupHelp(stdout, group)
			return exitOK
		}
		fmt.Fprintf(stderr, "waybill: %s\n", unknown(all, args[1:]))
		return exitUsage
	}
	fmt.Fprint(stdout, "Waybill routes calls to language models and bills them on an event log.\n\n")
	list(stdout, all)
	fmt.Fprint(stdout, "\nThe first minute, with nothing to set up: waybill demo\n"+
		"Every command explains itself with --help. Settings come from waybill.yml, WAYBILL_… and flags, the last one wins.\n")
	return exitOK
}

// groupHelp lists the commands that begin with one word.
func groupHelp(out io.Writer, group []command) {
	word, _, _ := strings.Cut(group[0].name, " ")
	fmt.Fprintf(out, "usage: waybill %s COMMAND\n\n", word)
	list(out, group)
	fmt.Fprintf(out, "\nexample:\n  %s\n\nEach explains itself with --help.\n", group[0].example[0])
}

func list(out io.Writer, all []command) {
	t := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	for _, c := range all {
		fmt.Fprintf(t, "  waybill %s\t%s\n", c.name, c.about)
	}
	t.Flush()
}

// find matches the first words to a command's name.
func find(all []command, args []string) (c command, rest []string, ok bool) {
	for _, c := range all {
		words := strings.Fields(c.name)
		if len(args) >= len(words) && strings.Join(args[:len(words)], " ") == c.name {
			return c, args[len(words):], true
		}
	}
	return command{}, nil, false
}

func inGroup(all []command, word string) []command {
	var group []command
	for _, c := range all {
		if first, _, _ := strings.Cut(c.name, " "); first == word {
			group = append(group, c)
		}
	}
	return group
}

func unknown(all []command, args []string) string {
	group := inGroup(all, args[0])
	if len(group) == 0 {
		return fmt.Sprintf("there is no command %q", args[0])
	}
	var names []string
	for _, c := range group {
		names = append(names, c.name)
	}
	if len(args) == 1 {
		return fmt.Sprintf("%q is the beginning of: %s", args[0], strings.Join(names, ", "))
	}
	return fmt.Sprintf("there is no command %q, only: %s", args[0]+" "+args[1], strings.Join(names, ", "))
}
