package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/bench/internal/stats"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/shamir"
)

// sideBySide is how many guardians a client talks to at once, as a recovery
// does.
const sideBySide = 16

// countTraffic recovers the share of one guardian again and again, and does the
// same as a client would.
func countTraffic(ctx context.Context, out io.Writer, p plan) error {
	if p.rounds == 0 {
		return nil
	}
	fmt.Fprintf(out, "\nRecovery of one share, %d times each: bytes over TCP in both directions, TLS included; processor time of all guardians\n", p.rounds)
	var all []*result
	for _, s := range p.shapes {
		for _, size := range p.sizes {
			say("recovering shares of %d bytes, N=%d", size, s.n)
			r, err := recoverOften(ctx, s, size, p.rounds)
			if err != nil {
				return fmt.Errorf("recovering shares of %d bytes, N=%d: %w", size, s.n, err)
			}
			all = append(all, r)
		}
	}
	printTraffic(out, all)
	printRoutes(out, all)
	return nil
}

// cost is what one recovery, or one client, took.
type cost struct {
	bytes, conns, requests int64
	cpu                    time.Duration
}

// result is the costs of one shape and size, over new connections and over ones
// that were kept.
type result struct {
	shape
	size                                             int
	recoverCold, recoverWarm, clientCold, clientWarm []cost
	// number and json are the calls of a recovery and their JSON, by route.
	number, json map[string]int64
}

// trial is one secret in a fleet.
type trial struct {
	*fleet
	shape
	size    int
	owner   owner
	version uint64
	lost    []byte // the share that the first guardian loses
}

func recoverOften(ctx context.Context, s shape, size, rounds int) (*result, error) {
	f, err := newFleet(ctx, s.n)
	if err != nil {
		return nil, err
	}
	t := &trial{fleet: f, shape: s, size: size, owner: newOwner(0)}
	r := &result{shape: s, size: size}
	err = t.pushNext(ctx, f.trust.client())
	for range rounds {
		if err == nil {
			err = t.round(ctx, r)
		}
	}
	return r, errors.Join(err, f.close())
}

// round measures all four once. Connections of before are closed for the cold
// ones.
func (t *trial) round(ctx context.Context, r *result) error {
	t.all[0].dialAnew()
	client := t.trust.client()
	defer client.CloseIdleConnections()
	byClient := func(ctx context.Context) error { return t.byClient(ctx, client) }
	for _, turn := range []struct {
		wire *wire
		do   func(context.Context) error
		into *[]cost
	}{
		{&t.peers, t.recover, &r.recoverCold},
		{&t.peers, t.recover, &r.recoverWarm},
		{&t.clients, byClient, &r.clientCold},
		{&t.clients, byClient, &r.clientWarm},
	} {
		if err := t.lose(ctx); err != nil {
			return err
		}
		c, err := t.measure(ctx, turn.wire, turn.do)
		if err != nil {
			return err
		}
		if turn.wire == &t.peers {
			r.number, r.json = t.calls.number.take(), t.calls.bytes.take()
			c.requests = sum(r.number)
		}
		*turn.into = append(*turn.into, c)
	}
	return nil
}

func (t *trial) lose(ctx context.Context) error {
	share, err := t.all[0].node.Pull(ctx, t.owner.slot, nil, nil, guardian.Caller{})
	if err != nil {
		return err
	}
	t.lost = share.Data
	return t.all[0].node.Purge(ctx, t.owner.slot)
}

func (t *trial) measure(ctx context.Context, w *wire, do func(context.Context) error) (c cost, err error) {
	time.Sleep(settle)
	w.take()
	began, err := processorTime()
	if err != nil {
		return c, err
	}
	if err := do(ctx); err != nil {
		return c, err
	}
	ended, err := processorTime()
	time.Sleep(settle)
	c.bytes, c.conns = w.take()
	c.cpu = ended - began
	c.requests = int64(t.k + t.n) // of a client
	return c, err
}

// settle is for what goes on behind an answer.
const settle = 20 * time.Millisecond

var errRecovered = errors.New("what was recovered is not the share that was lost")

// recover has the first guardian recover its share, and compares.
func (t *trial) recover(ctx context.Context) error {
	first := t.all[0]
	before, err := first.repairer.Status(ctx)
	if err == nil {
		err = first.repairer.Add(ctx, []guardian.Slot{t.owner.slot})
	}
	if err != nil {
		return err
	}
	for {
		status, err := first.repairer.Status(ctx)
		switch {
		case err != nil:
			return err
		case status.Totals.Failed > before.Totals.Failed:
			return fmt.Errorf("not recovered: %s", status.Items[0].LastError)
		case status.Totals.Repaired > before.Totals.Repaired:
			return t.check(ctx)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (t *trial) check(ctx context.Context) error {
	share, err := t.all[0].node.Pull(ctx, t.owner.slot, nil, nil, guardian.Caller{})
	if err == nil && (!bytes.Equal(share.Data, t.lost) || share.Version != t.version) {
		err = errRecovered
	}
	return err
}

// byClient is what an owner would do: pull K shares, combine them, split anew
// and push N.
func (t *trial) byClient(ctx context.Context, client *http.Client) error {
	shares := make([][]byte, t.k)
	err := t.each(ctx, t.all[1:t.k+1], func(ctx context.Context, i int, m *member) error {
		var answer api.PullResponse
		err := post(ctx, client, m.ClientURL+api.RoutePull, api.PullRequest{Identity: t.owner.slot.Identity}, &answer)
		if err == nil {
			shares[i], err = base64.StdEncoding.DecodeString(answer.Share)
		}
		return err
	})
	if err == nil {
		_, err = shamir.Combine(shares)
	}
	if err != nil {
		return err
	}
	return t.pushNext(ctx, client)
}

func (t *trial) pushNext(ctx context.Context, client *http.Client) error {
	t.version++
	shares, signed, err := t.owner.deal(t.version, t.k, t.holders, t.size)
	if err != nil {
		return err
	}
	return t.each(ctx, t.all, func(ctx context.Context, i int, m *member) error {
		return post(ctx, client, m.ClientURL+api.RoutePush, api.PushRequest{
			Identity: t.owner.slot.Identity, Version: &t.version,
			Share: base64.StdEncoding.EncodeToString(shares[i]), Manifest: base64.StdEncoding.EncodeToString(signed),
		}, new(api.PushResponse))
	})
}

func (t *trial) each(ctx context.Context, all []*member, do func(context.Context, int, *member) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(sideBySide)
	for i, m := range all {
		group.Go(func() error { return do(ctx, i, m) })
	}
	return group.Wait()
}

// median is that of one figure of costs.
func median(costs []cost, of func(cost) float64) float64 {
	values := make([]float64, len(costs))
	for i, c := range costs {
		values[i] = of(c)
	}
	return stats.Median(values)
}
