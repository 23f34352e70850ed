package backup

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backup/last"
	"github.com/vault-guardian/guardian/freeze"
	"github.com/vault-guardian/guardian/guardian"
)

// Writer makes one backup: AsOf where it is of a copy, CopyOthers, then Copy and Add for each slot, then
// Finish. Until that has succeeded there is no backup. Copy may be called by
// many at once, the other methods by one at a time.
type Writer struct {
	place *Place
	from  *guardian.Node
	store backend.Backend
	m     Manifest
	// before is the parent's index.
	before      map[string]entry
	data, index *partWriter
	free        desks
}

// NewWriter begins a backup of a node over its storage. An incremental one is
// made upon the newest that can be read with all below it; ErrNotFound when there
// is none.
func (p *Place) NewWriter(ctx context.Context, from *guardian.Node, store backend.Backend, kind string) (*Writer, error) {
	ids, err := p.ids(ctx, "")
	if err != nil {
		return nil, err
	}
	w := &Writer{place: p, from: from, store: store, m: Manifest{
		Format: format, Kind: kind, NodeID: p.sealer.NodeID(), KeyID: p.sealer.PrimaryKeyID(), Started: time.Now().UTC(),
	}}
	if w.m.ID = newID(w.m.Started, ids); begunAt(w.m.ID).IsZero() {
		return nil, fmt.Errorf("what is called %s there leaves no id above it: remove it", ids[0])
	}
	if kind == Incremental {
		if err := w.buildUpon(ctx); err != nil {
			return nil, err
		}
	}
	if w.data, err = p.newPartWriter(w.m.ID, streamData); err != nil {
		return nil, err
	}
	if w.index, err = p.newPartWriter(w.m.ID, streamIndex); err != nil {
		return nil, err
	}
	w.free, err = newDesks(ctx, p.sealer)
	return w, err
}

// AsOf says that the storage is a copy, which holds what was stored before then.
func (w *Writer) AsOf(then time.Time) { w.m.Started = then.UTC() }

// newID is above all there are, newest first, also when the clock was set back.
func newID(now time.Time, ids []string) string {
	if len(ids) > 0 {
		if newest := begunAt(ids[0]); !now.Truncate(time.Millisecond).After(newest) {
			now = newest.Add(time.Millisecond)
		}
	}
	var random [3]byte
	rand.Read(random[:]) // never fails: it aborts the process instead
	return now.Format(timeOfID) + "-" + hex.EncodeToString(random[:])
}

func (w *Writer) buildUpon(ctx context.Context) error {
	all, err := w.place.List(ctx)
	if err != nil {
		return err
	}
	for _, listed := range all {
		if listed.Err != nil {
			continue
		}
		_, err := w.place.Chain(ctx, listed.Manifest)
		if err == nil {
			w.before, err = w.place.readIndex(ctx, listed.Manifest)
		}
		if isUnreadable(err) {
			continue
		}
		w.m.Parent, w.m.Depth = listed.ID, listed.Manifest.Depth+1
		if err == nil && w.m.Depth > maxDepth {
			err = fmt.Errorf("%d incremental backups stand upon one another", maxDepth)
		}
		return err
	}
	return ErrNotFound
}

// CopyOthers copies what the storage holds beside its slots, but for what it says of
// its last backup and of whether writes are frozen: of the storage that is restored
// to, that would not be true.
func (w *Writer) CopyOthers(ctx context.Context) error {
	for key, err := range w.from.Others(ctx) {
		if err != nil {
			return err
		}
		if key == last.Key || key == freeze.Key {
			continue
		}
		data, _, err := w.store.Get(ctx, key)
		if errors.Is(err, backend.ErrNotFound) { // gone meanwhile
			continue
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", key, err)
		}
		if err := w.Add(ctx, Group{kindOther, key, []object{{key, data}}}); err != nil {
			return err
		}
		w.m.Others++
	}
	return nil
}

// Copy copies a slot, all of it verified. Errors are those of
// guardian.Node.CopyTo.
func (w *Writer) Copy(ctx context.Context, slot guardian.Slot) (g Group, err error) {
	err = w.free.use(func(d desk) error {
		if _, err := w.from.CopyTo(ctx, d.node, slot); err != nil {
			return err
		}
		// What was replaced at the source while it was copied is left out.
		if _, err := d.node.Examine(ctx, slot); err != nil {
			return err
		}
		g = Group{kindSlot, slotName(slot), d.stage.all()}
		return nil
	})
	return g, err
}

// Add puts a group into the backup, unless its parent has the same.
func (w *Writer) Add(ctx context.Context, g Group) error {
	if g.kind == kindSlot {
		w.m.Identities++
	}
	text := g.encode()
	now := entry{sha256.Sum256(text), w.m.Depth}
	if before, found := w.before[g.id()]; found && before.hash == now.hash {
		return w.index.write(ctx, encodeEntry(g.id(), before))
	}
	w.m.Changed++
	w.m.Objects += len(g.objects)
	if err := w.data.write(ctx, text); err != nil {
		return err
	}
	return w.index.write(ctx, encodeEntry(g.id(), now))
}

// AddDamaged counts a slot that is damaged at the source: the backup has of it
// what the parent has.
func (w *Writer) AddDamaged(ctx context.Context, slot guardian.Slot) error {
	w.m.Damaged++
	id := Group{kind: kindSlot, name: slotName(slot)}.id()
	before, found := w.before[id]
	if !found {
		return nil
	}
	w.m.Identities++
	return w.index.write(ctx, encodeEntry(id, before))
}

// Finish writes what is left, the manifest last, and returns that.
func (w *Writer) Finish(ctx context.Context) (Manifest, error) {
	if err := errors.Join(w.data.flush(ctx), w.index.flush(ctx), w.place.stillThere(ctx, w.m)); err != nil {
		return Manifest{}, err
	}
	w.m.Finished, w.m.Bytes = time.Now().UTC(), w.data.bytes
	w.m.Data, w.m.Index = w.data.parts, w.index.parts
	sealed, err := w.m.seal(w.place.sealer)
	if err != nil {
		return Manifest{}, err
	}
	if _, err := w.place.store.Put(ctx, w.m.ID+nameManifest, sealed, backend.Revision{}); err != nil {
		return Manifest{}, fmt.Errorf("writing manifest: %w", err)
	}
	return w.m, nil
}

// Remember has the guardian know of the backup that Finish returned.
func (w *Writer) Remember(ctx context.Context, m Manifest) error {
	return last.Put(ctx, w.store, w.place.sealer, m.Last())
}

// Close ends the writing; what was not finished is no backup.
func (w *Writer) Close() { w.free.close() }
