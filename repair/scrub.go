package repair

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/guardian"
)

const (
	// scrubPoll is how often a replica that has nothing to scrub looks whether
	// that has changed.
	scrubPoll = 10 * time.Second
	// slowestRetry bounds the pauses after a pass that failed; the first is
	// scrubPoll, and each is twice the one before.
	slowestRetry = 5 * time.Minute
)

// scrubber walks over all that a node stores, again and again, queues what
// fails, and takes the inventory that the exchange with other guardians works
// on. Of the replicas of one node one scrubs at a time, by a lease in the queue
// view; that two do, as after a clock was set, costs time and nothing else.
//
// Its state is kept in two objects, sealed under the node's integrity key: who
// spoils them makes a scrub start afresh. An older one of the node's own that is
// put back is believed.
type scrubber struct {
	cfg     Config
	log     *slog.Logger
	store   backend.Backend
	own     ed25519.PublicKey // nil without a node key
	enqueue func(context.Context, Item) error
	// told hears which guardian has told of a slot.
	told func(guardian.Slot, ed25519.PublicKey)
	// linger is called for a slot with shares that were prepared long ago.
	linger  func(context.Context, guardian.Slot)
	pace    *pacer
	answers *pacedAnswers
	hints   *hints

	exchangeRules exchangeRules
	// found and left are of the goroutine that compares: what the round behind
	// the last pass has told, and which comparisons have stopped, by the keys of
	// the peers.
	found *findings
	left  map[string]leftOver
	// replica tells this process from the others of its node.
	replica string

	wake   chan struct{} // somebody asked for a pass
	passed chan struct{} // a pass was finished, here or elsewhere
	// scrubbed is how many slots this process has examined.
	scrubbed atomic.Int64

	mu sync.Mutex
	// askedNS is when a pass was last asked for; one that is finished later
	// answers it.
	askedNS int64
	now     ScrubReport // of the pass that was begun and is not finished
	running bool
	here    bool
	last    *inventory // of the last pass that was finished; nil before
	// followedNS is when the last pass was finished that this process knows of.
	followedNS int64
	exchange   ExchangeReport
}

// newScrubber returns a scrubber over the node, which queues with enqueue.
func newScrubber(cfg Config, enqueue func(context.Context, Item) error) *scrubber {
	s := &scrubber{
		cfg: cfg, log: cfg.Logger, store: cfg.Node.Queue(), enqueue: enqueue,
		told: func(guardian.Slot, ed25519.PublicKey) {}, linger: func(context.Context, guardian.Slot) {},
		pace: newPacer(), answers: newPacedAnswers(), hints: newHints(),
		exchangeRules: pageExchangeRules, found: newFindings(), left: map[string]leftOver{},
		replica: rand.Text(),
		wake:    make(chan struct{}, 1), passed: make(chan struct{}, 1),
	}
	if cfg.Key != nil {
		s.own = cfg.Key.PublicKey()
	}
	return s
}

// run scrubs and compares until ctx ends. What was done by then is kept.
func (s *scrubber) run(ctx context.Context) {
	s.recall(ctx)
	if s.cfg.ScrubInterval > 0 {
		s.start()
	}
	var both sync.WaitGroup
	both.Go(func() { s.passes(ctx) })
	if s.own != nil && s.cfg.Peers != nil {
		both.Go(func() { s.exchanges(ctx) })
	}
	both.Wait()
}

// start asks for a pass: one begins, or the one that was begun goes on, at the
// pace of any other.
func (s *scrubber) start() {
	s.mu.Lock()
	s.askedNS = s.nowNS()
	s.mu.Unlock()
	signal(s.wake)
}

// passes begins a pass whenever one is due, or goes on with one.
func (s *scrubber) passes(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		pause, err := s.attempt(ctx)
		switch {
		case err == nil:
			failures = 0
		case ctx.Err() != nil:
			return
		default:
			pause = min(scrubPoll<<min(failures, 8), slowestRetry)
			failures++
			s.log.Warn("scrubbing was interrupted", "error", err, "again_in", pause)
		}
		s.rest(ctx, pause)
	}
}

func (s *scrubber) rest(ctx context.Context, pause time.Duration) {
	if pause <= 0 {
		return
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.wake:
	case <-ctx.Done():
	}
}

// attempt makes a pass if one is due and no other replica is at it, and returns
// when to look again.
func (s *scrubber) attempt(ctx context.Context) (time.Duration, error) {
	state, rev, err := s.loadState(ctx)
	if err != nil {
		return 0, err
	}
	s.follow(ctx, state)
	if state.heldByOther(s.replica, s.cfg.Now()) {
		return scrubPoll, nil
	}
	if wait := s.due(state); wait > 0 {
		return min(wait, scrubPoll), nil
	}
	err = s.pass(ctx, state, rev)
	if errors.Is(err, errOtherReplica) {
		return scrubPoll, nil
	}
	return 0, err
}

// due is how long it is until a pass is to begin or to go on; at most 0 when
// that is now. What is said to have been in the future was not.
func (s *scrubber) due(state *scrubState) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.nowNS()
	s.askedNS = min(s.askedNS, now) // a clock that was set back since
	var started, finished int64
	if s.last != nil && s.last.Report.FinishedNS <= now {
		started, finished = s.last.Report.StartedNS, s.last.Report.FinishedNS
	}
	if started > now {
		started = 0
	}
	switch {
	case s.askedNS > finished || state.Pass != nil:
		return 0
	case s.cfg.ScrubInterval == 0:
		return scrubPoll
	}
	return s.cfg.ScrubInterval - time.Duration(now-started)
}

// follow shows what another replica is doing, and takes over what it finished.
func (s *scrubber) follow(ctx context.Context, state *scrubState) {
	s.mu.Lock()
	s.now, s.here, s.running = ScrubReport{}, false, state.heldByOther(s.replica, s.cfg.Now())
	if state.Pass != nil {
		s.now = state.Pass.Report
	}
	news := state.FinishedNS != s.followedNS
	s.followedNS = state.FinishedNS
	s.mu.Unlock()
	if news {
		s.recall(ctx)
		signal(s.passed)
	}
}

// recall reads the inventory of the last pass. With it the share count is known,
// if not exactly, before a first pass of this process was finished.
func (s *scrubber) recall(ctx context.Context) {
	last, err := s.loadInventory(ctx)
	if err != nil {
		s.log.Warn("reading the inventory failed", "error", err)
	}
	if last == nil {
		return
	}
	s.mu.Lock()
	s.last, s.followedNS = last, last.Report.FinishedNS
	s.mu.Unlock()
	s.cfg.Node.Counted(last.Report.Live, last.Report.HighestThreshold, false)
}

func (s *scrubber) lastInventory() *inventory {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

func (s *scrubber) nowNS() int64 { return s.cfg.Now().UnixNano() }
