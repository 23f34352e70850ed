package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backup"
	"github.com/vault-guardian/guardian/guardian"
)

func newBackupFullCommand() *cobra.Command {
	f := backupFlags{kind: backup.Full}
	cmd := &cobra.Command{
		Use:   "full",
		Short: "Back up all that one guardian stores",
		Long: `Back up all that one guardian stores: what is committed or prepared of every
identity, each as it was at one moment, and its other objects. Every share is
verified as it is read. What is damaged is not backed up; it is named, and makes it
exit 5 when the rest is done.

` + backupNote + `

A backup that was stopped does not exist: run it again. The key is not in it. When it
is done, that is noted in the guardian's storage, and the guardian shows how old it is.`,
		Example: `  guardianctl backup full --storage ./data --to /mnt/backup
  guardianctl backup full --storage s3://bucket/guardians --node-id g1 --integrity-key-aws-secret guardian/g1 --to s3://backups/guardians --rate 0
  guardianctl backup full --storage bolt:///var/lib/guardian/guardian.db --admin http://127.0.0.1:9090 --to /mnt/backup`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.register(cmd)
	return cmd
}

func newBackupIncrementalCommand() *cobra.Command {
	f := backupFlags{kind: backup.Incremental}
	cmd := &cobra.Command{
		Use:   "incremental",
		Short: "Back up what has changed since the last backup",
		Long: `Back up what has changed since the newest backup at the same place that can be
read, full or incremental; there must be one. It is worth nothing without that, and
what that was made upon. All is read and verified as for a full one, and less is
written. What is damaged is kept as the last backup has it; it is named, and makes
it exit 5 when the rest is done.

` + backupNote + `

A backup that was stopped does not exist: run it again. The key is not in it. When it
is done, that is noted in the guardian's storage, and the guardian shows how old it is.`,
		Example: `  guardianctl backup incremental --storage ./data --to /mnt/backup
  guardianctl backup incremental --storage bolt:///var/lib/guardian/guardian.db --admin http://127.0.0.1:9090 --to /mnt/backup`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.register(cmd)
	return cmd
}

const backupNote = `It works on the storage of one guardian directly, not through the network; the
guardian may be running. Only a file of bolt:// is for one process at a time: while
the guardian has it, name the guardian's admin plane with --admin. Then the guardian
copies the file, which takes as much room beside it, and guardianctl fetches the
copy, which takes as much in TMPDIR; both are gone when it ends.`

type backupFlags struct {
	storageFlags
	walkFlags
	admin adminFlags
	kind  string
	to    string
}

func (f *backupFlags) register(cmd *cobra.Command) {
	f.storageFlags.register(cmd)
	cmd.Flags().StringVar(&f.to, "to", "", "where to keep the backup: a directory, bolt:///path/file.db, or s3://bucket/prefix")
	f.walkFlags.register(cmd)
	f.admin.registerAs(cmd, os.Getenv(adminVariable),
		"of a guardian that runs on bolt://: its admin plane, http://HOST:PORT or https://HOST:PORT (or "+adminVariable+")")
}

func (f *backupFlags) run(cmd *cobra.Command) error {
	to, err := parsePlace("--to", f.to)
	if err := cmp.Or(err, f.check()); err != nil {
		return err
	}
	source, err := f.source(cmd)
	if err != nil {
		return err
	}
	return f.openWith(cmd, source.open, func(ctx context.Context, s openedStorage) (err error) {
		if to.Overlaps(s.at) {
			return usageError("give --to a directory or prefix of its own", "%s and %s overlap: a backup lies apart from what it is of", to, s.at)
		}
		p, closePlace, err := f.openPlace(ctx, to, s.keys)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closePlace()) }()
		return f.make(ctx, cmd, p, s.node, s.store, source)
	})
}

func (f *backupFlags) make(ctx context.Context, cmd *cobra.Command, p *backup.Place, n *guardian.Node, store backend.Backend, source *backupSource) error {
	w, err := p.NewWriter(ctx, n, store, f.kind)
	if errors.Is(err, backup.ErrNotFound) {
		return notFound(fmt.Errorf("there is nothing at %s to build upon: %w of guardian %q that can be read", f.to, err, f.nodeID))
	}
	if err != nil {
		return backupError(err)
	}
	defer w.Close()
	if source.copied {
		w.AsOf(source.asOf)
	}
	if err := w.CopyOthers(ctx); err != nil {
		return unfinished(storageError(err))
	}
	progress, err := walkProgress(ctx, cmd.ErrOrStderr(), n)
	if err != nil {
		return storageError(err)
	}
	var result backupResult
	err = walk(ctx, f.walkFlags, n, w.Copy, func(slot guardian.Slot, g backup.Group, err error) error {
		progress.add()
		return result.add(ctx, w, slot, g, err)
	})
	progress.end()
	if err == nil && result.failed.Count > 0 {
		err = result.failed.err()
	}
	if err != nil {
		return unfinished(storageError(err))
	}
	m, err := w.Finish(ctx)
	if err != nil {
		return unfinished(err)
	}
	if err := source.remember(ctx, w, n, m); err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: the guardian will not know of this backup, and go on saying how old the one before is: %v\n", err)
	}
	return cmp.Or(f.print(cmd, m), result.err())
}

// unfinished says what became of what was written.
func unfinished(err error) error {
	return &advisedError{advised(err).code, fmt.Errorf("nothing was backed up: %w", err), "see what is wrong, and run it again"}
}

// backupResult is what went wrong.
type backupResult struct {
	damaged slotList
	failed  failures
}

func (r *backupResult) add(ctx context.Context, w *backup.Writer, slot guardian.Slot, g backup.Group, err error) error {
	switch {
	case errors.Is(err, api.ErrNotFound): // nothing of it was ever committed
		return r.failed.add(nil)
	case errors.Is(err, api.ErrIntegrityFailed):
		r.damaged.add(slot)
		return cmp.Or(w.AddDamaged(ctx, slot), r.failed.add(nil))
	case err != nil:
		return r.failed.add(err)
	}
	return cmp.Or(w.Add(ctx, g), r.failed.add(nil))
}

func (r *backupResult) err() error {
	if r.damaged.Count == 0 {
		return nil
	}
	return &advisedError{
		exitVerification, fmt.Errorf("%d identities are damaged and were not backed up: %s", r.damaged.Count, &r.damaged),
		"the rest was; mend them, or give them up with guardianctl quarantine drop (quarantine list says what is wrong)",
	}
}

func (f *backupFlags) print(cmd *cobra.Command, m backup.Manifest) error {
	out := cmd.OutOrStdout()
	if f.json {
		return printJSON(out, shownOf(m))
	}
	_, err := fmt.Fprintf(out, "%s: %s backup of %d identities and %d other objects; %d of them new or changed: %d bytes, stored as %d\n",
		m.ID, m.Kind, m.Identities, m.Others, m.Changed, m.Bytes, m.Stored())
	return err
}

// shownBackup is a manifest without its parts, for programs.
type shownBackup struct {
	ID         string    `json:"id"`
	Kind       string    `json:"kind,omitempty"`
	Parent     string    `json:"parent,omitempty"`
	KeyID      string    `json:"key_id,omitempty"`
	Started    time.Time `json:"started,omitzero"`
	Finished   time.Time `json:"finished,omitzero"`
	Identities int       `json:"identities"`
	Others     int       `json:"others"`
	Changed    int       `json:"changed"`
	Damaged    int       `json:"damaged"`
	Bytes      int64     `json:"bytes"`
	Stored     int64     `json:"stored_bytes"`
	Problem    string    `json:"problem,omitempty"`
}

func shownOf(m backup.Manifest) shownBackup {
	return shownBackup{
		ID: m.ID, Kind: m.Kind, Parent: m.Parent, KeyID: m.KeyID, Started: m.Started, Finished: m.Finished,
		Identities: m.Identities, Others: m.Others, Changed: m.Changed, Damaged: m.Damaged, Bytes: m.Bytes, Stored: m.Stored(),
	}
}
