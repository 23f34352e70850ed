package guardian

import (
	"cmp"
	"context"
	"errors"

	"github.com/vault-guardian/guardian/api"
)

// pullEpoch is Pull of one epoch. While a round has committed on some nodes and
// not yet on others, those have its shares prepared, and no epoch may be
// committed on enough of them.
func (n *Node) pullEpoch(ctx context.Context, slot Slot, version *uint64, epoch uint64, by Caller) (Share, error) {
	for range maxDecisions {
		there, err := n.look(ctx, slot)
		if err != nil {
			return Share{}, err
		}
		if err := n.rules.admit(n.cfg.Ownership, there.known(), by); err != nil {
			return Share{}, err
		}
		wanted, ok := there.version(version)
		if !ok {
			return Share{}, api.ErrNotFound
		}
		if g, named := there.commit.find(wanted); !named || g.epoch != epoch {
			share, err := n.pullPrepared(ctx, slot, there, wanted, epoch)
			if !errors.Is(err, api.ErrNotFound) {
				return share, err
			}
			// It may have been committed while it was looked for.
			if now, errNow := n.readCommit(ctx, slot); errNow != nil || !n.rules.mayReread(now.rev != there.rev) {
				return Share{}, cmp.Or(errNow, err)
			}
			continue
		}
		share, st, err := n.read(ctx, slot, &wanted, by)
		if err != nil || st.Epoch == epoch {
			share.CreatedNS, share.UpdatedNS = st.CreatedNS, st.UpdatedNS
			return share, err
		}
		clear(share.Data) // it has moved on meanwhile
	}
	return Share{}, unavailable("reading share", errors.New("it changes too fast"))
}

// known is what the slot has seen of its owner: where there is nothing but what
// was prepared, that has come with a manifest.
func (l looked) known() standing {
	known := l.standing()
	if l.commit == nil && len(l.prepared()) > 0 {
		known.keep(standing{owned: true, manifest: true})
	}
	return known
}

// version is the one asked for, or the current one: where there is none, or it
// has moved away, the highest that is prepared.
func (l looked) version(asked *uint64) (version uint64, ok bool) {
	switch {
	case l.commit.deleted():
		return 0, false
	case asked != nil:
		return *asked, true
	case l.commit != nil:
		return l.commit.current, true
	}
	for _, g := range l.prepared() {
		version, ok = max(version, g.version), true
	}
	return version, ok
}

// pullPrepared returns what is prepared for an epoch. Of several, the one that
// was prepared last: a round begins when the one before it has failed.
func (n *Node) pullPrepared(ctx context.Context, slot Slot, there looked, version, epoch uint64) (Share, error) {
	var latest Share
	for _, g := range there.prepared() {
		if g.version != version || g.epoch != epoch || n.rules.obsolete(there.commit, g, there.ages[g], n.cfg.Retain) {
			continue
		}
		share, err := n.prepared(ctx, slot, g)
		switch {
		case err == nil && share.UpdatedNS > latest.UpdatedNS:
			clear(latest.Data)
			latest = share
		case err != nil && !isDamage(err):
			return Share{}, n.faulty(ctx, slot, g, err)
		}
	}
	if latest.Data == nil {
		return Share{}, api.ErrNotFound
	}
	return latest, nil
}
