package client

import (
	"errors"
	"fmt"
	"iter"

	"github.com/vault-guardian/guardian/manifest"
)

// edition is one run of the sharing polynomial at a version.
type edition struct {
	version uint64
	split   string
}

func (h *holding) edition() edition { return edition{h.group.version, h.group.split} }

var (
	errNotTheShare = errors.New("its share is not the one that the owner's manifest names")
	errUnopened    = errors.New("what it holds does not open with the owner's key")
)

// manifests returns the owner's manifests that guardians showed. One is enough
// to judge the shares of all: it bears the owner's signature.
func (s survey) manifests() map[edition]*manifest.Manifest {
	known := map[edition]*manifest.Manifest{}
	for h := range s.holdings() {
		if h.manifest == nil {
			continue
		}
		about := edition{h.manifest.Version, h.manifest.Split}
		if known[about] == nil {
			known[about] = h.manifest
		}
	}
	return known
}

// latest returns the manifest of the highest version, nil when none was shown.
func (s survey) latest() *manifest.Manifest {
	var latest *manifest.Manifest
	for _, m := range s.manifests() {
		if latest == nil || m.Version > latest.Version {
			latest = m
		}
	}
	return latest
}

// holdings yields every share that was shown.
func (s survey) holdings() iter.Seq[*holding] {
	return func(yield func(*holding) bool) {
		for _, f := range s {
			for _, h := range []*holding{f.current, f.older} {
				if h != nil && !yield(h) {
					return
				}
			}
		}
	}
}

// judge returns what is wrong with a share, nil for nothing that is known. m is
// the manifest of its edition, nil where nobody showed one. The hashes in it
// hold for the shares as they were pushed, epoch 0.
func (h *holding) judge(m *manifest.Manifest) error {
	switch {
	case h.fault != nil || m == nil || h.group.epoch != 0:
		return h.fault
	case h.group.threshold != m.Threshold:
		return fmt.Errorf("it says that %d shares are enough, the owner's manifest says %d", h.group.threshold, m.Threshold)
	case h.judgedBy != m:
		_, err := m.CheckShare(h.share)
		h.judgedBy, h.matches = m, err == nil
	}
	if !h.matches {
		return errNotTheShare
	}
	return nil
}

// discard takes the shares of a group out of consideration, for a reason.
func (s survey) discard(g group, reason error) {
	for h := range s.holdings() {
		if h.group == g && h.fault == nil {
			h.fault = reason
		}
	}
}
