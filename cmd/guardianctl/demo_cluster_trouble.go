package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/cluster"
)

func (p *process) signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("sending %v to pid %d: %w", sig, p.pid(), err)
	}
	return nil
}

func (c *clusterDemo) silence(ctx context.Context) error {
	if err := c.guardians[silenced].signal(syscall.SIGSTOP); err != nil {
		return err
	}
	began, node := time.Now(), nodeID(silenced)
	c.say("%s is stopped, a moment after its last heartbeat; what %s lists since:", node, nodeID(watcher))
	changes, err := c.watch(ctx, began, func() bool { return c.seen[node].State == demoDead })
	if err != nil {
		return err
	}
	var states []string
	for _, change := range changes {
		if change.NodeID == node {
			states = append(states, change.State)
		}
	}
	if last := len(states) - 1; last < 1 || states[last-1] != demoSuspect {
		return fmt.Errorf("%s listed it as %q, and not as suspect and then as dead", nodeID(watcher), states)
	}
	list, err := c.agree(ctx, silenced)
	if err != nil {
		return err
	}
	c.say("all the others agree:")
	return c.show(list)
}

func (c *clusterDemo) resume(ctx context.Context) error {
	if err := c.guardians[silenced].signal(syscall.SIGCONT); err != nil {
		return err
	}
	if _, err := c.watch(ctx, time.Now(), func() bool { return c.alive() == demoGuardians }); err != nil {
		return err
	}
	list, err := c.agree(ctx)
	if err != nil {
		return err
	}
	c.say("all five list all five alive, with K = %d and W = %d", list.Threshold, list.WriteQuorum)
	return nil
}

func (c *clusterDemo) replace(ctx context.Context) error {
	list, err := c.agree(ctx)
	if err != nil {
		return err
	}
	node := nodeID(replaced)
	before := memberIn(list, node)
	if err := c.moveOne(ctx, replaced); err != nil {
		return err
	}
	moved := func() bool { return c.seen[node].URL != before.URL && c.seen[node].State == demoAlive }
	if _, err := c.watch(ctx, time.Now(), moved); err != nil {
		return err
	}
	if list, err = c.agree(ctx); err != nil {
		return err
	}
	after := memberIn(list, node)
	if after.Index != before.Index || after.NodeKey != before.NodeKey {
		return fmt.Errorf("%s had index %d and key %s, and has index %d and key %s", node, before.Index, before.NodeKey, after.Index, after.NodeKey)
	}
	c.say("%s has the index %d and the key %.8s... that it had", node, after.Index, after.NodeKey)
	indices, err := c.connectListed(ctx)
	if err != nil {
		return err
	}
	return c.showShares(ctx, indices)
}

// moveOne keeps the old port from the new process.
func (c *clusterDemo) moveOne(ctx context.Context, i int) error {
	old := c.guardians[i]
	old.kill()
	if held, err := new(net.ListenConfig).Listen(ctx, "tcp", old.address); err == nil {
		defer held.Close()
	}
	if err := c.startOne(ctx, i); err != nil {
		return err
	}
	c.say("%s: pid %d at %s was killed, pid %d is at %s", nodeID(i), old.pid(), old.address, c.guardians[i].pid(), c.guardians[i].address)
	return nil
}

// refuseImpostor starts a process with a storage of its own, and so with a key
// of its own.
func (c *clusterDemo) refuseImpostor(ctx context.Context) error {
	const name = "impostor"
	before, err := c.agree(ctx)
	if err != nil {
		return err
	}
	impostor, err := c.launch(ctx, name, nodeID(impersonated))
	if err != nil {
		return err
	}
	defer impostor.kill()
	c.say("pid %d, %s, calls itself %s; its log says:", impostor.pid(), impostor.address, nodeID(impersonated))
	err = c.eventually(ctx, func() error {
		line := c.logged(name, "level=ERROR", cluster.ErrImpostor.Error())
		if line == "" {
			return errors.New("the impostor's log has no refusal:\n" + c.lastLog(name))
		}
		c.say("%s", line)
		return nil
	})
	if err != nil {
		return err
	}
	return c.isAlone(ctx, impostor, before)
}

// isAlone wants an impostor to know nobody, and nobody to know it.
func (c *clusterDemo) isAlone(ctx context.Context, impostor *process, before api.GuardiansResponse) error {
	known, err := impostor.list(ctx)
	if err != nil {
		return err
	}
	if len(known.Guardians) != 1 {
		return fmt.Errorf("the impostor lists %d guardians", len(known.Guardians))
	}
	after, err := c.agree(ctx)
	if err != nil {
		return err
	}
	if !sameMembers(before, after) {
		return errors.New("the list of guardians has changed")
	}
	c.say("it lists itself alone, and the lists of the five are as before")
	return nil
}

// logged returns the first line of a log that has all the parts, or "".
func (c *clusterDemo) logged(name string, parts ...string) string {
	text, err := os.ReadFile(c.logFile(name))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func (c *clusterDemo) degrade(ctx context.Context) error {
	if err := c.healthIs(ctx, "ok"); err != nil {
		return err
	}
	stopped := []int{silenced, replaced, demoGuardians - 1}
	began := time.Now()
	for _, i := range stopped {
		if err := c.guardians[i].signal(syscall.SIGSTOP); err != nil {
			return err
		}
	}
	if _, err := c.watch(ctx, began, func() bool { return c.alive() == demoGuardians-len(stopped) }); err != nil {
		return err
	}
	if err := c.healthIs(ctx, "degraded", stopped...); err != nil {
		return err
	}
	c.say("the other two say of their health: degraded, for 2 alive are fewer than the %d that the file needs", c.vault.Threshold())
	return c.mend(ctx, stopped)
}

func (c *clusterDemo) mend(ctx context.Context, stopped []int) error {
	began := time.Now()
	for _, i := range stopped {
		if err := c.guardians[i].signal(syscall.SIGCONT); err != nil {
			return err
		}
	}
	if _, err := c.watch(ctx, began, func() bool { return c.alive() == demoGuardians }); err != nil {
		return err
	}
	if _, err := c.agree(ctx); err != nil {
		return err
	}
	if err := c.healthIs(ctx, "ok"); err != nil {
		return err
	}
	c.say("all five say: ok")
	return nil
}

// healthIs waits until each guardian says so, but for those that are silent.
func (c *clusterDemo) healthIs(ctx context.Context, word string, silent ...int) error {
	return c.eventually(ctx, func() error {
		for i, p := range c.guardians {
			if slices.Contains(silent, i) {
				continue
			}
			said, err := p.health(ctx)
			if err != nil {
				return err
			}
			if said != word {
				return fmt.Errorf("the health of %s is %q, not %q", nodeID(i), plain(said), word)
			}
		}
		return nil
	})
}
