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
	// showed one, and then nothing vouches for a member. Once they were
	// redistributed, it vouches for the payload alone.
	manifest *manifest.Manifest
	// proof is that of a group that was redistributed, else nil.
	proof *proof
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
// the owner signed, or that a redistribution gave it. Without a manifest it is the
// K that the shares name, but no fewer than the vault's, for two guardians could
// otherwise make up a split of which two are enough.
func (c candidate) need(vault int) int {
	switch {
	case c.group.redistributed():
		return c.group.threshold
	case c.manifest != nil:
		return c.manifest.Threshold
	}
	return max(c.k(vault), vault)
}

// enough reports whether the group can be rebuilt, as far as can be told. Of one
// that was redistributed it can be told for sure.
func (c candidate) enough(vault int) bool {
	return c.distinct() >= c.need(vault) && (!c.group.redistributed() || c.proof.found())
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
	known, byGroup := s.charters(), map[group]*candidate{}
	add := func(position int, h *holding) {
		by := known[h.edition()]
		if h.judge(by) != nil {
			return
		}
		if byGroup[h.group] == nil {
			byGroup[h.group] = &candidate{group: h.group}
		}
		c := byGroup[h.group]
		c.manifest, c.proof = cmp.Or(c.manifest, h.charteredBy(by)), h.proof
		c.members = append(c.members, member{position, h.share})
	}
	for i, f := range s {
		if f.current != nil {
			add(i, f.current)
		}
		for _, h := range f.older {
			add(i, h)
		}
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

// choose returns the highest group that can be rebuilt.
func (s survey) choose(vault int) (candidate, bool) {
	for _, c := range slices.Backward(s.groups()) {
		if c.enough(vault) {
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
// waited for, given W of the vault.
//
// A newer version that was acknowledged is with W guardians. As long as those
// that are silent, and those that show what cannot be rebuilt yet, are as many,
// it may be with them. Fewer than K of the others could be lying: the rest are
// hurried only when W guardians would have to include K that answered.
//
// While shares are on the move those that answered may hold what they do not
// show. They are asked for that rather than the silent ones waited for.
func (s survey) patience(vault, writeQuorum int) time.Duration {
	best, ok := s.choose(vault)
	unsettled := !ok || s.notBelow(best.group.version) >= writeQuorum
	switch {
	case unsettled && s.moving() && s.answers() >= writeQuorum:
		return longGrace
	case unsettled:
		return waitForAll
	}
	if s.mayHideNewer(best, vault, writeQuorum) {
		return longGrace
	}
	return best.patience(vault)
}

// notBelow counts the guardians that may hold a version above the given one:
// they did not say, or show one.
func (s survey) notBelow(version uint64) int {
	count := 0
	for _, f := range s {
		if !f.definite() || f.current != nil && f.current.group.version > version {
			count++
		}
	}
	return count
}

// mayHideNewer reports whether K-1 liars among those that answered could hide
// an acknowledged version above that of the candidate. When all answered there
// is nothing to wait for, whatever K.
func (s survey) mayHideNewer(best candidate, vault, writeQuorum int) bool {
	said := len(s) - s.notBelow(best.group.version)
	return said < min(len(s), len(s)-writeQuorum+best.need(vault))
}

// olderVersions returns the versions below what guardians show, highest first,
// that so many show or retain, by what they said of their history, that they
// may be rebuilt. Of one that did not say, it is assumed that it retains what
// lies below its current version by at most the step that Store takes. What
// too few have is left out: it would only cost time.
func (s survey) olderVersions(vault int, retained map[int][]uint64) []uint64 {
	support := map[uint64]int{}
	for i, version := range s.versions() {
		below, said := retained[i]
		if !said {
			below = stepsBelow(version)
		}
		support[version]++
		for _, v := range slices.Compact(slices.Sorted(slices.Values(below))) {
			if v < version {
				support[v]++
			}
		}
	}
	least, newest := s.leastThreshold(vault), s.newest()
	maps.DeleteFunc(support, func(version uint64, count int) bool { return count < least || version == newest })
	return slices.SortedFunc(maps.Keys(support), func(a, b uint64) int { return cmp.Compare(b, a) })
}

// leastThreshold is the lowest K that anything shown may have.
func (s survey) leastThreshold(vault int) int {
	least := vault
	for _, c := range s.charters() {
		least = min(least, c.manifest.Threshold, c.manifest.Policy.MinThreshold)
	}
	return least
}

func stepsBelow(version uint64) []uint64 {
	var below []uint64
	for step := range min(version, maxStep+1) {
		below = append(below, version-step-1)
	}
	return below
}
