package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/quorum"
)

// States as the wire has them.
const (
	demoAlive   = string(cluster.Alive)
	demoSuspect = string(cluster.Suspect)
	demoDead    = string(cluster.Dead)
)

const (
	demoLook  = 50 * time.Millisecond // between two looks at a list
	demoReply = 2 * time.Second       // for one answer
)

func (c *clusterDemo) url(i int) string { return "http://" + c.guardians[i].address }

// list asks a guardian whom it knows.
func (p *process) list(ctx context.Context) (api.GuardiansResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, demoReply)
	defer cancel()
	return p.guardian.Guardians(ctx)
}

// health asks a guardian for its word.
func (p *process) health(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, demoReply)
	defer cancel()
	health, err := p.guardian.Health(ctx)
	return health.Status, err
}

// eventually looks again and again until it holds, for as long as patience
// lasts.
func (c *clusterDemo) eventually(ctx context.Context, holds func() error) error {
	look := time.NewTicker(demoLook)
	defer look.Stop()
	for began := time.Now(); ; {
		err := holds()
		switch {
		case err == nil:
			return nil
		case time.Since(began) > c.patience:
			return fmt.Errorf("not within %v: %w", c.patience, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
}

// watch shows every change in the list of the watcher, with the time since
// began, until done holds. It returns what changed.
func (c *clusterDemo) watch(ctx context.Context, began time.Time, done func() bool) (changes []api.GuardianInfo, err error) {
	err = c.eventually(ctx, func() error {
		list, err := c.guardians[watcher].list(ctx)
		if err != nil {
			return err
		}
		for _, now := range list.Guardians {
			before := c.seen[now.NodeID]
			news := newsOf(before, now)
			if news == "" {
				continue
			}
			c.seen[now.NodeID] = now
			changes = append(changes, now)
			c.say("%4.1fs  %s %s; alive: %d, K = %d, W = %d", time.Since(began).Seconds(), now.NodeID, news,
				aliveIn(list), list.Threshold, list.WriteQuorum)
		}
		if !done() {
			return fmt.Errorf("%s lists %v", nodeID(watcher), statesIn(list))
		}
		return nil
	})
	return changes, err
}

// newsOf says what changed, "" for nothing. A guardian lists itself before it
// has an index.
func newsOf(before, now api.GuardianInfo) string {
	switch {
	case now.Index == 0:
		return ""
	case before.NodeID == "":
		return fmt.Sprintf("is a member, index %d", now.Index)
	case before.URL != now.URL:
		return "is at " + now.URL
	case before.State != now.State:
		return fmt.Sprintf("is %s (was %s)", now.State, before.State)
	}
	return ""
}

// alive is how many the watcher saw alive last.
func (c *clusterDemo) alive() (n int) {
	for _, g := range c.seen {
		if g.State == demoAlive {
			n++
		}
	}
	return n
}

func aliveIn(list api.GuardiansResponse) (n int) {
	for _, g := range list.Guardians {
		if g.State == demoAlive {
			n++
		}
	}
	return n
}

func statesIn(list api.GuardiansResponse) map[string]string {
	states := map[string]string{}
	for _, g := range list.Guardians {
		states[g.NodeID] = g.State
	}
	return states
}

// agree waits until all that run list the same: everyone that was started, alive
// but for those that are silent, which are dead; and K and W for as many.
func (c *clusterDemo) agree(ctx context.Context, silent ...int) (list api.GuardiansResponse, err error) {
	err = c.eventually(ctx, func() error {
		list = api.GuardiansResponse{}
		for i, p := range c.guardians {
			if p == nil || slices.Contains(silent, i) {
				continue
			}
			listed, err := p.list(ctx)
			if err == nil {
				err = c.check(listed, silent)
			}
			switch {
			case err != nil:
				return fmt.Errorf("the list of %s: %w", nodeID(i), err)
			case list.Guardians == nil:
				list = listed
			case !sameMembers(list, listed):
				return fmt.Errorf("the list of %s: it is not that of %s", nodeID(i), nodeID(watcher))
			}
		}
		return nil
	})
	return list, err
}

// sameMembers compares what does not depend on who looks.
func sameMembers(a, b api.GuardiansResponse) bool {
	return slices.EqualFunc(a.Guardians, b.Guardians, func(a, b api.GuardianInfo) bool {
		return a.NodeID == b.NodeID && a.Index == b.Index && a.NodeKey == b.NodeKey && a.URL == b.URL
	})
}

// check wants a list to have those that were started and nobody else.
func (c *clusterDemo) check(list api.GuardiansResponse, silent []int) error {
	started := 0
	for i, p := range c.guardians {
		if p == nil {
			continue
		}
		started++
		state := demoAlive
		if slices.Contains(silent, i) {
			state = demoDead
		}
		g := memberIn(list, nodeID(i))
		if g.State != state || g.URL != c.url(i) {
			return fmt.Errorf("it has %s as %q at %q", nodeID(i), g.State, g.URL)
		}
	}
	n := started - len(silent)
	switch {
	case len(list.Guardians) != started:
		return fmt.Errorf("it has %d guardians, not %d", len(list.Guardians), started)
	case list.Threshold != quorum.Threshold(n) || list.WriteQuorum != quorum.WriteQuorum(n):
		return fmt.Errorf("it has K = %d and W = %d, which are not for %d alive", list.Threshold, list.WriteQuorum, n)
	}
	return checkIndices(list)
}

// checkIndices wants 1 to n, each once, in order, as nobody else ever
// registered, and each with a key of its own.
func checkIndices(list api.GuardiansResponse) error {
	keys := map[string]bool{"": true}
	for i, g := range list.Guardians {
		if g.Index != i+1 {
			return fmt.Errorf("%s has index %d, not %d", g.NodeID, g.Index, i+1)
		}
		if keys[g.NodeKey] {
			return errors.New(g.NodeID + " has no key of its own")
		}
		keys[g.NodeKey] = true
	}
	return nil
}

// memberIn returns the zero GuardianInfo where there is none.
func memberIn(list api.GuardiansResponse, node string) api.GuardianInfo {
	i := slices.IndexFunc(list.Guardians, func(g api.GuardianInfo) bool { return g.NodeID == node })
	if i < 0 {
		return api.GuardianInfo{}
	}
	return list.Guardians[i]
}

func (c *clusterDemo) show(list api.GuardiansResponse) error {
	table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "   NODE\tINDEX\tSTATE\tLAST SEEN\tADDRESS\tKEY")
	for _, g := range list.Guardians {
		fmt.Fprintf(table, "   %s\t%d\t%s\t%.1fs\t%s\t%.8s...\n", g.NodeID, g.Index, g.State, g.LastSeenSeconds, g.URL, g.NodeKey)
	}
	return table.Flush()
}
