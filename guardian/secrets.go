package guardian

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/integrity"
)

// SecretInfo is one named secret in a list.
type SecretInfo struct {
	Name           string
	Version, Epoch uint64
	// Size and times are what the share's statement says; they are verified
	// when the secret itself is pulled.
	Size                 int
	CreatedNS, UpdatedNS int64
}

// listWorkers bounds how many secrets of one identity are read side by side.
const listWorkers = 32

// Secrets lists the named secrets of an identity, deleted ones left out, in
// order of name. A caller who proves less than any of them has seen before gets
// none. Errors are those of Pull, but for api.ErrNotFound.
func (n *Node) Secrets(ctx context.Context, identity string, by Caller) ([]SecretInfo, error) {
	names, err := n.Names(ctx, identity)
	if err != nil {
		return nil, err
	}
	found := make([]*SecretInfo, len(names))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(listWorkers)
	for i, name := range names {
		group.Go(func() (err error) {
			found[i], err = n.secret(ctx, Slot{identity, name}, by)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := []SecretInfo{}
	for _, info := range found {
		if info != nil {
			all = append(all, *info)
		}
	}
	return all, nil
}

// Names lists the named secrets that the storage holds anything of, deleted ones
// included, in order. Error: api.ErrStorageUnavailable.
func (n *Node) Names(ctx context.Context, identity string) ([]string, error) {
	var names []string
	for entry, err := range n.store.ListSegments(ctx, vaultOf(identity), "") {
		if err != nil {
			return nil, unavailable("listing secrets", err)
		}
		name, isGroup := strings.CutSuffix(strings.TrimPrefix(entry.Key, vaultOf(identity)), "/")
		if isGroup && ValidName(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// secret reads `version` and the statement of the generation that it names; nil
// when there is nothing live. Of one whose statement is missing it knows the
// version only: a pull tells that it is damaged, the others can still be listed.
func (n *Node) secret(ctx context.Context, slot Slot, by Caller) (*SecretInfo, error) {
	var before backend.Revision
	for range maxDecisions {
		from, err := n.readCommit(ctx, slot)
		if err != nil {
			return nil, err
		}
		if err := n.rules.admit(n.cfg.Ownership, from.standing(), by); err != nil {
			return nil, err
		}
		if from.commit == nil || from.commit.live == nil {
			return nil, nil
		}
		sealed, _, err := n.store.Get(ctx, slot.checksumKey(*from.commit.live))
		missing := errors.Is(err, backend.ErrNotFound)
		if missing && from.rev != before { // replaced meanwhile?
			before = from.rev
			continue
		}
		if err != nil && !missing {
			return nil, unavailable("reading statement", err)
		}
		var st integrity.Statement
		_ = json.Unmarshal(statementText(sealed), &st) // a damaged one says nothing here
		return &SecretInfo{slot.Name, from.commit.current, from.commit.live.epoch, st.Size, st.CreatedNS, st.UpdatedNS}, nil
	}
	return nil, unavailable("reading secret", errors.New("it changes too fast"))
}

// VersionInfo is one version in a history.
type VersionInfo struct {
	Version, Epoch uint64
	Size           int
	CreatedNS      int64
	Deleted        bool
}

// History lists what is retained of a slot, newest first; of a deleted slot its
// tombstone, and nothing of a version that has moved to other nodes. Errors are
// those of Pull.
func (n *Node) History(ctx context.Context, slot Slot, by Caller) ([]VersionInfo, error) {
	from, err := n.readCommit(ctx, slot)
	if err != nil {
		return nil, err
	}
	if err := n.rules.admit(n.cfg.Ownership, from.standing(), by); err != nil {
		return nil, err
	}
	if from.commit == nil {
		return nil, api.ErrNotFound
	}
	if from.commit.deleted() {
		return []VersionInfo{{Version: from.commit.current, Deleted: true}}, nil
	}
	var all []VersionInfo
	for _, g := range from.commit.named() {
		share, st, err := n.read(ctx, slot, &g.version, by)
		if errors.Is(err, api.ErrNotFound) { // replaced meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, VersionInfo{Version: st.Version, Epoch: st.Epoch, Size: len(share.Data), CreatedNS: st.CreatedNS})
	}
	if len(all) == 0 && from.commit.moved != nil {
		return nil, api.ErrNotFound
	}
	return all, nil
}
