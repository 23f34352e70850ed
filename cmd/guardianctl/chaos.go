package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

const (
	// chaosHolders have a share of each secret at first; redistributions go to as
	// many or one more.
	chaosHolders   = 6
	leastGuardians = chaosHolders + 1
	mostGuardians  = 20
	chaosSecrets   = 5
	// chaosPatience is how long a secret may be impossible to recover, as while a
	// busy machine answers late; chaosHealing is what all has to become whole.
	chaosPatience = 30 * time.Second
	chaosHealing  = 5 * time.Minute
	// Intervals of the guardians in a campaign.
	chaosScrub        = 3 * time.Second
	chaosSuspectAfter = 2 * time.Second
	chaosDeadAfter    = 4 * time.Second
)

// chaosOptions are what a campaign is started with.
type chaosOptions struct {
	duration time.Duration
	size     int
	seed     uint64
	keep     bool
	json     bool
}

// chaosReport is what a campaign came to.
type chaosReport struct {
	Seed      uint64  `json:"seed"`
	Guardians int     `json:"guardians"`
	Secrets   int     `json:"secrets"`
	Seconds   float64 `json:"seconds"`
	// Stored were acknowledged, Unsure not.
	Stored    int `json:"stored"`
	Unsure    int `json:"unsure"`
	Recovered int `json:"recovered"`
	Killed    int `json:"killed"`
	Stopped   int `json:"stopped"`
	Damaged   int `json:"damaged"`
	// Rounds were committed that moved shares as ordered, InVain orders moved
	// none, and Taken rounds were taken over from a coordinator.
	Rounds int `json:"rounds"`
	Moved  int `json:"moved"`
	InVain int `json:"in_vain"`
	Taken  int `json:"taken_over"`
	Scrubs int `json:"scrubs"`
	// HealedSeconds is how long all took to become whole in the end.
	HealedSeconds float64 `json:"healed_seconds"`
	// Directory has the storages and logs, where they were kept.
	Directory string `json:"directory,omitempty"`
	Held      bool   `json:"held"`
	Error     string `json:"error,omitempty"`
}

// chaos is a campaign: an owner, an operator and trouble, side by side.
type chaos struct {
	moveDemo
	chaosOptions
	progress io.Writer // shows a line when it is a terminal
	bearing  time.Duration
	healing  time.Duration
	secrets  []*chaosSecret
	events   *os.File
	// restart starts a guardian again that was killed.
	restart func(i int) (*process, error)
	// disturb is called before each trouble; tests do worse with it.
	disturb func()

	mu     sync.Mutex // guards what follows, and the places of guardians
	down   map[int]trouble
	report chaosReport
	// unhealed is what is not yet as it should be, once nothing is done any more.
	unhealed string
}

func newChaosCommand() *cobra.Command {
	var o chaosOptions
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "Let guardians on this machine go through all that may happen, and see that nothing is lost",
		Long: fmt.Sprintf(`Start guardians on this machine under a signed roster, store %d secrets with them,
and for the duration do all to them at once that years would: kill and stop guardians,
damage files on their disks, store new versions, refresh and redistribute shares, take
rounds over from those that were killed. Never are more than N-K-1 holders of a secret
in trouble at a time: that is what it must bear. All the while every secret is
recovered again and again, and compared. In the end all is left alone to heal, and
checked: every acknowledged secret is there, no version went back, no share is wrong,
and no round is open. Healing may take as long again, and has %v.

The exit code is 0 only when all of that held. When it did not, it says what, and the
directory with storages and logs stays; events.log in it tells what was done when.
Choices repeat with --seed, as far as real time lets them.`, chaosSecrets, chaosHealing),
		Example: `  guardianctl chaos
  guardianctl chaos --duration 10m --guardians 9
  guardianctl chaos --seed 42 --keep
  guardianctl chaos --json | jq .recovered`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(cmd.Flags().Changed("seed")); err != nil {
				return err
			}
			s, err := newStage(cmd, nil)
			if err != nil {
				return err
			}
			c := newChaos(s, o)
			c.progress = cmd.ErrOrStderr()
			err = c.run(cmd.Context())
			return errors.Join(c.print(cmd.OutOrStdout()), err)
		},
	}
	cmd.Flags().DurationVar(&o.duration, "duration", time.Minute, "how long, before all is left to heal")
	cmd.Flags().IntVar(&o.size, "guardians", leastGuardians, fmt.Sprintf("how many, %d to %d", leastGuardians, mostGuardians))
	cmd.Flags().Uint64Var(&o.seed, "seed", 0, "of the choices that are made (default: one by chance, which is told)")
	cmd.Flags().BoolVar(&o.keep, "keep", false, "keep the directory with all files")
	cmd.Flags().BoolVar(&o.json, "json", false, "print the result as JSON")
	return cmd
}

func (o *chaosOptions) check(seeded bool) error {
	const shortest, longest = 5 * time.Second, 7 * 24 * time.Hour
	switch {
	case o.duration < shortest || o.duration > longest:
		return usageError("pass for example --duration 1m", "--duration is %v, not %v to %v", o.duration, shortest, longest)
	case o.size < leastGuardians || o.size > mostGuardians:
		return usageError("one more than the holders of a secret must be there", "--guardians is %d, not %d to %d", o.size, leastGuardians, mostGuardians)
	}
	if !seeded {
		o.seed = rand.Uint64() //nolint:gosec // it draws no secrets
	}
	return nil
}

func newChaos(s stage, o chaosOptions) *chaos {
	s.guardians, s.out = make([]*process, o.size), io.Discard
	c := &chaos{
		moveDemo: *newMoveDemo(s), chaosOptions: o, progress: io.Discard, bearing: chaosPatience, healing: chaosHealing,
		disturb: func() {}, down: map[int]trouble{},
		report: chaosReport{Seed: o.seed, Guardians: o.size, Secrets: chaosSecrets},
	}
	c.guardians = make([]*process, o.size)
	return c
}

// choices are those of one of the three who act.
func (c *chaos) choices(actor uint64) *rand.Rand {
	return rand.New(rand.NewPCG(c.seed, actor)) //nolint:gosec // it draws no secrets
}

// run is the whole campaign. However it ends, no process is left; the directory
// is when it failed or is to be kept.
func (c *chaos) run(ctx context.Context) (err error) {
	began := time.Now()
	if c.dir, err = os.MkdirTemp(c.parent, "guardian-chaos-"); err != nil { // 0700
		return fmt.Errorf("making a directory: %w", err)
	}
	if c.events, err = os.OpenFile(filepath.Join(c.dir, "events.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return fmt.Errorf("making a log of events: %w", err)
	}
	c.launcher = newLauncher()
	err = c.carryOut(ctx)
	c.killAll()
	c.launcher.close()
	c.report.Seconds, c.report.Held = time.Since(began).Seconds(), err == nil
	switch {
	case ctx.Err() != nil:
		err = errors.Join(interrupted(ctx), c.events.Close())
	case err != nil:
		c.note("it did not hold: %v", err)
		c.report.Error = err.Error()
		// What an order that was part of it advises is of no use here.
		held := errors.New(errors.Join(err, c.events.Close()).Error())
		err = failure(fmt.Errorf("chaos with seed %d: %w", c.seed, held),
			"look at events.log and the guardians' logs (*.log) in "+c.dir)
	default:
		err = c.events.Close()
	}
	if c.keep || c.report.Error != "" {
		c.report.Directory = c.dir
		return err
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}

func (c *chaos) carryOut(ctx context.Context) error {
	stop := showLine(c.progress, func(seconds int) string { return c.line(seconds) })
	defer stop()
	if err := c.begin(ctx); err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	c.restart = func(i int) (*process, error) { return c.launch(ctx, nodeID(i), nodeID(i)) }
	actors, acting := errgroup.WithContext(ctx)
	until := time.Now().Add(c.duration)
	for _, act := range []func(context.Context, time.Time) error{c.makeTrouble, c.own, c.operate} {
		actors.Go(func() error { return act(acting, until) })
	}
	if err := actors.Wait(); err != nil {
		return err
	}
	return c.wantWhole(ctx)
}

// begin starts all guardians, and stores the first versions.
func (c *chaos) begin(ctx context.Context) error {
	if err := c.prepare(c.size); err != nil {
		return err
	}
	c.settings = append(c.settings,
		"GUARDIAN_HEARTBEAT_SUSPECT_AFTER="+chaosSuspectAfter.String(),
		"GUARDIAN_HEARTBEAT_DEAD_AFTER="+chaosDeadAfter.String(),
		"GUARDIAN_SCRUB_INTERVAL="+chaosScrub.String(), "GUARDIAN_AUDIT=off",
	)
	if err := c.publish(ctx); err != nil {
		return err
	}
	if err := c.startUpTo(ctx, c.size); err != nil {
		return err
	}
	return c.storeFirst(ctx)
}

// note writes down what was done.
func (c *chaos) note(format string, args ...any) {
	fmt.Fprintf(c.events, time.Now().UTC().Format("15:04:05.000")+" "+format+"\n", args...)
}

func (c *chaos) count(change func(*chaosReport)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.report)
}

func (c *chaos) line(seconds int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.report
	if c.unhealed != "" {
		return fmt.Sprintf("%d s: nothing is done any more, waiting until all have healed: %.80s ...", seconds, c.unhealed)
	}
	return fmt.Sprintf("%d s: recovered %d times, stored %d, killed %d, stopped %d, damaged %d, %d rounds ...",
		seconds, r.Recovered, r.Stored, r.Killed, r.Stopped, r.Damaged, r.Rounds)
}

func (c *chaos) print(out io.Writer) error {
	r := c.report
	if c.json {
		return printJSON(out, r)
	}
	fmt.Fprintf(out, "seed %d: %d guardians, %d secrets, %.0f s\n", r.Seed, r.Guardians, r.Secrets, r.Seconds)
	fmt.Fprintf(out, "the owner stored %d versions (%d more were not acknowledged), and recovered %d times\n", r.Stored, r.Unsure, r.Recovered)
	fmt.Fprintf(out, "guardians were killed %d times and stopped %d times, %d shares damaged\n", r.Killed, r.Stopped, r.Damaged)
	fmt.Fprintf(out, "%d rounds moved %d shares, %d orders moved none, %d rounds were taken over\n", r.Rounds, r.Moved, r.InVain, r.Taken)
	if r.Directory != "" {
		fmt.Fprintf(out, "kept: %s\n", r.Directory)
	}
	if r.Held {
		fmt.Fprintf(out, "healed in %.0f s: all secrets are there, no version went back, no share is wrong, no round is open\nAll of it held.\n", r.HealedSeconds)
	}
	return nil
}
