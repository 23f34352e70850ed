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
)

func newStatusCommand() *cobra.Command {
	var f vaultFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the guardians are",
		Long: `Ask every guardian for its state. Exits 4 when too few answer for a push to be
acknowledged. A guardian answers this to everybody: the bearer token is not
checked.`,
		Example: `  guardianctl status --guardians ` + exampleGuardians + `
  guardianctl status --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return status(cmd, &f) },
	}
	f.register(cmd)
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

func status(cmd *cobra.Command, f *vaultFlags) error {
	at, err := f.endpoints("")
	if err != nil {
		return err
	}
	vault, err := at.vault(nil, "")
	if err != nil {
		return err
	}
	var all []client.GuardianStatus
	err = f.ask(cmd, "asking", func(ctx context.Context) error {
		all = vault.Status(ctx)
		return enoughReachable(vault, all)
	})
	if err != nil && cmd.Context().Err() != nil {
		return err // what they did not say is no state of theirs
	}
	if err := printStatus(cmd.OutOrStdout(), f.json, rows(all)); err != nil {
		return err
	}
	return err
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
	switch {
	case row.Error != "":
		return "-"
	case row.SharesApproximate:
		return "~" + strconv.FormatInt(row.Shares, 10)
	}
	return strconv.FormatInt(row.Shares, 10)
}

// plain keeps what a guardian says of itself from driving the terminal.
func plain(text string) string {
	const longest = 40
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

func enoughReachable(vault *client.Vault, all []client.GuardianStatus) error {
	var errs []error
	for _, g := range all {
		if g.Err != nil {
			errs = append(errs, g.Err)
		}
	}
	if got, need := len(all)-len(errs), vault.WriteQuorum(); got < need {
		text := fmt.Sprintf("too few guardians answer to store anything: needed %d, got %d", need, got)
		for _, err := range errs {
			text += "\n  " + err.Error()
		}
		return &advisedError{exitQuorum, errors.New(text), quorumAdvice(&client.QuorumError{Errs: errs})}
	}
	return nil
}
