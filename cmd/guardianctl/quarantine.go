package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/guardian"
)

func newQuarantineCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quarantine",
		Short: "Deal with shares that failed their integrity check",
		Long: `A share that fails its check is answered with integrity_failed and marked in the
quarantine; everything else is served as before. ` + storageNote,
		Example: `  guardianctl quarantine list --storage ./data`,
		Args:    knownCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newQuarantineListCommand(), newQuarantineReleaseCommand(), newQuarantineDropCommand())
	return cmd
}

func newQuarantineListCommand() *cobra.Command {
	var f storageFlags
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List what is in quarantine, and why",
		Long:    "List what is in quarantine, and why. " + storageNote,
		Example: `  guardianctl quarantine list --storage ./data --json`,
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.use(cmd, func(ctx context.Context, n *guardian.Node) error { return f.listMarkers(ctx, cmd, n) })
		},
	}
	f.register(cmd)
	return cmd
}

func (f *storageFlags) listMarkers(ctx context.Context, cmd *cobra.Command, n *guardian.Node) error {
	out := cmd.OutOrStdout()
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if !f.json {
		fmt.Fprintln(table, "IDENTITY\tOBJECT\tFOUND\tREASON")
	}
	for marker, err := range n.Markers(ctx) {
		if err != nil {
			return storageError(err)
		}
		if f.json {
			if err := json.NewEncoder(out).Encode(marker); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", marker.Identity, marker.Object,
			time.Unix(0, marker.FoundNS).UTC().Format(time.RFC3339), marker.Reason)
	}
	return table.Flush()
}

func newQuarantineReleaseCommand() *cobra.Command {
	var f storageFlags
	cmd := &cobra.Command{
		Use:   "release IDENTITY",
		Short: "Take an identity out of quarantine once it verifies again",
		Long: `Verify everything of an identity and take it out of quarantine. What is still
damaged stays in (exit 5). ` + storageNote,
		Example: `  guardianctl quarantine release 3f9c...e1 --storage ./data`,
		Args:    takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.change(cmd, args, "released", (*guardian.Node).Unquarantine)
		},
	}
	f.register(cmd)
	return cmd
}

func newQuarantineDropCommand() *cobra.Command {
	var f storageFlags
	var yes bool
	cmd := &cobra.Command{
		Use:   "drop IDENTITY",
		Short: "Give up a damaged share",
		Long: `Put a tombstone in the place of a damaged share: it is then answered as not
found, and its owner can store a higher version. Versions at or below it stay
refused. Where the current version is sound, only the older ones that are not
are given up. A share that verifies is left alone. ` + storageNote,
		Example: `  guardianctl quarantine drop 3f9c...e1 --storage ./data --yes`,
		Args:    takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := confirm(cmd, yes, "gives up what is damaged of the share"); err != nil {
				return err
			}
			return f.change(cmd, args, "dropped", (*guardian.Node).Drop)
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	return cmd
}

// change does one thing to one slot and reports it.
func (f *storageFlags) change(cmd *cobra.Command, args []string, done string, do func(*guardian.Node, context.Context, guardian.Slot) error) error {
	slot, err := slotArgument(args)
	if err != nil {
		return err
	}
	return f.use(cmd, func(ctx context.Context, n *guardian.Node) error {
		if err := do(n, ctx, slot); err != nil {
			return storageError(err)
		}
		return f.report(cmd, done, slot)
	})
}

func isNotFound(err error) bool { return errors.Is(err, api.ErrNotFound) }
