package cluster

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/vault-guardian/guardian/backend"
)

// memberRecord is a member as a Bucket stores it.
type memberRecord struct {
	NodeID        string `json:"node_id"`
	Index         int    `json:"share_index"`
	ClientURL     string `json:"client_url"`
	PeerURL       string `json:"peer_url"`
	PublicKey     []byte `json:"public_key"`
	FailureDomain string `json:"failure_domain"`
	RegisteredNS  int64  `json:"registered_ns"`
}

// maxMemberRecord bounds a record, with room for fields of later releases.
const maxMemberRecord = 16 << 10

var errBadRecord = errors.New("it is not the JSON of a guardian's record")

func encodeMember(m Member) []byte {
	data, err := json.MarshalIndent(memberRecord{
		NodeID: m.NodeID, Index: m.Index, ClientURL: m.ClientURL, PeerURL: m.PeerURL,
		PublicKey: m.PublicKey, FailureDomain: m.FailureDomain, RegisteredNS: m.RegisteredNS,
	}, "", "  ")
	if err != nil {
		panic(err) // text and numbers
	}
	return append(data, '\n')
}

// decodeMember reads the form only: Check has the bounds. Its error quotes
// nothing of what was read.
func decodeMember(data []byte) (Member, error) {
	var r memberRecord
	decoder := json.NewDecoder(bytes.NewReader(data))
	if len(data) > maxMemberRecord || decoder.Decode(&r) != nil {
		return Member{}, errBadRecord
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Member{}, errBadRecord
	}
	return Member{
		NodeID: r.NodeID, Index: r.Index, ClientURL: r.ClientURL, PeerURL: r.PeerURL,
		PublicKey: ed25519.PublicKey(r.PublicKey), FailureDomain: r.FailureDomain, RegisteredNS: r.RegisteredNS,
	}, nil
}

// readMembers reads the records that were listed of nodes that own an index; all
// others are none, so that the reads are as few as the indices. One that is gone
// meanwhile is none either.
func (b *Bucket) readMembers(ctx context.Context, entries []backend.Entry, owners map[int]string) ([]candidate, error) {
	given := map[string]bool{}
	for _, owner := range owners {
		given[owner] = true
	}
	candidates := make([]candidate, len(entries))
	errs, err := sideBySide(ctx, len(entries), func(i int) (err error) {
		node := entries[i].Key[len(guardiansPrefix):]
		if !given[node] {
			candidates[i] = candidate{node: node, err: errNotOwner}
			return nil
		}
		candidates[i], err = b.readMember(ctx, node, entries[i].Size)
		return err
	})
	for i, err := range errs {
		if err != nil {
			candidates[i] = unread(candidates[i].node, err)
		}
	}
	return slices.DeleteFunc(candidates, func(c candidate) bool { return errors.Is(c.err, errAbsent) }), err
}

// readMember returns what is stored under the node's id. The error is the
// storage's.
func (b *Bucket) readMember(ctx context.Context, node string, size int64) (candidate, error) {
	c := candidate{node: node}
	if size > maxMemberRecord {
		c.err = errBadRecord
		return c, nil
	}
	data, _, err := b.store.Get(ctx, guardiansPrefix+node)
	switch {
	case errors.Is(err, backend.ErrNotFound):
		c.err = errAbsent
	case err != nil:
		return c, err
	default:
		c.member, c.err = decodeMember(data)
	}
	return c, nil
}

// find implements ledger.
func (b *Bucket) find(ctx context.Context, node string) (stored, error) {
	data, rev, err := b.store.Get(ctx, guardiansPrefix+node)
	switch {
	case errors.Is(err, backend.ErrNotFound):
		return stored{}, errAbsent
	case errors.Is(err, backend.ErrTooLarge):
		return stored{}, errUnusable
	case err != nil:
		return stored{}, err
	}
	m, err := decodeMember(data)
	if err == nil {
		err = m.Check()
	}
	if err != nil || m.NodeID != node {
		return stored{}, errUnusable
	}
	owner, err := b.owner(ctx, m.Index)
	if err == nil && owner != node {
		err = errUnusable
	}
	return stored{m, rev.Token()}, err
}

// write implements ledger.
func (b *Bucket) write(ctx context.Context, m Member, old stored) error {
	_, err := b.put(ctx, guardiansPrefix+m.NodeID, encodeMember(m), revisionOf(old.revision))
	if err != nil {
		return fmt.Errorf("storing: %w", err)
	}
	return nil
}
