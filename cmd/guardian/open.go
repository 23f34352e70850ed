package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/audit"
	"github.com/vault-guardian/guardian/awssecrets"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/bolt"
	"github.com/vault-guardian/guardian/backend/location"
	"github.com/vault-guardian/guardian/backend/metered"
	"github.com/vault-guardian/guardian/backup/last"
	"github.com/vault-guardian/guardian/freeze"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/httpapi"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/repair"
)

// openTimeout bounds what the boot does with storage and keys.
const openTimeout = 30 * time.Second

// opened is a node and what it stands on.
type opened struct {
	pace    *pace
	store   backend.Backend
	metrics *metered.Metrics
	// database are a storage's own metrics; nil if it has none.
	database prometheus.Collector
	// snapshot copies a storage that this process has to itself; nil for another.
	snapshot func(context.Context) (*os.File, error)
	sealer   *integrity.Sealer
	node     *guardian.Node
	writes   *freeze.Switch
	backup   *last.Watch
	audit    *audit.Log
	nodeKey  *integrity.NodeKey // nil without a registry
	// damaged is told of damage once there is a repairer.
	damaged atomic.Pointer[repair.Repairer]
	// refusals are those of limits, damages what failed its integrity check.
	refusals *prometheus.CounterVec
	damages  prometheus.Counter
	calls    *httpapi.Metrics
}

func (o *opened) countRefusal(limit string) { o.refusals.WithLabelValues(limit).Inc() }

// open goes from a storage to a node: probe, keyring, canary, node key, in that
// order.
func open(ctx context.Context, cfg *Config, log *slog.Logger) (*opened, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	o := &opened{metrics: metered.New(), refusals: newRefusals(), damages: newDamages(), calls: httpapi.NewMetrics()}
	if err := o.openStorage(ctx, cfg, log); err != nil {
		return nil, bootError(err)
	}
	if err := o.openNode(ctx, cfg, log); err != nil {
		return nil, errors.Join(bootError(err), o.store.Close())
	}
	return o, nil
}

func (o *opened) openStorage(ctx context.Context, cfg *Config, log *slog.Logger) error {
	if cfg.SkipStoreProbe {
		log.Warn("GUARDIAN_SKIP_STORE_PROBE: the store is not proved to keep conditional writes; on one that does not, acknowledged shares get lost and versions go back")
	}
	store, err := cfg.location.Open(ctx, location.Options{
		NodeID: cfg.nodeID(), SkipProbe: bool(cfg.SkipStoreProbe), OnRequest: o.metrics.Request,
	})
	if err != nil {
		if cfg.location.Kind() == location.KindDirectory {
			log.Error(fmt.Sprintf("failed to create data directory %s: %v", cfg.Storage, err), "path", cfg.Storage, "error", err)
		}
		return diskError(fmt.Errorf("opening storage %s: %w", cfg.location, err), cfg)
	}
	o.database, _ = store.(prometheus.Collector)
	if file, ok := store.(*bolt.Bolt); ok {
		o.snapshot = file.Snapshot
	}
	o.store = o.metrics.Wrap(store)
	log.Info("data directory: "+store.String(), "storage", store.String())
	return nil
}

func (o *opened) openNode(ctx context.Context, cfg *Config, log *slog.Logger) (err error) {
	err = o.store.Check(ctx)
	if errors.Is(err, syscall.ENOSPC) { // what is stored can still be read
		log.Warn("the disk is full: nothing can be stored or deleted", "error", err)
	} else if err != nil {
		return diskError(fmt.Errorf("checking storage: %w", err), cfg)
	}
	source, err := o.keySource(ctx, cfg, log)
	if err != nil {
		return err
	}
	if o.sealer, err = integrity.NewSealer(ctx, cfg.nodeID(), source, log); err != nil {
		return err
	}
	o.node, err = guardian.Open(ctx, o.store, o.sealer, guardian.Config{
		Retain:         cfg.RetainVersions,
		Ownership:      cfg.ownership(),
		MaxBytes:       cfg.QuotaBytes,
		RequestTimeout: cfg.RequestTimeout,
		Damaged:        o.noteDamaged,
		Logger:         log,
	})
	if err != nil {
		return err
	}
	if o.writes, err = freeze.Open(ctx, o.store, log); err != nil {
		return fmt.Errorf("%w: %w", api.ErrStorageUnavailable, err)
	}
	o.backup = last.NewWatch(o.store, o.sealer, log)
	if err := o.openNodeKey(ctx, cfg, log); err != nil {
		return err
	}
	return o.openAudit(cfg)
}

func (o *opened) noteDamaged(slot guardian.Slot) {
	o.damages.Inc()
	if repairer := o.damaged.Load(); repairer != nil {
		repairer.Damaged(slot)
	}
}

// openAudit begins the audit log. Its lines have a logger of their own, which
// no log level keeps from the log.
func (o *opened) openAudit(cfg *Config) (err error) {
	o.audit, err = audit.Open(audit.Config{
		Mode: audit.Mode(cfg.Audit), Required: bool(cfg.AuditRequired),
		NodeID: cfg.nodeID(), Program: "guardian " + api.Version,
		Sealer: o.sealer, Store: o.node,
		Logger: newLogger(os.Stderr, &Config{LogLevel: "info", LogFormat: cfg.LogFormat}),
	})
	if err != nil {
		return &exitError{exitConfig, err, "correct GUARDIAN_AUDIT and GUARDIAN_AUDIT_REQUIRED"}
	}
	return nil
}

// diskError says what to do about a directory or file that cannot be used; of
// buckets it says nothing.
func diskError(err error, cfg *Config) error {
	if cfg.onS3() {
		return err
	}
	dir, advice := cfg.Storage, "make GUARDIAN_STORAGE a directory that this user can write to"
	if cfg.location.Kind() == location.KindBolt {
		dir, advice = filepath.Dir(cfg.location.Path()), "make GUARDIAN_STORAGE a file that this user can write to, on a local disk"
	}
	switch {
	case errors.Is(err, bolt.ErrLocked):
		advice = "stop the other one, or give this guardian a file of its own in GUARDIAN_STORAGE"
	case errors.Is(err, bolt.ErrDamaged):
		advice = "correct GUARDIAN_STORAGE; if it is the right file, keep it aside, and restore a backup or start with none and let the other guardians repair it"
	case errors.Is(err, fs.ErrPermission):
		advice = fmt.Sprintf("give it to the user that the guardian runs as: chown -R %d %s (in a container: chown -R %[1]d the directory of the host that is mounted there)",
			os.Getuid(), dir)
	}
	return &exitError{exitUnavailable, err, advice}
}

// keySource is the secret, the inline keyring, the file named, or the file
// beside the data. Only over an empty storage may a file be created, and only
// now: the source returned never creates one, as by then there is data. Over a
// bucket none is: the file could go with its container.
func (o *opened) keySource(ctx context.Context, cfg *Config, log *slog.Logger) (integrity.KeySource, error) {
	if cfg.IntegrityKeyAWSSecret != "" {
		secret, err := awssecrets.New(ctx, cfg.IntegrityKeyAWSSecret)
		return awssecrets.Keyring{Secret: secret}, err
	}
	if cfg.IntegrityKey != "" {
		return integrity.InlineSource{Text: cfg.IntegrityKey}, nil
	}
	path := cmp.Or(cfg.IntegrityKeyFile, cfg.location.KeyFile())
	if cfg.onS3() {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, &exitError{exitKey, fmt.Errorf("key file %s is not there", path), "correct GUARDIAN_INTEGRITY_KEY_FILE; for a new node make one: openssl rand -base64 32"}
		}
	} else if err := o.createKeyFile(ctx, path); err != nil {
		return nil, err
	}
	warnIfReadable("key file", path, log)
	return integrity.FileSource{Path: path}, nil
}

func (o *opened) createKeyFile(ctx context.Context, path string) error {
	empty, err := guardian.Empty(ctx, o.store)
	if err == nil && empty {
		_, err = integrity.FileSource{Path: path, Create: true}.Keyring(ctx)
	}
	return err
}

func warnIfReadable(what, path string, log *slog.Logger) {
	const others = 0o077
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&others != 0 {
		log.Warn(fmt.Sprintf("%s %s can be read by others: chmod 600 it", what, path), "path", path, "mode", info.Mode().String())
	}
}

// close waits for the node's background work until ctx ends.
func (o *opened) close(ctx context.Context) error {
	return errors.Join(o.audit.Close(ctx), o.node.Close(ctx), o.store.Close())
}
