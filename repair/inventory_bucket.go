package repair

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/record"
)

const (
	// maxPage and maxPageSize bound a page of a bucket, in entries and in bytes
	// of JSON.
	maxPage     = 100
	maxPageSize = 1 << 20
	// entrySize is what an entry takes beside its name and its record, at most.
	entrySize = 256
	// pageTime is after how long a page ends, whatever is in it.
	pageTime = 5 * time.Second
)

// errPageFull ends the reading of a bucket for this time.
var errPageFull = errors.New("page is full")

// answerBucket reads a bucket from the storage, and tells a caller of the live
// sound shares in it whose record names it. Others it does not learn of.
func (s *scrubber) answerBucket(ctx context.Context, caller ed25519.PublicKey, request BucketRequest) (BucketAnswer, error) {
	bucket, after, err := request.parse()
	if err != nil {
		return BucketAnswer{}, err
	}
	end, err := s.answers.begin(ctx, caller)
	if err != nil {
		return BucketAnswer{}, err
	}
	defer end()
	page := newPage(time.Now().Add(pageTime))
	err = s.readBucket(ctx, bucket, after, func(slot guardian.Slot, of *record.Record, raw []byte) error {
		if page.isLate() {
			return errPageFull
		}
		if names(of, caller) {
			return page.add(of, raw)
		}
		page.answer.Last = SlotName(slot)
		return nil
	})
	if err != nil && !errors.Is(err, errPageFull) {
		return BucketAnswer{}, err
	}
	page.answer.More = err != nil
	return page.answer, nil
}

// parse checks a request that came over the wire.
func (r BucketRequest) parse() (bucket byte, after guardian.Slot, err error) {
	if len(r.Bucket) != 2 || strings.Trim(r.Bucket, "0123456789abcdef") != "" {
		return 0, after, malformed("a bucket is 2 lower-case hex digits")
	}
	bucket = bucketOf(r.Bucket)
	if r.After.Identity == "" && r.After.Name == "" {
		return bucket, after, nil
	}
	if after, err = slotOf(r.After.Identity, r.After.Name); err != nil {
		return 0, after, err
	}
	if bucketOf(after.Identity) != bucket {
		return 0, after, malformed("that is in another bucket")
	}
	return bucket, after, nil
}

// page is an answer that is being filled.
type page struct {
	answer BucketAnswer
	size   int
	until  time.Time
}

func newPage(until time.Time) *page {
	return &page{answer: BucketAnswer{Entries: []Entry{}}, until: until}
}

// isLate tells whether the caller has waited long enough, once there is
// something to go on from.
func (p *page) isLate() bool { return p.answer.Last != (SlotName{}) && time.Now().After(p.until) }

// add takes an entry in, or returns errPageFull and does not.
func (p *page) add(of *record.Record, raw []byte) error {
	size := entrySize + len(of.Name) + base64.StdEncoding.EncodedLen(len(raw))
	count := len(p.answer.Entries)
	if count > 0 && (count == maxPage || p.size+size > maxPageSize) {
		return errPageFull
	}
	p.size += size
	p.answer.Last = SlotName{of.Identity, of.Name}
	p.answer.Entries = append(p.answer.Entries, Entry{
		Identity: of.Identity, Name: of.Name, Version: of.Version, Epoch: of.Epoch, Record: raw,
	})
	return nil
}

// readBucket visits the slots in a bucket behind after, in order, with the record
// of the live sound share, or nil where there is none or it does not name this
// node. The error of visit ends it.
func (s *scrubber) readBucket(ctx context.Context, bucket byte, after guardian.Slot, visit func(slot guardian.Slot, of *record.Record, raw []byte) error) error {
	if after.Name == "" {
		if after.Identity == "" {
			after = beforeShares(bucket)
		}
		if err := s.readPart(ctx, bucket, false, after, visit); err != nil {
			return err
		}
		after = beforeSecrets(bucket)
	}
	return s.readPart(ctx, bucket, true, after, visit)
}

// beforeShares and beforeSecrets are slots just before those of a bucket, in the
// order of a walk, which need not be there.
func beforeShares(bucket byte) guardian.Slot {
	if bucket == 0 {
		return guardian.Slot{}
	}
	return guardian.Slot{Identity: lastIdentity(bucket - 1)}
}

func beforeSecrets(bucket byte) guardian.Slot {
	if bucket == 0 {
		return guardian.Slot{Identity: lastIdentity(buckets - 1)}
	}
	return lastOf(bucket - 1)
}

// lastOf is the last slot that there can be in a bucket.
func lastOf(bucket byte) guardian.Slot {
	return guardian.Slot{Identity: lastIdentity(bucket), Name: strings.Repeat("z", guardian.MaxNameLength)}
}

func lastIdentity(bucket byte) string {
	return hex.EncodeToString([]byte{bucket}) + strings.Repeat("f", 62)
}

// readPart reads the shares, or the named secrets, of a bucket.
func (s *scrubber) readPart(ctx context.Context, bucket byte, named bool, after guardian.Slot, visit func(slot guardian.Slot, of *record.Record, raw []byte) error) error {
	for slot, err := range s.cfg.Node.SlotsBehind(ctx, after) {
		if err != nil {
			return err
		}
		if (slot.Name != "") != named || bucketOf(slot.Identity) != bucket {
			return nil
		}
		// What cannot be read now is left out: Examined is zero then.
		found, _ := s.cfg.Node.Examine(ctx, slot)
		if ctx.Err() != nil {
			return fmt.Errorf("reading a bucket: %w", context.Cause(ctx))
		}
		wipeHeld(found.Held)
		of, raw := s.ownRecord(found)
		if err := visit(slot, of, raw); err != nil {
			return err
		}
	}
	return nil
}

// ownRecord is the record of a slot's live sound share, if it names this node.
func (s *scrubber) ownRecord(found guardian.Examined) (*record.Record, []byte) {
	live := liveOf(found)
	if live == nil {
		return nil, nil
	}
	of, err := s.cfg.Node.ParseRecord(live.Share.Record())
	if err != nil || !names(of, s.own) {
		return nil, nil
	}
	return of, live.Share.Record()
}

// names tells whether there is a record and it has the key.
func names(of *record.Record, key ed25519.PublicKey) bool {
	if of == nil {
		return false
	}
	_, named := of.Of(key)
	return named
}

// compareSlots is the order of a walk: shares, then named secrets.
func compareSlots(a, b guardian.Slot) int {
	return cmp.Or(
		cmp.Compare(min(len(a.Name), 1), min(len(b.Name), 1)),
		strings.Compare(a.Identity, b.Identity),
		strings.Compare(a.Name, b.Name),
	)
}

// pacedAnswers has one answer that reads many slots given at a time, and after
// each a rest as long as it took: all members together take half a core at most.
// Each member has one place to wait in, so that none keeps all turns.
type pacedAnswers struct {
	turn chan struct{}

	mu      sync.Mutex
	waiting map[string]bool // by key
}

func newPacedAnswers() *pacedAnswers {
	p := &pacedAnswers{turn: make(chan struct{}, 1), waiting: map[string]bool{}}
	p.turn <- struct{}{}
	return p
}

// begin waits for the caller's turn, which come in the order of the asking;
// whoever gets it calls end.
func (p *pacedAnswers) begin(ctx context.Context, caller ed25519.PublicKey) (end func(), err error) {
	if !p.enter(string(caller)) {
		return nil, &RefusedError{CodeBusy, "you ask for much at once already"}
	}
	defer p.leave(string(caller))
	select {
	case <-p.turn:
	case <-ctx.Done():
		return nil, &RefusedError{CodeBusy, "too many ask for much at once"}
	}
	began := time.Now()
	return func() {
		time.AfterFunc(min(time.Since(began), longestStretch), func() { p.turn <- struct{}{} })
	}, nil
}

func (p *pacedAnswers) enter(caller string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting[caller] {
		return false
	}
	p.waiting[caller] = true
	return true
}

func (p *pacedAnswers) leave(caller string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, caller)
}
