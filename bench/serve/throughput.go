package main

import (
	"context"
	"fmt"
	"time"
)

const connections = 16

// throughput is the most that a guardian does, beside bare servers.
func (b *benchmark) throughput(ctx context.Context, storages []storage) error {
	fmt.Fprintf(b.out, `
### The most, beside a bare server

%d connections, shares of 1 KiB, %v each in %d turns. Requests a second, and processor
time of the server for each; the ratios are of requests a second, the median of the pairs
of turns with the values between which half of them are, and of processor time. Requests
carry no proof of ownership, but where it says so: then the guardian checks an Ed25519
signature more than the bare server does.

| storage | operation | the bare server does | bare/s | guardian/s | ratio | bare µs | guardian µs | x processor | p50 ms | p99 ms |
|---|---|---|---|---|---|---|---|---|---|---|
`, connections, b.duration, b.turns)
	return each(ctx, storages, b.throughputOn)
}

func (b *benchmark) throughputOn(ctx context.Context, s storage) error {
	at, guardian, err := b.startOn(ctx, s)
	if err != nil {
		return err
	}
	for _, of := range []struct {
		name, mix, kind, does string
		args                  []string
	}{
		{"push", "push", at.pushKind, s.barePush, nil},
		{"pull", "pull", at.pullKind, s.barePull, nil},
		{"pull, with proofs", "pull", at.pullKind, s.barePull, []string{"--bare=false"}},
	} {
		other, err := b.startBare(ctx, of.kind, at.bareWhere, at.environ...)
		if err != nil {
			return err
		}
		r, used, err := b.compare(ctx, guardian, other, append(of.args, "--mix", of.mix+"=1", "--connections", fmt.Sprint(connections))...)
		if err != nil {
			return err
		}
		ours, bare := r.Targets[0], r.Targets[1]
		fmt.Fprintf(b.out, "| %s | %s | %s | %.0f | %.0f | %v | %.0f | %.0f | %.1f | %.2f | %.2f |\n",
			s.name, of.name, of.does, bare.PerSecond, ours.PerSecond, r.Against.PerSecond,
			used[1], used[0], used[0]/used[1], ours.Operations[0].P50, ours.Operations[0].P99)
		if err := other.stop(); err != nil {
			return err
		}
	}
	return guardian.stop()
}

// compare is against, after a warm-up. It also returns the processor time of each
// server for a request, in µs; those that prepare count as well.
func (b *benchmark) compare(ctx context.Context, s, other *server, args ...string) (r result, used [2]float64, err error) {
	warmUp := append([]string{"--duration", max(time.Second, time.Duration(b.turns)*50*time.Millisecond).String()}, args...)
	if _, err = b.against(ctx, s, other, warmUp...); err != nil {
		return r, used, err
	}
	var before [2]time.Duration
	servers := [2]*server{s, other}
	for i, of := range servers {
		if before[i], err = of.processorTime(); err != nil {
			return r, used, err
		}
	}
	if r, err = b.against(ctx, s, other, args...); err != nil {
		return r, used, err
	}
	for i, of := range servers {
		after, err := of.processorTime()
		if err != nil {
			return r, used, err
		}
		used[i] = float64((after - before[i]).Microseconds()) / float64(r.Targets[i].Requests+identities)
	}
	return r, used, nil
}

// tail is how long pushes take at half of the most.
func (b *benchmark) tail(ctx context.Context, storages []storage) error {
	fmt.Fprintf(b.out, `
### Push at half of the most

As many pushes a second as are half of what the guardian can do, over %d connections, and
the bare server at the same rate. Times count from when a request was due.

| storage | pushes/s | guardian p50 ms | p99 ms | p99 / p50 | bare p50 ms | p99 ms | p99 / p50 | never sent |
|---|---|---|---|---|---|---|---|---|
`, connections)
	return each(ctx, storages, b.tailOn)
}

func (b *benchmark) tailOn(ctx context.Context, s storage) error {
	at, guardian, err := b.startOn(ctx, s)
	if err != nil {
		return err
	}
	other, err := b.startBare(ctx, at.pushKind, at.bareWhere, at.environ...)
	if err != nil {
		return err
	}
	push := []string{"--mix", "push=1", "--connections", fmt.Sprint(connections)}
	most, err := b.load(ctx, guardian, push...)
	if err != nil {
		return err
	}
	rate := max(most.Targets[0].PerSecond/2, 1)
	r, err := b.against(ctx, guardian, other, append(push, "--rate", fmt.Sprint(rate))...)
	if err != nil {
		return err
	}
	ours, bare := r.Targets[0].Operations[0], r.Targets[1].Operations[0]
	fmt.Fprintf(b.out, "| %s | %.0f | %.2f | %.2f | %.1f | %.2f | %.2f | %.1f | %d |\n", s.name, rate,
		ours.P50, ours.P99, ours.P99/ours.P50, bare.P50, bare.P99, bare.P99/bare.P50, r.Targets[0].Unsent)
	return stopBoth(guardian, other)
}
