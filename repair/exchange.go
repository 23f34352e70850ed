package repair

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"time"
)

const (
	// exchangePoll is how often the list of members is looked at.
	exchangePoll = 3 * time.Second
	// exchangeRetry is when a comparison that had to stop is gone on with.
	exchangeRetry = time.Minute
)

// ExchangeReport is what this process has found by comparing with other
// guardians, since it began.
type ExchangeReport struct {
	// LastNS is when the last comparison ended.
	LastNS int64 `json:"last_ns,omitempty"`
	// Comparisons ended; of them Equal had nothing to tell, and in Failed the
	// other guardian did not answer, or not as it should.
	Comparisons int64 `json:"comparisons"`
	Equal       int64 `json:"equal"`
	Failed      int64 `json:"failed"`
	// Buckets differed, and Entries were told of what is in them; Bad ones prove
	// nothing, or not what they were told for.
	Buckets int64 `json:"buckets"`
	Entries int64 `json:"entries"`
	Bad     int64 `json:"bad"`
	// Queued slots lack a share here, or have an older or a damaged one.
	Queued int64 `json:"queued"`
	// Noticed hints were given, and Forked slots have another record of the same
	// version elsewhere.
	Noticed int64 `json:"noticed"`
	Forked  int64 `json:"forked"`
	// Unreadable slots were told of, and could not be looked at here.
	Unreadable int64 `json:"unreadable"`
}

func (r *ExchangeReport) add(o ExchangeReport) {
	r.LastNS = o.LastNS
	r.Comparisons += o.Comparisons
	r.Equal += o.Equal
	r.Failed += o.Failed
	r.Buckets += o.Buckets
	r.Entries += o.Entries
	r.Bad += o.Bad
	r.Queued += o.Queued
	r.Noticed += o.Noticed
	r.Forked += o.Forked
	r.Unreadable += o.Unreadable
}

// exchanges compares what is held with all live members after each pass, with a
// member when it comes alive or appears, and again with one where not all could
// be compared. One at a time, in any order.
func (s *scrubber) exchanges(ctx context.Context) {
	live := map[string]bool{}
	again := map[string]time.Time{}
	for ctx.Err() == nil {
		all := s.pauseExchange(ctx)
		if s.lastInventory() == nil {
			continue // those who come alive meanwhile are compared with after the pass
		}
		var due []Member
		live, due = s.dueMembers(live, again, all)
		s.compareWith(ctx, due, again, all)
	}
}

// pauseExchange waits for a pass to be finished, which is when it returns true,
// or for the time to look at the members.
func (s *scrubber) pauseExchange(ctx context.Context) (passed bool) {
	timer := time.NewTimer(jittered(exchangePoll))
	defer timer.Stop()
	select {
	case <-s.passed:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// jittered is d, give or take a quarter, so that guardians started together do
// not all ask the same one.
func jittered(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(newRandom().Int64N(int64(d/2)+1))
}

// dueMembers returns who is live now, and with whom to compare: all of them, or
// those who were not live before and those whose time has come.
func (s *scrubber) dueMembers(before map[string]bool, again map[string]time.Time, all bool) (live map[string]bool, due []Member) {
	live = map[string]bool{}
	for _, m := range s.cfg.Peers.Members() {
		key := string(m.Key)
		if !m.Alive || s.own.Equal(m.Key) {
			continue
		}
		live[key] = true
		at, cut := again[key]
		if all || !before[key] || cut && !s.cfg.Now().Before(at) {
			due = append(due, m)
		}
	}
	for key := range again {
		if !live[key] {
			delete(again, key)
		}
	}
	newRandom().Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] })
	return live, due
}

// compareWith compares in turn, and notes with whom to go on and when. What is
// told in the round behind a pass goes into the report of that.
func (s *scrubber) compareWith(ctx context.Context, due []Member, again map[string]time.Time, all bool) {
	if all {
		s.found, s.left = newFindings(), map[string]leftOver{}
	}
	told := all
	for _, m := range due {
		key := string(m.Key)
		found := s.foundBy(key, again, all)
		told = told || found == s.found
		delete(again, key)
		err := s.compare(ctx, m, found)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errGoOnLater):
			again[key] = s.cfg.Now().Add(jittered(exchangeRetry))
			s.left[key] = leftOver{s.left[key].places, found}
		case errors.Is(err, errTooManyBad):
			s.log.Warn("a guardian tells of shares in a way that proves nothing: not asked further for now",
				"node_id", m.NodeID, "error", err)
		case err != nil:
			s.log.Info("comparing with a guardian failed", "node_id", m.NodeID, "error", err)
		}
	}
	if told {
		s.noteFindings(ctx, s.found)
	}
}

// leftOver is what a comparison that stopped has left to do (nothing yet: all),
// and where it put what it found.
type leftOver struct {
	places []place
	found  *findings
}

// foundBy is where a comparison puts what it finds. What is told by those who
// came alive since the round may have been told in it.
func (s *scrubber) foundBy(key string, again map[string]time.Time, all bool) *findings {
	_, goesOn := again[key]
	switch left := s.left[key]; {
	case all:
		return s.found
	case goesOn && left.found != nil:
		return left.found
	}
	delete(s.left, key)
	return newFindings()
}

// findings are what the comparisons of one round have told of this node: slots
// are counted once, whoever tells of them.
type findings struct {
	seen           map[digest]struct{}
	lacking, stale int64
	alone          int64
}

// maxFindings bounds what is remembered of a round; above it slots may be
// counted, and queued, more than once.
const maxFindings = 1 << 16

func newFindings() *findings { return &findings{seen: map[digest]struct{}{}} }

// fresh reports whether the slot was not told of before in this round.
func (f *findings) fresh(mark digest) bool {
	if _, seen := f.seen[mark]; seen {
		return false
	}
	if len(f.seen) < maxFindings {
		f.seen[mark] = struct{}{}
	}
	return true
}

// noteFindings puts them into the report of the last pass, and keeps it unless
// another replica has finished one since.
func (s *scrubber) noteFindings(ctx context.Context, found *findings) {
	s.mu.Lock()
	noted := *s.last
	noted.Report.Lacking, noted.Report.Stale, noted.Report.Alone = found.lacking, found.stale, found.alone
	s.last = &noted
	s.mu.Unlock()
	stored, err := s.loadInventory(ctx)
	if err != nil || stored == nil || stored.TakenNS != noted.TakenNS {
		return
	}
	if err := s.saveInventory(ctx, &noted); err != nil {
		s.log.Warn("keeping what a comparison found failed", "error", err)
	}
}

// differing are the buckets whose digests differ, in any order.
func differing(mine *digests, theirs [][]byte) []byte {
	var all []byte
	for i := range mine {
		if !slices.Equal(mine[i][:], theirs[i]) {
			all = append(all, byte(i))
		}
	}
	newRandom().Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func bucketName(bucket byte) string { return hex.EncodeToString([]byte{bucket}) }
