package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newRosterRemoveCommand() *cobra.Command {
	var f draftFlags
	cmd := &cobra.Command{
		Use:   "remove NODE_ID",
		Short: "Take a guardian out of the draft of a roster",
		Long: `Take a guardian out of the draft of a roster. The others go on believing in it until
they have a roster without it, signed and published. Its share index is remembered
and never given to another; it gets it back if it is added again.`,
		Example: `  guardianctl roster remove g3`,
		Args:    takes(1, 1),
		RunE:    func(cmd *cobra.Command, args []string) error { return f.remove(cmd, args[0]) },
	}
	f.register(cmd)
	return cmd
}

type rosterRemoveResult struct {
	draftSeat
	Draft string `json:"roster"`
}

func (f *draftFlags) remove(cmd *cobra.Command, node string) error {
	var gone draftEntry
	err := withDraft(f.draft, func(d *draft) (err error) {
		found := false
		if gone, found = d.remove(node); !found {
			return &advisedError{exitNotFound, fmt.Errorf("%q is not in %s", node, f.draft), d.whoIsThere()}
		}
		return writingDraft(d.write(f.draft, true))
	})
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), rosterRemoveResult{draftSeat{gone.NodeID, gone.Index}, f.draft})
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "removed %s from %s; index %d stays its own\n%s", gone.NodeID, shown(f.draft), gone.Index, nextSign)
	return err
}

const nextSign = "next: guardianctl roster sign, when the draft is as it should be\n"

func (d *draft) whoIsThere() string {
	if len(d.Guardians) == 0 {
		return "nobody is in it"
	}
	return "name one that is: " + nodesOf(d.Guardians)
}

func writingDraft(err error) error {
	if err == nil {
		return nil
	}
	return failure(err, "make room for the draft, and run it again")
}
