package cluster

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/quorum"
)

// View is what one guardian knows of its cluster at one moment.
type View struct {
	// Members are in order of index, this guardian among them; those whose
	// index is not known come first.
	Members []MemberView
	// Alive is how many are alive, this guardian included. Threshold and
	// WriteQuorum are K and W for as many.
	Alive, Threshold, WriteQuorum int
	// Index is the share index of this guardian, 0 while not known.
	Index int
	// ListEpoch is that of this guardian's heartbeats.
	ListEpoch uint64
	// RosterSerial is that of the roster in force, 0 without one.
	RosterSerial uint64
	// Registry tells whether a registry is configured, and Reached whether it
	// ever gave this process a list.
	Registry, Reached bool
}

// MemberView is one member.
type MemberView struct {
	// Member is as this guardian believes it: node id, key and index from the
	// roster or the pins. The URLs of a member of the roster that has not
	// registered are empty.
	Member
	// Self marks this guardian. It is alive, and silent for 0.
	Self  bool
	State State
	// Heard tells whether a heartbeat ever came, and Silent how long ago the
	// latest was; before the first, how long the member has been known.
	Heard  bool
	Silent time.Duration
	// Shares and ListEpoch are those of the latest heartbeat.
	Shares    int64
	ListEpoch uint64
}

// View returns what is known now.
func (c *Cluster) View() View {
	shares := c.cfg.Shares()
	c.mu.Lock()
	defer c.mu.Unlock()
	v := View{
		Index: c.own.Index, ListEpoch: c.epoch, RosterSerial: c.serial,
		Registry: c.cfg.Registry != nil, Reached: c.reached,
		Members: []MemberView{{Member: c.own, Self: true, State: Alive, Heard: true, Shares: shares, ListEpoch: c.epoch}},
	}
	now := c.cfg.Now()
	for _, m := range c.members {
		v.Members = append(v.Members, c.viewOf(m, now))
	}
	slices.SortFunc(v.Members, func(a, b MemberView) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.NodeID, b.NodeID))
	})
	v.count()
	return v
}

// SignedRoster returns the roster in force as the admission key signed it, nil
// without one. The bytes are not to be changed.
func (c *Cluster) SignedRoster() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.signed
}

func (c *Cluster) viewOf(m Member, now time.Time) MemberView {
	beat, heard := c.latest[m.NodeID]
	silent, _ := c.detector.Silence(m.NodeID, now)
	return MemberView{
		Member: m, State: c.detector.StateOf(m.NodeID, now),
		Heard: heard, Silent: silent, Shares: beat.Shares, ListEpoch: beat.ListEpoch,
	}
}

func (v *View) count() {
	for _, m := range v.Members {
		if m.State == Alive {
			v.Alive++
		}
	}
	v.Threshold, v.WriteQuorum = quorum.Threshold(v.Alive), quorum.WriteQuorum(v.Alive)
}

// epochOf names a list: the first 8 bytes of a hash over node id, index and key
// of each member.
func epochOf(self Member, others map[string]Member) uint64 {
	all := append(slices.Collect(maps.Values(others)), self)
	slices.SortFunc(all, func(a, b Member) int { return cmp.Compare(a.NodeID, b.NodeID) })
	hash := sha256.New()
	for _, m := range all {
		hash.Write(append([]byte(m.NodeID), 0, byte(m.Index)))
		hash.Write(m.PublicKey)
	}
	return binary.BigEndian.Uint64(hash.Sum(nil))
}
