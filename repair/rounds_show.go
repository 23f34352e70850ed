package repair

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/repair/check"
	"github.com/vault-guardian/guardian/repair/round"
)

// prefixShown is where certificates lie until those who are to follow them do.
const prefixShown = "rounds/shown/"

// intent is a session that has all votes: its certificates, and who is to be
// shown them. The coordinator and those who have voted keep it before the
// registry is told, so that whoever is left goes on when the others are gone.
type intent struct {
	Session round.Session `json:"session"`
	Group   round.Group   `json:"group"`
	// Line and Serial are those of the round.
	Line   string `json:"line"`
	Serial uint64 `json:"serial"`
	// Led by this node, or kept for another.
	Led       bool  `json:"led"`
	Committed bool  `json:"committed"`
	Closed    bool  `json:"closed"`
	unknown   bool  // to the registry, at the last look
	AtNS      int64 `json:"at_ns"`

	Chains [][]byte `json:"chains"`
	// Threshold is the K of the records before.
	Threshold int        `json:"threshold"`
	Followers []Follower `json:"followers"`
}

// intend makes the certificates of a session, and has those who voted keep them.
func (r *Repairer) intend(ctx context.Context, opened *round.Round, batch []moving, result check.Result) (*intent, error) {
	of := &intent{
		Session: result.Seed, Group: groupOf(batch[0].Record), Line: opened.Line(), Serial: opened.Serial(),
		Led: true, AtNS: r.cfg.Now().UnixNano(),
		Chains: result.Chains, Threshold: batch[0].Threshold, Followers: followersOf(batch[0]),
	}
	if err := r.keepIntent(ctx, of); err != nil {
		return of, err
	}
	return of, r.spread(ctx, of, record.Quorum(batch[0].proposal))
}

func followersOf(base moving) (all []Follower) {
	for _, h := range base.Holders {
		if len(h.Key) == ed25519.PublicKeySize {
			all = append(all, Follower{Node: h.Node, Key: h.Key, Old: true})
		}
	}
	for _, target := range base.proposal.Holders {
		if _, old := base.Of(target.Key); !old {
			all = append(all, Follower{Node: target.Node, Key: target.Key})
		}
	}
	return all
}

// spread has others keep the certificates: as many as must have voted, so that
// they outlive this node.
func (r *Repairer) spread(ctx context.Context, of *intent, needed int) error {
	var kept atomic.Int64
	sideBySide(of.waiting(), surveysAtOnce, func(f *Follower) {
		if bytes.Equal(f.Key, r.ownKey()) || r.showTo(ctx, of, f, true) {
			kept.Add(1)
		}
	})
	if n := int(kept.Load()); n < needed {
		return fmt.Errorf("%d holders keep the certificates, %d are needed", n, needed)
	}
	return nil
}

func (of *intent) key() string { return prefixShown + of.Session.String() }

// keepIntent writes it as it is. Replicas of one node may do so in any order: all
// that is lost is who is known to follow.
func (r *Repairer) keepIntent(ctx context.Context, of *intent) error {
	data, err := json.Marshal(of)
	if err != nil {
		return fmt.Errorf("encoding certificates: %w", err)
	}
	if _, err := r.cfg.Node.Queue().Put(ctx, of.key(), data, backend.AnyRevision); err != nil {
		return fmt.Errorf("keeping certificates: %w", err)
	}
	return nil
}

func (r *Repairer) forgetIntent(ctx context.Context, of *intent) error {
	if err := r.cfg.Node.Queue().Delete(ctx, of.key(), backend.AnyRevision); err != nil {
		return fmt.Errorf("removing certificates: %w", err)
	}
	return nil
}

// show shows the certificates of a committed round to all who do not follow them
// yet, and keeps who does. What fails, a later resume tries again.
func (r *Repairer) show(ctx context.Context, of *intent) {
	before := *of
	waiting := of.waiting()
	sideBySide(waiting, surveysAtOnce, func(f *Follower) {
		f.Follows = r.showTo(ctx, of, f, false)
	})
	of.Committed = true
	err := r.close(ctx, of)
	if err == nil {
		switch {
		case len(of.waiting()) == 0 && of.Closed:
			err = r.forgetIntent(ctx, of)
		case len(of.waiting()) < len(waiting) || of.Closed != before.Closed || !before.Committed:
			err = r.keepIntent(ctx, of)
		}
	}
	if err != nil && ctx.Err() == nil {
		r.log.Warn("a committed round is not through yet", "session", of.Session.Short(), "error", err)
	}
}

func (of *intent) waiting() (all []*Follower) {
	for i := range of.Followers {
		if !of.Followers[i].Follows {
			all = append(all, &of.Followers[i])
		}
	}
	return all
}

// close has the registry guard the bases no longer, once so many old holders
// follow that the others are too few for another round.
func (r *Repairer) close(ctx context.Context, of *intent) error {
	if of.Closed || !of.isFollowed() {
		return nil
	}
	if err := r.order.Close(ctx, of.Group, of.Session); err != nil {
		return err
	}
	of.Closed = true
	return nil
}

// isFollowed tells whether no K+1 old holders are left that may not follow.
func (of *intent) isFollowed() bool {
	left := 0
	for _, f := range of.Followers {
		if f.Old && !f.Follows {
			left++
		}
	}
	return left <= of.Threshold
}

// showTime bounds the time that a holder has to follow a whole batch.
const showTime = 2 * time.Minute

func (r *Repairer) showTo(ctx context.Context, of *intent, f *Follower, keep bool) bool {
	if bytes.Equal(f.Key, r.ownKey()) {
		return r.follow(ctx, of.Chains, false)
	}
	if !r.aliveKeys()[string(f.Key)] {
		return false // it would be waited for, and is asked again once it is back
	}
	conn, err := r.dial(f.Key)
	if err != nil {
		return false
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, showTime)
	defer cancel()
	answer, err := call[CertificatesAnswer](ctx, conn, RouteCertificates, of.request(keep))
	return err == nil && answer.Done
}

func (of *intent) request(keep bool) CertificatesRequest {
	q := CertificatesRequest{Session: of.Session, Group: of.Group, Chains: of.Chains}
	if keep {
		q.Keep, q.Threshold, q.Followers = true, of.Threshold, of.Followers
	}
	return q
}
