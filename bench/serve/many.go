package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const boots = 5

// many compares a guardian that keeps many shares with one that keeps none.
func (b *benchmark) many(ctx context.Context, storages []storage) error {
	storages = slices.DeleteFunc(slices.Clone(storages), func(s storage) bool { return s.many(b.plan) == 0 })
	if len(storages) == 0 {
		return nil
	}
	fmt.Fprintf(b.out, `
### With many shares stored

So many shares of %d bytes, one version each, beside a storage without any. Boot is from
the start of the process until it is ready. Pushes and pulls are of %d identities again and
again, which lie anywhere among the many; those of a *new* and of *any* one are each of
another, the latter where there are many beside any of %[2]d. They come first, for what is
no longer in the system's memory since it was stored has to come from the disk. Meanwhile
the guardian scrubs. The last line of each is what is kept: bytes in files, on the disk,
and on the disk for each byte of a share.

| storage | | without | with | ratio |
|---|---|---|---|---|
`, shareSize, identities)
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
	shares := s.many(b.plan)
	s.name = fmt.Sprintf("%s, %d", s.name, shares)
	if err := b.fill(ctx, full.url, shares); err != nil {
		return fmt.Errorf("storing shares: %w", err)
	}
	took, err := sizeOf(strings.TrimPrefix(full.url, "bolt://"))
	if err != nil {
		return err
	}
	boot, err := b.boots(ctx, full.url, empty.url)
	if err != nil {
		return err
	}
	b.row(s.name, "boot, ms", "%.0f", boot.empty, boot.full, boot.ratio)
	if err := b.besideEmpty(ctx, s.name, full.url, empty.url, shares); err != nil {
		return err
	}
	n := float64(shares)
	fmt.Fprintf(b.out, "| %s | bytes for a share | %.0f in files | %.0f on the disk | %.1f |\n", s.name, took.bytes/n, took.disk/n, took.disk/n/shareSize)
	return nil
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
func (b *benchmark) besideEmpty(ctx context.Context, name, full, empty string, shares int) error {
	filled, err := b.startGuardian(ctx, full)
	if err != nil {
		return err
	}
	other, err := b.startGuardian(ctx, empty)
	if err != nil {
		return err
	}
	if err := b.pullAny(ctx, name, filled, other, shares); err != nil {
		return fmt.Errorf("pull of any: %w", err)
	}
	for _, of := range []struct{ mix, what string }{
		{"new", "push of a new identity"}, {"push", "push"}, {"pull", "pull"}, {"health", "health"},
	} {
		r, _, err := b.compare(ctx, filled, other, "--mix", of.mix+"=1", "--connections", fmt.Sprint(connections))
		if err != nil {
			return fmt.Errorf("%s: %w", of.what, err)
		}
		b.row(name, of.what+" a second", "%.0f", r.Targets[1].PerSecond, r.Targets[0].PerSecond, r.Against.PerSecond)
		b.row(name, of.what+", p50 ms", "%.2f", r.Targets[1].Operations[0].P50, r.Targets[0].Operations[0].P50, r.Against.Operations[0].P50)
	}
	return stopBoth(filled, other)
}

// pullAny has the one give any of its shares, and the other any of as few as
// guardianctl bench stores.
func (b *benchmark) pullAny(ctx context.Context, name string, full, empty *server, shares int) error {
	many, err := b.newPullers(full, shares)
	if err != nil {
		return err
	}
	few, err := b.newPullers(empty, identities)
	if err != nil {
		return err
	}
	if err := few.push(ctx); err != nil {
		return err
	}
	r, err := b.pullInTurns(ctx, few, many)
	if err != nil {
		return err
	}
	b.row(name, "pull of any a second", "%.0f", r.perSecond[0], r.perSecond[1], r.ratio)
	b.row(name, "pull of any, p50 ms", "%.2f", r.p50[0], r.p50[1], r.slower)
	return nil
}

func (b *benchmark) row(storage, what, format string, without, with float64, ratio spread) {
	fmt.Fprintf(b.out, "| %s | %s | "+format+" | "+format+" | %v |\n", storage, what, without, with, ratio)
}
