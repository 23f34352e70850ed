package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
)

// run carries out a command line and returns the exit code. It ends as at a signal
// when nobody reads what it prints any more.
func run(ctx context.Context, args []string, s streams) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	root, out := newRootCommand(), &output{to: s.out, unread: cancel}
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(out)
	root.SetErr(s.err)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		err = out.err
	}
	if err == nil {
		return exitOK
	}
	problem := advised(err)
	fmt.Fprintf(s.err, "guardianctl: %s\nnext: %s\n", tamed(problem.Error()), problem.advice)
	if !out.written && wantsJSON(cmd, args) {
		printJSON(out, failedResult{problem.Error(), problem.code, problem.advice}) //nolint:errcheck // the exit code says it failed
	}
	return problem.code
}

// failedResult takes the place of a result that --json asked for.
type failedResult struct {
	Error string `json:"error"`
	Code  int    `json:"code"`
	Next  string `json:"next"`
}

// wantsJSON looks at args too: parsing ends at the first wrong flag.
func wantsJSON(cmd *cobra.Command, args []string) bool {
	flag := cmd.Flags().Lookup("json")
	return flag != nil && (flag.Value.String() == "true" || slices.Contains(args, "--json"))
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "guardianctl",
		Short: "Keep files with guardians, and bring them back",
		Long: `guardianctl encrypts a file, splits it into shares, gives one to each of N
guardians, and rebuilds the file from any K of them.

Exit codes: 0 success, 1 failure, 2 usage, 3 not found, 4 quorum not met,
5 verification failed.`,
		Example: `  guardianctl demo
  export GUARDIANCTL_GUARDIANS=` + exampleGuardians + `
  guardianctl keygen -o notes.key
  guardianctl store notes.txt --key-file notes.key
  guardianctl recover --key-file notes.key -o notes-again.txt`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		advice := "see " + cmd.CommandPath() + " --help"
		if strings.Contains(cmd.Use, "FILE") {
			advice += "; a file whose name begins with a dash is written ./-NAME, or after --"
		}
		return usageError(advice, "%w", err)
	})
	root.AddCommand(
		newStoreCommand(), newRecoverCommand(), newDeleteCommand(), newStatusCommand(), newDoctorCommand(), newCapacityCommand(), newGuardiansCommand(), newHistoryCommand(), newListCommand(), newVerifyCommand(), newKeygenCommand(),
		newSplitCommand(), newCombineCommand(), newDemoCommand(), newChaosCommand(), newBenchCommand(), newVersionCommand(),
		newSharesCommand(), newQuarantineCommand(), newRekeyCommand(), newMigrateCommand(), newCompactCommand(), newBackupCommand(), newDrillCommand(), newAuditCommand(), newRosterCommand(), newClusterCommand(), newScrubCommand(), newFreezeCommand(), newThawCommand(), newRepairCommand(), newRefreshCommand(), newRedistributeCommand(), newRoundsCommand(),
	)
	completeAll(root)
	return root
}

// knownCommand refuses what is no command, and names those it resembles.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	advice := "see " + cmd.CommandPath() + " --help for the commands there are"
	cmd.SuggestionsMinimumDistance = 2 // two letters swapped
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		advice = "did you mean " + cmd.CommandPath() + " " + similar[0] + "?"
	}
	return usageError(advice, "unknown command %q", args[0])
}

// takes is the number of arguments from least to most that a command takes.
func takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := cobra.RangeArgs(least, most)(cmd, args); err != nil {
			return usageError("see "+cmd.CommandPath()+" --help", "%w", err)
		}
		return nil
	}
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: takes(0, 0),
		Example: "  guardianctl version",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "guardianctl", api.Version)
			return err
		},
	}
}
