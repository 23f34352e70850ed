package guardian

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/integrity"
)

// Membership returns what the node keeps about the other members of its
// cluster, as KeepMembership took it, and the revision that it is at; nil and
// the zero revision when it keeps nothing. Errors: api.ErrIntegrityFailed (it
// was changed), api.ErrKeyUnavailable, api.ErrStorageUnavailable.
func (n *Node) Membership(ctx context.Context) ([]byte, backend.Revision, error) {
	object, rev, err := n.store.Get(ctx, keyMembership)
	if errors.Is(err, backend.ErrNotFound) {
		return nil, backend.Revision{}, nil
	}
	if err != nil {
		return nil, backend.Revision{}, unavailable("reading membership", err)
	}
	_, data, err := n.openMembership(ctx, object)
	return data, rev, err
}

// KeepMembership replaces what the node keeps about the other members, if that
// is still at rev, and returns the new revision. Errors: backend.ErrConflict
// (another replica was first, and nothing was changed),
// api.ErrStorageUnavailable, after which it may have been replaced.
func (n *Node) KeepMembership(ctx context.Context, data []byte, rev backend.Revision) (backend.Revision, error) {
	object, err := n.sealMembership(integrity.Statement{Kind: integrity.KindMembership}, data)
	if err != nil {
		return backend.Revision{}, err
	}
	now, err := n.store.Put(ctx, keyMembership, object, rev)
	if err != nil && !errors.Is(err, backend.ErrConflict) {
		err = unavailable("writing membership", err)
	}
	return now, err
}

// RekeyMembership seals what the node keeps about the other members under the
// primary key, and reports whether it was under another one. Errors are those
// of Membership.
func (n *Node) RekeyMembership(ctx context.Context) (resealed bool, err error) {
	for range maxDecisions {
		if resealed, err = n.rekeyMembership(ctx); !errors.Is(err, errAgain) {
			return resealed, err
		}
	}
	return false, unavailable("re-sealing membership", err)
}

func (n *Node) rekeyMembership(ctx context.Context) (resealed bool, err error) {
	object, rev, err := n.store.Get(ctx, keyMembership)
	if errors.Is(err, backend.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, unavailable("reading membership", err)
	}
	st, data, err := n.openMembership(ctx, object)
	if err != nil || st.KeyID == n.PrimaryKeyID() {
		return false, err
	}
	renewed, err := n.sealMembership(st, data)
	if err != nil {
		return false, err
	}
	err = n.replace(ctx, keyMembership, renewed, rev)
	return err == nil, err
}

// CopyMembershipTo has dst, a node of the same id over another storage, keep
// what this one does, unless it keeps something already. Errors are those of
// Membership and KeepMembership, wrapping ErrDestination where they are about
// dst.
func (n *Node) CopyMembershipTo(ctx context.Context, dst *Node) error {
	data, rev, err := n.Membership(ctx)
	if err != nil || rev == (backend.Revision{}) {
		return err
	}
	_, err = dst.KeepMembership(ctx, data, backend.Revision{})
	if err != nil && !errors.Is(err, backend.ErrConflict) {
		return atDestination(err)
	}
	return nil
}

// sealMembership puts the sealed statement, which says how long it is in four
// bytes before it, in front of the data.
func (n *Node) sealMembership(st integrity.Statement, data []byte) ([]byte, error) {
	sealed, err := n.sealer.SealStatement(st, data)
	if err != nil {
		return nil, fmt.Errorf("sealing membership: %w", err)
	}
	object := binary.BigEndian.AppendUint32(nil, uint32(len(sealed)))
	return append(append(object, sealed...), data...), nil
}

func (n *Node) openMembership(ctx context.Context, object []byte) (integrity.Statement, []byte, error) {
	const lengthSize = 4
	if len(object) < lengthSize || uint64(binary.BigEndian.Uint32(object)) > uint64(len(object)-lengthSize) {
		return integrity.Statement{}, nil, fmt.Errorf("%w: membership is cut off", api.ErrIntegrityFailed)
	}
	size := int(binary.BigEndian.Uint32(object))
	sealed, data := object[lengthSize:lengthSize+size], object[lengthSize+size:]
	st, err := n.sealer.OpenStatement(ctx, sealed, data)
	if err == nil && st.Kind != integrity.KindMembership {
		err = integrity.ErrMismatch
	}
	if errors.Is(err, integrity.ErrMismatch) {
		return st, nil, fmt.Errorf("%w: membership: %w", api.ErrIntegrityFailed, err)
	}
	if err != nil {
		return st, nil, fmt.Errorf("%w: opening membership: %w", api.ErrKeyUnavailable, err)
	}
	return st, data, nil
}
