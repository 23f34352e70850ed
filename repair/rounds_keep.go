package repair

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/repair/check"
	"github.com/vault-guardian/guardian/repair/round"
)

// certificatesAtOnce bounds how many requests with certificates are judged side
// by side: each has many signatures.
const certificatesAtOnce = 2

// answerCertificates is told of sessions that are committed, or about to be. Who
// tells does not matter where they are to be followed: certificates prove
// themselves.
func (r *Repairer) answerCertificates(ctx context.Context, caller ed25519.PublicKey, request CertificatesRequest) (CertificatesAnswer, error) {
	if len(request.Chains) == 0 || len(request.Chains) > check.MaxRecords || r.order == nil {
		return CertificatesAnswer{}, malformed("%d certificates", len(request.Chains))
	}
	select {
	case r.certifying <- struct{}{}:
		defer func() { <-r.certifying }()
	case <-ctx.Done():
		return CertificatesAnswer{}, ctx.Err()
	}
	if request.Keep {
		done, err := r.keepFor(ctx, caller, request)
		return CertificatesAnswer{done}, err
	}
	return CertificatesAnswer{r.follow(ctx, request.Chains, false)}, nil
}

// keepFor keeps the certificates of a session that this node has voted in.
func (r *Repairer) keepFor(ctx context.Context, caller ed25519.PublicKey, request CertificatesRequest) (bool, error) {
	pending, err := r.ballots.Pending(ctx)
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(pending, func(b round.Ballot) bool { return b.Session == request.Session })
	if i < 0 {
		return false, nil
	}
	of, err := r.keepable(caller, request, pending[i])
	if err != nil {
		return false, err
	}
	return true, r.createIntent(ctx, of)
}

// keepable is what is kept for a coordinator. Nothing is believed: the holders
// before must be those of the group that this node voted in, the coordinator
// among them, and the certificates those of the session, one for each record that
// was voted on.
func (r *Repairer) keepable(caller ed25519.PublicKey, request CertificatesRequest, voted round.Ballot) (*intent, error) {
	var old []ed25519.PublicKey
	of := &intent{
		Session: voted.Session, Group: voted.Group, Line: voted.Line, Serial: voted.Serial, AtNS: r.cfg.Now().UnixNano(),
		Chains: request.Chains, Threshold: request.Threshold,
	}
	for _, f := range request.Followers {
		if f.Old && len(f.Key) != ed25519.PublicKeySize {
			return nil, malformed("the key of a holder before has %d bytes", len(f.Key))
		}
		if f.Old && manifest.ValidNode(f.Node) {
			old = append(old, f.Key)
			of.Followers = append(of.Followers, Follower{Node: f.Node, Key: f.Key, Old: true})
		}
	}
	if round.GroupOf(request.Threshold, old) != voted.Group || !contains(old, caller) {
		return nil, malformed("these are not the holders before, or the caller is none of them")
	}
	bases := slices.Clone(voted.Bases)
	for _, chain := range request.Chains {
		last, err := r.cfg.Node.ParseRecord(chain)
		if err != nil || last.Epoch == 0 || last.Seed != voted.Session || !slices.Contains(bases, last.Base) {
			return nil, malformed("what should be a certificate of the session is none")
		}
		bases = slices.DeleteFunc(bases, func(base [32]byte) bool { return base == last.Base })
		of.followedBy(last)
	}
	if len(bases) > 0 {
		return nil, malformed("%d certificates of the session are missing", len(bases))
	}
	return of, nil
}

// followedBy adds the holders of a record that are new.
func (of *intent) followedBy(last *record.Record) {
	for _, h := range last.Holders {
		if !slices.ContainsFunc(of.Followers, func(f Follower) bool { return h.Key.Equal(ed25519.PublicKey(f.Key)) }) {
			of.Followers = append(of.Followers, Follower{Node: h.Node, Key: h.Key})
		}
	}
}

// createIntent keeps certificates unless they are kept already.
func (r *Repairer) createIntent(ctx context.Context, of *intent) error {
	data, err := json.Marshal(of)
	if err != nil {
		return fmt.Errorf("encoding certificates: %w", err)
	}
	_, err = r.cfg.Node.Queue().Put(ctx, of.key(), data, backend.Revision{})
	if errors.Is(err, backend.ErrConflict) {
		_, err = r.intent(ctx, of.key())
	}
	if err != nil {
		return fmt.Errorf("keeping certificates: %w", err)
	}
	return nil
}
