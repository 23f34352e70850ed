package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
)

// benchCommand has guardians and a token of its own: load is sent only to what is
// written on the command line, not to what the environment or another guardian names.
type benchCommand struct {
	callFlags
	guardians, against          []string
	tokenFile, againstTokenFile string
	mix, size                   string
	plan                        benchPlan
}

// benchPlan is how much load there is to be, and of what kind.
type benchPlan struct {
	mix benchMix
	// size is that of a share, in bytes.
	size                    int
	connections, identities int
	// rate is how many requests are sent a second whether or not those before are
	// answered; 0 sends the next as soon as there is an answer.
	rate             float64
	duration, warmUp time.Duration
	// turns are how many each of two targets has.
	turns int
	// bare sends no proofs of ownership.
	bare    bool
	keep    bool
	timeout time.Duration
}

const (
	maxBenchConnections = 10_000
	maxBenchIdentities  = 10_000_000
	maxBenchTurns       = 1000
	shortestTurn        = 50 * time.Millisecond
	longestBench        = 7 * 24 * time.Hour
)

func newBenchCommand() *cobra.Command {
	var b benchCommand
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Put guardians under load, and measure how fast they answer",
		Long: fmt.Sprintf(`Send requests to the guardians that --guardians names, and to no others: neither
the environment nor another guardian adds one. Each connection belongs to one of them
and has one request under way at a time. A request is one of --mix, by chance:

%s

What is written are shares of random bytes under identities of the run's own, whose
keys are thrown away; every answer to a pull is compared with what was pushed. In the
end they are deleted. Without proofs (--bare) they begin with %s.

The next request is sent when there is an answer, which shows the most that a guardian
can do. With --rate requests have a time of their own, and are timed from that on: a
guardian that stalls is charged for all that had to wait meanwhile. That shows how long
users wait at that rate.

With --against a second target gets the same load in the same run, in short turns: one,
the other, the other, the one. So whatever else the machines do meets both, and the
ratio can be believed where the figures alone cannot.

A guardian bounds how often one address may ask, 120 times a minute unless it was told
otherwise. This measures that bound first: see what it advises then.

Exits 0 when each request succeeded, 5 when a share came back wrong, else 1.`, benchOperationsHelp(), benchPrefix),
		Example: `  guardianctl bench --guardians http://127.0.0.1:7500
  guardianctl bench --guardians http://127.0.0.1:7500 --token-file token --mix push=1,pull=9 --connections 64 --duration 1m
  guardianctl bench --guardians http://127.0.0.1:7500 --mix push=1 --rate 200 --json
  guardianctl bench --guardians http://127.0.0.1:7500 --against http://127.0.0.1:7600 --size 64KiB`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd) },
	}
	b.register(cmd)
	cmd.Flags().Lookup("timeout").Usage = "give up a request after this long"
	flags := cmd.Flags()
	flags.StringSliceVar(&b.guardians, "guardians", nil, "the guardians to put under load: url,url,...; connections are dealt out to them in turn")
	flags.StringSliceVar(&b.against, "against", nil, "guardians to compare them with, in turns")
	flags.StringVar(&b.tokenFile, "token-file", "", "file with the guardians' bearer token: one for all, or one a line in their order")
	flags.StringVar(&b.againstTokenFile, "against-token-file", "", "as --token-file, of those that they are compared with")
	flags.StringVar(&b.mix, "mix", "push=1,pull=9", "what is sent, and how often beside the others: "+strings.Join(benchNames(), ", "))
	flags.StringVar(&b.size, "size", "1KiB", "size of a share, up to 512KiB")
	flags.IntVar(&b.plan.connections, "connections", 16, "connections to each target")
	flags.IntVar(&b.plan.identities, "identities", 256, "identities that are there from the start, of each target")
	flags.Float64Var(&b.plan.rate, "rate", 0, "requests a second of each target in its turns; 0 for as many as there are answers")
	flags.DurationVar(&b.plan.duration, "duration", 10*time.Second, "how long each target is measured")
	flags.DurationVar(&b.plan.warmUp, "warm-up", 2*time.Second, "how long each target is under load before it is measured")
	flags.IntVar(&b.plan.turns, "turns", 10, "with --against: turns of each target, of which duration is the sum")
	flags.BoolVar(&b.plan.bare, "bare", false, "send no proofs of ownership, where the guardians do not require them")
	flags.BoolVar(&b.plan.keep, "keep", false, "do not delete what was stored")
	return cmd
}

func (b *benchCommand) run(cmd *cobra.Command) error {
	targets, err := b.check(cmd)
	if err != nil {
		return err
	}
	if len(targets) == 1 {
		b.plan.turns = 1
	}
	run := &benchRun{plan: b.plan, targets: targets}
	err = run.carryOut(cmd.Context(), cmd.ErrOrStderr())
	if run.measured {
		result := run.result()
		return errors.Join(result.print(cmd.OutOrStdout(), b.json), err, result.failure(b.plan))
	}
	return err
}

// check refuses what makes no sense, before anything is sent.
func (b *benchCommand) check(cmd *cobra.Command) (targets []*benchTarget, err error) {
	if len(b.guardians) == 0 {
		err := usageError("pass for example --guardians http://127.0.0.1:7500", "no guardians given")
		if os.Getenv(guardiansVariable)+os.Getenv(guardiansFromVariable) != "" {
			err = usageError("name them with --guardians", "no guardians given: bench takes none from the environment, lest load meets those that users depend on")
		}
		return nil, err
	}
	if len(b.against) == 0 && len(given(cmd, "turns", "against-token-file")) > 0 {
		return nil, usageError("add --against URL", "--turns and --against-token-file go with --against")
	}
	if err := b.checkTimeout(); err != nil {
		return nil, err
	}
	b.plan.timeout = b.timeout
	if b.plan.mix, err = parseMix(b.mix); err != nil {
		return nil, err
	}
	if b.plan.size, err = parseSize(b.size); err != nil {
		return nil, err
	}
	if err := b.plan.check(len(b.against) > 0, max(len(b.guardians), len(b.against))); err != nil {
		return nil, err
	}
	return b.targets()
}

// targets are those of --guardians and of --against. A token is sent only to those
// whose flag names it.
func (b *benchCommand) targets() (targets []*benchTarget, err error) {
	roots, err := b.roots()
	if err != nil {
		return nil, err
	}
	for _, of := range []struct {
		flag, tokenFlag string
		urls            []string
		tokenFile       string
	}{
		{"--guardians", "--token-file", b.guardians, b.tokenFile},
		{"--against", "--against-token-file", b.against, b.againstTokenFile},
	} {
		if len(of.urls) == 0 {
			continue
		}
		tokens, err := tokensIn(of.tokenFile, of.tokenFlag)
		if err != nil {
			return nil, err
		}
		target, err := newBenchTarget(b.plan, of.urls, tokens, roots)
		if err != nil {
			return nil, usageError("correct "+of.flag+" and "+of.tokenFlag, "%s: %w", of.flag, err)
		}
		targets = append(targets, target)
	}
	return targets, nil
}

func (p benchPlan) check(against bool, guardians int) error {
	least := shortestTurn
	if against {
		least *= time.Duration(max(p.turns, 1))
	}
	switch {
	case p.connections < guardians || p.connections > maxBenchConnections:
		return usageError("pass for example --connections 16", "--connections is %d, not %d, one for each guardian, to %d", p.connections, guardians, maxBenchConnections)
	case p.identities < 1 || p.identities > maxBenchIdentities:
		return usageError("pass for example --identities 256", "--identities is %d, not 1 to %d", p.identities, maxBenchIdentities)
	case p.rate != 0 && !(p.rate >= 0.01 && p.rate <= 1e6): // NaN is not
		return usageError("pass for example --rate 200, or 0 for as many as there are answers", "--rate is %v, not 0.01 to 1,000,000", p.rate)
	case p.turns < 1 || p.turns > maxBenchTurns:
		return usageError("pass for example --turns 10", "--turns is %d, not 1 to %d", p.turns, maxBenchTurns)
	case p.duration < least || p.duration > longestBench:
		return usageError("pass for example --duration 10s", "--duration is %v, not %v to %v", p.duration, least, longestBench)
	case p.warmUp < 0 || p.warmUp > longestBench:
		return usageError("pass for example --warm-up 2s", "--warm-up is %v, not 0s to %v", p.warmUp, longestBench)
	}
	return nil
}

// parseSize reads a number of bytes, such as 1000 or 1KiB.
func parseSize(text string) (int, error) {
	number, inKiB := strings.CutSuffix(text, "KiB")
	unit := 1
	if inKiB {
		unit = 1 << 10
	}
	size, err := strconv.Atoi(number)
	if err != nil || size < 1 || size > api.MaxShareSize/unit {
		return 0, usageError("pass for example --size 1KiB, or a number of bytes", "--size is %q, not 1 to %dKiB", text, api.MaxShareSize>>10)
	}
	return size * unit, nil
}

// within gives a call the time of one request.
func (p benchPlan) within(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	return call(ctx)
}
