package backup_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/backup"
	"github.com/vault-guardian/guardian/guardian"
)

// TestBackupUnderLoad backs up while every identity is pushed again and again:
// what is restored is sound, and no older than what was acknowledged before.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	w := filled(t)
	var versions [slots]atomic.Uint64
	ctx, stop := context.WithCancel(t.Context())
	var pushing sync.WaitGroup
	pushing.Go(func() {
		for version := uint64(3); ctx.Err() == nil; version++ {
			for i := range slots {
				w.push(i, version)
				versions[i].Store(version)
			}
		}
	})
	for _, kind := range []string{backup.Full, backup.Incremental, backup.Incremental} {
		var before [slots]uint64
		for i := range versions {
			before[i] = versions[i].Load()
		}
		m := w.backup(kind)
		if m.Damaged > 0 || m.Identities != slots {
			t.Errorf("%+v", m)
		}
		if _, err := w.place.Verify(t.Context(), m, func() {}); err != nil {
			t.Error(err)
		}
		w.wantAtLeast(m, before)
	}
	stop()
	pushing.Wait()
}

// wantAtLeast restores a backup and pulls everything.
func (w *world) wantAtLeast(m backup.Manifest, versions [slots]uint64) {
	w.t.Helper()
	ctx, restored := w.t.Context(), backendtest.NewMemory()
	w.restore(m, restored)
	n := w.open(restored)
	for i, version := range versions {
		share, err := n.Pull(ctx, slotOf(i), nil, nil, guardian.Caller{})
		if version > 0 && (err != nil || share.Version < version) {
			w.t.Errorf("%d is at %d, not at least %d: %v", i, share.Version, version, err)
		}
	}
	err := n.Walk(ctx, guardian.Slot{}, func(found guardian.Examined) error {
		if found.Damaged || found.Orphans > 0 || found.Unreadable != nil {
			w.t.Errorf("%+v", found)
		}
		return nil
	})
	if err := errors.Join(err, n.Close(ctx)); err != nil {
		w.t.Error(err)
	}
}
