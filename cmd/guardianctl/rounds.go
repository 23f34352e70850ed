package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func newRoundsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rounds",
		Short: "Show the rounds in which guardians deal shares anew",
		Long: `Show the rounds of refreshes and redistributions: those that a running guardian
leads, and those that the registry knows of. ` + adminNote,
		Example: `  guardianctl rounds list
  guardianctl rounds show`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRoundsListCommand(), newRoundsShowCommand())
	return cmd
}

func newRoundsShowCommand() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the rounds that a guardian leads, and what is open of earlier ones",
		Long: `Show how far the rounds are that a running guardian leads, and the committed ones
that are still open: some holder is not known to have erased its old share, as it
did not answer since. An old epoch is closed, and what was stolen of it worth
nothing, when nobody is left; backups and bucket versions count as holders, and are
for you to expire.

Of rounds that the registry has as going on, whoever leads them, it says since when,
and until when others wait for a guardian that leads one and is gone. ` + adminNote,
		Example: `  guardianctl rounds show
  guardianctl rounds show --json | jq .open`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			var status roundsShown
			if err := f.get(cmd.Context(), roundsPath, &status); err != nil {
				return err
			}
			f.lookAround(cmd.Context(), &status)
			return f.printShown(cmd.OutOrStdout(), status)
		},
	}
	f.register(cmd)
	return cmd
}

// roundsShown is what rounds show tells.
type roundsShown struct {
	roundsStatus
	// Running are the rounds that the registry has as going on, or RegistryError
	// why they are not known.
	Running       []shownGroup `json:"running"`
	RegistryError string       `json:"registry_error,omitempty"`
}

// lookAround adds what the registry knows: what this guardian leads is told
// without it.
func (f *adminFlags) lookAround(ctx context.Context, status *roundsShown) {
	groups, err := f.groups(ctx)
	if err != nil {
		groups, status.RegistryError = []shownGroup{}, err.Error()
	}
	status.Running = slices.DeleteFunc(groups, func(g shownGroup) bool { return !g.goesOn() })
}

func (f *adminFlags) printShown(out io.Writer, status roundsShown) error {
	if f.json {
		return printJSON(out, status)
	}
	if err := printRounds(out, status.roundsStatus); err != nil {
		return err
	}
	if status.RegistryError != "" {
		_, err := fmt.Fprintln(out, "the rounds of others are not known:", status.RegistryError)
		return err
	}
	return printLeases(out, status.Running)
}

func newRoundsListCommand() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the rounds that the registry knows of",
		Long: `List, for each set of holders that had rounds, the latest one as the registry has
it: who leads it, what is to change, and how far it is. Of one that goes on it says
since when, and until when others wait for its coordinator if that is gone. ` + adminNote,
		Example: `  guardianctl rounds list
  guardianctl rounds list --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			groups, err := f.groups(cmd.Context())
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), map[string]any{"groups": groups})
			}
			return printGroups(cmd.OutOrStdout(), groups)
		},
	}
	f.register(cmd)
	return cmd
}

func printGroups(out io.Writer, groups []shownGroup) error {
	if len(groups) == 0 {
		_, err := fmt.Fprintln(out, "no rounds yet")
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "HOLDERS\tROUND\tSTATE\tLED BY\tK\tNEW K\tNEW N\tSHARES\tCHANGED")
	for _, g := range groups {
		s := g.State
		if g.Error != "" {
			fmt.Fprintf(table, "%.8s\t-\t%s\n", g.Group, shown(g.Error))
			continue
		}
		fmt.Fprintf(table, "%.8s\t%d\t%s\t%s\t%d\t%d\t%d\t%d\t%s\n", g.Group, s.Serial, shown(string(s.Phase)), shown(orDash(s.Coordinator)),
			s.Proposal.FromThreshold, s.Proposal.ToThreshold, s.Proposal.ToHolders, s.Proposal.Generations,
			timeText(s.ChangedNS))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return printLeases(out, groups)
}

// andList joins names for people.
func andList(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	var safe []string
	for _, name := range names {
		safe = append(safe, shown(name))
	}
	return strings.Join(safe, ", ")
}
