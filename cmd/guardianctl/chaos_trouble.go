package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/vault-guardian/guardian/api"
)

// trouble is what a guardian goes through.
type trouble struct {
	stopped bool // or killed
	until   time.Time
}

// mostDown is how many are killed or stopped at a time.
const mostDown = 2

// makeTrouble does to guardians what may happen to them, as long as enough others
// have good shares, and leaves all of them up.
func (c *chaos) makeTrouble(ctx context.Context, until time.Time) error {
	choices := c.choices(2)
	for time.Now().Before(until) {
		if err := wait(ctx, time.Duration(200+choices.IntN(800))*time.Millisecond); err != nil {
			return err
		}
		c.disturb()
		if err := c.bringBack(time.Now()); err != nil {
			return err
		}
		if err := c.trouble(ctx, choices.IntN(len(c.guardians)), choices); err != nil {
			return err
		}
	}
	return c.bringBack(until.Add(time.Hour))
}

func (c *chaos) trouble(ctx context.Context, i int, choices *rand.Rand) error {
	kind, lasts := choices.IntN(6), time.Duration(300+choices.IntN(6000))*time.Millisecond
	victim, way := c.secrets[choices.IntN(len(c.secrets))], choices.IntN(len(damages))
	c.mu.Lock()
	_, already := c.down[i]
	down := len(c.down)
	c.mu.Unlock()
	if already || down >= mostDown || !c.canMiss(ctx, i) {
		return nil
	}
	switch kind {
	case 0, 1:
		return c.bringDown(i, trouble{false, time.Now().Add(lasts)})
	case 2, 3:
		return c.bringDown(i, trouble{true, time.Now().Add(lasts)})
	}
	return c.damage(i, victim, way)
}

func (c *chaos) bringDown(i int, what trouble) error {
	c.mu.Lock()
	p := c.guardians[i]
	c.down[i] = what
	c.mu.Unlock()
	if what.stopped {
		c.note("%s is stopped", nodeID(i))
		c.count(func(r *chaosReport) { r.Stopped++ })
		return p.signal(syscall.SIGSTOP)
	}
	c.note("%s is killed", nodeID(i))
	c.count(func(r *chaosReport) { r.Killed++ })
	p.kill()
	return nil
}

// bringBack lets those go on, or starts them again, whose time is over.
func (c *chaos) bringBack(now time.Time) error {
	for i := range c.guardians {
		c.mu.Lock()
		what, down := c.down[i]
		p := c.guardians[i]
		c.mu.Unlock()
		if !down || now.Before(what.until) {
			continue
		}
		var err error
		if what.stopped {
			err = p.signal(syscall.SIGCONT)
		} else {
			p, err = c.restart(i)
		}
		if err != nil {
			return err
		}
		c.note("%s is back", nodeID(i))
		c.mu.Lock()
		c.guardians[i] = p
		delete(c.down, i)
		c.mu.Unlock()
	}
	return nil
}

// isDown tells whether a guardian is killed or stopped.
func (c *chaos) isDown(i int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, down := c.down[i]
	return down
}

// edition is the version and epoch of a share that a guardian shows.
type edition struct{ version, epoch uint64 }

// showing asks each guardian that is up what it shows of a secret, and returns
// who shows what, and the K of each.
func (c *chaos) showing(ctx context.Context, s *chaosSecret) (who map[edition][]int, k map[edition]int, err error) {
	vault, err := c.vault(s, c.everybody())
	if err != nil {
		return nil, nil, err
	}
	who, k = map[edition][]int{}, map[edition]int{}
	for i, guardian := range vault.Guardians() {
		if c.isDown(i) {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, demoReply)
		held, err := guardian.Pull(asking, api.PullRequest{Identity: s.root.Identity()})
		cancel()
		if err == nil {
			of := edition{held.Version, held.Epoch}
			who[of], k[of] = append(who[of], i), held.Threshold
		}
	}
	return who, k, nil
}

// canMiss tells whether of each secret more than K guardians that are up have
// good shares which fit together, without the one that is to be in trouble.
func (c *chaos) canMiss(ctx context.Context, which int) bool {
	for _, s := range c.secrets {
		_, least := s.settled()
		who, k, err := c.showing(ctx, s)
		if err != nil {
			return false
		}
		enough := false
		for of, all := range who {
			others := len(all)
			if slices.Contains(all, which) {
				others--
			}
			enough = enough || of.version >= least && others > k[of]
		}
		if !enough {
			return false
		}
	}
	return true
}

// damages are ways to damage the directory of one generation.
var damages = []func(generation string) error{
	func(generation string) error { return flipLastByte(filepath.Join(generation, "share.bin")) },
	func(generation string) error { return os.Truncate(filepath.Join(generation, "share.bin"), 10) },
	func(generation string) error { return os.Remove(filepath.Join(generation, "share.bin")) },
	removeTree,
}

// damage does something to the newest of what a guardian has of a secret.
func (c *chaos) damage(i int, s *chaosSecret, way int) error {
	found, err := filepath.Glob(filepath.Join(c.storage(i), "shares", s.root.Identity(), "*", "share.bin"))
	if err != nil || len(found) == 0 {
		return err
	}
	generation := filepath.Dir(slices.Max(found))
	if err := damages[way](generation); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("damaging a share: %w", err)
	}
	c.note("%s: %v is damaged in way %d: %s", nodeID(i), s, way, filepath.Base(generation))
	c.count(func(r *chaosReport) { r.Damaged++ })
	return nil
}
