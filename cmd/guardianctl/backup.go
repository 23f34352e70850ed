package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/backend/location"
	"github.com/vault-guardian/guardian/backup"
	"github.com/vault-guardian/guardian/integrity"
)

func newBackupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Copy what one guardian stores to another place, and back",
		Long: `Copy what one guardian stores to another place, and back. The guardian may be
running while a backup is made; for one on bolt:// pass --admin then. Backups of
several guardians can be kept at one place; each is sealed with the keyring of its
guardian, without which it can be neither verified nor restored, and which is not in
it.`,
		Example: `  guardianctl backup full --storage ./data --to /mnt/backup
  guardianctl backup verify --from /mnt/backup --integrity-key-file ./data/integrity.key`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBackupFullCommand(), newBackupIncrementalCommand(), newBackupListCommand(), newBackupVerifyCommand(), newBackupRestoreCommand(), newBackupCleanupCommand())
	return cmd
}

// placeFlags name where backups are, for the commands that read them.
type placeFlags struct {
	nodeFlags
	from string
	json bool
}

func (f *placeFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "where the backups are: a directory, bolt:///path/file.db, or s3://bucket/prefix")
	flags.StringVar(&f.nodeID, "node-id", os.Getenv("GUARDIAN_NODE_ID"), "the guardian's node id (or GUARDIAN_NODE_ID; default local)")
	f.registerKeys(cmd, "")
	flags.BoolVar(&f.json, "json", false, "print the result as JSON")
}

// openedPlace is a place of backups, and the keys that sealed them.
type openedPlace struct {
	*backup.Place
	keys integrity.KeySource
}

// use opens the place and calls do with it.
func (f *placeFlags) use(cmd *cobra.Command, do func(ctx context.Context, p openedPlace) error) (err error) {
	at, err := parsePlace("--from", f.from)
	if err == nil {
		err = f.complete()
	}
	if err != nil {
		return err
	}
	if err := checkPlace(at); err != nil {
		return err
	}
	ctx := cmd.Context()
	keys, err := f.namedKeySource(ctx)
	if err == nil && keys == nil {
		err = usageError(adviceKey, "no integrity key given: a backup has none beside it")
	}
	if err != nil {
		return storageError(err)
	}
	p, closePlace, err := f.openPlace(ctx, at, keys)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closePlace()) }()
	return do(ctx, openedPlace{p, keys})
}

// checkPlace wants what was written to, or a copy of that, which may lack all but the
// backups.
func checkPlace(at location.Location) error {
	if at.Exists() {
		return nil
	}
	_, err := os.Stat(filepath.Join(at.String(), "backups"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return notFound(fmt.Errorf("%s holds no backups", at))
	case err != nil:
		return failure(err, "run as the user that makes the backups")
	}
	return nil
}

func parsePlace(flag, text string) (location.Location, error) {
	if text == "" {
		return location.Location{}, usageError("pass for example "+flag+" /mnt/backup or "+flag+" s3://bucket/backups", "%s is needed", flag)
	}
	return parseLocation(flag, text)
}

// openPlace opens what may hold nothing yet.
func (f *nodeFlags) openPlace(ctx context.Context, at location.Location, keys integrity.KeySource) (p *backup.Place, closePlace func() error, err error) {
	sealer, err := integrity.NewSealer(ctx, f.nodeID, keys, quiet)
	if err != nil {
		return nil, nil, keyError(err)
	}
	store, err := at.OpenShared(ctx, location.Options{NodeID: f.nodeID, SkipProbe: withoutProbe})
	if err != nil {
		return nil, nil, openError(fmt.Errorf("opening the place of backups: %w", err), "run as the user that makes the backups")
	}
	return backup.At(store, sealer), store.Close, nil
}

// find is what --backup-id names.
func (f *placeFlags) find(ctx context.Context, p openedPlace, id string) (backup.Manifest, error) {
	m, err := p.Find(ctx, id)
	if errors.Is(err, backup.ErrNotFound) {
		return m, notFound(fmt.Errorf("%w of guardian %q at %s", err, f.nodeID, f.from))
	}
	return m, backupError(err)
}

func registerBackupID(cmd *cobra.Command, id *string) {
	cmd.Flags().StringVar(id, "backup-id", backup.Latest, "the backup: its id, or latest")
}

func notFound(err error) error {
	return &advisedError{exitNotFound, err, "guardianctl backup list shows what there is; correct --from, --node-id or --backup-id, or make one with guardianctl backup full"}
}

// backupError gives what a place answers the advice of an operator.
func backupError(err error) error {
	switch {
	case errors.Is(err, backup.ErrDamaged):
		return &advisedError{exitVerification, err, "guardianctl backup list shows the others: take an older one, and make a new one with guardianctl backup full while the guardian is well"}
	case errors.Is(err, integrity.ErrKeyUnknown):
		return failure(err, "put the key that is named back into the keyring, and run it again")
	}
	return storageError(err)
}
