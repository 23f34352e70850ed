package cluster

import (
	"cmp"
	"maps"
	"slices"
)

// changes are what a judgement changed, each in order of index.
type changes struct {
	joined, left, moved []Member
	first               bool
}

// apply puts a judgement into effect, logs what changed, and returns those who
// joined.
func (c *Cluster) apply(j *judgement) []Member {
	changed := c.replace(j)
	c.tell("left", changed.left)
	c.tell("joined", changed.joined)
	c.tell("moved", changed.moved)
	if changed.first {
		v := c.View()
		c.log.Info("fetched the list of guardians", "index", v.Index, "members", len(v.Members), "threshold", v.Threshold, "write_quorum", v.WriteQuorum)
	}
	return changed.joined
}

func (c *Cluster) tell(what string, members []Member) {
	more := tellFew(members, func(m Member) {
		log := c.log.With("node_id", m.NodeID, "index", m.Index)
		if what != "left" {
			log = log.With("url", m.ClientURL, "peer_url", m.PeerURL, "failure_domain", m.FailureDomain)
		}
		log.Info("guardian " + what)
	})
	if more > 0 {
		c.log.Info("more guardians "+what, "count", more)
	}
}

// replace makes the members those of j. Who stays, wherever it is now, is the
// same node to the detector.
func (c *Cluster) replace(j *judgement) changes {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := changesBetween(c.members, j.others)
	changed.first = !c.reached
	for id := range c.members {
		if _, still := j.others[id]; !still {
			c.leave(id)
		}
	}
	for _, m := range changed.joined {
		c.detector.Listed(m.NodeID, c.cfg.Now())
	}
	c.install(j)
	c.reached = true
	return changed
}

// leave is for a node that is no member any more. What is pinned is the same
// node when it comes back, and has been silent all the time: a registry that
// lists a dead guardian every other time does not revive it.
func (c *Cluster) leave(id string) {
	if _, pinned := c.poller.known.pins[id]; pinned {
		c.detector.Left(id)
		return
	}
	c.detector.Forget(id)
	delete(c.latest, id)
}

// install makes the members those of j, under the lock.
func (c *Cluster) install(j *judgement) {
	c.own, c.members, c.nodes = j.self, j.others, nodesByKey(j.others)
	c.epoch, c.serial = epochOf(j.self, j.others), c.poller.known.serial()
	if c.poller.known.roster != nil {
		c.signed = c.poller.known.signed
	}
}

// changesBetween compares by address: a member of which nobody has said where
// it is has none, and is not there yet.
func changesBetween(before, now map[string]Member) (changed changes) {
	for id, m := range now {
		switch was := before[id]; {
		case m.PeerURL == "":
		case was.PeerURL == "":
			changed.joined = append(changed.joined, m)
		case was.PeerURL != m.PeerURL || was.ClientURL != m.ClientURL:
			changed.moved = append(changed.moved, m)
		}
	}
	for id, was := range before {
		if _, still := now[id]; !still && was.PeerURL != "" {
			changed.left = append(changed.left, was)
		}
	}
	for _, list := range [][]Member{changed.joined, changed.left, changed.moved} {
		slices.SortFunc(list, func(a, b Member) int { return cmp.Compare(a.Index, b.Index) })
	}
	return changed
}

// present returns the other members as they are now.
func (c *Cluster) present() present {
	c.mu.Lock()
	defer c.mu.Unlock()
	alive := map[string]bool{}
	for id := range c.members {
		alive[id] = c.detector.StateOf(id, c.cfg.Now()) == Alive
	}
	return present{maps.Clone(c.members), alive}
}
