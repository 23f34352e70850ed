package repair

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/guardian"
)

// answerNotice takes in hints that shares of this node may be wrong. What it
// finds broken itself it queues. That it lacks a share, or has an old one, it
// cannot see: this it takes in on the word of a member, so many in an hour.
func (s *scrubber) answerNotice(ctx context.Context, caller ed25519.PublicKey, request NoticeRequest) (NoticeAnswer, error) {
	slots, err := request.slots()
	if err != nil {
		return NoticeAnswer{}, err
	}
	end, err := s.answers.begin(ctx, caller)
	if err != nil {
		return NoticeAnswer{}, err
	}
	defer end()
	var answer NoticeAnswer
	for _, slot := range slots {
		heeded, err := s.heed(ctx, caller, slot)
		if err != nil {
			return answer, err
		}
		if heeded {
			answer.Taken++
		}
	}
	return answer, nil
}

func (r NoticeRequest) slots() ([]guardian.Slot, error) {
	if len(r.Slots) > maxNotices {
		return nil, malformed("a notice names at most %d slots", maxNotices)
	}
	var all []guardian.Slot
	for _, name := range r.Slots {
		slot, err := slotOf(name.Identity, name.Name)
		if err != nil {
			return nil, err
		}
		all = append(all, slot)
	}
	return all, nil
}

func (s *scrubber) heed(ctx context.Context, caller ed25519.PublicKey, slot guardian.Slot) (bool, error) {
	found, err := s.cfg.Node.Examine(ctx, slot)
	if err != nil {
		return false, fmt.Errorf("examining what is stored: %w", err)
	}
	wipeHeld(found.Held)
	switch judge(found) {
	case foundCorrupt, foundMissing:
	default:
		if !s.isMember(caller) || !s.hints.take(string(caller), s.cfg.Now()) {
			return false, nil
		}
	}
	s.told(slot, caller)
	err = s.enqueue(ctx, Item{Slot: slot, Reason: ReasonNotice, Good: -1})
	return err == nil, err
}

func (s *scrubber) isMember(key ed25519.PublicKey) bool {
	if s.cfg.Peers == nil {
		return false
	}
	for _, m := range s.cfg.Peers.Members() {
		if m.Key.Equal(key) {
			return true
		}
	}
	return false
}

const (
	// maxHints bounds what one member is believed without a proof, in
	// hintWindow.
	maxHints   = 1000
	hintWindow = time.Hour
)

// hints counts, for each member, what was taken in on its word. It is safe for
// concurrent use.
type hints struct {
	mu sync.Mutex
	by map[string]*hintsOf
}

type hintsOf struct {
	since time.Time
	taken int
}

func newHints() *hints { return &hints{by: map[string]*hintsOf{}} }

// take reports whether one more is believed.
func (h *hints) take(caller string, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, of := range h.by { // as many as there are members
		if age := now.Sub(of.since); age >= hintWindow || age < 0 {
			delete(h.by, key)
		}
	}
	if h.by[caller] == nil {
		h.by[caller] = &hintsOf{since: now}
	}
	if h.by[caller].taken == maxHints {
		return false
	}
	h.by[caller].taken++
	return true
}
