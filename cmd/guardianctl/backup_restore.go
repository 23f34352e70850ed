package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/location"
	"github.com/vault-guardian/guardian/backup"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
)

func newBackupRestoreCommand() *cobra.Command {
	var f restoreFlags
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Put a backup into a storage",
		Long: `Put a backup into a storage, with no guardian running over it. First the backup is
verified, all of it: if anything is wrong with it, nothing is written. An empty storage,
or a directory or file that does not exist, then holds what was backed up, to the byte.

What the storage has of a higher version, or has deleted, is left alone, so versions
never go back, and so is another share of the same version; they are counted, and
make it exit 1. With --force they are replaced: then versions do go back, and old
pushes are taken again. What the backup has not stays there.

The key is not in a backup: give it to the guardian as before.`,
		Example: `  guardianctl backup restore --from /mnt/backup --to ./restored --integrity-key-file ./integrity.key --dry-run
  guardianctl backup restore --from s3://backups/guardians --to s3://bucket/guardians --node-id g1 --integrity-key-aws-secret guardian/g1`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, errFrom := parsePlace("--from", f.from)
			to, errTo := parsePlace("--to", f.to)
			if err := cmp.Or(errFrom, errTo); err != nil {
				return err
			}
			if from.Overlaps(to) {
				return usageError("give --to a directory or prefix of its own", "%s and %s overlap: a backup lies apart from what it is of", from, to)
			}
			return f.use(cmd, func(ctx context.Context, p openedPlace) error { return f.restore(ctx, cmd, p, to) })
		},
	}
	f.register(cmd)
	return cmd
}

type restoreFlags struct {
	placeFlags
	to            string
	id            string
	dryRun, force bool
}

func (f *restoreFlags) register(cmd *cobra.Command) {
	f.placeFlags.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.to, "to", "", "the storage to restore to: a directory, bolt:///path/guardian.db, or s3://bucket/prefix")
	registerBackupID(cmd, &f.id)
	flags.BoolVar(&f.dryRun, "dry-run", false, "verify the backup and say what would be restored; change nothing")
	flags.BoolVar(&f.force, "force", false, "replace also what is newer at the destination")
}

func (f *restoreFlags) restore(ctx context.Context, cmd *cobra.Command, p openedPlace, to location.Location) error {
	m, err := f.find(ctx, p, f.id)
	if err != nil {
		return err
	}
	if _, err := verifyBackup(ctx, cmd, p, m); err != nil {
		return err
	}
	if f.dryRun && !to.Exists() {
		return f.restoreSlots(ctx, cmd, p, m, nil)
	}
	store, err := f.openAny(ctx, to, f.dryRun)
	if err != nil {
		return err
	}
	return errors.Join(f.restoreTo(ctx, cmd, p, m, store), store.Close())
}

func (f *restoreFlags) restoreTo(ctx context.Context, cmd *cobra.Command, p openedPlace, m backup.Manifest, store backend.Backend) error {
	empty, err := guardian.Empty(ctx, store)
	switch {
	case err != nil:
		return storageError(err)
	case f.dryRun && empty:
		return f.restoreSlots(ctx, cmd, p, m, nil)
	case empty: // the canary comes with these; a node over an empty storage makes its own
		if _, err := p.RestoreOthers(ctx, m, store); err != nil {
			return stoppedRestore(err)
		}
	}
	n, err := f.openNode(ctx, store, p.keys)
	if errors.Is(err, integrity.ErrKeyRefused) {
		return failure(fmt.Errorf("%s: %w", f.to, err), "give --to a place of its own: what is there is another guardian's, or under another key")
	}
	if err != nil {
		return storageError(err)
	}
	if !f.dryRun && !empty { // a run that was stopped may have left some out
		_, err = p.RestoreOthers(ctx, m, store)
	}
	if err == nil {
		err = f.restoreSlots(ctx, cmd, p, m, n)
	}
	return errors.Join(err, n.Close(context.WithoutCancel(ctx)))
}

// restoreSlots copies to a node, or to nothing in a dry run to what is empty.
func (f *restoreFlags) restoreSlots(ctx context.Context, cmd *cobra.Command, p openedPlace, m backup.Manifest, to *guardian.Node) error {
	result := restoreResult{ID: m.ID, DryRun: f.dryRun}
	progress := countUpTo(cmd.ErrOrStderr(), int64(m.Identities))
	err := p.EachSlot(ctx, m, func(ctx context.Context, from *guardian.Node, slot guardian.Slot) (guardian.CopyOutcome, error) {
		return f.restoreSlot(ctx, from, to, slot)
	}, func(slot guardian.Slot, outcome guardian.CopyOutcome, err error) error {
		progress.add()
		return result.add(slot, outcome, err)
	})
	progress.end()
	if err != nil {
		return stoppedRestore(err)
	}
	return cmp.Or(f.print(cmd, &result), result.err())
}

func (f *restoreFlags) restoreSlot(ctx context.Context, from, to *guardian.Node, slot guardian.Slot) (guardian.CopyOutcome, error) {
	if f.dryRun {
		return from.CompareTo(ctx, to, slot)
	}
	outcome, err := from.CopyTo(ctx, to, slot)
	isInTheWay := outcome == guardian.NewerThere || outcome == guardian.CopyConflict ||
		errors.Is(err, api.ErrIntegrityFailed) && errors.Is(err, guardian.ErrDestination)
	if !f.force || !isInTheWay {
		return outcome, err
	}
	if err := to.Purge(ctx, slot); err != nil {
		return "", err
	}
	return from.CopyTo(ctx, to, slot)
}

func stoppedRestore(err error) error {
	return failure(backupError(fmt.Errorf("the restore is not complete: %w", err)), adviceAgain)
}

// restoreResult is what came of the identities of a backup.
type restoreResult struct {
	ID           string   `json:"id"`
	DryRun       bool     `json:"dry_run"`
	Restored     int      `json:"restored"`
	Already      int      `json:"already_there"`
	Newer        slotList `json:"newer_there"`
	Conflicts    slotList `json:"conflicts"`
	DamagedThere slotList `json:"damaged_there"`
	Failed       failures `json:"failed"`
}

func (r *restoreResult) add(slot guardian.Slot, outcome guardian.CopyOutcome, err error) error {
	switch {
	case errors.Is(err, api.ErrIntegrityFailed) && errors.Is(err, guardian.ErrDestination):
		r.DamagedThere.add(slot)
		err = nil
	case err != nil:
	case outcome == guardian.Copied:
		r.Restored++
	case outcome == guardian.AlreadyThere:
		r.Already++
	case outcome == guardian.NewerThere:
		r.Newer.add(slot)
	case outcome == guardian.CopyConflict:
		r.Conflicts.add(slot)
	}
	return r.Failed.add(err)
}

// err is the worst of what was found.
func (r *restoreResult) err() error {
	const adviceForce = "if the backup is what shall count, run it again with --force and the guardian stopped: versions then go back, and old pushes are taken again"
	switch {
	case r.Failed.Count > 0:
		return r.Failed.err()
	case r.DamagedThere.Count > 0:
		return &advisedError{
			exitVerification, fmt.Errorf("%d identities have a version object at the destination that does not verify, and were left alone: %s", r.DamagedThere.Count, &r.DamagedThere),
			adviceForce,
		}
	case r.Conflicts.Count > 0:
		return failure(fmt.Errorf("%d identities have another share of the same version at the destination, and were left alone: %s", r.Conflicts.Count, &r.Conflicts), adviceForce)
	case r.Newer.Count > 0:
		return failure(fmt.Errorf("%d identities are newer at the destination, or deleted, and were left alone: %s", r.Newer.Count, &r.Newer), adviceForce)
	}
	return nil
}

func (f *restoreFlags) print(cmd *cobra.Command, r *restoreResult) error {
	out := cmd.OutOrStdout()
	if f.json {
		return printJSON(out, r)
	}
	verb := "restored"
	if f.dryRun {
		verb = "would restore"
	}
	_, err := fmt.Fprintf(out, "%s: %s %d, already there %d, newer there %d, conflicts %d, damaged there %d\n",
		r.ID, verb, r.Restored, r.Already, r.Newer.Count, r.Conflicts.Count, r.DamagedThere.Count)
	if f.dryRun {
		fmt.Fprintln(out, "nothing was changed: run it without --dry-run to restore")
	}
	return err
}
