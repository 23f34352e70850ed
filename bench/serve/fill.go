package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/vault-guardian/guardian/backend/location"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
)

const (
	nodeID    = "bench"
	shareSize = 1 << 10
	// pushers are as many as a busy guardian has at once.
	pushers = 256
	// benchPrefix is what identities of guardianctl bench begin with, so that its
	// own are among these in the order of a storage.
	benchPrefix = "be9c4be9c4"
)

// fill stores shares as pushes do, and has them on the disk only in the end. That
// is another process, this program again: see forgoDisk.
func (b *benchmark) fill(ctx context.Context, storage string, shares int) error {
	own, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, own, "-fill", strconv.Itoa(shares), storage) //nolint:gosec // this program
	cmd.Env = []string{"HOME=" + b.dir}
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return err
	}
	unix.Sync()
	return nil
}

// fillWithoutDisk is what that process does: it has the node itself push, through
// the backend itself, and waits for no disk.
func fillWithoutDisk(ctx context.Context, storage string, shares int) error {
	if err := forgoDisk(); err != nil {
		return fmt.Errorf("doing without fsync: %w", err)
	}
	return pushAll(ctx, storage, shares)
}

func pushAll(ctx context.Context, storage string, shares int) (err error) {
	at, err := location.Parse(storage)
	if err != nil {
		return err
	}
	store, err := at.Open(ctx, location.Options{NodeID: nodeID})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	quiet := slog.New(slog.DiscardHandler)
	sealer, err := integrity.NewSealer(ctx, nodeID, integrity.FileSource{Path: at.KeyFile(), Create: true}, quiet)
	if err != nil {
		return err
	}
	node, err := guardian.Open(ctx, store, sealer, guardian.Config{Retain: 2, RequestTimeout: time.Minute, Logger: quiet})
	if err != nil {
		return err
	}
	data := make([]byte, shareSize)
	rand.Read(data)
	group, pushing := errgroup.WithContext(ctx)
	group.SetLimit(pushers)
	for number := range shares {
		group.Go(func() error {
			return node.Push(pushing, guardian.Slot{Identity: filled(number)}, guardian.Share{Data: data, Version: 1}, guardian.Caller{})
		})
	}
	return errors.Join(group.Wait(), node.Close(ctx))
}

// filled is the identity of a share that fill has stored.
func filled(number int) string {
	sum := sha256.Sum256([]byte(strconv.Itoa(number)))
	return benchPrefix + hex.EncodeToString(sum[:])[len(benchPrefix):]
}
