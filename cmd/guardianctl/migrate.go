package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/location"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
)

func newMigrateCommand() *cobra.Command {
	var f migrateFlags
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Copy all that one guardian stores to another storage",
		Long: `Copy all that one guardian stores to another storage: a directory, a file of
bolt:// or a bucket, which may be empty or absent (directory and file are then
made), or hold what an earlier run has copied. Every share is verified before it is copied and once it is there.

What the destination has of a higher version, or has deleted, is left alone, so
versions never go back. What is damaged at the source is not copied; it is named,
and makes it exit 5. An identity for which the destination was given another
share of the same version is a conflict, left alone and named (exit 1). What only
the destination has stays there.

It can be stopped and run again: what is there is verified, not copied again.
To move a guardian without a long pause, in this order:

  1. guardianctl migrate, with the guardian running at the source. Nothing may
     serve the destination yet. From bolt:// begin with 2: one process at a time
     can use it.
  2. Stop the guardian.
  3. guardianctl migrate once more: it brings over what has changed since.
  4. Start the guardian with the new GUARDIAN_STORAGE, the same node id and the
     same keyring.

A key file beside what is stored is not copied: give it to the guardian at its
new place with GUARDIAN_INTEGRITY_KEY_FILE, or put the keyring into Secrets
Manager. Two buckets must be on the same S3 endpoint: the AWS_* variables are
those of both.`,
		Example: `  guardianctl migrate --from ./data --to s3://bucket/guardians --node-id g1 --dry-run
  guardianctl migrate --from ./data --to bolt:///var/lib/guardian/guardian.db
  guardianctl migrate --from s3://bucket/old --to s3://bucket/new --node-id g1 --integrity-key-aws-secret guardian/g1 --rate 0`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.register(cmd)
	return cmd
}

type migrateFlags struct {
	nodeFlags
	walkFlags
	from, to string
	dryRun   bool
	json     bool
}

func (f *migrateFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "the storage to copy: a directory, bolt:///path/guardian.db, or s3://bucket/prefix")
	flags.StringVar(&f.to, "to", "", "the storage to copy to: a directory, bolt:///path/guardian.db, or s3://bucket/prefix")
	f.nodeFlags.register(cmd)
	f.walkFlags.register(cmd)
	flags.BoolVar(&f.dryRun, "dry-run", false, "verify the source and say what would be copied; change nothing at the destination")
	flags.BoolVar(&f.json, "json", false, "print the result as JSON")
}

func (f *migrateFlags) run(cmd *cobra.Command) (err error) {
	m := migration{migrateFlags: f}
	if err := cmp.Or(f.check(), m.locate()); err != nil {
		return err
	}
	ctx := cmd.Context()
	defer func() { err = errors.Join(err, m.close(context.WithoutCancel(ctx))) }()
	if err := m.open(ctx); err != nil {
		return err
	}
	return m.copyAll(ctx, cmd)
}

// migration is a source and a destination.
type migration struct {
	*migrateFlags
	source, destination location.Location
	src, dst            *guardian.Node // dst is nil in a dry run to what holds nothing
	closers             []func(context.Context) error
}

func (m *migration) locate() (err error) {
	if m.from == "" || m.to == "" {
		return usageError("pass for example --from ./data --to s3://bucket/prefix", "--from and --to are both needed")
	}
	if m.source, err = parseLocation("--from", m.from); err != nil {
		return err
	}
	if m.destination, err = parseLocation("--to", m.to); err != nil {
		return err
	}
	if sameStorage(m.source, m.destination) {
		return usageError("give --to another directory, file, bucket or prefix", "%s and %s are the same storage", m.source, m.destination)
	}
	return m.complete(m.source, m.destination)
}

// sameStorage sees through two ways of writing a path.
func sameStorage(a, b location.Location) bool {
	if a == b || a.Kind() == location.KindS3 || b.Kind() == location.KindS3 {
		return a == b
	}
	infoA, errA := os.Stat(a.Path())
	infoB, errB := os.Stat(b.Path())
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

func (m *migration) open(ctx context.Context) error {
	keys, err := m.keySource(ctx, m.source)
	if err != nil {
		return storageError(err)
	}
	store, err := m.openStorage(ctx, "--from", m.source)
	if err != nil {
		return err
	}
	m.onClose(store)
	if m.src, err = m.openNode(ctx, store, keys); err != nil {
		return keyError(err)
	}
	m.closers = append(m.closers, m.src.Close)
	return m.openDestination(ctx, keys)
}

func (m *migration) openDestination(ctx context.Context, keys integrity.KeySource) error {
	if m.dryRun && !m.destination.Exists() {
		return nil
	}
	store, err := m.openAny(ctx, m.destination, m.dryRun)
	if err != nil {
		return err
	}
	m.onClose(store)
	empty, err := guardian.Empty(ctx, store)
	if err != nil || m.dryRun && empty {
		return storageError(err)
	}
	m.dst, err = m.openNode(ctx, store, keys)
	if errors.Is(err, integrity.ErrKeyRefused) {
		return failure(fmt.Errorf("%s: %w", m.destination, err), "give --to a place of its own: what is there is another guardian's, or under another key")
	}
	if err != nil {
		return storageError(err)
	}
	m.closers = append(m.closers, m.dst.Close)
	return nil
}

func (m *migration) onClose(store io.Closer) {
	m.closers = append(m.closers, func(context.Context) error { return store.Close() })
}

// close closes the last one opened first.
func (m *migration) close(ctx context.Context) (err error) {
	for i := len(m.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, m.closers[i](ctx))
	}
	return err
}

type migrateResult struct {
	DryRun       bool     `json:"dry_run"`
	Copied       int      `json:"copied"`
	Already      int      `json:"already_there"`
	Newer        int      `json:"newer_at_destination"`
	Conflicts    slotList `json:"conflicts"`
	Damaged      slotList `json:"damaged_at_source"`
	DamagedThere slotList `json:"damaged_at_destination"`
	Failed       failures `json:"failed"`
}

func (m *migration) copyAll(ctx context.Context, cmd *cobra.Command) error {
	result := migrateResult{DryRun: m.dryRun}
	progress, err := walkProgress(ctx, cmd.ErrOrStderr(), m.src)
	if err != nil {
		return storageError(err)
	}
	err = walk(ctx, m.walkFlags, m.src, m.copySlot, func(slot guardian.Slot, outcome guardian.CopyOutcome, err error) error {
		progress.add()
		return result.add(slot, outcome, err)
	})
	progress.end()
	if err != nil {
		return stopped(ctx, err, progress.done.Load())
	}
	problem := result.err()
	if problem == nil && !m.dryRun {
		problem = m.copyMembership(ctx)
	}
	return cmp.Or(m.print(cmd, &result, problem == nil), problem)
}

// copyMembership has the destination know the members of the cluster that the
// source knew, unless it knows some already.
func (m *migration) copyMembership(ctx context.Context) error {
	if err := m.src.CopyMembershipTo(ctx, m.dst); err != nil {
		return failure(storageError(fmt.Errorf("copying what it keeps of its cluster: %w", err)), "run it again")
	}
	return nil
}

func (m *migration) copySlot(ctx context.Context, slot guardian.Slot) (guardian.CopyOutcome, error) {
	if m.dryRun {
		return m.src.CompareTo(ctx, m.dst, slot)
	}
	return m.src.CopyTo(ctx, m.dst, slot)
}

func (r *migrateResult) add(slot guardian.Slot, outcome guardian.CopyOutcome, err error) error {
	switch {
	case errors.Is(err, api.ErrNotFound): // nothing of it was ever committed
		err = nil
	case errors.Is(err, api.ErrIntegrityFailed) && errors.Is(err, guardian.ErrDestination):
		r.DamagedThere.add(slot)
		err = nil
	case errors.Is(err, api.ErrIntegrityFailed):
		r.Damaged.add(slot)
		err = nil
	case err == nil:
		r.count(slot, outcome)
	}
	return r.Failed.add(err)
}

func (r *migrateResult) count(slot guardian.Slot, outcome guardian.CopyOutcome) {
	switch outcome {
	case guardian.Copied:
		r.Copied++
	case guardian.AlreadyThere:
		r.Already++
	case guardian.NewerThere:
		r.Newer++
	case guardian.CopyConflict:
		r.Conflicts.add(slot)
	}
}

// err is the worst of what was found: damage goes before the rest, which the
// counts show.
func (r *migrateResult) err() error {
	switch {
	case r.Damaged.Count > 0:
		return &advisedError{
			exitVerification, fmt.Errorf("%d identities are damaged at the source and were not copied: %s", r.Damaged.Count, &r.Damaged),
			"mend them there, or give them up with guardianctl quarantine drop (quarantine list says what is wrong), and run it again",
		}
	case r.DamagedThere.Count > 0:
		return &advisedError{
			exitVerification, fmt.Errorf("%d identities have a version object at the destination that does not verify: %s", r.DamagedThere.Count, &r.DamagedThere),
			"if no guardian has served the destination yet, remove them there with guardianctl shares purge, and run it again",
		}
	case r.Conflicts.Count > 0:
		return failure(fmt.Errorf("%d identities have another share of the same version at the destination: %s", r.Conflicts.Count, &r.Conflicts),
			"find out who has served the destination: owners have stored to both places; guardianctl shares purge removes what is not wanted there")
	case r.Failed.Count > 0:
		return r.Failed.err()
	}
	return nil
}

func (m *migration) print(cmd *cobra.Command, r *migrateResult, fine bool) error {
	out := cmd.OutOrStdout()
	if m.json {
		return printJSON(out, r)
	}
	verb := "copied"
	if m.dryRun {
		verb = "would copy"
	}
	_, err := fmt.Fprintf(out, "%s %d, already there %d, newer at the destination %d, damaged at the source %d, conflicts %d\n",
		verb, r.Copied, r.Already, r.Newer, r.Damaged.Count, r.Conflicts.Count)
	if r.DamagedThere.Count > 0 || r.Failed.Count > 0 {
		fmt.Fprintf(out, "damaged at the destination %d, failed %d\n", r.DamagedThere.Count, r.Failed.Count)
	}
	if fine {
		m.printNext(out)
	}
	return err
}

func (m *migration) printNext(out io.Writer) {
	if m.dryRun {
		fmt.Fprintln(out, "nothing was changed: run it without --dry-run to copy")
		return
	}
	fmt.Fprintf(out, "next: stop the guardian if it runs, run this once more, then start it with GUARDIAN_STORAGE=%s GUARDIAN_NODE_ID=%s\n", shown(m.destination.String()), m.nodeID)
	keys := m.source.KeyFile()
	if _, err := os.Stat(keys); err != nil {
		return
	}
	fmt.Fprintf(out, "its key file %s was not copied: set GUARDIAN_INTEGRITY_KEY_FILE to where it will be, or put the keyring into Secrets Manager and set GUARDIAN_INTEGRITY_KEY_AWS_SECRET\n", shown(keys))
}
