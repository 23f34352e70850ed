package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
)

// Intervals of the demonstration.
const (
	demoHeartbeat    = 200 * time.Millisecond
	demoSuspectAfter = time.Second
	demoDeadAfter    = 3 * time.Second
	// demoPatience is for what guardians see by themselves: a few polls.
	demoPatience = 20 * time.Second
)

// Guardians, counted from 0, to which something happens; not to the one whose
// list is watched.
const (
	watcher      = 0
	impersonated = 1
	silenced     = 2
	replaced     = 3
)

// demoFirst is how many guardians there are at first.
const demoFirst = 3

// clusterDemo shows guardians that know each other.
type clusterDemo struct {
	stage
	patience time.Duration
	seen     map[string]api.GuardianInfo // what the watcher listed last, by node id
}

func newClusterDemo(s stage) *clusterDemo {
	return &clusterDemo{stage: s, patience: demoPatience, seen: noneSeen()}
}

func noneSeen() map[string]api.GuardianInfo { return map[string]api.GuardianInfo{} }

func (c *clusterDemo) run(ctx context.Context, keep bool) error { return c.perform(ctx, keep, c) }

func (c *clusterDemo) again(i int) string {
	return fmt.Sprintf("GUARDIAN_REGISTRY=%s GUARDIAN_PEER_BIND=127.0.0.1:%d ", shellWord(c.registry()), 7601+i)
}

func (c *clusterDemo) next() string {
	return fmt.Sprintf(`  GUARDIAN_STORAGE=./x GUARDIAN_NODE_ID=x GUARDIAN_REGISTRY=./registry %s --unauthenticated
                                                    a member of a cluster of your own
  guardianctl status --cluster --guardians URL,...  how its members see each other
`, shellWord(c.binary))
}

func (c *clusterDemo) registry() string { return filepath.Join(c.dir, "registry") }

func (c *clusterDemo) steps() []demoStep {
	return []demoStep{
		{"start", "Start three guardians that share a registry, here a directory", func(ctx context.Context) error {
			return c.start(ctx, demoFirst)
		}},
		{"join", "Start two more", func(ctx context.Context) error { return c.startUpTo(ctx, demoGuardians) }},
		{"store", "Store a file, each share with the guardian that has its index for life", c.store},
		{"silence", "Stop one with SIGSTOP: its ports stay open, and it says nothing", c.silence},
		{"recover", "Recover the file meanwhile", c.recover},
		{"return", "Let it go on, with SIGCONT", c.resume},
		{"replace", "Kill one, and start it anew on another port", c.replace},
		{"impostor", "Start an impostor: the node id of one, with another key", c.refuseImpostor},
		{"degraded", "Stop three of the five, and let them go on", c.degrade},
	}
}

func (c *clusterDemo) start(ctx context.Context, n int) error {
	c.settings = []string{
		"GUARDIAN_REGISTRY=" + c.registry(), "GUARDIAN_PEER_BIND=127.0.0.1:0",
		"GUARDIAN_HEARTBEAT_INTERVAL=" + demoHeartbeat.String(),
		"GUARDIAN_HEARTBEAT_SUSPECT_AFTER=" + demoSuspectAfter.String(),
		"GUARDIAN_HEARTBEAT_DEAD_AFTER=" + demoDeadAfter.String(),
	}
	if err := c.keepToken(); err != nil {
		return err
	}
	c.say("a heartbeat every %v, suspect after %v without one, dead after %v; by default 5s, 15s and 1m0s", demoHeartbeat, demoSuspectAfter, demoDeadAfter)
	c.say("the list is fetched from the registry three times in the time to suspect, by default every 5s")
	return c.startUpTo(ctx, n)
}

// startUpTo starts guardians until n run, and waits until each of them lists
// all n.
func (c *clusterDemo) startUpTo(ctx context.Context, n int) error {
	began := time.Now()
	for i := range n {
		if c.guardians[i] != nil {
			continue
		}
		if err := c.startOne(ctx, i); err != nil {
			return err
		}
		c.say("%s: pid %d, %s", nodeID(i), c.guardians[i].pid(), c.url(i))
	}
	if _, err := c.watch(ctx, began, func() bool { return c.alive() >= n }); err != nil {
		return err
	}
	list, err := c.agree(ctx)
	if err != nil {
		return err
	}
	c.say("each of the %d lists all %d, with K = %d and W = %d:", n, n, list.Threshold, list.WriteQuorum)
	return c.show(list)
}

// connectListed makes the vault of the guardians as they are listed, each with
// its index. The order is another one, as it must not matter.
func (c *clusterDemo) connectListed(ctx context.Context) (indices []int, err error) {
	list, err := c.agree(ctx)
	if err != nil {
		return nil, err
	}
	var urls []string
	for _, g := range slices.Backward(list.Guardians) {
		urls, indices = append(urls, g.URL), append(indices, g.Index)
	}
	return indices, c.connect(urls, c.token, client.WithIndices(indices))
}

func (c *clusterDemo) store(ctx context.Context) error {
	indices, err := c.connectListed(ctx)
	if err != nil {
		return err
	}
	report, err := c.storeEverywhere(ctx)
	if err != nil {
		return err
	}
	c.say("%s: %d bytes, version %d, stored by %d guardians (needed: %d)", shown(c.name), len(c.secret), report.Version, report.Got, report.Need)
	return c.showShares(ctx, indices)
}

// showShares wants every share with the guardian that has its index.
func (c *clusterDemo) showShares(ctx context.Context, indices []int) error {
	report, err := c.vault.Verify(ctx, c.root.Identity())
	if err != nil {
		return err
	}
	if report.Good != len(indices) {
		return fmt.Errorf("%d of %d shares are those that the manifest names", report.Good, report.Holders)
	}
	table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "   GUARDIAN\tINDEX\tSHARE\tBYTES")
	for i, g := range report.Guardians {
		if g.X != indices[i] {
			return fmt.Errorf("%s has index %d, and holds the share at x = %d", g.Guardian, indices[i], g.X)
		}
		fmt.Fprintf(table, "   %s\t%d\tx = %d\t%d\n", g.Guardian, indices[i], g.X, g.Size)
	}
	return table.Flush()
}

func (c *clusterDemo) recover(ctx context.Context) error {
	secret, report, err := c.pull(ctx)
	if err != nil {
		return err
	}
	for _, g := range report.Guardians {
		if g.Guardian == c.url(silenced) && g.State == client.StateGood {
			return fmt.Errorf("%s is stopped, and showed its share", g.Guardian)
		}
	}
	if err := c.keepRecovered(secret); err != nil {
		return err
	}
	c.say("%d shares rebuilt version %d: %d bytes, identical to the original", report.Used, report.Version, len(secret))
	return nil
}
