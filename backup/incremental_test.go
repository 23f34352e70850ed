package backup_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backup"
	"github.com/vault-guardian/guardian/guardian"
)

// chain makes a full backup and two incremental ones, and returns them with what
// was stored at each.
func chain(t *testing.T) (w *world, all []backup.Manifest, stored []map[string][]byte) {
	t.Helper()
	w = filled(t)
	make := func(kind string) {
		all, stored = append(all, w.backup(kind)), append(stored, w.source.Objects())
	}
	make(backup.Full)
	w.push(1, 3)
	w.push(slots, 1)
	w.settle()
	make(backup.Incremental)
	w.push(1, 4)
	if err := errors.Join(
		w.node.Delete(t.Context(), slotOf(2), 2, guardian.Caller{}),
		w.node.Purge(t.Context(), slotOf(3)),
		w.node.PutSegment(t.Context(), "0002", []byte("another")),
	); err != nil {
		t.Fatal(err)
	}
	w.settle()
	make(backup.Incremental)
	return w, all, stored
}

func TestIncrementalsRestoreToTheByte(t *testing.T) {
	t.Parallel()
	w, all, stored := chain(t)
	for i, m := range all {
		if m.Depth != i || (i > 0) != (m.Parent != "") {
			t.Errorf("%d: depth %d, parent %q", i, m.Depth, m.Parent)
		}
		w.wantRestored(m, stored[i])
	}
	for i, changed := range []int{len(stored[0]), 2, 3} { // of the first at most
		if all[i].Changed > changed || all[i].Changed == 0 || i > 0 && all[i].Changed != changed {
			t.Errorf("%d: %d changed", i, all[i].Changed)
		}
	}
	listed, err := w.place.List(t.Context())
	if err != nil || len(listed) != 3 || listed[0].ID != all[2].ID || listed[2].ID != all[0].ID {
		t.Errorf("%+v, %v", listed, err)
	}
	if found, err := w.verify(); err != nil || len(found.Chain) != 3 {
		t.Errorf("%+v, %v", found, err)
	}
}

// TestEveryLinkIsNeeded takes out what is not the newest.
func TestEveryLinkIsNeeded(t *testing.T) {
	t.Parallel()
	w, all, _ := chain(t)
	for _, m := range all[:2] {
		for _, key := range w.keys(m.ID) {
			data := w.kept.Objects()[key]
			w.remove(key)
			if _, err := w.verify(); !errors.Is(err, backup.ErrDamaged) || !strings.Contains(err.Error(), "missing") || !strings.Contains(err.Error(), m.ID) {
				t.Errorf("without %s: %v", key, err)
			}
			w.put(key, bytes.ToUpper(data))
			if _, err := w.verify(); !errors.Is(err, backup.ErrDamaged) {
				t.Errorf("with another %s: %v", key, err)
			}
			w.put(key, data)
		}
	}
}

// TestBuildsUponWhatCanBeRead: a backup over a broken chain would be lost with it.
func TestBuildsUponWhatCanBeRead(t *testing.T) {
	t.Parallel()
	w, all, _ := chain(t)
	w.remove(w.keys(all[1].ID + "/manifest")[0])
	next := w.backup(backup.Incremental)
	if next.Parent != all[0].ID {
		t.Errorf("built upon %s", next.Parent)
	}
	w.wantRestored(next, w.source.Objects())
	w.remove(w.keys(all[0].ID + "/manifest")[0])
	if _, err := w.tryBackup(w.place, backup.Incremental); !errors.Is(err, backup.ErrNotFound) {
		t.Error(err)
	}
}

// TestDamageKeepsTheLast: what is damaged since stays as the parent has it.
func TestDamageKeepsTheLast(t *testing.T) {
	t.Parallel()
	w := filled(t)
	before := w.source.Objects()
	w.backup(backup.Full)
	w.damage(5)
	m := w.backup(backup.Incremental)
	if m.Damaged != 1 || m.Identities != slots {
		t.Errorf("%+v", m)
	}
	for key := range w.source.Objects() { // the marker is new
		if _, found := before[key]; !found {
			if err := w.source.Delete(t.Context(), key, backend.AnyRevision); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.wantRestored(m, before)
}
