package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/guardian"
)

func newClusterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "cluster",
		Short:   "Deal with what one guardian keeps about the others",
		Long:    "Deal with what one guardian keeps about the others. " + storageNote,
		Example: `  guardianctl cluster pins list --storage ./data`,
		Args:    knownCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPinsCommand())
	return cmd
}

func newPinsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pins",
		Short: "Look at and forget the keys that a guardian saw first",
		Long: `A guardian keeps of every other one the key and the index that it saw first, so
that nobody who has the registry can change them, and the last roster, if there
is an admission key. ` + storageNote,
		Example: `  guardianctl cluster pins list --storage ./data
  guardianctl cluster pins forget g7 --storage ./data --yes`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPinsListCommand(), newPinsForgetCommand())
	return cmd
}

func newPinsListCommand() *cobra.Command {
	var f storageFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the guardians that one guardian knows, with index and key",
		Long:  "List the guardians that one guardian knows, with index and key. " + storageNote,
		Example: `  guardianctl cluster pins list --storage ./data
  guardianctl cluster pins list --storage s3://bucket/prefix --node-id g1 --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.use(cmd, func(ctx context.Context, n *guardian.Node) error {
				kept, _, err := readKept(ctx, n)
				if err != nil {
					return err
				}
				return f.printKept(cmd.OutOrStdout(), kept)
			})
		},
	}
	f.register(cmd)
	return cmd
}

// readKept also returns the revision that it is at.
func readKept(ctx context.Context, n *guardian.Node) (*cluster.Kept, backend.Revision, error) {
	data, rev, err := n.Membership(ctx)
	if errors.Is(err, api.ErrIntegrityFailed) {
		return nil, rev, &advisedError{exitVerification, err, "put the object of the guardian's membership back from a backup: without it the guardian believes nobody"}
	}
	if err != nil {
		return nil, rev, storageError(err)
	}
	kept, err := cluster.ParseKept(data)
	return kept, rev, err
}

// shownKept is what `cluster pins list --json` prints.
type shownKept struct {
	Pins   []shownPin  `json:"pins"`
	Roster *keptRoster `json:"roster"`
}

type shownPin struct {
	NodeID string `json:"node_id"`
	Index  int    `json:"index"`
	Key    string `json:"public_key"` // hex, as in guardianctl roster
}

type keptRoster struct {
	Serial    uint64 `json:"serial"`
	Guardians int    `json:"guardians"`
}

func shownKeptOf(kept *cluster.Kept) (*shownKept, error) {
	view := &shownKept{Pins: []shownPin{}}
	for _, p := range kept.Pins {
		view.Pins = append(view.Pins, shownPin{p.NodeID, p.Index, hex.EncodeToString(p.Key)})
	}
	if len(kept.Roster) == 0 {
		return view, nil
	}
	roster, err := cluster.UnverifiedRoster(kept.Roster)
	if err != nil {
		return nil, failure(err, "guardianctl cluster pins forget --roster gives it up")
	}
	view.Roster = &keptRoster{roster.Serial, len(roster.Entries)}
	return view, nil
}

func (f *storageFlags) printKept(out io.Writer, kept *cluster.Kept) error {
	view, err := shownKeptOf(kept)
	switch {
	case err != nil:
		return err
	case f.json:
		return printJSON(out, view)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "INDEX\tNODE\tKEY")
	for _, p := range view.Pins {
		fmt.Fprintf(table, "%d\t%s\t%s\n", p.Index, p.NodeID, p.Key)
	}
	if err := table.Flush(); err != nil || view.Roster == nil {
		return err
	}
	_, err = fmt.Fprintf(out, "and a roster with serial %d of %d guardians, which counts in their place\n", view.Roster.Serial, view.Roster.Guardians)
	return err
}

type pinsForget struct {
	storageFlags
	roster, yes bool
}

func newPinsForgetCommand() *cobra.Command {
	var f pinsForget
	cmd := &cobra.Command{
		Use:   "forget [NODE_ID...]",
		Short: "Have a guardian see others as if for the first time",
		Long: `Forget key and index of guardians, for one that comes back with another key, or
that never was. First remove their records from the registry: what is still
listed there is pinned again. A guardian that runs notices within a minute.
` + storageNote + ` Every guardian keeps pins of its own: do it
for each.

With --roster the signed roster is forgotten: only to go back to a cluster
without an admission key. Stop the guardian first, as one that runs with the
admission key keeps the roster anew.`,
		Example: `  guardianctl cluster pins forget g7 --storage ./data --yes
  guardianctl cluster pins forget --roster --storage s3://bucket/prefix --node-id g1 --yes`,
		Args: takes(0, cluster.MaxIndex),
		RunE: f.run,
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&f.roster, "roster", false, "forget the roster")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do it")
	return cmd
}

func (f *pinsForget) run(cmd *cobra.Command, nodes []string) error {
	if len(nodes) == 0 && !f.roster {
		return usageError("guardianctl cluster pins list shows them", "name the guardians to forget, or pass --roster")
	}
	if err := confirm(cmd, f.yes, "has the guardian believe whatever key it sees next"); err != nil {
		return err
	}
	return f.use(cmd, func(ctx context.Context, n *guardian.Node) error {
		err := changeKept(ctx, n, func(kept *cluster.Kept) error { return f.forget(kept, nodes) })
		if err != nil {
			return err
		}
		return f.printForgotten(cmd.OutOrStdout(), nodes)
	})
}

// forget takes out all that was named, or fails.
func (f *pinsForget) forget(kept *cluster.Kept, nodes []string) error {
	const advice = "guardianctl cluster pins list shows what there is"
	for _, node := range nodes {
		if !kept.Forget(node) {
			return &advisedError{exitNotFound, fmt.Errorf("there is no pin of %q; nothing was done", node), advice}
		}
	}
	if f.roster && len(kept.Roster) == 0 {
		return &advisedError{exitNotFound, errors.New("there is no roster; nothing was done"), advice}
	}
	if f.roster {
		kept.Roster = nil
	}
	return nil
}

// maxKeptChanges bounds how often changeKept begins again.
const maxKeptChanges = 8

// changeKept changes what a guardian keeps, anew where the guardian itself has
// changed it meanwhile.
func changeKept(ctx context.Context, n *guardian.Node, change func(*cluster.Kept) error) (err error) {
	for range maxKeptChanges {
		kept, rev, errRead := readKept(ctx, n)
		if errRead != nil {
			return errRead
		}
		if err := change(kept); err != nil {
			return err
		}
		if _, err = n.KeepMembership(ctx, kept.Encode(), rev); !errors.Is(err, backend.ErrConflict) {
			break
		}
	}
	if err != nil {
		return failure(storageError(err), "run it again: it does no harm")
	}
	return nil
}

func (f *pinsForget) printForgotten(out io.Writer, nodes []string) error {
	if f.json {
		return printJSON(out, struct {
			Forgotten []string `json:"forgotten"`
			Roster    bool     `json:"roster"`
		}{append([]string{}, nodes...), f.roster})
	}
	what := nodes
	if f.roster {
		what = append(what[:len(what):len(what)], "the roster")
	}
	_, err := fmt.Fprintln(out, "forgotten:", strings.Join(what, ", "))
	return err
}
