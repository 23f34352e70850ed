package client

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/manifest"
)

// member is one share of a group and who showed it.
type member struct {
	position int
	share    []byte
}

// candidate is a group that is to be rebuilt.
type candidate struct {
	group   group
	members []member // in order of position
	// manifest is the owner's, which all members agree with; nil when nobody
	// showed one, and then nothing vouches for a member.
	manifest *manifest.Manifest
}

// distinct counts the members' points.
func (c candidate) distinct() int {
	points := map[byte]bool{}
	for _, m := range c.members {
		points[m.share[0]] = true
	}
	return len(points)
}

// k is the K of the group's split: what its shares say, or the vault's when
// they say nothing.
func (c candidate) k(vault int) int {
	if c.group.threshold == 0 {
		return vault
	}
	return c.group.threshold
}

// need is how many shares are wanted before the group is believed: the K that
// the owner signed. Without a manifest it is the K that the shares name, but no
// fewer than the vault's, for two guardians could otherwise make up a split of
// which two are enough.
func (c candidate) need(vault int) int {
	if c.manifest != nil {
		return c.manifest.Threshold
	}
	return max(c.k(vault), vault)
}

// checkable reports whether a wrong share among them would be noticed.
func (c candidate) checkable(vault int) bool {
	return c.manifest != nil || c.distinct() > c.k(vault)
}

// patience is what the rest get once the candidate can be rebuilt.
func (c candidate) patience(vault int) time.Duration {
	if c.checkable(vault) {
		return grace
	}
	return longGrace
}

// groups sorts what was shown and has nothing wrong with it into groups, the
// best last: by version, then epoch, then whether there is a manifest, then
// number of points.
func (s survey) groups() []candidate {
	known, byGroup := s.manifests(), map[group]*candidate{}
	add := func(position int, h *holding) {
		if h == nil || h.judge(known[h.edition()]) != nil {
			return
		}
		if byGroup[h.group] == nil {
			byGroup[h.group] = &candidate{group: h.group, manifest: h.judgedBy}
		}
		c := byGroup[h.group]
		c.members = append(c.members, member{position, h.share})
	}
	for i, f := range s {
		add(i, f.current)
		add(i, f.older)
	}
	var all []candidate
	for c := range maps.Values(byGroup) {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(
			cmp.Compare(a.group.version, b.group.version),
			cmp.Compare(a.group.epoch, b.group.epoch),
			cmp.Compare(rank(a), rank(b)),
			cmp.Compare(a.distinct(), b.distinct()),
			cmp.Compare(a.group.split, b.group.split),
		)
	})
	return all
}

// rank puts groups with a manifest above those without.
func rank(c candidate) int {
	if c.manifest != nil {
		return 1
	}
	return 0
}

// choose returns the highest group with as many distinct points as it
// needs.
func (s survey) choose(vault int) (candidate, bool) {
	for _, c := range slices.Backward(s.groups()) {
		if c.distinct() >= c.need(vault) {
			return c, true
		}
	}
	return candidate{}, false
}

// closest returns the group that lacks the fewest shares, the best of equals,
// for a report.
func (s survey) closest(vault int) (candidate, bool) {
	all := s.groups()
	if len(all) == 0 {
		return candidate{}, false
	}
	slices.Reverse(all)
	return slices.MinFunc(all, func(a, b candidate) int {
		return cmp.Compare(a.need(vault)-a.distinct(), b.need(vault)-b.distinct())
	}), true
}

// patience is how long the guardians that have not said what they hold are
// waited for. They can be left out when the best group is the newest version
// shown, and so few are silent that any newer acknowledged version would have
// shown itself; later when they could still tell a wrong share.
func (s survey) patience(vault, writeQuorum int) time.Duration {
	best, ok := s.choose(vault)
	if !ok || best.group.version != s.newest() || len(s)-s.answers() >= writeQuorum {
		return waitForAll
	}
	return best.patience(vault)
}

// olderVersions returns the versions, highest first, that could be rebuilt
// with what guardians retain below their current one: a version that a later
// push left behind is still current somewhere or below by at most the step
// that Store takes. Versions that too few guardians have reached for any
// group to be believed are left out: a liar's would only cost time.
func (s survey) olderVersions(vault int) []uint64 {
	descending := slices.Sorted(maps.Values(s.versions()))
	slices.Reverse(descending)
	if len(descending) < vault {
		return nil
	}
	wanted := map[uint64]bool{}
	for _, version := range descending {
		for below := range min(version, maxStep+1) + 1 {
			wanted[version-below] = true
		}
	}
	maps.DeleteFunc(wanted, func(version uint64, _ bool) bool {
		return version == s.newest() || version > descending[vault-1]
	})
	return slices.SortedFunc(maps.Keys(wanted), func(a, b uint64) int { return cmp.Compare(b, a) })
}
