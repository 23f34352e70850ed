package repair

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/guardian"
)

// ScrubReport is what one pass over all slots has found so far, or in the end.
// Each slot is one of Good, Corrupt, Missing, Deleted, Moved or Unreadable, but for one
// where only a push was begun; Stale and Lacking come
// from what other guardians hold.
type ScrubReport struct {
	StartedNS int64 `json:"started_ns"`
	// FinishedNS is 0 until then.
	FinishedNS int64 `json:"finished_ns,omitempty"`
	// Slots were examined, out of about Estimated: what the pass before counted;
	// 0 before a first.
	Slots     int64 `json:"slots"`
	Estimated int64 `json:"estimated"`

	// Good: all that is retained was read and is what was sealed.
	Good int64 `json:"good"`
	// Corrupt: something is not. Missing: it is, but some is gone.
	Corrupt int64 `json:"corrupt"`
	Missing int64 `json:"missing"`
	// Deleted slots hold a tombstone.
	Deleted int64 `json:"deleted"`
	// Moved slots have others as holders of their current version now.
	Moved int64 `json:"moved"`
	// Unreadable slots the storage would not give, or no key opens.
	Unreadable int64 `json:"unreadable"`
	// Stale slots have a later version elsewhere, Lacking ones are known
	// elsewhere only.
	Stale   int64 `json:"stale"`
	Lacking int64 `json:"lacking"`
	// Alone are shares that a guardian should have too and did not, one for each
	// slot and guardian.
	Alone int64 `json:"alone"`
	// Orphaned are generations that were dropped because nothing names them.
	Orphaned int64 `json:"orphaned"`
	// WithoutManifest are live slots that nobody can repair.
	WithoutManifest int64 `json:"without_manifest"`
	// Live slots have a share, whatever is wrong with it; HighestThreshold is
	// the largest K of a sound one.
	Live             int64 `json:"live"`
	HighestThreshold int   `json:"highest_threshold"`

	// Bytes are those of all objects, Identities how many they belong to: exact
	// up to 1023, above that within a few percent.
	Bytes            int64 `json:"bytes"`
	Identities       int64 `json:"identities"`
	BytesPerIdentity int64 `json:"bytes_per_identity"`

	// BusyNS of ElapsedNS were spent working or waiting for storage, stops
	// between two processes not counted; CPUShare is the one over the other, an
	// upper bound of the part of a core that was used.
	BusyNS    int64   `json:"busy_ns"`
	ElapsedNS int64   `json:"elapsed_ns"`
	CPUShare  float64 `json:"cpu_share"`
}

// ScrubProgress is how far the scrub of a node is.
type ScrubProgress struct {
	// Running: some replica of the node scrubs; Here: it is this process.
	Running bool `json:"running"`
	Here    bool `json:"here"`
	// Now is the pass that was begun and is not finished, Last the last one that
	// was; zero without.
	Now  ScrubReport `json:"now"`
	Last ScrubReport `json:"last"`
	// Exchange is about the comparisons of this process.
	Exchange ExchangeReport `json:"exchange"`
	// Scrubbed is how many slots this process has examined since it began.
	Scrubbed int64 `json:"scrubbed"`
}

// progress is safe for concurrent use, and asks the storage nothing.
func (s *scrubber) progress() ScrubProgress {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := ScrubProgress{Running: s.running, Here: s.here, Now: s.now, Exchange: s.exchange, Scrubbed: s.scrubbed.Load()}
	if s.last != nil {
		p.Last = s.last.Report
	}
	return p
}

// finding is what a pass finds of one slot.
type finding int

const (
	foundNothing finding = iota // nothing was committed there
	foundUnreadable
	foundDeleted
	foundMoved
	foundGood
	foundMissing
	foundCorrupt
)

// judge says the worst of what is retained.
func judge(e guardian.Examined) finding {
	switch {
	case e.Unreadable != nil:
		return foundUnreadable
	case e.Damaged:
		return foundCorrupt
	case !e.Known:
		return foundNothing
	case e.Deleted:
		return foundDeleted
	}
	worst := foundGood
	if e.Moved {
		worst = foundMoved
	}
	for _, held := range e.Held {
		switch {
		case held.Sound:
		case held.Missing:
			worst = max(worst, foundMissing)
		default:
			worst = foundCorrupt
		}
	}
	return worst
}

// count takes a slot in.
func (r *ScrubReport) count(e guardian.Examined) {
	r.Slots++
	r.Bytes += e.Bytes
	r.Orphaned += int64(e.Orphans)
	switch judge(e) {
	case foundGood:
		r.Good++
	case foundDeleted:
		r.Deleted++
	case foundMoved:
		r.Moved++
	case foundMissing:
		r.Missing++
	case foundCorrupt:
		r.Corrupt++
	case foundUnreadable:
		r.Unreadable++
	case foundNothing:
	}
	if e.Known && !e.Deleted && !e.Moved && !e.Damaged {
		r.Live++
	}
	if live := liveOf(e); live != nil {
		r.HighestThreshold = max(r.HighestThreshold, live.Share.Threshold)
		if len(live.Share.Manifest) == 0 {
			r.WithoutManifest++
		}
	}
}

// liveOf is the sound share of the current version, or nil.
func liveOf(e guardian.Examined) *guardian.Held {
	if !e.Known || e.Damaged || e.Deleted || len(e.Held) == 0 {
		return nil
	}
	if live := &e.Held[0]; live.Sound && live.Version == e.Version {
		return live
	}
	return nil
}

// worked adds what was worked and what has passed.
func (r *ScrubReport) worked(busy, elapsed time.Duration) {
	r.BusyNS += int64(busy)
	r.ElapsedNS += int64(elapsed)
	if r.ElapsedNS > 0 {
		r.CPUShare = float64(r.BusyNS) / float64(r.ElapsedNS)
	}
}

// identities estimates how many different ones there are from the smallest of
// their hashes (Bar-Yossef et al. 2002, k minimum values): a node may hold more
// than it can remember, and an identity comes twice, with its share and with its
// named secrets.
type identities []uint64

const keptHashes = 1024

func (k *identities) add(identity string) {
	sum := sha256.Sum256([]byte(identity))
	hash := binary.BigEndian.Uint64(sum[:])
	at, known := slices.BinarySearch(*k, hash)
	if known || at == keptHashes {
		return
	}
	*k = slices.Insert(*k, at, hash)
	*k = (*k)[:min(len(*k), keptHashes)]
}

func (k identities) count() int64 {
	if len(k) < keptHashes {
		return int64(len(k))
	}
	return int64((keptHashes - 1) / (float64(k[keptHashes-1]) / math.MaxUint64))
}

func (k identities) valid() bool {
	return len(k) <= keptHashes && slices.IsSorted(k)
}

func (r *ScrubReport) perIdentity(k identities) {
	r.Identities = k.count()
	r.BytesPerIdentity = r.Bytes / cmp.Or(r.Identities, 1)
}
