package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	boots     = 5
	shareSize = 1 << 10
)

// many compares a guardian that keeps many shares with one that keeps none.
func (b *benchmark) many(ctx context.Context, storages []storage) error {
	if b.shares == 0 {
		return nil
	}
	fmt.Fprintf(b.out, `
### With %d shares stored

As many shares of %d bytes, one version each, beside a storage without any. Boot is from
the start of the process until it is ready. The last line of each is what is kept: bytes
in files, on the disk, and on the disk for each byte of a share.

| storage | | without | with | ratio |
|---|---|---|---|---|
`, b.shares, shareSize)
	return each(ctx, storages, b.manyOn)
}

func (b *benchmark) manyOn(ctx context.Context, s storage) error {
	full, err := s.open(ctx, b)
	if err != nil {
		return err
	}
	empty, err := s.open(ctx, b)
	if err != nil {
		return err
	}
	if err := b.fill(ctx, full.url); err != nil {
		return fmt.Errorf("storing %d shares: %w", b.shares, err)
	}
	took, err := sizeOf(strings.TrimPrefix(full.url, "bolt://"))
	if err != nil {
		return err
	}
	boot, err := b.boots(ctx, full.url, empty.url)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "| %s | boot, ms | %.0f | %.0f | %v |\n", s.name, boot.empty, boot.full, boot.ratio)
	if err := b.besideEmpty(ctx, s.name, full.url, empty.url); err != nil {
		return err
	}
	n := float64(b.shares)
	fmt.Fprintf(b.out, "| %s | bytes for a share | %.0f in files | %.0f on the disk | %.1f |\n", s.name, took.bytes/n, took.disk/n, took.disk/n/shareSize)
	return nil
}

func (b *benchmark) fill(ctx context.Context, storage string) error {
	guardian, err := b.startGuardian(ctx, storage)
	if err != nil {
		return err
	}
	_, err = b.load(ctx, guardian, "--mix", "pull=1", "--duration", "100ms", "--connections", fmt.Sprint(busyConnections), "--identities", fmt.Sprint(b.shares))
	return errors.Join(err, guardian.stop())
}

// footprint is what files take.
type footprint struct{ bytes, disk float64 }

func sizeOf(dir string) (f footprint, err error) {
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		if info.Mode().IsRegular() {
			f.bytes += float64(info.Size())
		}
		f.disk += float64(info.Sys().(*syscall.Stat_t).Blocks * 512)
		return nil
	})
	return f, err
}

type bootTimes struct {
	empty, full float64
	ratio       spread
}

// boots starts a guardian on each in turns.
func (b *benchmark) boots(ctx context.Context, full, empty string) (t bootTimes, err error) {
	var ratios, fulls, empties []float64
	for round := range boots {
		took := map[string]float64{}
		order := []string{full, empty}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, storage := range order {
			began := time.Now()
			guardian, err := b.startGuardian(ctx, storage)
			if err != nil {
				return t, err
			}
			if err := guardian.ready(ctx); err != nil {
				return t, err
			}
			took[storage] = float64(time.Since(began).Microseconds()) / 1000
			if err := guardian.stop(); err != nil {
				return t, err
			}
		}
		fulls, empties = append(fulls, took[full]), append(empties, took[empty])
		ratios = append(ratios, took[full]/took[empty])
	}
	return bootTimes{spreadOf(empties).Median, spreadOf(fulls).Median, spreadOf(ratios)}, nil
}

// besideEmpty has both serve the same load in turns.
func (b *benchmark) besideEmpty(ctx context.Context, name, full, empty string) error {
	filled, err := b.startGuardian(ctx, full)
	if err != nil {
		return err
	}
	other, err := b.startGuardian(ctx, empty)
	if err != nil {
		return err
	}
	for _, mix := range []string{"health", "push", "pull"} {
		r, _, err := b.compare(ctx, filled, other, "--mix", mix+"=1", "--connections", fmt.Sprint(connections))
		if err != nil {
			return err
		}
		fmt.Fprintf(b.out, "| %s | %s a second | %.0f | %.0f | %v |\n", name, mix, r.Targets[1].PerSecond, r.Targets[0].PerSecond, r.Against.PerSecond)
		fmt.Fprintf(b.out, "| %s | %s, p50 ms | %.2f | %.2f | %v |\n", name, mix, r.Targets[1].Operations[0].P50, r.Targets[0].Operations[0].P50, r.Against.Operations[0].P50)
	}
	return stopBoth(filled, other)
}
