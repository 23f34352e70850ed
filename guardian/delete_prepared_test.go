package guardian

import (
	"errors"
	"testing"

	"github.com/vault-guardian/guardian/api"
)

// The owner's word stands where a share was only prepared: no certificate that
// comes later brings it there.
func TestDeleteOfThePrepared(t *testing.T) {
	for name, before := range map[string]func(b bench){
		"nothing else is there": func(bench) {},
		"an older is current":   func(b bench) { b.pushOwned(3, 4) },
		"an older was deleted":  func(b bench) { b.pushOwned(4); b.delete(4) },
		"an older has moved away": func(b bench) {
			b.pushOwned(4)
			_, gone := b.next(b.owned(4), round{nodes: away})
			b.must(b.Release(b.t.Context(), b.slot, gone.Chain))
		},
		"an older is bare": func(b bench) { b.pushBare(4) },
		"several":          func(b bench) { b.must(b.Prepare(b.t.Context(), b.slot, b.draft(4, 2))) },
		"it has moved away, and would come back": func(b bench) {
			b.pushOwned(5)
			_, gone := b.next(b.owned(5), round{nodes: away})
			b.must(b.Release(b.t.Context(), b.slot, gone.Chain))
			prepared, _ := b.next(gone, round{})
			b.must(b.Prepare(b.t.Context(), b.slot, prepared))
		},
	} {
		for how, remove := range map[string]func(b bench) error{
			"by version": func(b bench) error { return b.Delete(b.t.Context(), b.slot, 5, Caller{Proof: 2}) },
			"current": func(b bench) error {
				version, err := b.DeleteCurrent(b.t.Context(), b.slot, Caller{Proof: 2})
				if version != 5 {
					b.t.Errorf("it deletes version %d", version)
				}
				return err
			},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				b := newBench(t)
				before(b)
				if b.commit().departedAt(5) == nil {
					b.must(b.Prepare(t.Context(), b.slot, b.draft(5, 1)))
				}
				live, _ := b.ShareCount()
				if c := b.commit(); c != nil && c.live != nil {
					live--
				}
				b.must(remove(b))
				b.wantTombstone()
				if count, _ := b.ShareCount(); count != live {
					t.Errorf("%d shares are counted, want %d", count, live)
				}
				b.wantGone()
				if err := remove(b); !errors.Is(err, api.ErrNotFound) {
					t.Errorf("again: %v", err)
				}
				b.pushOwned(6)
				b.wantGone()
				b.wantAt(6, -1, "0")
			})
		}
	}
}

// draft is what a round, told by its seed, prepares of a version.
func (b bench) draft(version uint64, seed byte) Share {
	prepared, _ := b.next(b.owned(version), round{seed: seed})
	return prepared
}

// wantGone: no redistribution brings version 5, which was deleted, here again,
// whatever its epoch.
func (b bench) wantGone() {
	b.t.Helper()
	const version = 5
	ctx := b.t.Context()
	_, gone := b.next(b.owned(version), round{nodes: away})
	prepared, back := b.next(gone, round{seed: 80})
	line := b.line(version, 2)
	for epoch, share := range append(line, back) {
		if err := b.Mend(ctx, b.slot, share); !errors.Is(err, ErrNotMended) {
			b.t.Errorf("share %d was mended: %v", epoch, err)
		}
	}
	for _, share := range []Share{b.draft(version, 81), prepared} {
		if err := b.Prepare(ctx, b.slot, share); !errors.Is(err, ErrNotPrepared) {
			b.t.Errorf("epoch %d was prepared: %v", share.Epoch, err)
		}
	}
	b.must(b.Release(ctx, b.slot, gone.Chain))
	settle(b.t, b.Node)
	b.wantAt(version, -1, "none")
	b.wantAt(version, 1, "none")
	b.wantPrepared()
}

// A tombstone is for whoever owns what was pushed: the manifest that came with the
// share says that somebody does.
func TestDeleteOfThePreparedNeedsItsOwner(t *testing.T) {
	for name, test := range map[string]struct {
		before  func(b bench)
		mode    Ownership
		version uint64
		by      Caller
		want    error
	}{
		"nobody":               {func(bench) {}, OwnershipSticky, 5, Caller{}, api.ErrOwnershipRequired},
		"nobody, always asked": {func(bench) {}, OwnershipRequired, 5, Caller{}, api.ErrOwnershipRequired},
		"nobody, never asked":  {func(bench) {}, OwnershipOff, 5, Caller{}, nil},
		"its owner":            {func(bench) {}, OwnershipSticky, 5, Caller{Proof: 1}, nil},
		"over one that nobody owns": {
			func(b bench) { b.pushBare(4) }, OwnershipSticky, 5, Caller{}, api.ErrOwnershipRequired,
		},
		"the other, that nobody owns": {func(b bench) { b.pushBare(4) }, OwnershipSticky, 4, Caller{}, nil},
		"by less than before":         {func(b bench) { b.pushOwned(4) }, OwnershipSticky, 5, Caller{Proof: 1}, api.ErrOwnershipInvalid},
		"another version":             {func(bench) {}, OwnershipSticky, 4, Caller{Proof: 2}, api.ErrNotFound},
		"a higher version":            {func(bench) {}, OwnershipSticky, 6, Caller{Proof: 2}, api.ErrNotFound},
		"a higher one than current":   {func(b bench) { b.pushOwned(4) }, OwnershipSticky, 6, Caller{Proof: 2}, api.ErrVersionConflict},
		"what is damaged": {
			func(b bench) { b.spoilPrepared() }, OwnershipSticky, 5, Caller{Proof: 2}, api.ErrNotFound,
		},
		"what is damaged, above": {
			func(b bench) { b.pushOwned(4); b.spoilPrepared() }, OwnershipSticky, 5, Caller{Proof: 2}, api.ErrVersionConflict,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.must(b.Prepare(t.Context(), b.slot, b.draft(5, 1)))
			b.cfg.Ownership = OwnershipSticky
			test.before(b)
			b.cfg.Ownership = test.mode
			before := b.commit()
			err := b.Delete(t.Context(), b.slot, test.version, test.by)
			settle(t, b.Node)
			if !errors.Is(err, test.want) || test.want == nil && err != nil {
				t.Fatalf("deleted: %v, want %v", err, test.want)
			}
			now := b.commit()
			if test.want == nil && (!now.deleted() || now.current != test.version) || test.want != nil && now != nil && now.lines() != before.lines() {
				t.Errorf("it says %q", now.lines())
			}
			if test.want != nil && now == nil && before != nil {
				t.Error("it is gone")
			}
		})
	}
}

func (b bench) spoilPrepared() {
	for _, g := range must(b.generations(b.t.Context(), b.slot))(b.t).prepared() {
		b.spoil(b.slot.checksumKey(g))
	}
}

// What waits for a later version than the one deleted goes on to.
func TestDeleteBelowThePrepared(t *testing.T) {
	b := newBench(t)
	b.pushOwned(4)
	b.must(b.Prepare(t.Context(), b.slot, b.draft(5, 0)))
	b.delete(4)
	b.wantPrepared(1)
	b.must(b.Mend(t.Context(), b.slot, b.line(5, 1)[1]))
	b.wantAt(5, -1, "1")
}
