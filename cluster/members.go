package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// judgement is who the members are, in the opinion of one guardian.
type judgement struct {
	// self is this guardian. Its index is 0 while nobody whom it believes gave
	// it one.
	self Member
	// others are by node id. Who has not registered has no URLs.
	others map[string]Member
	// complaints are what was ignored.
	complaints []complaint
}

func (j *judgement) complain(nodeID, format string, args ...any) {
	j.complaints = append(j.complaints, complaint{nodeID: nodeID, text: fmt.Sprintf(format, args...)})
}

// sound returns the records of a list that are within bounds, at most one per
// node id, in an order that is the same for every guardian.
func sound(list []Member) ([]Member, []complaint) {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.RegisteredNS, b.RegisteredNS), cmp.Compare(a.NodeID, b.NodeID))
	})
	var records []Member
	var complaints []complaint
	seen := map[string]bool{}
	for _, m := range list {
		switch err := m.Check(); {
		case err != nil: // not even its node id is fit to be logged
			complaints = append(complaints, complaint{text: "ignored a record of the registry: " + err.Error()})
		case seen[m.NodeID]:
			complaints = append(complaints, complaint{nodeID: m.NodeID, text: "ignored a second record of the registry for this node"})
		default:
			seen[m.NodeID] = true
			records = append(records, m)
		}
	}
	return records, complaints
}

// present are the members so far, by node id, and which of them are alive.
type present struct {
	members map[string]Member
	alive   map[string]bool
}

// remembered makes members of all pins. Nobody knows where they are.
func remembered(k *memory, self Member) *judgement {
	j := &judgement{self: self, others: map[string]Member{}}
	for _, p := range k.pins {
		j.enter(Entry{NodeID: p.NodeID, Index: p.Index, Key: p.Key}, Member{})
	}
	j.self.FailureDomain = self.FailureDomain
	return j
}

// byPins makes members of the records that have the key that is pinned for
// their node, with the index that is pinned. Who was a member before stays as
// before when its record now has another key, and as long as it is alive when
// it has none: a damaged registry drives nobody out who can be spoken with.
func byPins(k *memory, self Member, records []Member, before present) *judgement {
	j := &judgement{self: self, others: map[string]Member{}}
	if own := k.pins[self.NodeID]; own.Key.Equal(self.PublicKey) {
		j.self.Index = own.Index
	} else {
		j.complain(self.NodeID, "the index that the registry gives this guardian, or its key, is another's: it has none")
	}
	for _, m := range records {
		switch pinned, known := k.pins[m.NodeID]; {
		case m.NodeID == self.NodeID:
			j.ofSelf(m)
		case !known:
			j.complain(m.NodeID, "ignored a guardian with the index (%d) or the key of another", m.Index)
		case !pinned.Key.Equal(m.PublicKey):
			j.otherKey(m, before)
		default:
			j.take(m, pinned.Index)
		}
	}
	j.retain(before)
	return j
}

func (j *judgement) otherKey(m Member, before present) {
	j.complain(m.NodeID, "ignored a record of the registry with another key than the one first seen; a guardian that has lost its key needs a new node id")
	if was, known := before.members[m.NodeID]; known {
		j.others[m.NodeID] = was
	}
}

func (j *judgement) retain(before present) {
	for _, id := range slices.Sorted(maps.Keys(before.members)) {
		if _, taken := j.others[id]; !taken && before.alive[id] {
			j.others[id] = before.members[id]
			j.complain(id, "the registry has no sound record of this guardian any more: it stays while it is alive")
		}
	}
}

// byRoster makes members of the entries of a roster, and takes from the records
// only where they are. One without a record, or whose record has another key,
// stays where it was before.
func byRoster(r *Roster, self Member, records []Member, before present) *judgement {
	j := &judgement{self: self, others: map[string]Member{}}
	named := map[string]Entry{}
	for _, e := range r.Entries {
		named[e.NodeID] = e
		j.enter(e, before.members[e.NodeID])
	}
	if j.self.Index == 0 {
		j.complain(self.NodeID, "this guardian is not in the roster with its node id and key: the others ignore it")
	}
	for _, m := range records {
		switch e, isNamed := named[m.NodeID]; {
		case m.NodeID == self.NodeID:
			j.ofSelf(m)
		case !isNamed:
			j.complain(m.NodeID, "ignored a guardian that is not in the roster")
		case !e.Key.Equal(m.PublicKey):
			j.complain(m.NodeID, "ignored a record of the registry with another key than the roster's")
		default:
			m.FailureDomain = e.FailureDomain
			j.take(m, e.Index)
		}
	}
	return j
}

// enter makes a member of an entry, which is where it was before. What has only
// the node id or only the key of this guardian is nobody.
func (j *judgement) enter(e Entry, before Member) {
	sameID, sameKey := e.NodeID == j.self.NodeID, e.Key.Equal(j.self.PublicKey)
	switch {
	case sameID && sameKey:
		j.self.Index, j.self.FailureDomain = e.Index, e.FailureDomain
	case !sameID && !sameKey:
		j.others[e.NodeID] = Member{
			NodeID: e.NodeID, Index: e.Index, PublicKey: e.Key, FailureDomain: e.FailureDomain,
			ClientURL: before.ClientURL, PeerURL: before.PeerURL, RegisteredNS: before.RegisteredNS,
		}
	}
}

// ofSelf looks at what the registry has of this guardian itself.
func (j *judgement) ofSelf(m Member) {
	switch {
	case !m.PublicKey.Equal(j.self.PublicKey):
		j.complain(m.NodeID, "the registry has the node id of this guardian with another key")
	case j.self.Index != 0 && m.Index != j.self.Index:
		j.complain(m.NodeID, "ignored index %d, which the registry gives this node: it keeps %d", m.Index, j.self.Index)
	}
}

// take makes a member of a record whose key is right.
func (j *judgement) take(m Member, index int) {
	if m.PublicKey.Equal(j.self.PublicKey) {
		return // the complaint was made where self got no index
	}
	if m.Index != index {
		j.complain(m.NodeID, "ignored index %d, which the registry gives this node: it keeps %d", m.Index, index)
		m.Index = index
	}
	j.others[m.NodeID] = m
}

// nodesByKey is the reverse of members.
func nodesByKey(members map[string]Member) map[string]string {
	nodes := map[string]string{}
	for id, m := range members {
		nodes[string(m.PublicKey)] = id
	}
	return nodes
}
