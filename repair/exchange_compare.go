package repair

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/record"
)

// Bounds of one comparison. A member that lies can have this much done, and no
// more: what it tells of is either bad, or what this node holds and can be told
// of once, as entries only ever go up, or is queued.
const (
	maxBad = 10
	// maxUnreadable slots here, and it is the storage.
	maxUnreadable = 10
	maxQueued     = 4096
	maxNoticed    = 1000
	// maxNotices bounds the slots of one notice.
	maxNotices = 100
	// maxPages and comparisonTime bound the pages that are asked for. A later
	// comparison goes on from there.
	maxPages       = 1000
	comparisonTime = 10 * time.Minute
)

var (
	// errTooManyBad ends a comparison with a guardian that cannot be believed.
	errTooManyBad = errors.New("too much of what it tells is not so")
	// errGoOnLater ends a comparison that is not through.
	errGoOnLater = errors.New("to be gone on with later")
)

// exchangeRules are the checks on what another guardian tells; values, so that a
// test can take out one at a time.
type exchangeRules struct {
	// ahead: an entry is in the bucket and behind the one before it.
	ahead func(bucket byte, before, slot guardian.Slot) bool
	// proves: the record is the entry's, and names both this node and the peer.
	proves func(e Entry, of *record.Record, own, peer ed25519.PublicKey) bool
}

var pageExchangeRules = exchangeRules{
	ahead: func(bucket byte, before, slot guardian.Slot) bool {
		return bucketOf(slot.Identity) == bucket && (before == guardian.Slot{} || compareSlots(before, slot) < 0)
	},
	proves: func(e Entry, of *record.Record, own, peer ed25519.PublicKey) bool {
		return names(of, own) && names(of, peer) && of.Identity == e.Identity && of.Name == e.Name &&
			of.Version == e.Version && of.Epoch == e.Epoch
	},
}

// comparison is one with one other guardian.
type comparison struct {
	*scrubber
	rules  exchangeRules
	peer   Member
	worker *worker
	found  *findings
	report ExchangeReport
	alone  []SlotName
	pages  int
}

// place is what is left of a bucket to compare: what is behind the slot.
type place struct {
	bucket byte
	behind guardian.Slot
}

// compare asks a member for its digests of what this node should hold too, and
// for what is in the buckets that differ. It queues what is lacking here, older
// or damaged, and hints at what is lacking there.
func (s *scrubber) compare(ctx context.Context, peer Member, found *findings) error {
	worker, err := s.pace.begin(ctx, nil)
	if err != nil {
		return err
	}
	defer worker.end()
	c := &comparison{scrubber: s, rules: s.exchangeRules, peer: peer, worker: worker, found: found}
	err = c.run(ctx)
	c.report.LastNS, c.report.Comparisons = s.nowNS(), 1
	if err != nil && !errors.Is(err, errGoOnLater) {
		c.report.Failed = 1
	}
	s.mu.Lock()
	s.exchange.add(c.report)
	s.mu.Unlock()
	return err
}

func (c *comparison) run(ctx context.Context) error {
	answer, err := askPeer[InventoryAnswer](ctx, c, RouteInventory, InventoryRequest{})
	if err != nil || len(answer.Digests) == 0 {
		return err
	}
	if !validDigests(answer.Digests) {
		return fmt.Errorf("%w: its digests are not %d of %d bytes", errTooManyBad, buckets, digestSize)
	}
	different := differing(c.lastInventory().about(c.peer.Key), answer.Digests)
	if len(different) == 0 {
		c.report.Equal = 1
	}
	err = c.places(ctx, c.toDo(different))
	if err == nil || errors.Is(err, errGoOnLater) {
		err = errors.Join(err, c.notify(ctx))
	}
	return err
}

// toDo are the buckets that differ, or what the comparison before has left of
// them.
func (c *comparison) toDo(different []byte) []place {
	if left := c.left[string(c.peer.Key)].places; left != nil {
		return slices.DeleteFunc(left, func(p place) bool { return !slices.Contains(different, p.bucket) })
	}
	all := make([]place, 0, len(different))
	for _, bucket := range different {
		all = append(all, place{bucket: bucket})
	}
	return all
}

// places compares them in turn, as long as there is time. One at least gets on:
// what this node takes to read its own part of a bucket is not counted.
func (c *comparison) places(ctx context.Context, todo []place) error {
	delete(c.left, string(c.peer.Key))
	end := time.Now().Add(comparisonTime)
	for i := range todo {
		err := errGoOnLater
		if i == 0 || time.Now().Before(end) {
			c.report.Buckets++
			err = c.bucket(ctx, &todo[i])
		}
		if errors.Is(err, errGoOnLater) {
			c.left[string(c.peer.Key)] = leftOver{places: todo[i:]}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func validDigests(all [][]byte) bool {
	return len(all) == buckets && !slices.ContainsFunc(all, func(d []byte) bool { return len(d) != digestSize })
}

// askPeer makes one call. A guardian that has too much to do is asked later.
func askPeer[Answer any](ctx context.Context, c *comparison, route string, request any) (answer Answer, err error) {
	if err := c.worker.breathe(ctx); err != nil {
		return answer, err
	}
	conn, err := c.cfg.Peers.Dial(c.peer.Key)
	if err != nil {
		return answer, err
	}
	defer conn.Close()
	answer, err = call[Answer](ctx, pacedConn{conn, c.worker}, route, request)
	if refused, ok := errors.AsType[*RefusedError](err); ok && refused.Code == CodeBusy {
		err = fmt.Errorf("%w: %w", errGoOnLater, err)
	}
	return answer, err
}

// holdingMark is what this node has of a slot.
type holdingMark struct {
	mark    digest
	version uint64
}

// holdings reads what this node holds soundly in a place together with the peer.
func (c *comparison) holdings(ctx context.Context, of place) (map[guardian.Slot]holdingMark, error) {
	mine := map[guardian.Slot]holdingMark{}
	err := c.readBucket(ctx, of.bucket, of.behind, func(_ guardian.Slot, of *record.Record, _ []byte) error {
		if names(of, c.peer.Key) {
			mine[guardian.Slot{Identity: of.Identity, Name: of.Name}] = holdingMark{markOf(of), of.Version}
		}
		return c.worker.breathe(ctx)
	})
	return mine, err
}

// bucket compares what is left of one, page by page, and notes how far it got.
// What is left of mine up to there the peer lacks, or has an older version of.
func (c *comparison) bucket(ctx context.Context, at *place) error {
	mine, err := c.holdings(ctx, *at)
	if err != nil {
		return err
	}
	end := time.Now().Add(comparisonTime)
	for more := true; more && err == nil; {
		if more, err = c.turnPage(ctx, at, mine); err == nil && more && !c.mayAsk(end) {
			err = errGoOnLater
		}
	}
	if err == nil {
		at.behind = lastOf(at.bucket)
	}
	if err == nil || errors.Is(err, errGoOnLater) {
		c.noteAlone(mine, at.behind)
	}
	return err
}

// mayAsk tells whether there is to be another page of a bucket.
func (c *comparison) mayAsk(end time.Time) bool {
	return c.pages < maxPages && time.Now().Before(end)
}

// turnPage asks for a page, takes it in and moves behind it.
func (c *comparison) turnPage(ctx context.Context, at *place, mine map[guardian.Slot]holdingMark) (more bool, err error) {
	request := BucketRequest{Bucket: bucketName(at.bucket), After: Entry{Identity: at.behind.Identity, Name: at.behind.Name}}
	answer, err := askPeer[BucketAnswer](ctx, c, RouteBucket, request)
	if err != nil {
		return false, err
	}
	c.pages++
	before := at.behind
	if at.behind, err = c.page(ctx, at.bucket, before, answer, mine); err != nil || !answer.More {
		return false, err
	}
	at.behind, err = c.goOn(at.bucket, before, at.behind, guardian.Slot(answer.Last))
	return true, err
}

// goOn is where the next page begins: behind the last entry, or further on, where
// the one asked has got to.
func (c *comparison) goOn(bucket byte, before, at, last guardian.Slot) (guardian.Slot, error) {
	if last.Valid() && c.rules.ahead(bucket, at, last) {
		at = last
	}
	if at == before {
		return at, fmt.Errorf("%w: a page leads nowhere", errTooManyBad)
	}
	return at, nil
}

// page takes in the entries of a page and returns the last slot of it.
func (c *comparison) page(ctx context.Context, bucket byte, at guardian.Slot, answer BucketAnswer, mine map[guardian.Slot]holdingMark) (guardian.Slot, error) {
	if len(answer.Entries) > maxPage {
		return at, fmt.Errorf("%w: a page of %d entries", errTooManyBad, len(answer.Entries))
	}
	for _, e := range answer.Entries {
		slot := guardian.Slot{Identity: e.Identity, Name: e.Name}
		if !slot.Valid() || !c.rules.ahead(bucket, at, slot) {
			if err := c.blame(); err != nil {
				return at, err
			}
			continue
		}
		at = slot
		if err := c.entry(ctx, slot, e, mine); err != nil {
			return at, err
		}
		if err := c.worker.breathe(ctx); err != nil {
			return at, err
		}
	}
	return at, nil
}

// blame counts a bad entry.
func (c *comparison) blame() error {
	if c.report.Bad++; c.report.Bad >= maxBad {
		return errTooManyBad
	}
	return nil
}

// entry takes in one: what both hold alike costs nothing more.
func (c *comparison) entry(ctx context.Context, slot guardian.Slot, e Entry, mine map[guardian.Slot]holdingMark) error {
	c.report.Entries++
	known, here := mine[slot]
	if here && known.mark == e.mark() {
		delete(mine, slot)
		return nil
	}
	// Not from the node's memory: what others show is not to fill it.
	of, err := record.Parse(e.Record)
	if err != nil || !c.rules.proves(e, of, c.own, c.peer.Key) {
		return c.blame()
	}
	if here && of.Version >= known.version {
		delete(mine, slot)
	}
	found, err := c.cfg.Node.Examine(ctx, slot)
	if err != nil {
		return c.leaveOut(ctx, err)
	}
	wipeHeld(found.Held)
	return c.settle(ctx, of, found)
}

// leaveOut goes on behind a slot that cannot be read, unless there are many.
func (c *comparison) leaveOut(ctx context.Context, err error) error {
	if c.report.Unreadable++; c.report.Unreadable >= maxUnreadable || ctx.Err() != nil {
		return fmt.Errorf("examining what is stored: %w", err)
	}
	return nil
}

// mark is that of the entry's record, if it is what it says.
func (e Entry) mark() digest {
	hash, err := record.HashOf(e.Record)
	if err != nil {
		return digest{}
	}
	return markOf(&record.Record{Identity: e.Identity, Name: e.Name, Version: e.Version, Epoch: e.Epoch, Hash: hash})
}

// settle queues the slot if what is here is not up to a record.
func (c *comparison) settle(ctx context.Context, of *record.Record, found guardian.Examined) error {
	slot := found.Slot
	reason := weigh(of, found)
	if reason == "" {
		c.noteFork(of, found)
	}
	if reason == "" || !c.found.fresh(slotMark(slot)) {
		return nil
	}
	c.told(slot, c.peer.Key)
	if err := c.enqueue(ctx, Item{Slot: slot, Reason: reason, Good: -1}); err != nil {
		return fmt.Errorf("queueing what is lacking: %w", err)
	}
	switch reason {
	case ReasonMissing:
		c.found.lacking++
	case ReasonStale:
		c.found.stale++
	}
	if c.report.Queued++; c.report.Queued == maxQueued {
		return errGoOnLater
	}
	return nil
}

// noteFork counts what no repair can settle: an owner has signed two records of
// one version.
func (c *comparison) noteFork(of *record.Record, found guardian.Examined) {
	live := liveOf(found)
	if live == nil || live.Version != of.Version {
		return
	}
	own, err := c.cfg.Node.ParseRecord(live.Share.Record())
	if err != nil || own.Follows(of.Hash) || of.Follows(own.Hash) {
		return
	}
	if c.report.Forked++; c.report.Forked == 1 {
		c.log.Warn("guardians hold different records of one version",
			"identity", found.Slot.Short(), "version", of.Version, "node_id", c.peer.NodeID)
	}
}

// weigh says why this node's share is to be repaired, given a record that names
// it; "" when it is not: what is newer, or deleted, is for others to take over.
func weigh(of *record.Record, found guardian.Examined) Reason {
	switch {
	case found.Damaged:
		return ReasonDamaged
	case !found.Known:
		return ReasonMissing
	case found.Version < of.Version:
		return ReasonStale
	case found.Version == of.Version && !found.Deleted && !found.Moved && liveOf(found) == nil:
		return ReasonDamaged
	case found.Version == of.Version && epochOf(found) < of.Epoch:
		return ReasonStale
	}
	return ""
}

// epochOf is that of the current share, 0 where there is none.
func epochOf(found guardian.Examined) uint64 {
	if live := liveOf(found); live != nil {
		return live.Epoch
	}
	return 0
}

func slotMark(slot guardian.Slot) digest {
	sum := sha256.Sum256([]byte(slot.Identity + "/" + slot.Name))
	return digest(sum[:digestSize])
}

// noteAlone notes which of mine the peer did not tell of, up to where it got.
func (c *comparison) noteAlone(mine map[guardian.Slot]holdingMark, last guardian.Slot) {
	for _, slot := range slices.SortedFunc(maps.Keys(mine), compareSlots) {
		if compareSlots(slot, last) > 0 {
			return
		}
		c.found.alone++
		if len(c.alone) < maxNoticed {
			c.alone = append(c.alone, SlotName(slot))
		}
	}
}

// notify hints at what the peer lacks.
func (c *comparison) notify(ctx context.Context) error {
	for slots := range slices.Chunk(c.alone, maxNotices) {
		answer, err := askPeer[NoticeAnswer](ctx, c, RouteNotice, NoticeRequest{slots})
		if err != nil {
			return err
		}
		c.report.Noticed += int64(len(slots))
		c.log.Debug("told a guardian what it lacks", "node_id", c.peer.NodeID, "slots", len(slots), "taken", answer.Taken)
	}
	return nil
}
