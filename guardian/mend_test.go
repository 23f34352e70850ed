package guardian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/manifest"
)

var otherSplit = strings.Repeat("6", 2*api.SplitSize)

// recovered is what Mend is given of a version: a share of 14 bytes or so, with
// its manifest.
func recovered(t testing.TB, slot Slot, version uint64, changes ...func(*manifest.Manifest)) Share {
	t.Helper()
	return withManifest(t, slot, Share{Data: fmt.Appendf(nil, "\x03share of %d", version), Version: version}, changes...)
}

func ofOtherSplit(m *manifest.Manifest) { m.Split = otherSplit }

// bench is a node of which a test breaks things.
type bench struct {
	*Node
	t     *testing.T
	store *backendtest.Memory
	slot  Slot
}

func newBench(t *testing.T) bench {
	store := backendtest.NewMemory()
	return bench{openNode(t, store), t, store, ownedSlot("name")}
}

func (b bench) push(versions ...uint64) {
	b.t.Helper()
	for _, version := range versions {
		if err := b.Push(b.t.Context(), b.slot, recovered(b.t, b.slot, version), Caller{Proof: 2}); err != nil {
			b.t.Fatal(err)
		}
	}
	settle(b.t, b.Node)
}

func (b bench) pushBare(version uint64) {
	b.t.Helper()
	mustPush(b.t, b.Node, b.slot, version, "bare")
	settle(b.t, b.Node)
}

func (b bench) delete(version uint64) {
	b.t.Helper()
	if err := b.Delete(b.t.Context(), b.slot, version, Caller{Proof: 2}); err != nil {
		b.t.Fatal(err)
	}
	settle(b.t, b.Node)
}

// commit is what `version` says, which must verify.
func (b bench) commit() *commit {
	b.t.Helper()
	from, err := b.fetchCommit(b.t.Context(), b.slot)
	if err != nil {
		b.t.Fatal(err)
	}
	return from.commit
}

func (b bench) generation(version uint64) generation {
	b.t.Helper()
	g, named := b.commit().find(version)
	if !named {
		b.t.Fatalf("version %d is not named", version)
	}
	return g
}

func (b bench) spoil(key string) { put(b.t, b.store, key, []byte("spoilt")) }

func (b bench) lose(key string) {
	b.t.Helper()
	if err := b.store.Delete(b.t.Context(), key, backend.AnyRevision); err != nil {
		b.t.Fatal(err)
	}
}

func (b bench) spoilShare(version uint64) { b.spoil(b.slot.shareKey(b.generation(version))) }

func (b bench) loseAll(version uint64) {
	g := b.generation(version)
	b.lose(b.slot.shareKey(g))
	b.lose(b.slot.checksumKey(g))
}

// orphan puts a sound generation that no commit names.
func (b bench) orphan(share Share) {
	b.t.Helper()
	g := generation{version: share.Version, attempt: randomAttempt()}
	checksum, err := b.sealShare(b.slot, g, share, standing{})
	if err == nil {
		err = b.create(b.t.Context(), b.slot, g, share.Data, checksum)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// wantHeld compares with the versions that are named, newest first, a damaged
// one below zero.
func (b bench) wantHeld(want ...int) {
	b.t.Helper()
	found, err := b.Examine(b.t.Context(), b.slot)
	if err != nil {
		b.t.Fatal(err)
	}
	var held []int
	for _, h := range found.Held {
		version := int(h.Version)
		if !h.Sound {
			version = -version
		} else if want := fmt.Sprint("\x03share of ", version); string(h.Share.Data) != want && string(h.Share.Data) != "bare" {
			b.t.Errorf("version %d is %q", version, h.Share.Data)
		}
		held = append(held, version)
	}
	if !slices.Equal(held, want) {
		b.t.Errorf("it holds %d, want %d", held, want)
	}
}

func TestMend(t *testing.T) {
	type step func(b bench)
	pushed := func(versions ...uint64) step { return func(b bench) { b.push(versions...) } }
	for name, test := range map[string]struct {
		before  []step
		mend    uint64
		change  func(*manifest.Manifest)
		refused string
		held    []int
	}{
		"nothing there":                   {mend: 5, held: []int{5}},
		"a push was missed":               {before: []step{pushed(3, 4)}, mend: 5, held: []int{5, 4}},
		"a push was missed, other broken": {before: []step{pushed(3, 4), func(b bench) { b.spoilShare(4) }}, mend: 5, held: []int{5, -4}},
		"deleted before":                  {before: []step{pushed(4), func(b bench) { b.delete(4) }}, mend: 5, held: []int{5}},
		"deleted":                         {before: []step{pushed(5), func(b bench) { b.delete(5) }}, mend: 5, refused: "version 5 was deleted"},
		"deleted since":                   {before: []step{pushed(6), func(b bench) { b.delete(6) }}, mend: 5, refused: "version 6 was deleted"},
		"sound":                           {before: []step{pushed(4, 5)}, mend: 5, held: []int{5, 4}},
		"another split is sound":          {before: []step{pushed(4, 5)}, mend: 5, change: ofOtherSplit, refused: "another share of version 5 is sound", held: []int{5, 4}},
		"one without manifest is sound":   {before: []step{func(b bench) { b.pushBare(5) }}, mend: 5, refused: "another share of version 5 is sound", held: []int{5}},
		"share spoilt":                    {before: []step{pushed(4, 5), func(b bench) { b.spoilShare(5) }}, mend: 5, held: []int{5, 4}},
		"share lost":                      {before: []step{pushed(4, 5), func(b bench) { b.lose(b.slot.shareKey(b.generation(5))) }}, mend: 5, held: []int{5, 4}},
		"checksum spoilt":                 {before: []step{pushed(4, 5), func(b bench) { b.spoil(b.slot.checksumKey(b.generation(5))) }}, mend: 5, held: []int{5, 4}},
		"all of it lost":                  {before: []step{pushed(4, 5), func(b bench) { b.loseAll(5) }}, mend: 5, held: []int{5, 4}},
		"another split was spoilt":        {before: []step{pushed(4, 5), func(b bench) { b.spoilShare(5) }}, mend: 5, change: ofOtherSplit, held: []int{5, 4}},
		"both spoilt":                     {before: []step{pushed(4, 5), func(b bench) { b.spoilShare(4); b.spoilShare(5) }}, mend: 5, held: []int{5, -4}},
		"the older spoilt":                {before: []step{pushed(4, 5), func(b bench) { b.spoilShare(4) }}, mend: 4, held: []int{5, 4}},
		"the older lost":                  {before: []step{pushed(4, 5), func(b bench) { b.loseAll(4) }}, mend: 4, held: []int{5, 4}},
		"the older sound":                 {before: []step{pushed(4, 5)}, mend: 4, held: []int{5, 4}},
		"the older of another split":      {before: []step{pushed(4, 5)}, mend: 4, change: ofOtherSplit, refused: "another share of version 4 is sound", held: []int{5, 4}},
		"older than what is retained":     {before: []step{pushed(4, 5)}, mend: 3, refused: "version 5 is current, and 3 no longer retained", held: []int{5, 4}},
		"version spoilt":                  {before: []step{pushed(4, 5), func(b bench) { b.spoil(b.slot.commitKey()) }}, mend: 5, held: []int{5}},
		"version spoilt and missed":       {before: []step{pushed(4, 5), func(b bench) { b.spoil(b.slot.commitKey()) }}, mend: 6, held: []int{6}},
		"version empty":                   {before: []step{pushed(5), func(b bench) { put(b.t, b.store, b.slot.commitKey(), nil) }}, mend: 5, held: []int{5}},
		"all spoilt":                      {before: []step{pushed(5), func(b bench) { b.spoilShare(5); b.spoil(b.slot.commitKey()) }}, mend: 5, held: []int{5}},
		"all of a higher one spoilt":      {before: []step{pushed(5, 6), func(b bench) { b.spoilShare(6); b.spoil(b.slot.commitKey()) }}, mend: 5, held: []int{5}},
		"version spoilt, a higher one sound": {
			before: []step{pushed(5, 6), func(b bench) { b.spoil(b.slot.commitKey()) }}, mend: 5,
			refused: "the version object is damaged, and a sound share of version 6 is not a day old",
		},
		"version spoilt, another split sound": {
			before: []step{pushed(5), func(b bench) { b.spoil(b.slot.commitKey()) }}, mend: 5, change: ofOtherSplit,
			refused: "the version object is damaged, and a sound share of version 5 is not a day old",
		},
		"version spoilt, both splits sound": {before: []step{pushed(5), func(b bench) {
			b.orphan(recovered(b.t, b.slot, 5, ofOtherSplit))
			b.spoil(b.slot.commitKey())
		}}, mend: 5, held: []int{5}},
		"version far too large": {
			before: []step{pushed(5), func(b bench) { b.Node.store = tooLarge{b.Node.store, b.slot.commitKey()} }}, mend: 5,
			refused: "the version object is too large to be one",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			for _, step := range test.before {
				step(b)
			}
			before := b.store.Objects()
			var changes []func(*manifest.Manifest)
			if test.change != nil {
				changes = append(changes, test.change)
			}
			err := b.Mend(t.Context(), b.slot, recovered(t, b.slot, test.mend, changes...))
			settle(t, b.Node)
			if test.refused != "" {
				if !errors.Is(err, ErrNotMended) || err.Error() != "not mended: "+test.refused {
					t.Errorf("refused with %v, want %s", err, test.refused)
				}
				if after := b.store.Objects(); !maps.EqualFunc(before, after, bytes.Equal) {
					t.Errorf("the storage holds %q in place of %q", keysOf(after), keysOf(before))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			b.wantHeld(test.held...)
			b.wantOnlyNamed()
		})
	}
}

// Where `version` is damaged, what is sound becomes current again a day later,
// when nobody writes it any more: above the recovered share, with that behind it.
func TestMendRestores(t *testing.T) {
	for name, test := range map[string]struct {
		before  []uint64 // pushed
		change  func(*manifest.Manifest)
		twin    uint64 // a second sound share of this version
		refused string
		held    []int
	}{
		"a higher one": {before: []uint64{5, 6}, held: []int{6, 5}},
		"another split": {
			before: []uint64{5}, change: ofOtherSplit, held: []int{5},
			refused: "the version object was damaged and is written anew; another share of version 5 is sound",
		},
		"two higher ones": {before: []uint64{5, 6}, twin: 6, refused: "the version object is damaged, and two different shares of version 6 are sound"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.push(test.before...)
				if test.twin > 0 {
					b.orphan(recovered(b.t, b.slot, test.twin, ofOtherSplit))
				}
				b.spoil(b.slot.commitKey())
				time.Sleep(orphanAge)
				var changes []func(*manifest.Manifest)
				if test.change != nil {
					changes = append(changes, test.change)
				}
				err := b.Mend(t.Context(), b.slot, recovered(t, b.slot, 5, changes...))
				settle(t, b.Node)
				if test.refused == "" && err != nil || test.refused != "" && (err == nil || err.Error() != "not mended: "+test.refused) {
					t.Errorf("mending: %v, want %s", err, test.refused)
				}
				if len(test.held) > 0 {
					b.wantHeld(test.held...)
				}
			})
		})
	}
}

// tooLarge is a storage with one object beyond all bounds.
type tooLarge struct {
	backend.Backend
	key string
}

func (l tooLarge) Get(ctx context.Context, key string) ([]byte, backend.Revision, error) {
	if key == l.key {
		return nil, backend.Revision{}, backend.ErrTooLarge
	}
	return l.Backend.Get(ctx, key)
}

// wantOnlyNamed: nothing of the slot is left but what its commit names, and
// what is above it.
func (b bench) wantOnlyNamed() {
	b.t.Helper()
	want := map[string]bool{b.slot.commitKey(): true}
	for _, g := range b.commit().named() {
		want[b.slot.shareKey(g)], want[b.slot.checksumKey(g)] = true, true
	}
	for key := range b.store.Objects() {
		rest, ofSlot := strings.CutPrefix(key, b.slot.prefix())
		name, _, _ := strings.Cut(rest, "/")
		g, _ := parseGeneration(name)
		if ofSlot && !want[key] && g.version <= b.commit().current {
			b.t.Errorf("%s is left", key)
		}
	}
}

// What a mended slot says of its owner is no less than before.
func TestMendKeepsTheStanding(t *testing.T) {
	for name, test := range map[string]struct {
		proof int
		spoil func(b bench)
		want  standing
	}{
		"never proved":           {0, func(b bench) { b.spoilShare(5) }, standing{owned: true, proof: 0, manifest: true}},
		"proved":                 {2, func(b bench) { b.spoilShare(5) }, standing{owned: true, proof: 2, manifest: true}},
		"deleted":                {2, func(b bench) { b.delete(5) }, standing{owned: true, proof: 2, manifest: true, from: 6}},
		"version spoilt":         {2, func(b bench) { b.spoil(b.slot.commitKey()) }, standing{owned: true, proof: 2, manifest: true}},
		"version, share spoilt":  {1, func(b bench) { b.spoilShare(5); b.spoil(b.slot.commitKey()) }, standing{owned: true, proof: 1, manifest: true}},
		"nothing left but a tag": {2, func(b bench) { b.loseAll(5); b.spoil(b.slot.commitKey()) }, standing{owned: true, proof: 0, manifest: true}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			if err := b.Push(t.Context(), b.slot, recovered(t, b.slot, 5), Caller{Proof: test.proof}); err != nil {
				t.Fatal(err)
			}
			settle(t, b.Node)
			test.spoil(b)
			if err := b.Mend(t.Context(), b.slot, recovered(t, b.slot, 6)); err != nil {
				t.Fatal(err)
			}
			if got := b.commit().standing; got != test.want {
				t.Errorf("the standing is %s, want %s", got, test.want)
			}
			if _, err := b.Pull(t.Context(), b.slot, nil, nil, Caller{}); !errors.Is(err, api.ErrOwnershipRequired) {
				t.Errorf("a bare pull: %v", err)
			}
			bare := Share{Data: []byte("bare"), Version: 7}
			if err := b.Push(t.Context(), b.slot, bare, Caller{Proof: 2}); !errors.Is(err, api.ErrInvalidManifest) {
				t.Errorf("a push without manifest: %v", err)
			}
			// The statement says it too, should `version` be lost.
			settle(t, b.Node)
			test.want.from = 0 // what was deleted it does not say
			if got := b.claims(t.Context(), b.slot, b.generation(6)); got != test.want {
				t.Errorf("the statement says %s, want %s", got, test.want)
			}
		})
	}
}

// Whoever hands a share over, only the owner says what it is.
func TestMendBelievesTheManifestOnly(t *testing.T) {
	share := func(change func(*Share), changes ...func(*manifest.Manifest)) func(*testing.T, Slot) Share {
		return func(t *testing.T, slot Slot) Share {
			s := recovered(t, slot, 5, changes...)
			if change != nil {
				change(&s)
			}
			return s
		}
	}
	for name, make := range map[string]func(*testing.T, Slot) Share{
		"no manifest":           share(func(s *Share) { s.Manifest = nil }),
		"a later epoch":         share(func(s *Share) { s.Epoch = 1 }),
		"a higher version":      share(func(s *Share) { s.Version = 6 }),
		"a lower version":       share(func(s *Share) { s.Version = 4 }),
		"another threshold":     share(func(s *Share) { s.Threshold = 3 }),
		"another split":         share(func(s *Share) { s.Split = otherSplit }),
		"not the share":         share(func(s *Share) { s.Data[5] ^= 1 }),
		"another's share":       share(func(s *Share) { s.Data[0] = 4 }),
		"nothing":               share(func(s *Share) { s.Data = nil }),
		"one byte too many":     share(func(s *Share) { s.Data = append(s.Data, 0) }),
		"not signed":            share(func(s *Share) { s.Manifest[len(s.Manifest)-1] ^= 1 }),
		"for another node":      share(nil, func(m *manifest.Manifest) { m.Holders[0].Node = "other" }),
		"for another name":      func(t *testing.T, slot Slot) Share { return recovered(t, Slot{slot.Identity, "other"}, 5) },
		"no manifest, no share": func(*testing.T, Slot) Share { return Share{Version: 5} },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.push(5)
			b.spoilShare(5)
			before := b.store.Objects()
			if err := b.Mend(t.Context(), b.slot, make(t, b.slot)); !errors.Is(err, ErrNotMended) {
				t.Errorf("got %v", err)
			}
			settle(t, b.Node)
			if after := b.store.Objects(); !maps.EqualFunc(before, after, bytes.Equal) {
				t.Error("the storage was changed")
			}
		})
	}
}

func TestMendTellsTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		old := time.Now().Add(-time.Hour).UnixNano()
		for i, test := range []struct{ given, want int64 }{
			{0, time.Now().UnixNano()},
			{old, old},
			{time.Now().Add(time.Hour).UnixNano(), time.Now().UnixNano()}, // nobody can have pushed it then
		} {
			share := recovered(t, b.slot, uint64(i))
			share.CreatedNS, share.UpdatedNS = test.given, 1
			if err := b.Mend(t.Context(), b.slot, share); err != nil {
				t.Fatal(err)
			}
			got, err := b.Pull(t.Context(), b.slot, nil, nil, Caller{Proof: 2})
			if err != nil || got.CreatedNS != test.want || got.UpdatedNS != time.Now().UnixNano() {
				t.Errorf("given %d: %d, %d, %v", test.given, got.CreatedNS, got.UpdatedNS, err)
			}
		}
	})
}

// Repair takes no room that was not taken before, and asks for the rest.
func TestMendAndQuotas(t *testing.T) {
	b := newBench(t)
	b.push(4, 5)
	b.cfg.MaxBytes = 1
	b.spoilShare(5)
	b.loseAll(4)
	for _, version := range []uint64{4, 5} {
		if err := b.Mend(t.Context(), b.slot, recovered(t, b.slot, version)); err != nil {
			t.Errorf("what was counted: %v", err)
		}
	}
	settle(t, b.Node)
	b.spoil(b.slot.commitKey())
	if err := b.Mend(t.Context(), b.slot, recovered(t, b.slot, 5)); err != nil {
		t.Errorf("version anew: %v", err)
	}
	settle(t, b.Node)
	before := len(b.store.Objects())
	for _, slot := range []Slot{b.slot, ownedSlot("new")} {
		if err := b.Mend(t.Context(), slot, recovered(t, slot, 6)); !errors.Is(err, api.ErrQuotaExceeded) {
			t.Errorf("a new version: %v", err)
		}
	}
	settle(t, b.Node)
	if after := len(b.store.Objects()); after != before {
		t.Errorf("there are %d objects, there were %d", after, before)
	}
}

func TestMendCountsAndUnmarks(t *testing.T) {
	b := newBench(t)
	b.push(4, 5)
	wantCount := func(want int64) {
		t.Helper()
		if count, _ := b.ShareCount(); count != want {
			t.Errorf("%d shares, want %d", count, want)
		}
	}
	mend := func(version uint64) {
		t.Helper()
		if err := b.Mend(t.Context(), b.slot, recovered(t, b.slot, version)); err != nil {
			t.Fatal(err)
		}
		settle(t, b.Node)
	}
	marker := func() bool { _, marked := b.store.Objects()[b.slot.quarantineKey()]; return marked }
	b.spoilShare(4)
	b.spoilShare(5)
	b.wantHeld(-5, -4)
	if !marker() || b.Quarantined() != 1 {
		t.Error("not in quarantine")
	}
	mend(5)
	if wantCount(1); !marker() {
		t.Error("out of quarantine with a damaged version 4")
	}
	// A replica that has not seen the damage takes the mark away as well.
	other := openNode(t, b.store)
	if err := other.Mend(t.Context(), b.slot, recovered(t, b.slot, 4)); err != nil {
		t.Fatal(err)
	}
	settle(t, other)
	if count, _ := other.ShareCount(); marker() || count != 0 {
		t.Errorf("in quarantine (%v), or %d shares counted by who made none", marker(), count)
	}
	b.delete(5)
	wantCount(0)
	mend(6)
	wantCount(1)
	wantHighest(t, b.Node, 2, "after a mend")
	if g := b.generation(6); !g.mended() {
		t.Errorf("%s does not tell who made it", g)
	}
	b.push(7)
	b.push(8)
	b.wantHeld(8, 7)
	b.wantOnlyNamed() // a mended generation goes with the others
}

// What a mender has put is left alone by whoever cleans beside it, however late
// and whatever it knows.
func TestCleanersLeaveMendersAlone(t *testing.T) {
	for name, cleanUp := range map[string]func(b bench, old *commit){
		"a sweep":     func(b bench, _ *commit) { _ = b.clean(b.t.Context(), b.slot) },
		"an examiner": func(b bench, _ *commit) { _, _ = b.Examine(b.t.Context(), b.slot) },
		"a late drop": func(b bench, old *commit) { b.dropReplaced(b.t.Context(), b.slot, nil, old) },
		"another mend": func(b bench, _ *commit) {
			_ = b.Mend(b.t.Context(), b.slot, recovered(b.t, b.slot, 4))
			settle(b.t, b.Node)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for step := 1; ; step++ {
				b := newBench(t)
				b.push(4, 5)
				old := b.commit()
				b.spoilShare(4)
				b.spoilShare(5)
				cleaner := b
				cleaner.Node = openNode(t, b.store)
				faulty := &backendtest.Faulty{Backend: b.store, Inject: func(call backendtest.Call) backendtest.Fault {
					if call.N == step {
						cleanUp(cleaner, old)
					}
					return backendtest.None
				}}
				b.Node.store = faulty
				if err := b.Mend(t.Context(), b.slot, recovered(t, b.slot, 5)); err != nil {
					t.Fatalf("call %d: %v", step, err)
				}
				settle(t, b.Node)
				cleanUp(cleaner, old)
				if held, err := cleaner.Pull(t.Context(), b.slot, nil, nil, Caller{Proof: 2}); err != nil || held.Version != 5 {
					t.Fatalf("cleaning at call %d: %v", step, err)
				}
				if len(faulty.Calls()) < step {
					break
				}
			}
		})
	}
}

// What a mender left that died goes after a day, and not before.
func TestOrphansOfMenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.push(4, 5)
		for _, version := range []uint64{3, 5, 6} {
			g := generation{version: version, attempt: mendMark + randomAttempt()}
			put(t, b.store, b.slot.shareKey(g), []byte("share"))
		}
		for _, step := range []struct {
			after time.Duration
			want  int
		}{{0, 0}, {orphanAge - 1, 0}, {1, 3}, {time.Hour, 0}} {
			time.Sleep(step.after)
			if found, err := b.Examine(t.Context(), b.slot); err != nil || found.Orphans != step.want {
				t.Errorf("%s later %d went, %v", step.after, found.Orphans, err)
			}
		}
		b.wantOnlyNamed()
	})
}

// TestMendFaultAtEveryStep injects both kinds of fault at each storage call of
// every kind of mend: it is told as what it was, the old state or the new one
// is left, and it succeeds when it is made again.
func TestMendFaultAtEveryStep(t *testing.T) {
	for name, prepare := range map[string]func(b bench){
		"first":          func(bench) {},
		"missed":         func(b bench) { b.push(4) },
		"live":           func(b bench) { b.push(4, 5); b.spoilShare(5) },
		"older":          func(b bench) { b.push(5, 6); b.spoilShare(5) },
		"sound":          func(b bench) { b.push(4, 5) },
		"tombstone":      func(b bench) { b.push(4); b.delete(4) },
		"version object": func(b bench) { b.push(4, 5); b.spoil(b.slot.commitKey()) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, fault := range []backendtest.Fault{backendtest.NotApplied, backendtest.AnswerLost} {
				for step := 1; mendWithFault(t, prepare, fault, step); step++ {
				}
			}
		})
	}
}

// mendWithFault reports whether there was such a step.
func mendWithFault(t *testing.T, prepare func(bench), fault backendtest.Fault, step int) bool {
	t.Helper()
	b := newBench(t)
	prepare(b)
	raw := b.store.Objects()[b.slot.commitKey()]
	faulty := &backendtest.Faulty{Backend: b.store, Inject: func(call backendtest.Call) backendtest.Fault {
		if call.N == step {
			return fault
		}
		return backendtest.None
	}}
	b.cfg.MaxBytes = 1 << 20 // so that all steps are made
	b.Node.store = faulty
	err := b.Mend(t.Context(), b.slot, recovered(t, b.slot, 5))
	settle(t, b.Node)
	if err != nil && !errors.Is(err, api.ErrStorageUnavailable) {
		t.Fatalf("fault %v at call %d: %v", fault, step, err)
	}
	after := openNode(t, b.store)
	if err == nil {
		version := uint64(5)
		if _, err := after.Pull(t.Context(), b.slot, &version, nil, Caller{Proof: 2}); err != nil {
			t.Fatalf("fault %v at call %d: acknowledged, and %v", fault, step, err)
		}
	} else if now := b.store.Objects()[b.slot.commitKey()]; !bytes.Equal(now, raw) {
		t.Fatalf("fault %v at call %d: refused with %v, and committed", fault, step, err)
	}
	if err := after.Mend(t.Context(), b.slot, recovered(t, b.slot, 5)); err != nil {
		t.Fatalf("fault %v at call %d: again: %v", fault, step, err)
	}
	settle(t, after)
	if err := after.VerifyAll(t.Context()); err != nil {
		t.Fatalf("fault %v at call %d: %v", fault, step, err)
	}
	return step <= len(faulty.Calls())
}

// Many menders at once, beside a push, a delete and cleaning: whoever is
// acknowledged is there.
func TestMendersRace(t *testing.T) {
	for round := range 60 {
		b := newBench(t)
		b.push(4, 5)
		b.spoilShare(5)
		if round%3 == 0 {
			b.spoilShare(4)
		}
		var menders [4]error
		var pushed, deleted error
		var wg sync.WaitGroup
		replicas := []*Node{b.Node, openNode(t, b.store), openNode(t, b.store)}
		for i := range menders {
			wg.Go(func() {
				menders[i] = replicas[i%3].Mend(context.Background(), b.slot, recovered(t, b.slot, 5-uint64(i/2%2)))
			})
		}
		wg.Go(func() { _, _ = replicas[2].Examine(context.Background(), b.slot) })
		deleted = api.ErrNotFound
		switch round % 4 {
		case 1:
			wg.Go(func() {
				pushed = replicas[1].Push(context.Background(), b.slot, recovered(t, b.slot, 6), Caller{Proof: 2})
			})
		case 2:
			wg.Go(func() { deleted = replicas[1].Delete(context.Background(), b.slot, 5, Caller{Proof: 2}) })
		}
		wg.Wait()
		for _, replica := range replicas {
			settle(t, replica)
		}
		b.judgeRace(round, menders[:], pushed, deleted)
	}
}

func (b bench) judgeRace(round int, menders []error, pushed, deleted error) {
	b.t.Helper()
	for _, err := range append(menders, pushed) {
		if err != nil && !errors.Is(err, ErrNotMended) && !errors.Is(err, api.ErrStorageUnavailable) {
			b.t.Errorf("round %d: %v", round, err)
		}
	}
	now := b.commit()
	switch {
	case deleted == nil && (now.live != nil || now.current != 5):
		b.t.Errorf("round %d: deleted, and %+v", round, now)
	case round%4 == 1 && pushed == nil && now.current != 6:
		b.t.Errorf("round %d: pushed, and %+v", round, now)
	}
	if g, named := now.find(5); named && menders[0] == nil {
		if _, _, err := b.verify(b.t.Context(), b.slot, g); err != nil {
			b.t.Errorf("round %d: mended, and %v", round, err)
		}
	}
	if now.live != nil && now.current == 5 && menders[0] != nil && menders[1] != nil {
		b.t.Errorf("round %d: nobody mended it: %v", round, menders)
	}
	b.wantOnlyNamed()
}

// That a share is there already is said only once that is durable: who committed
// it may have died before.
func TestMendOfTheSoundMakesDurable(t *testing.T) {
	b := newBench(t)
	b.push(4, 5)
	faulty := &backendtest.Faulty{Backend: b.store, Inject: func(call backendtest.Call) backendtest.Fault {
		if call.Op == backendtest.OpPut {
			return backendtest.NotApplied
		}
		return backendtest.None
	}}
	b.Node.store = faulty
	for _, version := range []uint64{4, 5} {
		if err := b.Mend(t.Context(), b.slot, recovered(t, b.slot, version)); !errors.Is(err, api.ErrStorageUnavailable) {
			t.Errorf("version %d: %v", version, err)
		}
	}
	for _, call := range faulty.Calls() {
		if call.Op == backendtest.OpPut && call.Key != b.slot.commitKey() {
			t.Errorf("it puts %s", call.Key)
		}
	}
}

// The objects of a push are put before its caller is judged. What is left of one
// that was refused is never made current.
func TestMendRestoresNothingRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.push(7)
		refused := Share{Data: []byte("\x03attacker's"), Version: 99, Threshold: 2, Split: otherSplit}
		p := &pushing{Node: b.Node, slot: b.slot, share: refused, ours: generation{version: 99, attempt: b.newAttempt()}}
		if _, err := p.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.spoil(b.slot.commitKey())
		time.Sleep(orphanAge)
		if err := b.Mend(t.Context(), b.slot, recovered(t, b.slot, 7)); err != nil {
			t.Fatal(err)
		}
		settle(t, b.Node)
		b.wantHeld(7)
	})
}
