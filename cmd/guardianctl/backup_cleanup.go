package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/backup"
)

// maxRetentionDays is a century: times that are too long ago wrap around.
const maxRetentionDays = 36_525

func newBackupCleanupCommand() *cobra.Command {
	var f cleanupFlags
	cmd := &cobra.Command{
		Use:   "cleanup",
		Short: "Remove the backups of one guardian that are too old",
		Long: `Remove the backups of one guardian that are older than --retention-days. What
something newer was made upon stays, however old, and so does the newest backup with
all that it was made upon. Where none can be read, as with another guardian's key, none
is removed; and below one that cannot be read and stays, all stay. What was left by
backups and drills that were stopped more than a week ago goes too.`,
		Example: `  guardianctl backup cleanup --from /mnt/backup --integrity-key-file ./data/integrity.key --dry-run
  guardianctl backup cleanup --from s3://backups/guardians --node-id g1 --integrity-key-aws-secret guardian/g1 --retention-days 90`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.days < 0 || f.days > maxRetentionDays {
				return usageError("pass for example --retention-days 30", "--retention-days must be 0 to %d", maxRetentionDays)
			}
			return f.use(cmd, func(ctx context.Context, p openedPlace) error { return f.cleanup(ctx, cmd, p) })
		},
	}
	f.register(cmd)
	return cmd
}

type cleanupFlags struct {
	placeFlags
	days   int
	dryRun bool
}

func (f *cleanupFlags) register(cmd *cobra.Command) {
	f.placeFlags.register(cmd)
	cmd.Flags().IntVar(&f.days, "retention-days", 30, "how many days a backup is kept")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would be removed; remove nothing")
}

func (f *cleanupFlags) cleanup(ctx context.Context, cmd *cobra.Command, p openedPlace) error {
	done, err := p.Cleanup(ctx, time.Now().AddDate(0, 0, -f.days), f.dryRun)
	if err != nil {
		return failure(backupError(err), adviceAgain)
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), struct {
			DryRun bool `json:"dry_run"`
			backup.Cleaned
		}{f.dryRun, done})
	}
	return f.print(cmd, done)
}

func (f *cleanupFlags) print(cmd *cobra.Command, done backup.Cleaned) error {
	out, verb := cmd.OutOrStdout(), "removed"
	if f.dryRun {
		verb = "would remove"
	}
	for _, id := range done.Removed {
		fmt.Fprintln(out, id, verb)
	}
	for _, id := range done.Needed {
		fmt.Fprintln(out, id, "kept: it is needed")
	}
	_, err := fmt.Fprintf(out, "%s %d and leftovers of %d that were stopped, kept %d\n", verb, len(done.Removed), done.Unfinished, len(done.Kept)+len(done.Needed))
	return err
}
