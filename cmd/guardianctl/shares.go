package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/guardian"
)

func newSharesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "shares",
		Short: "Look at and remove what one guardian stores",
		Long:  "Look at and remove what one guardian stores. " + storageNote,
		Example: `  guardianctl shares list --storage ./data
  guardianctl shares show 3f9c...e1 --storage ./data`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSharesListCommand(), newSharesCountCommand(), newSharesShowCommand(), newSharesPurgeCommand())
	return cmd
}

func newSharesListCommand() *cobra.Command {
	var f storageFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List all identities with version, size and state, verifying each",
		Long: `List all identities with version, size and state: live, moved (to other guardians),
deleted, or damaged. Every share is read and verified; what is damaged is marked in
the quarantine. Exits 5 if any is. ` + storageNote,
		Example: `  guardianctl shares list --storage ./data
  guardianctl shares list --storage ./data --json | jq -r 'select(.state != "live").identity'`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.use(cmd, func(ctx context.Context, n *guardian.Node) error { return f.list(ctx, cmd, n) })
		},
	}
	f.register(cmd)
	return cmd
}

func (f *storageFlags) list(ctx context.Context, cmd *cobra.Command, n *guardian.Node) error {
	printed, done := infoPrinter(cmd.OutOrStdout(), f.json)
	progress := countProgress(cmd.ErrOrStderr(), "verified")
	damaged := 0
	err := eachInfo(ctx, n, func(info guardian.Info) error {
		progress.add()
		if info.State == guardian.StateDamaged {
			damaged++
		}
		return printed(info)
	})
	progress.end()
	if err = errors.Join(err, done()); err != nil {
		return storageError(err)
	}
	return damagedError(damaged)
}

// eachInfo inspects every slot; one that went away meanwhile is left out.
func eachInfo(ctx context.Context, n *guardian.Node, do func(guardian.Info) error) error {
	for slot, err := range n.Slots(ctx) {
		if err != nil {
			return err
		}
		info, err := n.Inspect(ctx, slot)
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		if err := do(info); err != nil {
			return err
		}
	}
	return nil
}

// infoPrinter prints a table, or one JSON object a line: the list can be longer
// than memory.
func infoPrinter(out io.Writer, asJSON bool) (row func(guardian.Info) error, done func() error) {
	if asJSON {
		encoder := json.NewEncoder(out)
		return func(info guardian.Info) error { return encoder.Encode(info) }, func() error { return nil }
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "IDENTITY\tVERSION\tBYTES\tSTATE")
	return func(info guardian.Info) error {
		_, err := fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", info.Identity, info.Version, sizeOf(info), info.State)
		return err
	}, table.Flush
}

// sizeOf is of the current version: what has moved to other guardians may leave
// older ones behind.
func sizeOf(info guardian.Info) string {
	if len(info.Retained) == 0 || info.Retained[0].Version != info.Version {
		return "-"
	}
	return fmt.Sprint(info.Retained[0].Size)
}

func newSharesCountCommand() *cobra.Command {
	var f storageFlags
	cmd := &cobra.Command{
		Use:     "count",
		Short:   "Count live, moved, deleted and damaged identities",
		Long:    "Count live, moved, deleted and damaged identities, reading and verifying every\nshare. Moved ones have other guardians as holders now. Exits 5 if any is damaged. " + storageNote,
		Example: `  guardianctl shares count --storage ./data`,
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.use(cmd, func(ctx context.Context, n *guardian.Node) error { return f.count(ctx, cmd, n) })
		},
	}
	f.register(cmd)
	return cmd
}

func (f *storageFlags) count(ctx context.Context, cmd *cobra.Command, n *guardian.Node) error {
	counts := map[string]int{guardian.StateLive: 0, guardian.StateMoved: 0, guardian.StateDeleted: 0, guardian.StateDamaged: 0}
	progress := countProgress(cmd.ErrOrStderr(), "verified")
	err := eachInfo(ctx, n, func(info guardian.Info) error {
		progress.add()
		counts[info.State]++
		return nil
	})
	progress.end()
	if err != nil {
		return storageError(err)
	}
	if f.json {
		err = printJSON(cmd.OutOrStdout(), counts)
	} else {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "live %d, moved %d, deleted %d, damaged %d\n",
			counts[guardian.StateLive], counts[guardian.StateMoved], counts[guardian.StateDeleted], counts[guardian.StateDamaged])
	}
	return cmp.Or(err, damagedError(counts[guardian.StateDamaged]))
}

// damagedError is nil when nothing is damaged.
func damagedError(damaged int) error {
	if damaged == 0 {
		return nil
	}
	return &advisedError{
		exitVerification, fmt.Errorf("%d identities are damaged", damaged),
		"guardianctl quarantine list says what is wrong with them",
	}
}

func newSharesShowCommand() *cobra.Command {
	var f storageFlags
	cmd := &cobra.Command{
		Use:     "show IDENTITY",
		Short:   "Show what is stored for an identity, without the share itself",
		Long:    "Show what is stored for an identity, after verifying it; never the share itself. " + storageNote,
		Example: `  guardianctl shares show 3f9c...e1 --storage ./data --json`,
		Args:    takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			slot, err := slotArgument(args)
			if err != nil {
				return err
			}
			return f.use(cmd, func(ctx context.Context, n *guardian.Node) error { return f.show(ctx, cmd, n, slot) })
		},
	}
	f.register(cmd)
	return cmd
}

func (f *storageFlags) show(ctx context.Context, cmd *cobra.Command, n *guardian.Node, slot guardian.Slot) error {
	info, err := n.Inspect(ctx, slot)
	if err != nil {
		return storageError(err)
	}
	if f.json {
		err = printJSON(cmd.OutOrStdout(), info)
	} else {
		err = printInfo(cmd.OutOrStdout(), info)
	}
	if err == nil && info.State == guardian.StateDamaged {
		return &advisedError{exitVerification, errors.New(info.Problem), "guardianctl quarantine drop gives it up, a new version by its owner replaces it"}
	}
	return err
}

func printInfo(out io.Writer, info guardian.Info) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "identity\t%s\nstate\t%s\nversion\t%d\n", info.Identity, info.State, info.Version)
	for _, g := range info.Retained {
		fmt.Fprintf(table, "retained\t%s, epoch %d, %d bytes, threshold %d, split %s, key %s, pushed %s\n",
			g.Generation, g.Epoch, g.Size, g.Threshold, orNone(g.Split), g.KeyID, time.Unix(0, g.CreatedNS).UTC().Format(time.RFC3339))
	}
	return table.Flush()
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func newSharesPurgeCommand() *cobra.Command {
	var f storageFlags
	var yes bool
	cmd := &cobra.Command{
		Use:   "purge IDENTITY",
		Short: "Remove everything of an identity, its version included",
		Long: `Remove everything of an identity, its version and tombstone included. The
guardian then takes any version of it again, old ones too: this is the one way
in which a version can go back. ` + storageNote,
		Example: `  guardianctl shares purge 3f9c...e1 --storage ./data --yes`,
		Args:    takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			slot, err := slotArgument(args)
			if err == nil {
				err = confirm(cmd, yes, "removes the share and forgets its version")
			}
			if err != nil {
				return err
			}
			return f.use(cmd, func(ctx context.Context, n *guardian.Node) error {
				if err := n.Purge(ctx, slot); err != nil {
					return storageError(err)
				}
				return f.report(cmd, "purged", slot)
			})
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	return cmd
}

// report prints what was done to a slot.
func (f *storageFlags) report(cmd *cobra.Command, done string, slot guardian.Slot) error {
	if f.json {
		return printJSON(cmd.OutOrStdout(), map[string]string{"status": done, "identity": slot.Identity})
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), done, slot.Identity)
	return err
}
