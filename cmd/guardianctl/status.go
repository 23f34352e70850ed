package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
)

// States of guardians that do not tell theirs.
const (
	stateUnreachable = "unreachable"
	stateRefused     = "refused"
	stateWrongURL    = "wrong URL"
	stateInvalid     = "invalid answer"
)

type statusCommand struct {
	vaultFlags
	cluster bool
	watch   time.Duration
}

func newStatusCommand() *cobra.Command {
	var s statusCommand
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the guardians are",
		Long: `Ask every guardian for its state. Exits 4 when too few answer for a push to be
acknowledged. A guardian answers this to everybody: the bearer token is not
checked.

With --cluster each is also asked how it sees the others. The first table shows
each member in the state that most say it has, the second how each guardian sees
the whole; where they disagree is told below.

With --watch it is shown again and again, until Ctrl-C, with exit code 0. Without
--timeout a silent guardian then holds up no table for more than 3 seconds.`,
		Example: `  guardianctl status --guardians ` + exampleGuardians + `
  guardianctl status --cluster --guardians-from http://127.0.0.1:7501
  guardianctl status --cluster --watch=5s
  guardianctl status --json`,
		Args: s.noPause,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd) },
	}
	s.register(cmd)
	cmd.Flags().BoolVar(&s.cluster, "cluster", false, "compare how the guardians see each other")
	cmd.Flags().DurationVar(&s.watch, "watch", 0, "show it again and again, with this pause between")
	cmd.Flags().Lookup("watch").NoOptDefVal = "2s"
	return cmd
}

// guardianRow is one guardian in the table.
type guardianRow struct {
	Guardian          string  `json:"guardian"`
	State             string  `json:"state"`
	LatencyMillis     float64 `json:"latency_ms"`
	Version           string  `json:"version,omitempty"`
	Shares            int64   `json:"shares"`
	SharesApproximate bool    `json:"shares_approximate"`
	Error             string  `json:"error,omitempty"`
}

func (s *statusCommand) run(cmd *cobra.Command) error {
	watching := cmd.Flags().Changed("watch")
	if watching && s.watch < shortestPause {
		return usageError("pass for example --watch=5s", "--watch needs a pause of %s at least", shortestPause)
	}
	at, err := s.endpoints(cmd, "")
	if err != nil {
		return err
	}
	vault, err := at.vault(nil, "")
	if err != nil {
		return err
	}
	if watching {
		return s.again(cmd, vault, at.members)
	}
	var show func(io.Writer) error
	err = s.ask(cmd, "asking", func(ctx context.Context) (err error) {
		show, err = s.look(ctx, vault, at.members)
		return err
	})
	if err != nil && cmd.Context().Err() != nil {
		return err // what they did not say is no state of theirs
	}
	if err := show(cmd.OutOrStdout()); err != nil {
		return err
	}
	return err
}

// look asks the guardians, and returns what prints their answers; the error says
// that too few answered.
func (s *statusCommand) look(ctx context.Context, vault *client.Vault, members []client.Member) (show func(io.Writer) error, err error) {
	if s.cluster {
		views := vault.Views(ctx)
		return func(out io.Writer) error { return printCluster(out, s.json, compare(views, members)) }, enoughReachable(vault, errsOf(views, func(v client.GuardianView) error { return v.Err }))
	}
	all := vault.Status(ctx)
	return func(out io.Writer) error { return printStatus(out, s.json, rows(all)) }, enoughReachable(vault, errsOf(all, func(g client.GuardianStatus) error { return g.Err }))
}

// errsOf are the errors among answers.
func errsOf[T any](all []T, errOf func(T) error) (errs []error) {
	for _, answer := range all {
		if err := errOf(answer); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func rows(all []client.GuardianStatus) []guardianRow {
	var list []guardianRow
	for _, g := range all {
		row := guardianRow{
			Guardian: g.Guardian, State: plain(g.Status.Status), Version: plain(g.Status.Version),
			LatencyMillis: float64(g.Latency.Microseconds()) / 1000,
			Shares:        g.Status.Shares, SharesApproximate: g.Status.SharesApproximate,
		}
		if g.Err != nil {
			row.State, row.Error = stateOf(g.Err), problems([]error{g.Err})[0].Error
		}
		list = append(list, row)
	}
	return list
}

func stateOf(err error) string {
	said, ok := errors.AsType[*client.Error](err)
	switch {
	case errors.Is(err, api.ErrNoRoute):
		return stateWrongURL
	case errors.Is(err, client.ErrInvalidList):
		return stateInvalid
	case ok && said.Status != 0:
		return stateRefused
	}
	return stateUnreachable
}

func printStatus(out io.Writer, asJSON bool, list []guardianRow) error {
	if asJSON {
		return printJSON(out, list)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "GUARDIAN\tSTATE\tLATENCY\tVERSION\tSHARES")
	for _, row := range list {
		latency := time.Duration(row.LatencyMillis * float64(time.Millisecond)).Round(time.Microsecond)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", row.Guardian, row.State, latency, orDash(row.Version), shareCount(row))
	}
	return table.Flush()
}

func shareCount(row guardianRow) string {
	if row.Error != "" {
		return "-"
	}
	return countOf(row.Shares, row.SharesApproximate)
}

func countOf(shares int64, approximate bool) string {
	if approximate {
		return "~" + strconv.FormatInt(shares, 10)
	}
	return strconv.FormatInt(shares, 10)
}

// plain keeps what a guardian says of itself from driving the terminal. A key in
// hex is the longest that it lets through.
func plain(text string) string { return plainUpTo(text, 64) }

// plainURL is plain for a URL.
func plainURL(text string) string { return plainUpTo(text, 512) }

func plainUpTo(text string, longest int) string {
	if len(text) > longest || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return "?"
	}
	return text
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func enoughReachable(vault *client.Vault, errs []error) error {
	if got, need := len(vault.Guardians())-len(errs), vault.WriteQuorum(); got < need {
		text := fmt.Sprintf("too few guardians answer to store anything: needed %d, got %d", need, got)
		for _, err := range errs {
			text += "\n  " + err.Error()
		}
		return &advisedError{exitQuorum, errors.New(text), quorumAdvice(&client.QuorumError{Errs: errs})}
	}
	return nil
}
