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
// hold for the shares as they were pushed, epoch 0.
func (h *holding) judge(by charter) error {
	switch {
	case h.fault != nil || !h.chartered(by):
		return h.fault
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

// chartered reports whether a charter says anything about the share.
func (h *holding) chartered(by charter) bool { return by.manifest != nil && h.group.epoch == 0 }

// discard takes the shares of a group out of consideration, for a reason.
func (s survey) discard(g group, reason error) {
	for h := range s.holdings() {
		if h.group == g && h.fault == nil {
			h.fault = reason
		}
	}
}
