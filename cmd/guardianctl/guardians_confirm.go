package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/client"
)

// confirmFirst shows a list, has it confirmed and pins it.
func (i *informant) confirmFirst(list []client.Member, trust bool) error {
	if !trust && !isTerminal(i.cmd.InOrStdin()) {
		return i.nobodyThere()
	}
	return i.confirm(list, trust, trust, func(p *pins) error { return p.addList(i.guardian.URL(), list) })
}

// confirm shows a list, asks about it unless that was answered, and pins it. That
// it cannot be kept is an error where it must be.
func (i *informant) confirm(list []client.Member, answered, must bool, pin func(*pins) error) error {
	w := i.cmd.ErrOrStderr()
	fmt.Fprintf(w, "%s names %d guardians:\n", i.guardian.URL(), len(list))
	printMembers(w, list)
	if !answered {
		yes, err := askYes(i.cmd, "Shares will go to these from now on. Are they the ones your operator names? Type yes: ")
		if err != nil {
			return err
		}
		if !yes {
			return failure(errors.New("not confirmed, nothing was done"), "ask the operator for the list, or for the admission key (--roster-key); or name the guardians with --guardians")
		}
	}
	err := i.pin(pin)
	switch {
	case err == nil:
	case i.cmd.Context().Err() != nil:
		return interrupted(i.cmd.Context())
	case errors.Is(err, errMeanwhile):
		return failure(err, "guardianctl guardians shows how its list stands to the one that is kept")
	case must:
		return failure(fmt.Errorf("the list is not confirmed, for it cannot be kept: %w", err),
			"set XDG_CONFIG_HOME to a directory that can be written to; or confirm the list on a terminal each time; or name the guardians with --guardians")
	default:
		i.warn("the list is used, but not remembered, so it is to be confirmed again next time: %v", err)
	}
	return nil
}

// pin changes what is kept, within --timeout.
func (i *informant) pin(change func(*pins) error) error {
	ctx, cancel := context.WithTimeout(i.cmd.Context(), i.calls.timeout)
	defer cancel()
	return i.store.update(ctx, change)
}

func (i *informant) nobodyThere() error {
	from := i.guardian.URL()
	return usageError(fmt.Sprintf("look at it on a terminal: guardianctl guardians --from %s --accept (with --roster-key, if that is given here); or add --trust-on-first-use", quoted(from)),
		"nobody has confirmed the list of guardians that %s gives, and nobody is there to: standard input is no terminal", from)
}

func printMembers(w io.Writer, list []client.Member) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "INDEX\tNODE\tURL\tNODE KEY")
	for _, m := range list {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s...\n", m.Index, m.NodeID, orDash(m.URL), hex.EncodeToString(m.Key)[:16])
	}
	table.Flush()
}

// askYes reports whether somebody at the terminal answers yes.
func askYes(cmd *cobra.Command, question string) (bool, error) {
	fmt.Fprint(cmd.ErrOrStderr(), question)
	answer, err := bufio.NewReader(interruptible{cmd.Context(), cmd.InOrStdin()}).ReadString('\n')
	if err != nil && err != io.EOF {
		return false, failure(fmt.Errorf("reading the confirmation: %w", err), "run the command again and type yes")
	}
	return strings.TrimSpace(answer) == "yes", nil
}

// differences says how a list differs from the pinned one, a line for each
// guardian.
func differences(pinned, said []client.Member) (lines []string) {
	there := map[string]client.Member{}
	for _, m := range said {
		there[m.NodeID] = m
	}
	for _, was := range pinned {
		is, known := there[was.NodeID]
		delete(there, was.NodeID)
		if line := difference(was, is, known); line != "" {
			lines = append(lines, line)
		}
	}
	for _, m := range said {
		if _, left := there[m.NodeID]; left {
			lines = append(lines, fmt.Sprintf("%s (index %d, %s): there, and not confirmed", m.NodeID, m.Index, m.URL))
		}
	}
	return lines
}

func difference(was, is client.Member, known bool) string {
	var all []string
	add := func(what, was, is string) {
		if was != is {
			all = append(all, fmt.Sprintf("%s %s there, confirmed is %s", what, is, was))
		}
	}
	if !known {
		return fmt.Sprintf("%s (index %d, %s): confirmed, and missing there", was.NodeID, was.Index, was.URL)
	}
	add("index", fmt.Sprint(was.Index), fmt.Sprint(is.Index))
	add("URL", orDash(was.URL), orDash(is.URL))
	add("node key", hex.EncodeToString(was.Key), hex.EncodeToString(is.Key))
	if all == nil {
		return ""
	}
	return was.NodeID + ": " + strings.Join(all, "; ")
}
