package backup_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/backup"
	"github.com/vault-guardian/guardian/backup/last"
	"github.com/vault-guardian/guardian/freeze"
	"github.com/vault-guardian/guardian/guardian"
)

const slots = 20

// filled is a world whose guardian keeps versions, retained ones, a tombstone and
// what belongs to no identity.
func filled(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	for i := range slots {
		w.push(i, 1)
		w.push(i, 2)
	}
	if err := w.node.Delete(t.Context(), slotOf(4), 2, guardian.Caller{}); err != nil {
		t.Fatal(err)
	}
	if err := w.node.PutSegment(t.Context(), "0001", []byte("a segment of the audit log")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.node.KeepMembership(t.Context(), []byte("members"), backend.Revision{}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	return w
}

func TestFullRestoresToTheByte(t *testing.T) {
	t.Parallel()
	w := filled(t)
	m := w.backup(backup.Full)
	found, err := w.verify()
	if err != nil || found.ID != m.ID || found.Identities != slots || found.Objects != len(w.source.Objects()) {
		t.Errorf("verified %+v of %+v: %v", found, m, err)
	}
	w.wantRestored(m, w.source.Objects())
}

// TestRemember: the guardian's storage says which backup was the last one, and no
// backup says it of the storage that it is restored to.
func TestRemember(t *testing.T) {
	t.Parallel()
	w := filled(t)
	stored := w.source.Objects()
	for _, kind := range []string{backup.Full, backup.Incremental} {
		writer, err := w.place.NewWriter(t.Context(), w.node, w.source, kind)
		if err != nil {
			t.Fatal(err)
		}
		m, err := w.write(writer)
		if err == nil {
			err = writer.Remember(t.Context(), m)
		}
		if err != nil {
			t.Fatal(err)
		}
		writer.Close()
		b, err := last.Get(t.Context(), w.source, w.sealer)
		if err != nil || b.ID != m.ID || b.Kind != kind || !b.Finished().Equal(m.Finished) {
			t.Errorf("remembered is %+v of %+v, %v", b, m, err)
		}
		w.wantRestored(w.backup(kind), stored)
	}
}

// TestVersionsStay: a storage that is ahead keeps what it has.
func TestVersionsStay(t *testing.T) {
	t.Parallel()
	w := filled(t)
	m := w.backup(backup.Full)
	w.push(1, 3)
	if err := w.node.Delete(t.Context(), slotOf(2), 2, guardian.Caller{}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	before := w.source.Objects()
	outcomes := w.restore(m, w.source)
	if outcomes[guardian.NewerThere] != 2 || outcomes[guardian.AlreadyThere] != slots-2 {
		t.Error(outcomes)
	}
	wantSame(t, w.source.Objects(), before)
}

// TestEveryChangeIsFound damages each object of a backup in every way.
func TestEveryChangeIsFound(t *testing.T) {
	t.Parallel()
	w := filled(t)
	w.backup(backup.Full)
	const stride = 41 // no byte is special to a hash
	for key, data := range w.kept.Objects() {
		spoilt := map[string][]byte{"cut off": data[:len(data)-1], "longer": append(data[:len(data):len(data)], '\n')}
		for at := 0; at < len(data)+stride; at += stride {
			at := min(at, len(data)-1)
			changed := append([]byte{}, data...)
			changed[at] ^= 0x20
			spoilt[string(rune('0'+at))] = changed
		}
		for how, changed := range spoilt {
			w.put(key, changed)
			if _, err := w.verify(); !errors.Is(err, backup.ErrDamaged) {
				t.Errorf("%s %s is not found: %v", key, how, err)
			}
		}
		w.put(key, data)
	}
	for _, key := range w.keys("-000001") {
		data := w.kept.Objects()[key]
		w.remove(key)
		if _, err := w.verify(); !errors.Is(err, backup.ErrDamaged) || !strings.Contains(err.Error(), "missing") {
			t.Errorf("without %s: %v", key, err)
		}
		w.put(key, data)
	}
	if _, err := w.verify(); err != nil {
		t.Error(err)
	}
}

// TestWhatStoppedIsNoBackup fails each write in turn.
func TestWhatStoppedIsNoBackup(t *testing.T) {
	t.Parallel()
	w := filled(t)
	first := w.backup(backup.Full)
	for fail := 1; ; fail++ {
		_, err := w.tryBackup(backup.At(&failing{Memory: w.kept, at: fail}, w.sealer), backup.Full)
		all, errList := w.place.List(t.Context())
		if errList != nil {
			t.Fatal(errList)
		}
		if err == nil {
			if fail < 4 || len(all) != 2 {
				t.Errorf("%d writes, %d backups", fail, len(all))
			}
			break
		}
		if len(all) != 1 || all[0].ID != first.ID {
			t.Errorf("write %d failed, and there are %+v", fail, all)
		}
	}
	if _, err := w.verify(); err != nil {
		t.Error(err)
	}
}

var errStopped = errors.New("stopped")

// failing refuses one write.
type failing struct {
	*backendtest.Memory
	at, writes int
}

func (f *failing) Put(ctx context.Context, key string, data []byte, rev backend.Revision) (backend.Revision, error) {
	if f.writes++; f.writes == f.at {
		return backend.Revision{}, errStopped
	}
	return f.Memory.Put(ctx, key, data, rev)
}

// TestDamageStaysOut: what is damaged at the source is not backed up.
func TestDamageStaysOut(t *testing.T) {
	t.Parallel()
	w := filled(t)
	w.damage(5)
	m := w.backup(backup.Full)
	if m.Damaged != 1 || m.Identities != slots-1 {
		t.Errorf("%+v", m)
	}
	restored := backendtest.NewMemory()
	w.restore(m, restored)
	n := w.open(restored)
	if _, err := n.Pull(t.Context(), slotOf(5), nil, nil, guardian.Caller{}); !errors.Is(err, api.ErrNotFound) {
		t.Error(err)
	}
	if err := n.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func (w *world) damage(i int) {
	w.t.Helper()
	for key := range w.source.Objects() {
		if strings.Contains(key, slotOf(i).Identity) && strings.HasSuffix(key, "share.bin") {
			if _, err := w.source.Put(w.t.Context(), key, []byte("damaged"), backend.AnyRevision); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// TestOthersAreToldApart: the backups of another guardian, or under another key,
// are not ours.
func TestOthersAreToldApart(t *testing.T) {
	t.Parallel()
	w := filled(t)
	w.backup(backup.Full)
	stranger := newWorld(t)
	for key, data := range w.kept.Objects() {
		stranger.put(strings.Replace(key, "/g1/", "/g2/", 1), data)
	}
	if _, err := stranger.place.Find(t.Context(), backup.Latest); !errors.Is(err, backup.ErrNotFound) {
		t.Error(err)
	}
}

// TestFrozenStaysOut: what is restored takes writes, and so does what was not frozen
// before something was restored into it.
func TestFrozenStaysOut(t *testing.T) {
	t.Parallel()
	w := filled(t)
	stored := w.source.Objects()
	writes, err := freeze.Open(t.Context(), w.source, slog.New(slog.DiscardHandler))
	if err == nil {
		_, err = writes.Freeze(t.Context(), "admin-anna")
	}
	if err != nil {
		t.Fatal(err)
	}
	w.wantRestored(w.backup(backup.Full), stored)
}
