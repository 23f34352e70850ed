package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/audit"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
)

func newAuditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "audit",
		Short:   "Check the audit log of one guardian",
		Long:    "Check the audit log that a guardian keeps with GUARDIAN_AUDIT=store. " + storageNote,
		Example: "  guardianctl audit verify --storage ./data",
		Args:    knownCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAuditVerifyCommand())
	return cmd
}

func newAuditVerifyCommand() *cobra.Command {
	var f storageFlags
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Find lines that were changed, moved, added or removed",
		Long: `Read the whole audit log and check every line against the node's keys. Each process
has written a chain of lines; one that was not closed belongs to a process that was
killed or still runs, or has lost lines at its end. Exits 5 if anything does not
verify. ` + storageNote,
		Example: `  guardianctl audit verify --storage ./data
  guardianctl audit verify --storage s3://bucket/prefix --node-id g1 --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.use(cmd, func(ctx context.Context, n *guardian.Node) error { return f.verifyAudit(ctx, cmd, n) })
		},
	}
	f.register(cmd)
	return cmd
}

func (f *storageFlags) verifyAudit(ctx context.Context, cmd *cobra.Command, n *guardian.Node) error {
	stop := showProgress(cmd.ErrOrStderr(), "verifying the audit log")
	report, err := audit.Verify(ctx, n.Sealer(), integrity.ErrKeyUnknown, segmentsOf(ctx, n))
	stop()
	if err != nil {
		return storageError(err)
	}
	if f.json {
		err = printJSON(cmd.OutOrStdout(), report)
	} else {
		err = printAudit(cmd.OutOrStdout(), report)
	}
	if err == nil && !report.Sound() {
		err = &advisedError{exitVerification, fmt.Errorf("the audit log does not verify"), "find out who can write to the storage, and keep a copy of the log as it is"}
	}
	return err
}

func segmentsOf(ctx context.Context, n *guardian.Node) iter.Seq2[audit.Segment, error] {
	return func(yield func(audit.Segment, error) bool) {
		for segment, err := range n.AuditSegments(ctx) {
			if !yield(audit.Segment(segment), err) {
				return
			}
		}
	}
}

func printAudit(w io.Writer, report audit.Report) error {
	for _, chain := range report.Chains {
		fmt.Fprintf(w, "chain %s: %d lines, %s to %s\n", chain.Name, chain.Lines, chain.From.Format(time.RFC3339), chain.To.Format(time.RFC3339))
		if chain.Lost > 0 {
			fmt.Fprintf(w, "  %d lines were dropped by the process itself\n", chain.Lost)
		}
		if !chain.Closed {
			fmt.Fprintln(w, "  "+audit.NotClosed)
		}
		for _, problem := range chain.Problems {
			fmt.Fprintln(w, "  "+problem.String())
		}
	}
	for _, problem := range report.Problems {
		fmt.Fprintln(w, problem)
	}
	_, err := fmt.Fprintf(w, "%d chains\n", len(report.Chains))
	return err
}
