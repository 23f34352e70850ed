package client

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// maxEpochs is of how many epochs of a version guardians are asked for shares that
// they do not show; or K, where that is more, as K-1 liars make up one less.
const maxEpochs = 3

var (
	errSameSplit     = errors.New("it says that its share was redistributed, and it is of the split that the owner pushed")
	errOffPolynomial = errors.New("its share does not fit those that make what the owner signed")
)

// checkEpoch returns what is wrong with a redistributed share by itself. How it
// was split the owner has not signed, but what was split, and the least K.
func (h *holding) checkEpoch() error {
	switch {
	case h.group.split == h.manifest.Split:
		return errSameSplit
	case h.group.threshold == 0:
		return errUnsaid
	case h.group.threshold < h.manifest.Policy.MinThreshold:
		return fmt.Errorf("it says that %d shares are enough, the owner's manifest allows no fewer than %d", h.group.threshold, h.manifest.Policy.MinThreshold)
	case h.group.size != h.manifest.PayloadSize+1:
		return fmt.Errorf("its share has %d bytes, by the owner's manifest it would have %d", h.group.size, h.manifest.PayloadSize+1)
	}
	return nil
}

// redistributed reports shares of which the owner signed no K and no hash, but
// what they make. Guardians redistribute none without a manifest; what comes
// without one is judged as it always is.
func (g group) redistributed() bool { return g.epoch > 0 && g.charter != [sha256.Size]byte{} }

// asPushed is the group that a share belonged to before it was redistributed:
// epochs come and go, and it is the same version.
func (h *holding) asPushed() group {
	if !h.group.redistributed() {
		return h.group
	}
	m := h.manifest
	return group{version: m.Version, split: m.Split, threshold: m.Threshold, size: m.PayloadSize + 1}
}

// prove tells the redistributed shares that were shown since from those that
// make what the owner signed.
func (s survey) prove() {
	for h := range s.holdings() {
		if h.group.redistributed() && h.fault == nil && h.proof == nil {
			h.proof = s.proofOf(h)
			h.proof.add(h)
		}
	}
}

// proofOf is that of the group of a share.
func (s survey) proofOf(share *holding) *proof {
	for h := range s.holdings() {
		if h.group == share.group && h.proof != nil {
			return h.proof
		}
	}
	return &proof{}
}

// moving reports whether shares of an epoch were shown that are too few to make
// what the owner signed. A redistribution may be under way, and others hold more
// of that epoch than they show.
func (s survey) moving() bool {
	for h := range s.holdings() {
		if h.moving() {
			return true
		}
	}
	return false
}

func (h *holding) moving() bool { return h.fault == nil && h.group.redistributed() && !h.proof.found() }

// movingVersions returns the versions of which that is so, highest first.
func (s survey) movingVersions() []uint64 {
	versions := map[uint64]bool{}
	for h := range s.holdings() {
		if h.moving() {
			versions[h.group.version] = true
		}
	}
	return slices.SortedFunc(maps.Keys(versions), func(a, b uint64) int { return cmp.Compare(b, a) })
}

// movingAbove returns the highest version on the move, and whether it is above what
// was rebuilt.
func (s survey) movingAbove(report PullReport, err error) (version uint64, above bool) {
	moving := s.movingVersions()
	if len(moving) == 0 || err == nil && moving[0] <= report.Version {
		return 0, false
	}
	return moving[0], true
}

// isShown reports whether so many guardians show a version, or a higher one, that
// some of them are honest.
func (s survey) isShown(version uint64, vault int) bool {
	showing := 0
	for _, f := range s {
		if f.current != nil && f.current.group.version >= version {
			showing++
		}
	}
	return showing >= s.leastThreshold(vault)
}

// movedSince reports whether a guardian shows a share that it did not show before.
func (s survey) movedSince(before survey) bool {
	for i, f := range s {
		if f.current != nil && (before[i].current == nil || f.current.group != before[i].current.group) {
			return true
		}
	}
	return false
}

// movingEpochs returns the epochs of a version of which that is so, the ones
// that most guardians show first, and then the highest: so many liars as there
// may be cannot put as many others in its place.
func (s survey) movingEpochs(version uint64, most int) []uint64 {
	shown := map[uint64]int{}
	for h := range s.holdings() {
		if h.group.version == version && h.moving() {
			shown[h.group.epoch]++
		}
	}
	epochs := slices.SortedFunc(maps.Keys(shown), func(a, b uint64) int {
		return cmp.Or(cmp.Compare(shown[b], shown[a]), cmp.Compare(b, a))
	})
	return epochs[:min(len(epochs), most)]
}

// shows reports whether a guardian has shown its share of an epoch.
func (f found) shows(version, epoch uint64) bool {
	is := func(h *holding) bool { return h.group.version == version && h.group.epoch == epoch }
	return f.current != nil && is(f.current) || slices.ContainsFunc(f.older, is)
}

// about is the share by which an answer is judged: the current one, or of the
// chosen version the one of the chosen epoch where that was shown as well.
func (f found) about(chosen group) *holding {
	if chosen.epoch == 0 || f.current != nil && f.current.group.version != chosen.version {
		return f.current
	}
	for _, h := range f.older {
		if h.group.version == chosen.version && h.group.epoch == chosen.epoch {
			return h
		}
	}
	return f.current
}
