package backup_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/backup"
	"github.com/vault-guardian/guardian/integrity"
)

// ring is a keyring of keys k1, k2 and so on, made of a byte each, 0 for none; the
// last one is the primary.
func ring(keys ...byte) string {
	var text []string
	for i, key := range keys {
		if key != 0 {
			text = append(text, fmt.Sprintf("%q:%q", fmt.Sprint("k", i+1), base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{key}, integrity.KeySize))))
		}
	}
	return fmt.Sprintf(`{"primary":"k%d","keys":{%s}}`, len(keys), strings.Join(text, ","))
}

// seen is the world as with another keyring.
func (w *world) seen(keyring string) *world {
	other := *w
	other.sealer = sealerOf(w.t, keyring)
	other.place = backup.At(w.kept, other.sealer)
	return &other
}

// TestCleanupWithAnotherKey removes nothing: what it cannot read may be sound.
func TestCleanupWithAnotherKey(t *testing.T) {
	t.Parallel()
	for keyring, want := range map[string]error{ring(7): backup.ErrDamaged, ring(0, 7): integrity.ErrKeyUnknown} {
		w := sealedUnder(t, ring(1))
		w.backup(backup.Full)
		w.backup(backup.Incremental)
		w.backup(backup.Full)
		before := w.kept.Objects()
		done, err := w.seen(keyring).place.Cleanup(t.Context(), time.Now().Add(time.Hour), false)
		if !errors.Is(err, want) {
			t.Errorf("%+v, %v, want %v", done, err, want)
		}
		wantSame(t, w.kept.Objects(), before)
	}
}

// TestCleanupKeepsWhatAnUnreadableOneMayNeed: what is below it, nobody can tell.
func TestCleanupKeepsWhatAnUnreadableOneMayNeed(t *testing.T) {
	t.Parallel()
	w := sealedUnder(t, ring(1))
	full, increment := w.backup(backup.Full), w.backup(backup.Incremental)
	newest := w.backup(backup.Full)
	w.put(w.keys(increment.ID + "/manifest")[0], []byte("damaged"))
	done, err := w.place.Cleanup(t.Context(), increment.Started.Truncate(time.Millisecond), false)
	if err != nil || !slices.Equal(done.Needed, []string{full.ID}) || len(done.Removed) > 0 {
		t.Errorf("%+v, %v", done, err)
	}
	done, err = w.place.Cleanup(t.Context(), time.Now().Add(time.Hour), false)
	if err != nil || !slices.Equal(done.Needed, []string{newest.ID}) || !slices.Equal(done.Removed, []string{increment.ID, full.ID}) {
		t.Errorf("once it is old: %+v, %v", done, err)
	}
}

// TestKeyIsTakenOut: backups under a key that is gone hold up no others.
func TestKeyIsTakenOut(t *testing.T) {
	t.Parallel()
	w := sealedUnder(t, ring(1))
	w.push(1, 1)
	old := w.backup(backup.Full)
	upon := w.seen(ring(1, 2)).backup(backup.Incremental)
	w = w.seen(ring(0, 2))
	if _, err := w.place.Find(t.Context(), old.ID); !errors.Is(err, integrity.ErrKeyUnknown) {
		t.Error(err)
	}
	if _, err := w.tryBackup(w.place, backup.Incremental); !errors.Is(err, backup.ErrNotFound) {
		t.Errorf("built upon what cannot be restored: %v", err)
	}

	w = w.anew()
	full := w.backup(backup.Full)
	next := w.backup(backup.Incremental)
	listed, err := w.place.List(t.Context())
	if err != nil || len(listed) != 4 || next.Parent != full.ID || !errors.Is(listed[3].Err, integrity.ErrKeyUnknown) {
		t.Errorf("%+v, %v", listed, err)
	}
	if _, err := w.verify(); err != nil {
		t.Error(err)
	}
	done, err := w.place.Cleanup(t.Context(), full.Started.Truncate(time.Millisecond), false)
	if err != nil || !slices.Equal(done.Removed, []string{upon.ID, old.ID}) {
		t.Errorf("%+v, %v", done, err)
	}
}

// anew is a guardian that has nothing yet, with its backups at the same place.
func (w *world) anew() *world {
	other := *w
	other.source = backendtest.NewMemory()
	other.node = other.open(other.source)
	return &other
}

// TestNoIDIsLeft: a backup with an id that is none would be listed nowhere.
func TestNoIDIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("backups/g1/99991231T235959.999Z-aaaaaa/data-000001", []byte("x"))
	if m, err := w.tryBackup(w.place, backup.Full); err == nil || !strings.Contains(err.Error(), "99991231T235959.999Z-aaaaaa") {
		t.Errorf("%+v, %v", m, err)
	}
}
