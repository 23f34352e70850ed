package guardian

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/integrity"
)

// Empty reports whether the storage holds nothing of a node yet: the only
// state in which an integrity key may be invented. What an operator has put
// into the queue is nothing of a node: no key has sealed it. Errors wrap
// api.ErrStorageUnavailable.
func Empty(ctx context.Context, store backend.Backend) (bool, error) {
	for entry, err := range store.ListSegments(ctx, "", "") {
		if err != nil {
			return false, unavailable("looking into storage", err)
		}
		if entry.Key != prefixQueue {
			return false, nil
		}
	}
	return true, nil
}

// checkCanary opens the sealed constant that tells a wrong key from corrupt
// data, before a million shares look corrupt.
func checkCanary(ctx context.Context, store backend.Backend, sealer *integrity.Sealer, log *slog.Logger) error {
	sealed, _, err := store.Get(ctx, keyCanary)
	if errors.Is(err, backend.ErrNotFound) {
		return writeCanary(ctx, store, sealer, log)
	}
	if err != nil {
		return unavailable("reading canary", err)
	}
	st, err := sealer.OpenStatement(ctx, sealed, nil)
	if err == nil && st.Kind != integrity.KindCanary {
		err = integrity.ErrMismatch
	}
	if err != nil {
		return fmt.Errorf("%w: the canary does not open: %w", integrity.ErrKeyRefused, err)
	}
	return nil
}

// writeCanary makes the first canary of a storage, and replaces a lost one
// only when the keys open something else that is stored.
func writeCanary(ctx context.Context, store backend.Backend, sealer *integrity.Sealer, log *slog.Logger) error {
	empty, err := Empty(ctx, store)
	if err != nil {
		return err
	}
	if !empty {
		if err := opensSomething(ctx, store, sealer); err != nil {
			return err
		}
		log.Warn("the canary was missing and is written again; the keys open what is stored")
	} else {
		log.Warn(fmt.Sprintf("first start: nothing of node %q is stored at %s yet", sealer.NodeID(), store))
	}
	sealed, err := sealer.SealStatement(integrity.Statement{Kind: integrity.KindCanary}, nil)
	if err != nil {
		return fmt.Errorf("sealing canary: %w", err)
	}
	_, err = store.Put(ctx, keyCanary, sealed, backend.Revision{})
	if errors.Is(err, backend.ErrConflict) { // another process was first: check its canary
		return checkCanary(ctx, store, sealer, log)
	}
	if err != nil {
		return unavailable("writing canary", err)
	}
	return nil
}

// canarySample is how many commits stand in for a lost canary.
const canarySample = 16

func opensSomething(ctx context.Context, store backend.Backend, sealer *integrity.Sealer) error {
	tried := 0
	for slot, err := range slotsOf(ctx, store) {
		if err != nil {
			return err
		}
		data, _, err := store.Get(ctx, slot.commitKey())
		if err == nil {
			if _, err = openCommit(ctx, sealer, slot, data); err == nil {
				return nil
			}
		}
		if tried++; tried == canarySample {
			break
		}
	}
	if tried == 0 { // other processes may have put their first objects just now
		return nil
	}
	return fmt.Errorf("%w: the canary is missing and the keys open none of the %d shares tried", integrity.ErrKeyRefused, tried)
}
