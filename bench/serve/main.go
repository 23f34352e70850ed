// Serve measures what a guardian's clients see: the real programs, on loopback and
// real directories, under the load of guardianctl bench. Every figure is printed next
// to one that was measured in the same run, in turns: of a bare server that does only
// what cannot be left out, or of a guardian whose storage is empty.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// plan is how much to measure.
type plan struct {
	guardian, guardianctl string // the programs
	duration              time.Duration
	turns                 int
	shares, sharesInBolt  int
	s3                    bool
	only                  *regexp.Regexp
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var p plan
	bare := flag.String("bare", "", "be a bare server of this kind, on the directory or bucket that is the argument; the others are started with it")
	fill := flag.Int("fill", 0, "store so many shares where the argument says, and wait for no disk; the benchmark starts this")
	programs := flag.String("programs", "../bin", "the directory with guardian and guardianctl")
	document := flag.String("write", "", "the document in which the tables are put in place of those there")
	flag.DurationVar(&p.duration, "duration", 3*time.Second, "how long each of two is measured for a line")
	flag.IntVar(&p.turns, "turns", 10, "turns of each of two")
	flag.IntVar(&p.shares, "shares", 2000, "shares in the directory that is compared with an empty one; 0 leaves it out")
	flag.IntVar(&p.sharesInBolt, "shares-bolt", 2000, "likewise in the bolt file")
	flag.BoolVar(&p.s3, "s3", true, "measure on S3 servers too")
	only := flag.String("only", "", "measure only the parts whose name matches this expression: throughput, tail, memory, many, profiles")
	flag.Parse()
	if *bare != "" {
		return serveBare(ctx, *bare, flag.Arg(0))
	}
	if *fill > 0 {
		return fillWithoutDisk(ctx, flag.Arg(0), *fill)
	}
	var err error
	if p.only, err = regexp.Compile(*only); err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	p.guardian, p.guardianctl = filepath.Join(*programs, "guardian"), filepath.Join(*programs, "guardianctl")
	var tables bytes.Buffer
	if err := measure(ctx, io.MultiWriter(os.Stdout, &tables), p); err != nil || *document == "" {
		return err
	}
	return replace(*document, tables.String())
}

// measure writes Markdown as it comes in. An error is a wrong answer, or that
// something could not be measured; never a slow one.
func measure(ctx context.Context, out io.Writer, p plan) (err error) {
	dir, err := os.MkdirTemp("", "bench-serve-")
	if err != nil {
		return err
	}
	b := &benchmark{plan: p, dir: dir, out: out, token: "a-token-of-the-benchmark"}
	defer func() {
		b.stopAll()
		if gone := os.RemoveAll(dir); err == nil {
			err = gone
		}
	}()
	if err := b.describe(); err != nil {
		return err
	}
	own := []storage{inDirectory, inOneFile} // on a disk of its own
	storages := own
	if p.s3 {
		storages = append(slices.Clone(own), onVersity, onMinIO)
	}
	for _, part := range []struct {
		name     string
		measure  func(context.Context, []storage) error
		storages []storage
	}{
		{"throughput", b.throughput, storages},
		{"tail", b.tail, own},
		{"memory", b.memory, own},
		{"many", b.many, own},
		{"profiles", b.profiles, own},
	} {
		if p.only.MatchString(part.name) {
			err = errors.Join(err, part.measure(ctx, part.storages))
		}
	}
	return err
}

// each measures on one storage after the other, and goes on when it could not on one.
func each(ctx context.Context, storages []storage, measure func(context.Context, storage) error) (err error) {
	for _, s := range storages {
		if failed := measure(ctx, s); failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", s.name, failed))
		}
	}
	return err
}
