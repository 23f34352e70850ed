package repair

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/repair/round"
)

// resumeEvery is how often rounds that are not through are looked at.
const resumeEvery = 10 * time.Second

// resumeRounds goes on, until ctx ends, with rounds that this node has all votes
// of: those of other replicas and of processes that are gone, too.
func (r *Repairer) resumeRounds(ctx context.Context) {
	if r.order == nil {
		return
	}
	ticker := time.NewTicker(resumeEvery)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := r.resume(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			r.log.Warn("going on with rounds", "error", err)
		}
		failing = err != nil
	}
}

// resting is when rounds that nothing can be done about now are looked at again.
const resting = 5 * time.Minute

// rest is until when a round that is not through is left alone, unless one of
// those who wait for its certificates is there.
type rest struct {
	until   time.Time
	waiting [][]byte
}

func (r *Repairer) resume(ctx context.Context) error {
	keys, err := r.intentKeys(ctx)
	if err != nil {
		return err
	}
	maps.DeleteFunc(r.resting, func(key string, _ rest) bool { return !slices.Contains(keys, key) })
	alive := r.aliveKeys()
	errs := []error{r.ballots.Sweep(ctx)}
	for _, key := range keys {
		if r.resting[key].lasts(alive) {
			continue
		}
		of, err := r.intent(ctx, key)
		if err == nil {
			err = r.resumeOne(ctx, of)
			r.resting[key] = of.rest(r.ownKey())
		}
		if err != nil && !absent(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s rest) lasts(alive map[string]bool) bool {
	return time.Now().Before(s.until) && !slices.ContainsFunc(s.waiting, func(key []byte) bool { return alive[string(key)] })
}

// rest is for a committed round that others, who are not there, wait for, and for
// one of which the registry says nothing.
func (of *intent) rest(own ed25519.PublicKey) rest {
	if !of.Committed && !of.unknown {
		return rest{}
	}
	s := rest{until: time.Now().Add(resting)}
	if of.unknown {
		return s
	}
	for _, f := range of.waiting() {
		if of.Led || own.Equal(ed25519.PublicKey(f.Key)) {
			s.waiting = append(s.waiting, f.Key)
		}
	}
	return s
}

// resumeOne goes by what the registry says: who led the session shows its
// certificates once it is committed; who keeps them follows them, and shows them
// when nobody else has for long.
func (r *Repairer) resumeOne(ctx context.Context, of *intent) error {
	if r.rounds.isGoing(of.Session) {
		return nil
	}
	state, err := r.order.Look(ctx, of.Group)
	if err != nil {
		return err
	}
	committed := state.HasCommitted(of.Session)
	switch {
	case state.HasAborted(of.Session):
		return r.forgetIntent(ctx, of)
	case !committed && state.Session == of.Session && state.Phase == round.Voting:
		// Where another process has opened it, that commits it, or it is taken over
		// when its lease is over.
		if of.Led && r.rounds.decide(ctx, of.Session) == nil {
			r.show(ctx, of)
		}
		return nil
	case committed || of.Committed:
	default:
		whole := state.Knows(of.Line, of.Serial)
		if goOn, err := r.resumeUnknown(ctx, of, whole); !goOn {
			return err
		}
		of.Led = of.Led || !whole // who led it may hold it to be aborted, as it was
	}
	if of.Led {
		r.show(ctx, of)
		return nil
	}
	return r.resumeKept(ctx, of, !committed || state.IsClosed(of.Session))
}

// resumeUnknown is for a session that the registry lists in neither way: as it knows
// only the latest, or as it has lost what it had. It tells whether to go on as if it
// were committed.
func (r *Repairer) resumeUnknown(ctx context.Context, of *intent, whole bool) (goOn bool, err error) {
	of.unknown = whole
	pending, err := r.ballots.Pending(ctx)
	if err != nil {
		return false, err
	}
	voted := slices.ContainsFunc(pending, func(b round.Ballot) bool { return b.Session == of.Session })
	fate := r.askFate(ctx, of)
	switch {
	case fate == fateOvertaken || r.cfg.Now().UnixNano()-of.AtNS > int64(keptUnknown):
		return false, r.leaveOpen(ctx, of)
	case fate == fateOpen && !of.Led && !voted: // its ballot went as the session was aborted
		return false, r.forgetIntent(ctx, of)
	case whole && fate == fateOpen:
		return false, nil
	}
	return r.follow(ctx, of.Chains, true), nil
}

// resumeKept is for the certificates of another's round that is committed.
func (r *Repairer) resumeKept(ctx context.Context, of *intent, through bool) error {
	follows := r.follow(ctx, of.Chains, false)
	switch {
	case follows && through:
		return r.forgetIntent(ctx, of)
	case r.cfg.Now().UnixNano()-of.AtNS > int64(round.Lease):
		r.show(ctx, of)
	}
	return nil
}

// keptUnknown is how long certificates are kept of which the registry says nothing:
// as long as what was prepared for them.
const keptUnknown = 7 * 24 * time.Hour

// leaveOpen is for a session of which the registry knows nothing any more. It may
// have been aborted long ago: whether others have followed it is for them to tell.
func (r *Repairer) leaveOpen(ctx context.Context, of *intent) error {
	r.log.Warn("the registry has forgotten a round: whether it was committed, its holders are asked", "session", of.Session.Short())
	for _, chain := range of.Chains {
		last, err := r.cfg.Node.ParseRecord(chain)
		if err != nil {
			continue
		}
		slot := guardian.Slot{Identity: last.Identity, Name: last.Name}
		if err := r.queue.add(ctx, Item{Slot: slot, Reason: ReasonStale, Good: -1}); err != nil {
			return err
		}
	}
	return r.forgetIntent(ctx, of)
}

// fate is what holders show of a session whose end the registry does not tell.
type fate int

const (
	fateOpen      fate = iota // nobody has followed it, or another in its place
	fateFollowed              // it was committed
	fateOvertaken             // another was, and nobody has followed this one: it was aborted
)

// askFate asks the holders of all records.
func (r *Repairer) askFate(ctx context.Context, of *intent) fate {
	found := fateOpen
	for _, chain := range of.Chains {
		last, err := r.cfg.Node.ParseRecord(chain)
		if err != nil {
			continue
		}
		p, err := r.lookFor(ctx, last)
		if err != nil {
			continue
		}
		c := r.take(p, last, chain)
		r.askHolders(ctx, p, last)
		p.countHelpers()
		switch {
		case len(c.helpers) > 0 || slices.ContainsFunc(p.mine, func(mine *record.Record) bool { return mine.Follows(last.Hash) }):
			return fateFollowed
		case p.forkOf(c) != nil:
			found = fateOvertaken
		}
	}
	return found
}

// intentKeys are where the rounds lie that are not through.
func (r *Repairer) intentKeys(ctx context.Context) (keys []string, err error) {
	for entry, err := range r.cfg.Node.Queue().List(ctx, prefixShown, "") {
		if err != nil {
			return nil, fmt.Errorf("listing certificates: %w", err)
		}
		keys = append(keys, entry.Key)
	}
	return keys, nil
}

var errNoIntent = errors.New("what should be the certificates of a round is none")

func (r *Repairer) intent(ctx context.Context, key string) (*intent, error) {
	data, _, err := r.cfg.Node.Queue().Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("reading certificates: %w", err)
	}
	of := &intent{}
	if json.Unmarshal(data, of) != nil || of.key() != key {
		return nil, fmt.Errorf("%w: %s", errNoIntent, key)
	}
	return of, nil
}

// OpenEpoch is a committed round of which not all old holders are known to have
// erased their shares: the epoch before is not closed.
type OpenEpoch struct {
	Session string `json:"session"`
	SinceNS int64  `json:"since_ns"`
	// Generations were moved by the round.
	Generations int `json:"generations"`
	// Holders are the node ids of those not known to follow.
	Holders []string `json:"holders"`
	// Committed is false while the registry has not said so.
	Committed bool `json:"committed"`
}

// OpenEpochs returns the rounds of this node that are not through. Errors are the
// storage's.
func (r *Repairer) OpenEpochs(ctx context.Context) ([]OpenEpoch, error) {
	keys, err := r.intentKeys(ctx)
	if err != nil {
		return nil, err
	}
	all := []OpenEpoch{}
	for _, key := range keys {
		of, err := r.intent(ctx, key)
		if absent(err) || errors.Is(err, errNoIntent) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !of.Led {
			continue
		}
		open := OpenEpoch{Session: of.Session.Short(), SinceNS: of.AtNS, Generations: len(of.Chains), Committed: of.Committed, Holders: []string{}}
		for _, f := range of.waiting() {
			open.Holders = append(open.Holders, f.Node)
		}
		all = append(all, open)
	}
	return all, nil
}

// RoundGroup is what the registry has of the rounds of one set of holders.
type RoundGroup struct {
	Group string      `json:"group"`
	State round.State `json:"state"`
	// Error is why the state is not known.
	Error string `json:"error,omitempty"`
}

// RoundGroups are the sets of holders that the registry knows rounds of, those of
// the latest first. Errors: ErrNoRounds, and the registry's.
func (r *Repairer) RoundGroups(ctx context.Context) ([]RoundGroup, error) {
	if r.order == nil {
		return nil, ErrNoRounds
	}
	listed, err := r.order.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing rounds: %w", err)
	}
	groups := make([]RoundGroup, len(listed))
	for i, l := range listed {
		groups[i] = RoundGroup{Group: l.Group.String(), State: l.State}
		if l.Err != nil {
			groups[i].Error = l.Err.Error()
		}
	}
	return groups, nil
}
