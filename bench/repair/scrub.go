package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/fs"
	"github.com/vault-guardian/guardian/repair"
)

// storage is what is scrubbed.
type storage struct {
	what string
	// open opens it as a process of its own would.
	open func(ctx context.Context) (backend.Backend, error)
	// requests counts those to its server, whose processor time is serverTime;
	// both are nil without a server.
	requests   *tally
	serverTime func() time.Duration
}

// scrubDirectory fills a directory and scrubs it.
func scrubDirectory(ctx context.Context, out io.Writer, slots int) error {
	if slots == 0 {
		return nil
	}
	dir, err := os.MkdirTemp("", "bench-repair-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s := storage{what: "a directory", open: func(context.Context) (backend.Backend, error) { return fs.Open(dir) }}
	return s.scrub(ctx, out, slots)
}

// scrub fills the storage, scrubs it in one pass and in one that is interrupted
// twice, and reads it as plainly as can be before and behind the first.
func (s storage) scrub(ctx context.Context, out io.Writer, slots int) error {
	began := time.Now()
	if err := s.fill(ctx, slots); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nScrub of %s: %d shares of %d bytes, prepared in %.0f s\n", s.what, slots, shareSize, time.Since(began).Seconds())
	before, err := s.readPlainly(ctx, readTime(slots))
	if err != nil {
		return err
	}
	whole, err := s.onePass(ctx)
	if err != nil {
		return fmt.Errorf("scrubbing in one pass: %w", err)
	}
	after, err := s.readPlainly(ctx, readTime(slots))
	if err != nil {
		return err
	}
	whole.print(out, before, after)
	parts, err := s.interrupted(ctx, slots)
	if err != nil {
		return fmt.Errorf("scrubbing with interruptions: %w", err)
	}
	return parts.compare(out, whole, slots)
}

func (s storage) fill(ctx context.Context, slots int) error {
	store, err := s.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(fill(ctx, store, slots), store.Close())
}

// readPlainly lists what is stored and gets it, one object after the other, and
// verifies nothing. It works for as long at a time as a scrub and rests as long,
// so that the system treats both alike, and ends when d is over or all is read.
// It returns the slots per second of work.
func (s storage) readPlainly(ctx context.Context, d time.Duration) (slotsPerSecond float64, err error) {
	store, err := s.open(ctx)
	if err != nil {
		return 0, err
	}
	defer store.Close()
	const stretch, rest = 20 * time.Millisecond, 180 * time.Millisecond
	slots, worked := int64(0), time.Duration(0)
	end, began := time.Now().Add(d), time.Now()
	for entry, err := range store.List(ctx, "shares/", "") {
		if err == nil {
			_, _, err = store.Get(ctx, entry.Key)
		}
		if err != nil {
			return 0, fmt.Errorf("reading objects: %w", err)
		}
		if strings.HasSuffix(entry.Key, "/version") {
			slots++
		}
		if took := time.Since(began); took >= stretch {
			if time.Now().After(end) {
				break
			}
			worked += took
			time.Sleep(rest)
			began = time.Now()
		}
	}
	return perSecond(slots, worked+time.Since(began)), nil
}

// readTime is short for few slots.
func readTime(slots int) time.Duration {
	return min(time.Duration(slots)*5*time.Millisecond, 30*time.Second)
}

// passed is a whole pass, and what it took.
type passed struct {
	repair.ScrubReport
	usage
	calls, requests map[string]int64
	server          time.Duration
}

// onePass scrubs once, from the first slot to the last.
func (s storage) onePass(ctx context.Context) (p passed, err error) {
	store, err := s.open(ctx)
	if err != nil {
		return p, err
	}
	defer store.Close()
	over := &counted{Backend: store, calls: new(tally)}
	node, key, err := openNode(ctx, over, 0)
	if err != nil {
		return p, err
	}
	m, err := start()
	if err != nil {
		return p, err
	}
	s.take()
	over.calls.take()
	server := s.server()
	work := startScrubbing(ctx, node, key, 0, nil)
	err = work.finish(ctx, m.began)
	p.ScrubReport = work.ScrubProgress().Last
	p.calls, p.requests, p.server = over.calls.take(), s.take(), s.server()-server
	work.end()
	used, failed := m.stop()
	p.usage = used
	return p, errors.Join(err, failed, node.Close(ctx))
}

// finish waits for the end of a pass that began at a time or later, and says how
// far it is.
func (s *scrubbing) finish(ctx context.Context, since time.Time) error {
	defer progress(func() {
		at := s.ScrubProgress()
		say("%d slots scrubbed, %.0f a second while at work", at.Scrubbed, perSecond(at.Now.Slots, time.Duration(at.Now.BusyNS)))
	})()
	return s.await(ctx, func(p repair.ScrubProgress) bool { return p.Last.FinishedNS >= since.UnixNano() })
}

func (s storage) take() map[string]int64 {
	if s.requests == nil {
		return nil
	}
	return s.requests.take()
}

func (s storage) server() time.Duration {
	if s.serverTime == nil {
		return 0
	}
	return s.serverTime()
}

func perSecond(n int64, d time.Duration) float64 { return float64(n) / d.Seconds() }

// parts is a pass that three processes made.
type parts struct {
	examined []int64
	repair.ScrubReport
}

// scrubLease is how long others leave the pass of a process that was killed to
// it, and a second more.
const scrubLease = 31 * time.Second

// interrupted scrubs a third and is stopped, a third and is killed, and then the
// rest. The third process has a clock that is ahead, so that it need not wait
// for the lease of the second to end.
func (s storage) interrupted(ctx context.Context, slots int) (p parts, err error) {
	third := int64(slots) / 3
	ahead := func() time.Time { return time.Now().Add(scrubLease) }
	began := time.Now()
	for _, part := range []struct {
		now   func() time.Time
		until func(*scrubbing, *counted) error
	}{
		{nil, func(w *scrubbing, _ *counted) error {
			return w.await(ctx, func(at repair.ScrubProgress) bool { return at.Scrubbed >= third })
		}},
		{nil, func(w *scrubbing, store *counted) error {
			err := w.await(ctx, func(at repair.ScrubProgress) bool { return at.Scrubbed >= third })
			store.dead.Store(true) // what it did since it last saved is lost
			return err
		}},
		{ahead, func(w *scrubbing, _ *counted) error { return w.finish(ctx, began) }},
	} {
		if err := s.part(ctx, &p, part.now, part.until); err != nil {
			return p, err
		}
	}
	return p, nil
}

// part is one process's.
func (s storage) part(ctx context.Context, p *parts, now func() time.Time, until func(*scrubbing, *counted) error) error {
	store, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	over := &counted{Backend: store, calls: new(tally)}
	node, key, err := openNode(ctx, over, 0)
	if err != nil {
		return err
	}
	work := startScrubbing(ctx, node, key, 0, now)
	err = until(work, over)
	work.end()
	at := work.ScrubProgress()
	p.examined, p.ScrubReport = append(p.examined, at.Scrubbed), at.Last
	return errors.Join(err, node.Close(ctx))
}

// found is what a report says of the storage, without when and how fast.
func found(r repair.ScrubReport) repair.ScrubReport {
	r.StartedNS, r.FinishedNS, r.Estimated = 0, 0, 0
	r.BusyNS, r.ElapsedNS, r.CPUShare = 0, 0, 0
	return r
}
