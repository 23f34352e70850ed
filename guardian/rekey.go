package guardian

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/integrity"
)

// errAgain asks for another look: others have written what was read.
var errAgain = errors.New("others write it at the same time")

// Rekey seals all that the slot's `version` names under the primary key, what is
// prepared for it, and `version` itself, and counts the objects that it sealed anew and those that
// were under that key already. Nothing but the seals changes: what was pushed,
// and when, stays as it is.
//
// It may be stopped at any moment, run again, and run beside everything else
// that works on the storage. What does not verify is left as it is. Errors:
// api.ErrIntegrityFailed (the slot is then quarantined),
// api.ErrKeyUnavailable, api.ErrStorageUnavailable, after which any part may
// have been sealed anew.
func (n *Node) Rekey(ctx context.Context, slot Slot) (resealed, already int, err error) {
	for range maxDecisions {
		var now int
		now, already, err = n.rekey(ctx, slot)
		already -= min(already, resealed) // an earlier round did those
		resealed += now
		if !errors.Is(err, errAgain) {
			return resealed, already, err
		}
	}
	return resealed, already, unavailable("re-sealing", err)
}

func (n *Node) rekey(ctx context.Context, slot Slot) (resealed, already int, err error) {
	there, err := n.look(ctx, slot)
	if err != nil {
		return 0, 0, err
	}
	from := there.stored
	count := func(done bool) {
		if done {
			resealed++
		} else {
			already++
		}
	}
	for _, g := range from.commit.named() {
		done, err := n.rekeyGeneration(ctx, slot, from, g)
		if err != nil {
			return resealed, already, err
		}
		count(done)
	}
	for _, g := range there.prepared() {
		done, err := n.rekeyPrepared(ctx, slot, g)
		if isDamage(err) { // or gone: nobody was promised that it is there
			continue
		}
		if err != nil {
			return resealed, already, err
		}
		count(done)
	}
	if from.commit == nil {
		return resealed, already, nil
	}
	done, err := n.rekeyCommit(ctx, slot, from)
	if err != nil {
		return resealed, already, err
	}
	count(done)
	return resealed, already, nil
}

// rekeyGeneration compares and swaps checksum.bin, so that it never puts back
// what was dropped meanwhile.
func (n *Node) rekeyGeneration(ctx context.Context, slot Slot, from stored, g generation) (done bool, err error) {
	old, err := n.underOldKey(ctx, slot, g)
	if err != nil {
		return false, n.judge(ctx, slot, from, g, err)
	}
	return n.renew(ctx, slot, g, old)
}

// rekeyPrepared is rekeyGeneration for what `version` does not name. What is
// damaged or gone is told as it is, and not quarantined.
func (n *Node) rekeyPrepared(ctx context.Context, slot Slot, g generation) (done bool, err error) {
	old, err := n.underOldKey(ctx, slot, g)
	switch {
	case isDamage(err):
		return false, err
	case err != nil:
		return false, n.faulty(ctx, slot, g, err)
	}
	return n.renew(ctx, slot, g, old)
}

// sealedShare is a share that is to be sealed anew.
type sealedShare struct {
	share     Share
	statement integrity.Statement
	sealed    []byte
	rev       backend.Revision
}

// underOldKey loads what is not sealed under the primary key, nil where it is.
func (n *Node) underOldKey(ctx context.Context, slot Slot, g generation) (*sealedShare, error) {
	sealed, rev, err := n.store.Get(ctx, slot.checksumKey(g))
	if err != nil || claimedKey(sealed) == n.PrimaryKeyID() {
		return nil, err
	}
	share, st, err := n.load(ctx, slot, g)
	return &sealedShare{share, st, sealed, rev}, err
}

func (n *Node) renew(ctx context.Context, slot Slot, g generation, old *sealedShare) (done bool, err error) {
	if old == nil {
		return false, nil
	}
	return true, n.reseal(ctx, slot.checksumKey(g), old.rev, old.sealed, old.statement, old.share.Data)
}

// rekeyCommit replaces `version` by the same lines. A push or delete that
// loses to it decides again on what these say, and one whose answer was lost
// finds itself by its generation, which stays named.
func (n *Node) rekeyCommit(ctx context.Context, slot Slot, from stored) (done bool, err error) {
	renewed, err := sealCommit(n.sealer, slot, from.commit)
	if err != nil {
		return false, fmt.Errorf("sealing commit: %w", err)
	}
	if bytes.Equal(renewed, from.raw) {
		return false, nil
	}
	return true, n.replace(ctx, slot.commitKey(), renewed, from.rev)
}

// RekeyCanary seals the canary under the primary key and reports whether it
// was under another one. It comes last, when nothing else is left under the
// old key: until then a keyring without the old key is refused at the start,
// where it would otherwise answer api.ErrKeyUnavailable for what is left.
// Errors wrap integrity.ErrKeyRefused or api.ErrStorageUnavailable.
func (n *Node) RekeyCanary(ctx context.Context) (resealed bool, err error) {
	for range maxDecisions {
		if resealed, err = n.rekeyCanary(ctx); !errors.Is(err, errAgain) {
			return resealed, err
		}
	}
	return false, unavailable("re-sealing canary", err)
}

func (n *Node) rekeyCanary(ctx context.Context) (resealed bool, err error) {
	sealed, rev, err := n.store.Get(ctx, keyCanary)
	if err != nil {
		return false, unavailable("reading canary", err)
	}
	st, err := n.sealer.OpenStatement(ctx, sealed, nil)
	if err == nil && st.Kind != integrity.KindCanary {
		err = integrity.ErrMismatch
	}
	if err != nil {
		return false, fmt.Errorf("%w: the canary does not open: %w", integrity.ErrKeyRefused, err)
	}
	if st.KeyID == n.PrimaryKeyID() {
		return false, nil
	}
	err = n.reseal(ctx, keyCanary, rev, sealed, st, nil)
	return err == nil, err
}

// reseal replaces a sealed statement by the same under the primary key.
func (n *Node) reseal(ctx context.Context, key string, rev backend.Revision, sealed []byte, st integrity.Statement, share []byte) error {
	if !known(sealed) {
		return errors.New("a newer release has written more into the statement than this one knows: re-seal with that")
	}
	renewed, err := n.sealer.SealStatement(st, share)
	if err != nil {
		return fmt.Errorf("sealing statement: %w", err)
	}
	return n.replace(ctx, key, renewed, rev)
}

func (n *Node) replace(ctx context.Context, key string, data []byte, rev backend.Revision) error {
	_, err := n.store.Put(ctx, key, data, rev)
	if errors.Is(err, backend.ErrConflict) {
		return errAgain
	}
	if err != nil {
		return unavailable("replacing what is stored", err)
	}
	return nil
}

// judge tells what is wrong with a generation that could not be loaded, or
// errAgain when `version` has moved on since it was read.
func (n *Node) judge(ctx context.Context, slot Slot, from stored, g generation, cause error) error {
	now, err := n.readCommit(ctx, slot)
	switch {
	case err != nil:
		return err
	case now.rev != from.rev:
		return errAgain
	}
	return n.faulty(ctx, slot, g, cause)
}

// claimedKey is the key id that a sealed statement names, verified or not.
func claimedKey(sealed []byte) string {
	var st struct {
		KeyID string `json:"key_id"`
	}
	if json.Unmarshal(statementText(sealed), &st) != nil {
		return ""
	}
	return st.KeyID
}

// known reports whether a sealed statement holds nothing that would be lost on
// the way through integrity.Statement.
func known(sealed []byte) bool {
	text := json.NewDecoder(bytes.NewReader(statementText(sealed)))
	text.DisallowUnknownFields()
	return text.Decode(new(integrity.Statement)) == nil
}

func statementText(sealed []byte) []byte { return sealed[min(sha256.Size, len(sealed)):] }
