package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/repair"
)

const roundsPath = "/admin/rounds"

// roundsStatus is what the admin plane tells of rounds.
type roundsStatus struct {
	Progress repair.RoundsReport `json:"progress"`
	Open     []repair.OpenEpoch  `json:"open"`
}

// roundsOrder is what it is asked for.
type roundsOrder struct {
	Slots     []repair.SlotName `json:"slots"`
	Threshold int               `json:"threshold"`
	Members   []string          `json:"members"`
}

func newRefreshCommand() *cobra.Command {
	var f orderFlags
	cmd := &cobra.Command{
		Use:   "refresh [IDENTITY[/NAME]...]",
		Short: "Have guardians replace all their shares by new ones",
		Long: `Have a running guardian lead the holders of secrets through a refresh: they deal
new shares of the same secrets to each other, prove to each other that they did,
and erase the old ones. Whoever has stolen fewer than K shares before has nothing
after. Nobody learns a secret, and versions stay as they are. Without identities
all that this guardian holds is refreshed.

More than K holders must be there, and more than two thirds; of what too few are
there for, nothing is changed. It moves K shares for each holder: see docs/OPERATOR_GUIDE.md
for what it costs. ` + adminNote,
		Example: `  guardianctl refresh
  guardianctl refresh 3f9c...e1
  guardianctl refresh --no-wait && guardianctl rounds show`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args, roundsOrder{}) },
	}
	f.register(cmd)
	return cmd
}

func newRedistributeCommand() *cobra.Command {
	var f orderFlags
	var order roundsOrder
	cmd := &cobra.Command{
		Use:   "redistribute [IDENTITY[/NAME]...]",
		Short: "Have guardians move secrets to other holders, or to another threshold",
		Long: `Have a running guardian lead the holders of secrets through a redistribution: they
deal new shares to the holders named, with the threshold given, prove to each other
that they did, and erase the old ones. Nobody learns a secret, and versions stay as
they are. Without identities all that this guardian holds is moved.

The owner decides what is permitted: guardianctl store --max-holders, --min-threshold
and --admission-key. New holders must be in the roster that the key has signed. What
the owner has not permitted is left as it is, and told. ` + adminNote,
		Example: `  guardianctl redistribute --threshold 4
  guardianctl redistribute --members g1,g2,g3,g4,g6
  guardianctl redistribute --members g1,g2,g3,g4,g5,g6 --threshold 4 3f9c...e1`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := order.check(given(cmd, "threshold", "members")); err != nil {
				return err
			}
			return f.run(cmd, args, order)
		},
	}
	f.register(cmd)
	cmd.Flags().IntVar(&order.Threshold, "threshold", 0, "the new K, 2 to 255 (default: each secret's)")
	cmd.Flags().StringSliceVar(&order.Members, "members", nil, "node ids of the new holders, between commas (default: each secret's)")
	return cmd
}

// check refuses what no guardian could carry out, whatever the owners permit.
func (o roundsOrder) check(given []string) error {
	if len(given) == 0 {
		return usageError("pass --threshold, --members, or both; guardianctl refresh keeps both as they are", "nothing is to be changed")
	}
	if slices.Contains(given, "--threshold") && (o.Threshold < 2 || o.Threshold > api.MaxThreshold) {
		return usageError("a threshold is 2 to 255", "--threshold is %d", o.Threshold)
	}
	if slices.Contains(given, "--members") {
		return o.checkMembers()
	}
	return nil
}

func (o roundsOrder) checkMembers() error {
	const advice = "name each new holder once, between commas: --members g1,g2,g3"
	for i, node := range o.Members {
		switch {
		case node == "":
			return usageError(advice, "--members has an empty node id")
		case slices.Contains(o.Members[:i], node):
			return usageError(advice, "%s is named twice", shown(node))
		}
	}
	switch n := len(o.Members); {
	case n == 0:
		return usageError(advice, "--members names nobody")
	case n > api.MaxThreshold:
		return usageError("there are at most 255 holders", "--members names %d", n)
	case n <= o.Threshold:
		return usageError("name more, or pass a lower --threshold: one of them may be gone at any time", "%d members cannot be more than %d of which any rebuild a secret", n, o.Threshold)
	}
	return nil
}

// orderFlags are those of commands that begin rounds.
type orderFlags struct {
	adminFlags
	noWait bool
}

func (f *orderFlags) register(cmd *cobra.Command) {
	f.adminFlags.register(cmd)
	cmd.Flags().BoolVar(&f.noWait, "no-wait", false, "begin, and do not wait for the end")
}

func (f *orderFlags) run(cmd *cobra.Command, identities []string, order roundsOrder) error {
	if err := f.check(); err != nil {
		return err
	}
	order.Slots = []repair.SlotName{}
	for _, text := range identities {
		slot, err := parseSlotName(text)
		if err != nil {
			return err
		}
		if !slices.Contains(order.Slots, slot) {
			order.Slots = append(order.Slots, slot)
		}
	}
	var begun roundsStatus
	if err := f.post(cmd.Context(), roundsPath, order, &begun); err != nil {
		return err
	}
	if f.noWait {
		return f.print(cmd.OutOrStdout(), begun)
	}
	status, err := f.wait(cmd, begun)
	if err != nil {
		return err
	}
	return errors.Join(f.print(cmd.OutOrStdout(), status), roundsProblem(status.Progress))
}

func (f *orderFlags) wait(cmd *cobra.Command, begun roundsStatus) (status roundsStatus, err error) {
	err = f.until(cmd, func(ctx context.Context) (look, error) {
		status = roundsStatus{}
		err := f.get(ctx, roundsPath, &status)
		if err == nil && status.Progress.StartedNS != begun.Progress.StartedNS {
			err = failure(errors.New("the guardian has forgotten the rounds: it was started again, or somebody has begun others"),
				"run it again: what was moved is found moved")
		}
		p := status.Progress
		return look{fmt.Sprintf("moved %d of %d shares looked at", p.Moved, p.Generations), p.Running, !p.Running}, err
	})
	return status, err
}

func (f *adminFlags) print(out io.Writer, status roundsStatus) error {
	if f.json {
		return printJSON(out, status)
	}
	return printRounds(out, status)
}

func printRounds(out io.Writer, status roundsStatus) error {
	p := status.Progress
	switch {
	case p.StartedNS == 0:
		fmt.Fprintln(out, "no rounds were begun at this guardian since it was started")
	case p.Running:
		fmt.Fprintf(out, "rounds go on since %s: %d committed, %d shares moved so far\n", timeText(p.StartedNS), p.Rounds, p.Moved)
	default:
		fmt.Fprintf(out, "%d rounds committed: %d shares moved, %d refused, %d failed\n", p.Rounds, p.Moved, p.Refused, p.Failed)
	}
	for _, problem := range p.Problems {
		fmt.Fprintf(out, "%s version %d: %s\n", slotText(problem.SlotName), problem.Version, shown(problem.Error))
	}
	for _, open := range status.Open {
		if !open.Committed {
			fmt.Fprintf(out, "round %s: %d shares, and the registry has not said yet that it is committed\n", shown(open.Session), open.Generations)
			continue
		}
		fmt.Fprintf(out, "round %s: %d shares, not known to be erased by %s\n", shown(open.Session), open.Generations, andList(open.Holders))
	}
	return nil
}

// roundsProblem is the worst of what rounds came to.
func roundsProblem(p repair.RoundsReport) error {
	switch {
	case p.Error != "":
		return failure(fmt.Errorf("the rounds were broken off: %s", shown(p.Error)), "look into the guardian's log, and run it again")
	case p.Failed > 0:
		return &advisedError{exitQuorum, fmt.Errorf("%d shares were not moved", p.Failed), "see why above; bring the guardians up, wait for rounds that guardianctl rounds list has as going on, and run it again: what was moved stays moved"}
	case p.Refused > 0 && p.Moved == 0:
		return &advisedError{exitFailure, fmt.Errorf("nothing was moved, %d were refused", p.Refused), "see why above: owners permit it when they store"}
	case p.Generations == 0:
		return &advisedError{exitNotFound, errors.New("the guardian keeps nothing of it"), "check the identity, and ask a guardian that holds a share"}
	}
	return nil
}
