package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/fs"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
)

const (
	// openTimeout bounds each step of the boot that talks to the storage.
	openTimeout = 30 * time.Second
	keyFileName = "integrity.key"
)

// opened is a node and what it stands on.
type opened struct {
	store  *fs.FS
	sealer *integrity.Sealer
	node   *guardian.Node
}

// open goes from a storage to a node: probe, keyring, canary, in that order.
func open(ctx context.Context, cfg *Config, log *slog.Logger) (*opened, error) {
	store, err := openStorage(cfg.Storage, log)
	if err != nil {
		return nil, err
	}
	o := &opened{store: store}
	if err := o.openNode(ctx, cfg, log); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return o, nil
}

func openStorage(dir string, log *slog.Logger) (*fs.FS, error) {
	store, err := fs.Open(dir)
	if err != nil {
		log.Error(fmt.Sprintf("failed to create data directory %s: %v", dir, err), "path", dir, "error", err)
		return nil, &exitError{
			exitUnavailable, fmt.Errorf("opening storage: %w", err),
			"make GUARDIAN_STORAGE a directory that this user can write to",
		}
	}
	log.Info("data directory: "+store.String(), "storage", store.String())
	return store, nil
}

func (o *opened) openNode(ctx context.Context, cfg *Config, log *slog.Logger) (err error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	err = o.store.Check(ctx)
	if errors.Is(err, syscall.ENOSPC) { // what is stored can still be read
		log.Warn("the disk is full: nothing can be stored or deleted", "error", err)
	} else if err != nil {
		return bootError(fmt.Errorf("checking storage: %w", err))
	}
	source, err := o.keySource(ctx, cfg, log)
	if err != nil {
		return bootError(err)
	}
	if o.sealer, err = integrity.NewSealer(ctx, cfg.NodeID, source, log); err != nil {
		return bootError(err)
	}
	o.node, err = guardian.Open(ctx, o.store, o.sealer, guardian.Config{
		Retain:         cfg.RetainVersions,
		RequestTimeout: cfg.RequestTimeout,
		Logger:         log,
	})
	if err != nil {
		return bootError(err)
	}
	return nil
}

// bootError gives an error of the boot its exit code and advice.
func bootError(err error) error {
	switch {
	case errors.Is(err, integrity.ErrKeyRefused), errors.Is(err, api.ErrKeyUnavailable):
		return &exitError{exitKey, err, "start with the key and the GUARDIAN_NODE_ID that this storage was written with"}
	case errors.Is(err, api.ErrIntegrityFailed):
		return &exitError{exitUnavailable, err, "look at them with guardianctl quarantine list, or start without GUARDIAN_REQUIRE_ALL_SHARES"}
	case errors.Is(err, integrity.ErrSourceUnavailable):
		return &exitError{exitUnavailable, err, "make the key file readable for this user"}
	}
	return &exitError{exitUnavailable, err, "check that the storage is there and that this user can read and write it"}
}

// keySource is the inline keyring, the file named, or the file beside the
// data. Only over empty storage may a file be created, and only now: the
// source returned never creates one, as by then there is data.
func (o *opened) keySource(ctx context.Context, cfg *Config, log *slog.Logger) (integrity.KeySource, error) {
	if cfg.IntegrityKey != "" {
		return integrity.InlineSource{Text: cfg.IntegrityKey}, nil
	}
	path := cfg.IntegrityKeyFile
	if path == "" {
		path = filepath.Join(cfg.Storage, keyFileName)
	}
	empty, err := guardian.Empty(ctx, o.store)
	if err != nil {
		return nil, err
	}
	if empty {
		if _, err := (integrity.FileSource{Path: path, Create: true}).Keyring(ctx); err != nil {
			return nil, err
		}
	}
	warnIfReadable(path, log)
	return integrity.FileSource{Path: path}, nil
}

func warnIfReadable(path string, log *slog.Logger) {
	const others = 0o077
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&others != 0 {
		log.Warn(fmt.Sprintf("key file %s can be read by others: chmod 600 it", path), "path", path, "mode", info.Mode().String())
	}
}

// close waits for the node's background work until ctx ends.
func (o *opened) close(ctx context.Context) error {
	return errors.Join(o.node.Close(ctx), o.store.Close())
}
