package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/backup"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
)

// world is a guardian, and a place for its backups.
type world struct {
	t      *testing.T
	sealer *integrity.Sealer
	source *backendtest.Memory
	node   *guardian.Node
	kept   *backendtest.Memory
	place  *backup.Place
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return sealedUnder(t, strings.Repeat("5a", integrity.KeySize))
}

func sealedUnder(t *testing.T, keyring string) *world {
	t.Helper()
	w := &world{t: t, sealer: sealerOf(t, keyring), source: backendtest.NewMemory(), kept: backendtest.NewMemory()}
	w.node, w.place = w.open(w.source), backup.At(w.kept, w.sealer)
	t.Cleanup(func() { _ = w.node.Close(context.Background()) })
	return w
}

func sealerOf(t *testing.T, keyring string) *integrity.Sealer {
	t.Helper()
	sealer, err := integrity.NewSealer(t.Context(), "g1", integrity.InlineSource{Text: keyring}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

func (w *world) open(store backend.Backend) *guardian.Node {
	w.t.Helper()
	n, err := guardian.Open(w.t.Context(), store, w.sealer, guardian.Config{
		Retain: 2, RequestTimeout: time.Minute, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func slotOf(i int) guardian.Slot {
	slot := guardian.Slot{Identity: fmt.Sprintf("%064x", i)}
	if i%3 == 0 {
		slot.Name = "notes"
	}
	return slot
}

func (w *world) push(i int, version uint64) {
	w.t.Helper()
	share := guardian.Share{Data: fmt.Appendf(nil, "share %d at %d", i, version), Version: version, Threshold: 2}
	if err := w.node.Push(w.t.Context(), slotOf(i), share, guardian.Caller{}); err != nil {
		w.t.Fatal(err)
	}
}

// settle waits for what pushes have left to be cleaned.
func (w *world) settle() {
	w.t.Helper()
	if err := w.node.Close(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.node = w.open(w.source)
}

// backup makes one, as guardianctl does.
func (w *world) backup(kind string) backup.Manifest {
	w.t.Helper()
	m, err := w.tryBackup(w.place, kind)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (w *world) tryBackup(place *backup.Place, kind string) (backup.Manifest, error) {
	writer, err := place.NewWriter(w.t.Context(), w.node, w.source, kind)
	if err != nil {
		return backup.Manifest{}, err
	}
	defer writer.Close()
	return w.write(writer)
}

func (w *world) write(writer *backup.Writer) (backup.Manifest, error) {
	ctx := w.t.Context()
	if err := writer.CopyOthers(ctx); err != nil {
		return backup.Manifest{}, err
	}
	for slot, err := range w.node.Slots(ctx) {
		if err != nil {
			return backup.Manifest{}, err
		}
		g, err := writer.Copy(ctx, slot)
		if errors.Is(err, api.ErrIntegrityFailed) {
			err = writer.AddDamaged(ctx, slot)
		} else if err == nil {
			err = writer.Add(ctx, g)
		}
		if err != nil {
			return backup.Manifest{}, err
		}
	}
	return writer.Finish(ctx)
}

// verify looks at the newest backup.
func (w *world) verify() (backup.Verified, error) {
	m, err := w.place.Find(w.t.Context(), backup.Latest)
	if err != nil {
		return backup.Verified{}, err
	}
	return w.place.Verify(w.t.Context(), m, func() {})
}

// restore puts a backup into a storage, and counts what came of it.
func (w *world) restore(m backup.Manifest, to *backendtest.Memory) map[guardian.CopyOutcome]int {
	w.t.Helper()
	ctx := w.t.Context()
	if _, err := w.place.RestoreOthers(ctx, m, to); err != nil {
		w.t.Fatal(err)
	}
	n, outcomes := w.open(to), map[guardian.CopyOutcome]int{}
	err := w.place.EachSlot(ctx, m, func(ctx context.Context, from *guardian.Node, slot guardian.Slot) (guardian.CopyOutcome, error) {
		return from.CopyTo(ctx, n, slot)
	}, func(_ guardian.Slot, outcome guardian.CopyOutcome, err error) error {
		outcomes[outcome]++
		return err
	})
	if err := errors.Join(err, n.Close(ctx)); err != nil {
		w.t.Fatal(err)
	}
	return outcomes
}

func (w *world) wantRestored(m backup.Manifest, want map[string][]byte) {
	w.t.Helper()
	restored := backendtest.NewMemory()
	w.restore(m, restored)
	wantSame(w.t, restored.Objects(), want)
}

func wantSame(t *testing.T, got, want map[string][]byte) {
	t.Helper()
	for key, data := range want {
		if !bytes.Equal(got[key], data) {
			t.Errorf("%s is %q, want %q", key, got[key], data)
		}
	}
	for key := range got {
		if _, wanted := want[key]; !wanted {
			t.Errorf("%s is too much", key)
		}
	}
}

// keys are those of the place that hold text, in order.
func (w *world) keys(text string) (found []string) {
	for _, key := range slices.Sorted(maps.Keys(w.kept.Objects())) {
		if strings.Contains(key, text) {
			found = append(found, key)
		}
	}
	return found
}

func (w *world) put(key string, data []byte) {
	w.t.Helper()
	if _, err := w.kept.Put(w.t.Context(), key, data, backend.AnyRevision); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remove(key string) {
	w.t.Helper()
	if err := w.kept.Delete(w.t.Context(), key, backend.AnyRevision); err != nil {
		w.t.Fatal(err)
	}
}
