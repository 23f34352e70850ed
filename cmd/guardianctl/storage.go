package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	backendfs "github.com/vault-guardian/guardian/backend/fs"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
)

// storageFlags name the storage of one guardian for the commands that work on
// it directly. The guardian may be running.
type storageFlags struct {
	storage string
	nodeID  string
	keyFile string
	json    bool
}

const storageNote = `It works on the storage of one guardian directly, not through the network; the
guardian may be running.`

func (f *storageFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.storage, "storage", os.Getenv("GUARDIAN_STORAGE"), "the guardian's directory (or GUARDIAN_STORAGE)")
	flags.StringVar(&f.nodeID, "node-id", cmp.Or(os.Getenv("GUARDIAN_NODE_ID"), "local"), "the guardian's node id (or GUARDIAN_NODE_ID)")
	flags.StringVar(&f.keyFile, "integrity-key-file", os.Getenv("GUARDIAN_INTEGRITY_KEY_FILE"),
		"the guardian's key file (or GUARDIAN_INTEGRITY_KEY_FILE; default integrity.key in the storage)")
	flags.BoolVar(&f.json, "json", false, "print the result as JSON")
}

// use opens the node and calls do with it. Nothing is made that is not there:
// neither a directory nor a key.
func (f *storageFlags) use(cmd *cobra.Command, do func(ctx context.Context, n *guardian.Node) error) (err error) {
	if f.storage == "" {
		return usageError("pass for example --storage ./data, or set GUARDIAN_STORAGE", "no storage given")
	}
	if !backendfs.Exists(f.storage) {
		return f.notAStorage()
	}
	store, err := backendfs.Open(f.storage)
	if err != nil {
		return failure(fmt.Errorf("opening storage: %w", err), "run as the user that the guardian runs as")
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	n, err := f.node(cmd, store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close(context.WithoutCancel(cmd.Context()))) }()
	return do(cmd.Context(), n)
}

func (f *storageFlags) notAStorage() error {
	return failure(fmt.Errorf("%s holds nothing of a guardian", f.storage), "correct --storage: it is the directory that the guardian was started with")
}

func (f *storageFlags) node(cmd *cobra.Command, store *backendfs.FS) (*guardian.Node, error) {
	empty, err := guardian.Empty(cmd.Context(), store)
	if err != nil {
		return nil, err
	}
	if empty {
		return nil, f.notAStorage()
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil)) // what the node would log, the command prints
	sealer, err := integrity.NewSealer(cmd.Context(), f.nodeID, f.keySource(), log)
	if err == nil {
		var n *guardian.Node
		n, err = guardian.Open(cmd.Context(), store, sealer, guardian.Config{
			Retain: 1, RequestTimeout: 30 * time.Second, Logger: log,
		})
		if err == nil {
			return n, nil
		}
	}
	if errors.Is(err, integrity.ErrKeyRefused) || errors.Is(err, fs.ErrNotExist) {
		return nil, failure(err, "correct --integrity-key-file and --node-id: they are those that the guardian runs with")
	}
	return nil, err
}

func (f *storageFlags) keySource() integrity.KeySource {
	if text := os.Getenv("GUARDIAN_INTEGRITY_KEY"); text != "" && f.keyFile == "" {
		return integrity.InlineSource{Text: text}
	}
	return integrity.FileSource{Path: cmp.Or(f.keyFile, filepath.Join(f.storage, "integrity.key"))}
}

// slotArgument reads the identity that a command was given.
func slotArgument(args []string) (guardian.Slot, error) {
	identity, err := parseIdentity(args[0])
	return guardian.Slot{Identity: identity}, err
}

// confirm wants --yes for what cannot be undone.
func confirm(cmd *cobra.Command, yes bool, what string) error {
	if yes {
		return nil
	}
	return usageError("run it again with --yes", "%s %s; nothing was done", cmd.CommandPath(), what)
}

// storageError gives what a node answers the advice of an operator.
func storageError(err error) error {
	switch {
	case errors.Is(err, api.ErrNotFound):
		return &advisedError{exitNotFound, err, "guardianctl shares list shows what is stored, guardianctl quarantine list what is damaged"}
	case errors.Is(err, api.ErrIntegrityFailed):
		return &advisedError{exitVerification, err, "mend or replace the object, have the owner store a new version, or give it up with guardianctl quarantine drop"}
	case errors.Is(err, guardian.ErrNotDamaged):
		return failure(err, "guardianctl quarantine release takes it out of quarantine")
	case errors.Is(err, api.ErrKeyUnavailable):
		return failure(err, "use the key file that the guardian runs with")
	}
	return err
}
