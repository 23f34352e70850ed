package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/backup"
)

func newBackupListCommand() *cobra.Command {
	var f placeFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the backups of one guardian, newest first",
		Long: `List the backups of one guardian, newest first, the id in the first column. What was
not finished is no backup and is not listed. The manifests are verified, and nothing
else: guardianctl backup verify reads the rest. Exits 5 if one does not verify,
and 1 if one was sealed with a key that is not in the keyring any more. On a terminal
there is a header.`,
		Example: `  guardianctl backup list --from /mnt/backup --integrity-key-file ./data/integrity.key
  guardianctl backup list --from s3://backups/guardians --node-id g1 --integrity-key-aws-secret guardian/g1 --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.use(cmd, func(ctx context.Context, p openedPlace) error { return f.list(ctx, cmd, p) })
		},
	}
	f.register(cmd)
	return cmd
}

func (f *placeFlags) list(ctx context.Context, cmd *cobra.Command, p openedPlace) error {
	all, err := p.List(ctx)
	if err != nil {
		return backupError(err)
	}
	rows, damaged := make([]shownBackup, 0, len(all)), error(nil)
	for _, listed := range all {
		row := shownOf(listed.Manifest)
		if row.ID = listed.ID; listed.Err != nil {
			row.Problem = listed.Err.Error()
			damaged = errors.Join(damaged, listed.Err)
		}
		rows = append(rows, row)
	}
	if f.json {
		err = printJSON(cmd.OutOrStdout(), rows)
	} else {
		err = printBackups(cmd, rows)
	}
	return cmp.Or(err, backupError(damaged))
}

func printBackups(cmd *cobra.Command, rows []shownBackup) error {
	out := cmd.OutOrStdout()
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if isTerminal(out) {
		fmt.Fprintln(table, "ID\tKIND\tSTARTED\tIDENTITIES\tCHANGED\tSTORED BYTES\tPARENT")
	}
	for _, row := range rows {
		if row.Problem != "" {
			fmt.Fprintf(table, "%s\tunreadable\n", row.ID)
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%s\n", row.ID, row.Kind, row.Started.Format(time.RFC3339), row.Identities, row.Changed, row.Stored, cmp.Or(row.Parent, "-"))
	}
	return table.Flush()
}

func newBackupVerifyCommand() *cobra.Command {
	var f placeFlags
	var id string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read a backup and all that it was made upon, and verify everything",
		Long: `Read a backup and all that it was made upon, and verify everything: the manifests,
the hash of every part, that nothing is missing or too much, and every share as a
guardian verifies what it serves. Exits 5 unless all is sound.`,
		Example: `  guardianctl backup verify --from /mnt/backup --integrity-key-file ./data/integrity.key
  guardianctl backup verify --from s3://backups/guardians --node-id g1 --integrity-key-aws-secret guardian/g1 --backup-id 20260308T020000.123Z-5be0f2`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.use(cmd, func(ctx context.Context, p openedPlace) error { return f.verify(ctx, cmd, p, id) })
		},
	}
	f.register(cmd)
	registerBackupID(cmd, &id)
	return cmd
}

func (f *placeFlags) verify(ctx context.Context, cmd *cobra.Command, p openedPlace, id string) error {
	m, err := f.find(ctx, p, id)
	if err != nil {
		return err
	}
	found, err := verifyBackup(ctx, cmd, p, m)
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), found)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is sound: %d identities and %d other objects; verified %d objects, %d bytes, in %d backups that it is made of\n",
		found.ID, found.Identities, found.Others, found.Objects, found.Bytes, len(found.Chain))
	return err
}

func verifyBackup(ctx context.Context, cmd *cobra.Command, p openedPlace, m backup.Manifest) (backup.Verified, error) {
	progress, err := chainProgress(ctx, cmd, p, m)
	if err != nil {
		return backup.Verified{}, backupError(err)
	}
	found, err := p.Verify(ctx, m, progress.add)
	progress.end()
	return found, backupError(err)
}

// chainProgress counts what is read of a backup and all that it was made upon.
func chainProgress(ctx context.Context, cmd *cobra.Command, p openedPlace, m backup.Manifest) (*counter, error) {
	chain, err := p.Chain(ctx, m)
	total := int64(0)
	for _, link := range chain {
		total += int64(link.Changed)
	}
	return countUpTo(cmd.ErrOrStderr(), total), err
}
