package client

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/vault-guardian/guardian/manifest"
)

// edition is one run of the sharing polynomial at a version.
type edition struct {
	version uint64
	split   string
}

func (h *holding) edition() edition { return edition{h.group.version, h.group.split} }

// charter is the owner's manifest of an edition.
type charter struct {
	manifest *manifest.Manifest
	hash     [sha256.Size]byte
}

var (
	errNotTheShare = errors.New("its share is not the one that the owner's manifest names")
	errUnopened    = errors.New("what it holds does not open with the owner's key")
	errOtherSplit  = errors.New("its share is of another split of that version")
	errUnsaid      = errors.New("it does not say how many shares are enough")
)

// charters returns the owner's manifests that guardians showed. One is enough to
// judge the shares of all: it bears the owner's signature. An owner that signed
// an edition twice is taken by the lower hash, whoever shows it first.
func (s survey) charters() map[edition]charter {
	known := map[edition]charter{}
	for h := range s.holdings() {
		if h.manifest == nil {
			continue
		}
		about := edition{h.manifest.Version, h.manifest.Split}
		if first, ok := known[about]; !ok || bytes.Compare(h.shown[:], first.hash[:]) < 0 {
			known[about] = charter{h.manifest, h.shown}
		}
	}
	return known
}

// inOrder returns the owner's manifests, that of the highest version first.
func (s survey) inOrder() []charter {
	return slices.SortedFunc(maps.Values(s.charters()), func(a, b charter) int {
		return cmp.Or(cmp.Compare(b.manifest.Version, a.manifest.Version), cmp.Compare(a.manifest.Split, b.manifest.Split))
	})
}

// latest returns the manifest of the highest version, nil when none was shown.
func (s survey) latest() *manifest.Manifest {
	if all := s.inOrder(); len(all) > 0 {
		return all[0].manifest
	}
	return nil
}

// holdings yields every share that was shown.
func (s survey) holdings() iter.Seq[*holding] {
	return func(yield func(*holding) bool) {
		for _, f := range s {
			if f.current != nil && !yield(f.current) {
				return
			}
			for _, h := range f.older {
				if !yield(h) {
					return
				}
			}
		}
	}
}

// judge returns what is wrong with a share, nil for nothing that is known; by is
// the charter of its edition, zero where nobody showed one. The hashes in it
// hold for the shares as they were pushed, epoch 0. A redistributed one must fit
// others that make what the owner signed.
func (h *holding) judge(by charter) error {
	switch {
	case h.fault != nil:
		return h.fault
	case h.proof.refutes(h):
		return errOffPolynomial
	case h.group.epoch > 0 || by.manifest == nil:
		return nil
	case h.group.threshold == 0:
		return errUnsaid
	case h.group.threshold != by.manifest.Threshold:
		return fmt.Errorf("it says that %d shares are enough, the owner's manifest says %d", h.group.threshold, by.manifest.Threshold)
	case h.judgedBy != by.hash:
		_, err := by.manifest.CheckShare(h.share)
		h.judgedBy, h.matches = by.hash, err == nil
	}
	if !h.matches {
		return errNotTheShare
	}
	return nil
}

// charteredBy is the owner's manifest that says what the share should be, nil for
// none: that of its edition, or the one that came with it since it was
// redistributed, of which K and hashes do not hold any more.
func (h *holding) charteredBy(by charter) *manifest.Manifest {
	switch {
	case h.group.redistributed():
		return h.manifest
	case h.group.epoch > 0:
		return nil
	}
	return by.manifest
}

// discard takes the shares of a group out of consideration, for a reason.
func (s survey) discard(g group, reason error) {
	for h := range s.holdings() {
		if h.group == g && h.fault == nil {
			h.fault = reason
		}
	}
}

// verifiable returns the groups that the owner's manifests say something about:
// highest version first, then highest epoch. Of epoch 0 there is one for each
// manifest, though nobody may have shown a share of it.
func (s survey) verifiable() []candidate {
	var all []candidate
	for _, by := range s.inOrder() {
		m := by.manifest
		about := group{version: m.Version, split: m.Split, threshold: m.Threshold, size: m.PayloadSize + 1}
		all = append(all, candidate{group: about, manifest: m})
	}
	for _, c := range slices.Backward(s.groups()) {
		if c.group.redistributed() {
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.group.version, a.group.version), cmp.Compare(b.group.epoch, a.group.epoch))
	})
	return all
}
