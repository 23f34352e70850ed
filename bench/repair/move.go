package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/quorum"
	"github.com/vault-guardian/guardian/repair"
	"github.com/vault-guardian/guardian/shamir"
)

// movedSize is that of the shares that are refreshed, in bytes.
const movedSize = 1 << 10

// refreshAll deals the shares of many identities anew, as an operator's order
// does, and audits them before and behind: the same check, and nothing moved.
func refreshAll(ctx context.Context, out io.Writer, p movePlan) error {
	if p.identities == 0 {
		return nil
	}
	fmt.Fprintf(out, "\nRefresh of %d identities with shares of %d bytes, guardians and registry with their storages in memory, peers over TLS\n", p.identities, movedSize)
	for _, n := range p.holders {
		m, err := refreshAmong(ctx, shape{n, quorum.Threshold(n)}, p.identities)
		if err != nil {
			return fmt.Errorf("refreshing %d identities, N=%d: %w", p.identities, n, err)
		}
		m.print(out)
	}
	return nil
}

// moved is a refresh, and what it is compared with.
type moved struct {
	shape
	identities int
	report     repair.RoundsReport
	// refresh is until the order is carried out, rest until no guardian has
	// anything left to do for it.
	refresh, rest stretch
	// repairs are those that were thought to be needed, and should not be.
	repairs       repair.Totals
	before, after stretch
	// clients is what owners take for the same, of so many identities.
	clients   stretch
	byClients int
}

// refreshAmong moves all among guardians of its own.
func refreshAmong(ctx context.Context, s shape, identities int) (m *moved, err error) {
	f, err := newFleet(ctx, s.n)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	m = &moved{shape: s, identities: identities, byClients: min(identities, clientsMost)}
	if err := f.fill(ctx, s.k, identities); err != nil {
		return nil, err
	}
	client := f.trust.client()
	defer client.CloseIdleConnections()
	for _, step := range []struct {
		what string
		into *stretch
		do   func(context.Context) error
	}{
		{"auditing", &m.before, func(ctx context.Context) error { return f.audit(ctx, identities) }},
		{"refreshing", &m.refresh, func(ctx context.Context) (err error) { m.report, err = f.refresh(ctx, identities); return err }},
		{"waiting for the rest", &m.rest, f.settle},
		{"auditing again", &m.after, func(ctx context.Context) error { return f.audit(ctx, identities) }},
		{"rebuilding", new(stretch), func(ctx context.Context) error { return f.rebuild(ctx, s.k, identities) }},
		{"doing it as clients", &m.clients, func(ctx context.Context) error { return f.renew(ctx, client, s, m.byClients) }},
	} {
		say("%s, %d identities, N=%d", step.what, identities, s.n)
		if *step.into, err = f.during(ctx, step.do); err != nil {
			return nil, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	m.repairs, err = f.repairs(ctx)
	return m, err
}

// fill has each guardian store its shares.
func (f *fleet) fill(ctx context.Context, k, identities int) error {
	var done atomic.Int64
	defer progress(func() { say("%d of %d identities prepared", done.Load(), identities) })()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	for i := range identities {
		group.Go(func() error {
			defer done.Add(1)
			o := newOwner(i)
			shares, signed, err := o.deal(1, k, f.holders, movedSize)
			for j, m := range f.all {
				if err == nil {
					err = m.node.Push(ctx, o.slot, guardian.Share{Data: shares[j], Version: 1, Manifest: signed}, guardian.Caller{})
				}
			}
			return err
		})
	}
	return group.Wait()
}

var errMoves = errors.New("it did not do what it was to do")

// audit has the first guardian compare all shares, which must all be right.
func (f *fleet) audit(ctx context.Context, identities int) error {
	r := f.all[0].repairer
	if err := r.StartAudit(nil); err != nil {
		return err
	}
	if err := until(ctx, func() (bool, error) { return !r.AuditProgress().Running, nil }); err != nil {
		return err
	}
	if found := r.AuditProgress(); found.Generations != identities || found.Sound != identities || found.Error != "" {
		return fmt.Errorf("%w: %+v", errMoves, found)
	}
	return nil
}

// refresh has the first guardian lead a refresh of everything.
func (f *fleet) refresh(ctx context.Context, identities int) (repair.RoundsReport, error) {
	r := f.all[0].repairer
	if err := r.StartRounds(repair.RoundOrder{}); err != nil {
		return repair.RoundsReport{}, err
	}
	defer progress(func() { say("%d of %d identities moved", r.RoundsProgress().Moved, identities) })()
	err := until(ctx, func() (bool, error) { return !r.RoundsProgress().Running, nil })
	report := r.RoundsProgress()
	if err == nil && (report.Moved != identities || report.Generations != identities || report.Error != "") {
		err = fmt.Errorf("%w: %+v", errMoves, report)
	}
	return report, err
}

// prefixShown is where guardians keep the certificates of a round that not all
// are known to follow, prefixQueue where slots are that need repair.
const prefixShown, prefixQueue = "rounds/shown/", "items/"

// restTime is more than anything that goes well takes.
const restTime = 10 * time.Minute

// settle waits until no guardian keeps certificates to show or slots to repair.
func (f *fleet) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, restTime)
	defer cancel()
	return until(ctx, func() (bool, error) {
		for _, m := range f.all {
			for _, prefix := range []string{prefixShown, prefixQueue} {
				for _, err := range m.node.Queue().List(ctx, prefix, "") {
					return false, err
				}
			}
		}
		return true, nil
	})
}

// repairs adds up what guardians queued for repair since they began.
func (f *fleet) repairs(ctx context.Context) (total repair.Totals, err error) {
	for _, m := range f.all {
		status, err := m.repairer.Status(ctx)
		if err != nil {
			return total, err
		}
		total.Repaired += status.Totals.Repaired
		total.Verified += status.Totals.Verified
	}
	return total, nil
}

// until polls, and not often: what that takes is counted.
func until(ctx context.Context, holds func() (bool, error)) error {
	const poll = 20 * time.Millisecond
	for {
		if done, err := holds(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(poll):
		}
	}
}

// rebuild reads each secret from K guardians, which must have the shares of the
// next epoch.
func (f *fleet) rebuild(ctx context.Context, k, identities int) error {
	for i := range identities {
		o := newOwner(i)
		shares := make([][]byte, k)
		for j := range shares {
			share, err := f.all[(i+j)%len(f.all)].node.Pull(ctx, o.slot, nil, nil, guardian.Caller{})
			if err != nil {
				return err
			}
			if share.Epoch != 1 || share.Version != 1 {
				return fmt.Errorf("%w: a share is of version %d, epoch %d", errMoves, share.Version, share.Epoch)
			}
			shares[j] = share.Data
		}
		payload, err := shamir.Combine(shares)
		if err != nil {
			return err
		}
		if !bytes.Equal(payload, o.payload(1, movedSize)) {
			return fmt.Errorf("%w: the new shares are of another secret", errMoves)
		}
	}
	return nil
}

// clientsMost is how many identities clients renew the shares of.
const clientsMost = 200

// renew does what owners would have to do instead: pull K shares, combine them,
// split anew and push N, one owner after the other.
func (f *fleet) renew(ctx context.Context, client *http.Client, s shape, identities int) error {
	for i := range identities {
		t := &trial{fleet: f, shape: s, size: movedSize, owner: newOwner(i), version: 1}
		if err := t.byClient(ctx, client); err != nil {
			return err
		}
	}
	return nil
}
