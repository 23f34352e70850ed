package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
)

// forge makes backups by hand: every hash and seal is right, whatever is in them.
type forge struct {
	t      *testing.T
	sealer *integrity.Sealer
	place  *Place
	groups []Group
}

// forgeKey seals the backups of a forge.
const forgeKey = "0a"

// newForge has two groups to make backups of, sealed with a key.
func newForge(t *testing.T, sharesUnder string) *forge {
	t.Helper()
	sealerOf := func(key string) *integrity.Sealer {
		text := fmt.Sprintf(`{"primary":%q,"keys":{%q:%q}}`, key, key, strings.Repeat(key, integrity.KeySize))
		sealer, err := integrity.NewSealer(t.Context(), "g1", integrity.InlineSource{Text: text}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return sealer
	}
	f := &forge{t: t, sealer: sealerOf(forgeKey)}
	f.place = At(backendtest.NewMemory(), f.sealer)
	ctx, store := t.Context(), backendtest.NewMemory()
	n, err := openNode(ctx, store, sealerOf(sharesUnder))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		slot := guardian.Slot{Identity: fmt.Sprintf("%064x", i+1)}
		if err := n.Push(ctx, slot, guardian.Share{Data: []byte("a share"), Version: 1, Threshold: 2}, guardian.Caller{}); err != nil {
			t.Fatal(err)
		}
		g := Group{kind: kindSlot, name: slotName(slot)}
		for key, data := range store.Objects() {
			if strings.HasPrefix(key, "shares/"+slot.Identity) {
				g.objects = append(g.objects, object{key, data})
			}
		}
		f.groups = append(f.groups, g)
	}
	if err := n.Close(ctx); err != nil {
		t.Fatal(err)
	}
	return f
}

// listed is one entry of an index.
type listed struct {
	id string
	entry
}

func at(depth int, groups ...Group) (index []listed) {
	for _, g := range groups {
		index = append(index, listed{g.id(), entry{sha256.Sum256(g.encode()), depth}})
	}
	return index
}

// make writes a backup, upon another unless that is nil, and returns its manifest;
// change is the last to touch that.
func (f *forge) make(parent *Manifest, data []Group, index []listed, change func(*Manifest)) Manifest {
	f.t.Helper()
	ctx := f.t.Context()
	ids, err := f.place.ids(ctx, "")
	if err != nil {
		f.t.Fatal(err)
	}
	m := Manifest{Format: format, Kind: Full, NodeID: "g1", KeyID: f.sealer.PrimaryKeyID(), Started: time.Now().UTC(), Identities: len(index)}
	if parent != nil {
		m.Kind, m.Parent, m.Depth = Incremental, parent.ID, parent.Depth+1
	}
	m.ID = newID(m.Started, ids)
	m.Data = f.stream(ctx, m.ID, streamData, func(write func([]byte)) {
		for _, g := range data {
			m.Objects += len(g.objects)
			write(g.encode())
		}
	})
	m.Index = f.stream(ctx, m.ID, streamIndex, func(write func([]byte)) {
		for _, e := range index {
			write(encodeEntry(e.id, e.entry))
		}
	})
	if change != nil {
		change(&m)
	}
	sealed, err := m.seal(f.sealer)
	if err == nil {
		_, err = f.place.store.Put(ctx, m.ID+nameManifest, sealed, backend.Revision{})
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return m
}

func (f *forge) stream(ctx context.Context, id, name string, fill func(write func([]byte))) []Part {
	f.t.Helper()
	w, err := f.place.newPartWriter(id, name)
	if err != nil {
		f.t.Fatal(err)
	}
	fill(func(text []byte) {
		if err := w.write(ctx, text); err != nil {
			f.t.Fatal(err)
		}
	})
	if err := w.flush(ctx); err != nil {
		f.t.Fatal(err)
	}
	return w.parts
}

// spoilt is a group whose objects of a name are another's.
func spoilt(g Group, suffix string, data []byte) Group {
	changed := Group{kind: g.kind, name: g.name}
	for _, o := range g.objects {
		if strings.HasSuffix(o.key, suffix) {
			o.data = data
		}
		changed.objects = append(changed.objects, o)
	}
	return changed
}

// TestVerifyComparesAll: hashes and seals tell what others changed. What is wrong with
// a backup that was made so, by a fault or by who has the key, is told by comparing.
func TestVerifyComparesAll(t *testing.T) {
	t.Parallel()
	both := func(f *forge) []Group { return f.groups }
	for name, test := range map[string]struct {
		make func(f *forge) Manifest
		want string // "" for a sound one
	}{
		"sound": {func(f *forge) Manifest { return f.make(nil, both(f), at(0, both(f)...), nil) }, ""},
		"sound, upon another": {func(f *forge) Manifest {
			full := f.make(nil, both(f), at(0, both(f)...), nil)
			return f.make(&full, nil, at(0, both(f)...), nil)
		}, ""},
		"an index that is too short": {func(f *forge) Manifest {
			return f.make(nil, both(f), at(0, both(f)...), func(m *Manifest) { m.Identities++ })
		}, "index is not as long"},
		"an entry twice": {func(f *forge) Manifest {
			return f.make(nil, f.groups[:1], append(at(0, f.groups[0]), at(0, f.groups[0])...), nil)
		}, "contradicts itself"},
		"an entry of what stands upon it": {func(f *forge) Manifest {
			return f.make(nil, f.groups[:1], at(1, f.groups[0]), nil)
		}, "contradicts itself"},
		"an entry that the parent has not": {func(f *forge) Manifest {
			full := f.make(nil, f.groups[:1], at(0, f.groups[0]), nil)
			return f.make(&full, nil, at(0, both(f)...), nil)
		}, "names what its parent does not have"},
		"an entry that the parent has otherwise": {func(f *forge) Manifest {
			full := f.make(nil, both(f), at(0, both(f)...), nil)
			index := at(0, both(f)...)
			index[1].hash[0] ^= 1
			return f.make(&full, nil, index, nil)
		}, "names what its parent does not have"},
		"another group than the index says": {func(f *forge) Manifest {
			return f.make(nil, []Group{f.groups[0], spoilt(f.groups[1], "share.bin", []byte("another"))}, at(0, both(f)...), nil)
		}, "its data is not what its index says"},
		"a group that the index does not have": {func(f *forge) Manifest {
			return f.make(nil, both(f), at(0, f.groups[0]), nil)
		}, "its data is not what its index says"},
		"a group too few": {func(f *forge) Manifest {
			return f.make(nil, f.groups[:1], at(0, both(f)...), nil)
		}, "has not all"},
		"a group twice in place of another": {func(f *forge) Manifest {
			return f.make(nil, []Group{f.groups[0], f.groups[0]}, at(0, both(f)...), nil)
		}, "its data is not what its index says"},
		"an object too few": {func(f *forge) Manifest {
			return f.make(nil, both(f), at(0, both(f)...), func(m *Manifest) { m.Objects++ })
		}, "has not all"},
		"a part of another size": {func(f *forge) Manifest {
			return f.make(nil, both(f), at(0, both(f)...), func(m *Manifest) { m.Data[0].Size++ })
		}, "is not what was written"},
		"a share that does not verify": {func(f *forge) Manifest {
			bad := []Group{spoilt(f.groups[0], "share.bin", []byte("another"))}
			return f.make(nil, bad, at(0, bad...), nil)
		}, "00000000: "},
		"a version object that does not verify": {func(f *forge) Manifest {
			bad := []Group{spoilt(f.groups[0], "version", []byte("another"))}
			return f.make(nil, bad, at(0, bad...), nil)
		}, "the version object of 00000000 does not verify"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newForge(t, forgeKey)
			m, err := f.place.Find(t.Context(), test.make(f).ID)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.place.Verify(t.Context(), m, func() {})
			if test.want == "" && err != nil || test.want != "" && (!errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, not %q", err, test.want)
			}
		})
	}
}

// TestVerifyUnderAnotherKey: what cannot be judged is not sound, and not damaged.
func TestVerifyUnderAnotherKey(t *testing.T) {
	t.Parallel()
	f := newForge(t, "0b")
	m := f.make(nil, f.groups, at(0, f.groups...), nil)
	if _, err := f.place.Verify(t.Context(), m, func() {}); !errors.Is(err, integrity.ErrKeyUnknown) || errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

// TestManifestOfAnother: one that was sealed for another backup is none.
func TestManifestOfAnother(t *testing.T) {
	t.Parallel()
	f := newForge(t, forgeKey)
	m := f.make(nil, f.groups, at(0, f.groups...), nil)
	sealed, _, err := f.place.store.Get(t.Context(), m.ID+nameManifest)
	if err != nil {
		t.Fatal(err)
	}
	other := newID(time.Now().UTC(), []string{m.ID})
	if _, err := f.place.store.Put(t.Context(), other+nameManifest, sealed, backend.Revision{}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.place.Find(t.Context(), other); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

// TestCopyLeavesOutWhatWasReplaced: owners push while a slot is copied, so that some of
// what is being copied is gone at the source before it was read, and copying begins anew.
func TestCopyLeavesOutWhatWasReplaced(t *testing.T) {
	t.Parallel()
	f, ctx := newForge(t, forgeKey), t.Context()
	memory := backendtest.NewMemory()
	store := &backendtest.Faulty{Backend: memory}
	slot := guardian.Slot{Identity: fmt.Sprintf("%064x", 7)}
	open := func(store backend.Backend) *guardian.Node {
		n, err := guardian.Open(ctx, store, f.sealer, guardian.Config{Retain: 2, RequestTimeout: time.Minute, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	push := func(versions ...uint64) { // and has all cleaned that they replace
		n := open(memory)
		for _, version := range versions {
			if err := n.Push(ctx, slot, guardian.Share{Data: []byte("a share"), Version: version, Threshold: 2}, guardian.Caller{}); err != nil {
				t.Error(err)
			}
		}
		if err := n.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	push(1, 2)
	from, reads := open(store), 0
	defer from.Close(context.Background())
	store.SetInject(func(c backendtest.Call) backendtest.Fault {
		if c.Op == backendtest.OpGet && strings.HasSuffix(c.Key, "/share.bin") {
			if reads++; reads == 2 {
				push(3, 4)
			}
		}
		return backendtest.None
	})
	w, err := f.place.NewWriter(ctx, from, store, Full)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	g, err := w.Copy(ctx, slot)
	if err != nil || reads < 3 {
		t.Fatal(err, reads)
	}
	for _, o := range g.objects {
		if strings.Contains(o.key, "/1-") || strings.Contains(o.key, "/2-") {
			t.Errorf("%s was replaced, and is in the backup", o.key)
		}
	}
	if len(g.objects) != 1+2*2 {
		t.Errorf("%d objects", len(g.objects))
	}
}
