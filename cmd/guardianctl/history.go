package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
)

func newHistoryCommand() *cobra.Command {
	var f keptFlags
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Show which versions the guardians retain",
		Long: `Ask all guardians which versions they retain under the identity, newest first.
Of what was deleted they retain that it was. The epoch, shown where there is any,
counts how often guardians have made new shares of a version since it was stored.
Nothing is rebuilt, so this is what the guardians say, unchecked.`,
		Example: `  guardianctl history --key-file notes.key
  guardianctl history --key-file notes.key --name monday
  guardianctl history --mnemonic
  guardianctl history --user joe --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return history(cmd, &f) },
	}
	f.register(cmd)
	return cmd
}

// guardianVersions is one guardian in the result.
type guardianVersions struct {
	Guardian string            `json:"guardian"`
	State    string            `json:"state"` // ok, or why there are no versions
	Versions []api.VersionInfo `json:"versions"`
	Error    string            `json:"error,omitempty"`
}

func history(cmd *cobra.Command, f *keptFlags) error {
	k, err := f.open(cmd)
	if err != nil {
		return err
	}
	defer k.wipe()
	var all []client.GuardianHistory
	err = f.ask(cmd, "asking", func(ctx context.Context) error {
		all, err = k.vault.History(ctx, k.identity)
		return err
	})
	if err != nil {
		return err
	}
	list := versionsOf(all)
	if f.json {
		return printJSON(cmd.OutOrStdout(), list)
	}
	for _, g := range list {
		if g.Error != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s is %s: %s\n", g.Guardian, g.State, g.Error)
		}
	}
	return printVersions(cmd.OutOrStdout(), list)
}

func versionsOf(all []client.GuardianHistory) []guardianVersions {
	var list []guardianVersions
	for _, g := range all {
		row := guardianVersions{Guardian: g.Guardian, State: "ok", Versions: g.Versions}
		if g.Err != nil {
			row.State, row.Error = historyState(g.Err), problems([]error{g.Err})[0].Error
		}
		list = append(list, row)
	}
	return list
}

func historyState(err error) string {
	switch {
	case errors.Is(err, api.ErrNotFound):
		return string(client.StateMissing)
	case errors.Is(err, api.ErrIntegrityFailed):
		return string(client.StateWrong)
	}
	return stateOf(err)
}

func printVersions(out io.Writer, list []guardianVersions) error {
	epochs := slices.ContainsFunc(list, func(g guardianVersions) bool {
		return slices.ContainsFunc(g.Versions, func(v api.VersionInfo) bool { return v.Epoch > 0 })
	})
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(guardian, version, epoch, bytes, since string) {
		fmt.Fprintln(table, strings.Join(columns(epochs, []string{guardian, version}, epoch, bytes, since), "\t"))
	}
	line("GUARDIAN", "VERSION", "EPOCH", "BYTES", "SINCE")
	for _, g := range list {
		if len(g.Versions) == 0 {
			line(g.Guardian, "-", "-", g.State, "-")
		}
		for _, v := range g.Versions {
			line(g.Guardian, strconv.FormatUint(v.Version, 10), strconv.FormatUint(v.Epoch, 10), bytesOf(v), sinceOf(v))
		}
	}
	return table.Flush()
}

func bytesOf(v api.VersionInfo) string {
	if v.Deleted {
		return "deleted"
	}
	return fmt.Sprint(v.Size)
}

// sinceOf is when a version was stored; of a delete that is not kept.
func sinceOf(v api.VersionInfo) string {
	if v.CreatedNS == 0 {
		return "-"
	}
	return time.Unix(0, v.CreatedNS).UTC().Format(time.RFC3339)
}
