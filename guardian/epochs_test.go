package guardian

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
)

// owned is what the owner pushes of a version that guardians may move.
func (b bench) owned(version uint64) Share {
	return withManifest(b.t, b.slot, Share{Data: fmt.Appendf(nil, "\x03share of %d", version), Version: version}, movable)
}

func (b bench) pushOwned(versions ...uint64) {
	b.t.Helper()
	for _, version := range versions {
		if err := b.Push(b.t.Context(), b.slot, b.owned(version), Caller{Proof: 2}); err != nil {
			b.t.Fatal(err)
		}
	}
	settle(b.t, b.Node)
}

// line is the shares of this node of a version, by epoch, as they are committed.
func (b bench) line(version, epochs uint64) []Share {
	line := []Share{b.owned(version)}
	for epoch := range epochs {
		_, next := b.next(line[epoch], round{seed: byte(epoch)})
		line = append(line, next)
	}
	return line
}

// next is what a round makes of a share.
func (b bench) next(before Share, r round) (prepared, certified Share) {
	b.t.Helper()
	data := fmt.Sprintf("\x03epoch%d of %d", before.Epoch+1, before.Version)
	return r.after(b.t, before, data[:len(before.Data)])
}

func (b bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	settle(b.t, b.Node)
}

// at pulls a version at an epoch, any when below 0, and tells "epoch" and the
// error.
func (b bench) at(version uint64, epoch int) string {
	b.t.Helper()
	wanted := new(uint64)
	if *wanted = uint64(max(epoch, 0)); epoch < 0 {
		wanted = nil
	}
	share, err := b.Pull(b.t.Context(), b.slot, &version, wanted, Caller{Proof: 2})
	switch {
	case errors.Is(err, api.ErrNotFound):
		return "none"
	case err != nil:
		return err.Error()
	case share.Version != version || len(share.Manifest) == 0 || share.CreatedNS == 0 || share.UpdatedNS == 0:
		return fmt.Sprintf("%+v", share)
	}
	return fmt.Sprint(share.Epoch)
}

func (b bench) wantAt(version uint64, epoch int, want string) {
	b.t.Helper()
	if got := b.at(version, epoch); got != want {
		b.t.Errorf("version %d at epoch %d is %s, want %s", version, epoch, got, want)
	}
}

// wantPrepared compares with the epochs that are prepared.
func (b bench) wantPrepared(want ...uint64) {
	b.t.Helper()
	held, err := b.Prepared(b.t.Context(), b.slot)
	var epochs []uint64
	for _, h := range held {
		epochs = append(epochs, h.Epoch)
		if _, _, _, _, err := record.ParseDraft(h.Share.Chain); err != nil || !h.Sound || h.Share.Epoch != h.Epoch || h.Share.Version != h.Version {
			b.t.Errorf("prepared is %+v, %v", h, err)
		}
	}
	if err != nil || !slices.Equal(epochs, want) {
		b.t.Errorf("prepared are epochs %d, %v, want %d", epochs, err, want)
	}
}

func TestGenerationNames(t *testing.T) {
	const attempt = "9f3c0d2ab1e4"
	for text, want := range map[string]generation{
		"7-" + attempt:       {version: 7, attempt: attempt},
		"7-m" + attempt:      {version: 7, attempt: "m" + attempt},
		"7-e1-" + attempt:    {version: 7, epoch: 1, attempt: attempt},
		"7-e1-m" + attempt:   {version: 7, epoch: 1, attempt: "m" + attempt},
		"0-e012345678ab":     {version: 0, attempt: "e012345678ab"},
		"0-e1024-" + attempt: {version: 0, epoch: 1024, attempt: attempt},
		"18446744073709551615-e18446744073709551615-" + attempt: {version: 1<<64 - 1, epoch: 1<<64 - 1, attempt: attempt},
	} {
		if got, err := parseGeneration(text); err != nil || got != want || got.String() != text {
			t.Errorf("%s is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "7", "7-", "-" + attempt, "7-e0-" + attempt, "7-e01-" + attempt, "7-e-" + attempt, "7-1-" + attempt, "07-e1-" + attempt,
		"7-E1-" + attempt, "7-e1-mm" + attempt, "7-e1-" + attempt + "-", "7-e1-" + attempt[1:], "7-e1-" + strings.ToUpper(attempt),
		"7-e1-e1-" + attempt, "7-e-1-" + attempt, "7-e+1-" + attempt, "7-e1-", "7-e1", "7-mm" + attempt, "7-e18446744073709551616-" + attempt,
	} {
		if got, err := parseGeneration(text); err == nil {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}

func TestCommitTextOfMoves(t *testing.T) {
	hash := strings.Repeat("5e8f", 16)
	for _, text := range []string{
		"7\n7-e1-9f3c0d2ab1e4 owned=1 proof=2 manifest=1\n6-02ab77c1d3ee\n",
		"7\n7-e1-9f3c0d2ab1e4\n6-e3-02ab77c1d3ee\n5-m02ab77c1d3ee\n",
		"7\nmoved-e3-" + hash + " owned=1 proof=2 manifest=1\n",
		"7\nmoved-e3-" + hash + " owned=1 proof=0 manifest=1\n6-e1-02ab77c1d3ee\n",
		"9\n9-9f3c0d2ab1e4 owned=1 proof=2 manifest=1 from=8\n",
		"9\ndeleted owned=0 proof=0 manifest=0 from=8\n",
	} {
		if c, err := parseCommit(text); err != nil || c.lines() != text {
			t.Errorf("%q is %+v, %v", text, c, err)
		}
	}
	for _, text := range []string{
		"7\nmoved-e3-" + hash + "\n",
		"7\nmoved owned=1 proof=2 manifest=1\n",
		"7\nmoved-e0-" + hash + " owned=1 proof=2 manifest=1\n",
		"7\nmoved-e3-" + hash[2:] + " owned=1 proof=2 manifest=1\n",
		"7\nmoved-e3-" + strings.ToUpper(hash) + " owned=1 proof=2 manifest=1\n",
		"7\nmoved-e3-" + hash + " owned=1 proof=2 manifest=1\n7-e1-02ab77c1d3ee\n",
		"7\ndeleted owned=1 proof=2 manifest=1\n6-02ab77c1d3ee\n",
		"7\n7-e1-9f3c0d2ab1e4\n7-e2-9f3c0d2ab1e4\n",
		"7\n7-9f3c0d2ab1e4\n5-02ab77c1d3ee\n6-02ab77c1d3ee\n",
		"7\n7-9f3c0d2ab1e4 owned=1 proof=2 manifest=1 from=0\n",
		"7\n7-9f3c0d2ab1e4 owned=1 proof=2 manifest=1 from=07\n",
		"7\n7-9f3c0d2ab1e4 owned=1 proof=2 manifest=1 from=\n",
	} {
		if c, err := parseCommit(text); err == nil {
			t.Errorf("%q is taken for %+v", text, c)
		}
	}
}

// A share is prepared, then its certificate comes: until then both are there, and
// after that nothing of the old one is.
func TestMoveOn(t *testing.T) {
	b := newBench(t)
	b.pushOwned(4, 5)
	line := b.line(5, 2)
	prepared, certified := b.next(line[0], round{seed: 0})
	b.must(b.Prepare(t.Context(), b.slot, prepared))
	b.must(b.Prepare(t.Context(), b.slot, prepared)) // again
	b.wantPrepared(1)
	b.wantAt(5, -1, "0")
	b.wantAt(5, 0, "0")
	b.wantAt(5, 1, "1")
	b.wantAt(5, 2, "none")
	if found, err := b.Examine(t.Context(), b.slot); err != nil || found.Orphans != 0 || found.Held[0].Epoch != 0 {
		t.Errorf("before it is obeyed: %+v, %v", found, err)
	}
	b.must(b.Mend(t.Context(), b.slot, certified))
	b.wantOnlyNamed()
	b.wantPrepared()
	b.wantAt(5, -1, "1")
	b.wantAt(5, 0, "none")
	b.wantAt(5, 1, "1")
	b.wantAt(4, -1, "0")
	found, err := b.Examine(t.Context(), b.slot)
	if err != nil || len(found.Held) != 2 || found.Held[0].Epoch != 1 || !found.Held[0].Sound || !bytes.Equal(found.Held[0].Share.Record(), certified.Chain) {
		t.Errorf("after it was obeyed: %+v, %v", found, err)
	}
	share, err := b.Pull(t.Context(), b.slot, nil, nil, Caller{Proof: 2})
	r, _ := record.Parse(certified.Chain)
	if err != nil || !bytes.Equal(share.Data, certified.Data) || share.Split != r.Split || share.Threshold != r.Threshold || share.Split == testSplit {
		t.Errorf("pulled %+v, %v", share, err)
	}
	history, err := b.History(t.Context(), b.slot, Caller{Proof: 2})
	if err != nil || len(history) != 2 || history[0].Epoch != 1 || history[1].Epoch != 0 {
		t.Errorf("its history is %+v, %v", history, err)
	}
	// The owner's push of it was taken, and is still.
	wantConflict(t, b.Push(t.Context(), b.slot, b.owned(5), Caller{Proof: 2}), 5, true)
	wantConflict(t, b.Push(t.Context(), b.slot, recovered(t, b.slot, 5), Caller{Proof: 2}), 5, false)
	b.must(b.Mend(t.Context(), b.slot, certified))
	for _, late := range []Share{line[0], prepared} {
		if err := b.Mend(t.Context(), b.slot, late); !errors.Is(err, ErrNotMended) || errors.Is(err, ErrForked) {
			t.Errorf("epoch %d after it: %v", late.Epoch, err)
		}
	}
	if err := b.Prepare(t.Context(), b.slot, prepared); !errors.Is(err, ErrNotPrepared) {
		t.Errorf("prepared after it was committed: %v", err)
	}
	b.must(b.Mend(t.Context(), b.slot, line[2]))
	b.pushOwned(6)
	b.wantAt(5, -1, "2")
	b.wantOnlyNamed()
	b.delete(6)
	b.wantOnlyNamed()
}

// A node that was away skips what it never saw.
func TestMoveOnFromLongAgo(t *testing.T) {
	b := newBench(t)
	b.pushOwned(5)
	line := b.line(5, 4)
	b.must(b.Mend(t.Context(), b.slot, line[4]))
	b.wantAt(5, -1, "4")
	b.wantOnlyNamed()
	b.spoilShare(5)
	for epoch, share := range line[:4] {
		if err := b.Mend(t.Context(), b.slot, share); !errors.Is(err, ErrNotMended) {
			t.Errorf("epoch %d in the place of a damaged epoch 4: %v", epoch, err)
		}
	}
	b.must(b.Mend(t.Context(), b.slot, line[4]))
	b.wantAt(5, 4, "4")
}

// What has moved away is not found, and refuses what it refused before.
func TestRelease(t *testing.T) {
	b := newBench(t)
	b.pushOwned(4, 5)
	line := b.line(5, 1)
	prepared, _ := b.next(line[0], round{seed: 9}) // of a round that came to nothing
	b.must(b.Prepare(t.Context(), b.slot, prepared))
	_, gone := b.next(line[0], round{nodes: away})
	b.must(b.Release(t.Context(), b.slot, gone.Chain))
	b.must(b.Release(t.Context(), b.slot, gone.Chain)) // again
	b.wantPrepared()
	b.wantAt(5, -1, "none")
	b.wantAt(5, 0, "none")
	b.wantAt(4, -1, "0")
	b.wantOnlyNamed()
	if count, _ := b.ShareCount(); count != 0 {
		t.Errorf("%d shares are counted", count)
	}
	found, err := b.Examine(t.Context(), b.slot)
	if err != nil || !found.Moved || found.Deleted || found.Version != 5 || len(found.Held) != 1 || found.Held[0].Version != 4 {
		t.Errorf("found %+v, %v", found, err)
	}
	if info, err := b.Inspect(t.Context(), b.slot); err != nil || info.State != StateMoved || len(info.Retained) != 1 {
		t.Errorf("it is %+v, %v", info, err)
	}
	if listed, err := b.Secrets(t.Context(), b.slot.Identity, Caller{Proof: 2}); err != nil || len(listed) != 0 {
		t.Errorf("listed are %+v, %v", listed, err)
	}
	if history, err := b.History(t.Context(), b.slot, Caller{Proof: 2}); err != nil || len(history) != 1 || history[0].Version != 4 || history[0].Deleted {
		t.Errorf("its history is %+v, %v", history, err)
	}
	for version := range uint64(6) {
		wantConflict(t, b.Push(t.Context(), b.slot, b.owned(version), Caller{Proof: 2}), 5, false)
	}
	for name, share := range map[string]Share{"as pushed": line[0], "another way": line[1]} {
		if err := b.Mend(t.Context(), b.slot, share); !errors.Is(err, ErrNotMended) {
			t.Errorf("put back %s: %v", name, err)
		}
	}
	if err := b.Push(t.Context(), b.slot, Share{Data: []byte("bare"), Version: 6}, Caller{}); !errors.Is(err, api.ErrOwnershipRequired) {
		t.Errorf("pushed by anybody: %v", err)
	}
	b.pushOwned(6)
	b.wantHeld(6, 4)
	if count, _ := b.ShareCount(); count != 1 {
		t.Errorf("%d shares are counted", count)
	}
}

// A version comes back by the line that it went away by, and by no other.
func TestMoveAwayAndBack(t *testing.T) {
	b := newBench(t)
	b.pushOwned(5)
	line := b.line(5, 2)
	_, gone := b.next(line[0], round{nodes: away})
	_, back := b.next(gone, round{seed: 7})
	b.must(b.Release(t.Context(), b.slot, gone.Chain))
	for name, share := range map[string]Share{"of another line": line[2]} {
		if err := b.Mend(t.Context(), b.slot, share); !errors.Is(err, ErrForked) || !errors.Is(err, ErrNotMended) {
			t.Errorf("%s: %v", name, err)
		}
	}
	prepared, _ := b.next(gone, round{seed: 7})
	b.must(b.Prepare(t.Context(), b.slot, prepared))
	if found, err := b.Examine(t.Context(), b.slot); err != nil || found.Orphans != 0 {
		t.Errorf("found %+v, %v", found, err)
	}
	b.wantAt(5, 2, "2")
	b.must(b.Mend(t.Context(), b.slot, back))
	b.wantAt(5, -1, "2")
	b.wantOnlyNamed()
	b.must(b.Release(t.Context(), b.slot, gone.Chain)) // old news
	b.wantAt(5, -1, "2")
	_, goneAgain := b.next(back, round{nodes: away})
	b.must(b.Release(t.Context(), b.slot, goneAgain.Chain))
	b.delete(5)
	if err := b.Mend(t.Context(), b.slot, back); !errors.Is(err, ErrNotMended) {
		t.Errorf("what was deleted: %v", err)
	}
	if info, err := b.Inspect(t.Context(), b.slot); err != nil || info.State != StateDeleted {
		t.Errorf("it is %+v, %v", info, err)
	}
}

// Two lines over one base: the one that is here stays, whole.
func TestForks(t *testing.T) {
	b := newBench(t)
	b.pushOwned(5)
	line := b.line(5, 1)
	b.must(b.Mend(t.Context(), b.slot, line[1]))
	_, twin := b.next(line[0], round{seed: 99})
	draft, later := b.next(twin, round{seed: 98})
	_, gone := b.next(twin, round{nodes: away})
	before := b.store.Objects()
	for name, try := range map[string]func() error{
		"the same epoch": func() error { return b.Mend(t.Context(), b.slot, twin) },
		"the next":       func() error { return b.Mend(t.Context(), b.slot, later) },
		"prepared":       func() error { return b.Prepare(t.Context(), b.slot, draft) },
		"released":       func() error { return b.Release(t.Context(), b.slot, gone.Chain) },
	} {
		if err := try(); !errors.Is(err, ErrForked) {
			t.Errorf("%s: %v", name, err)
		}
		settle(t, b.Node)
		if !maps.EqualFunc(before, b.store.Objects(), bytes.Equal) {
			t.Fatalf("%s: something has changed", name)
		}
	}
	// A damaged share protects nothing, but its statement still tells.
	b.spoilShare(5)
	if err := b.Mend(t.Context(), b.slot, later); !errors.Is(err, ErrForked) {
		t.Errorf("over a damaged one: %v", err)
	}
	b.must(b.Mend(t.Context(), b.slot, line[1]))
	b.wantAt(5, -1, "1")
}

// Who has a share of a record whose holders have not agreed to what comes after
// it keeps that, whatever the chain lists: first it must be shown what they did
// agree to, which a dishonest coordinator leaves out.
func TestUnvouched(t *testing.T) {
	b := newBench(t)
	all := []string{"local", "g1", "g2", "g3", "g4", "g5", "g6"}
	owned := withManifest(t, b.slot, Share{Data: []byte("\x03share of 5"), Version: 5}, movable, func(m *manifest.Manifest) {
		for i, node := range all[4:] {
			m.Holders = append(m.Holders, manifest.Holder{X: byte(7 + i), Node: node, Key: publicOf(node)})
		}
	})
	_, first := b.next(owned, round{seed: 1})
	_, second := b.next(first, round{seed: 2, nodes: all})
	others := []byte{7, 8, 9} // not of the first
	draft, third := b.next(second, round{seed: 3, nodes: all, agreeing: others})
	_, gone := b.next(second, round{seed: 4, nodes: away, agreeing: others})
	third.Chain, gone.Chain = lastLinkOf(t, third.Chain), lastLinkOf(t, gone.Chain)
	b.must(b.Mend(t.Context(), b.slot, first))
	if err := b.Mend(t.Context(), b.slot, third); !errors.Is(err, ErrNotMended) || errors.Is(err, ErrForked) {
		t.Errorf("replaced: %v", err)
	}
	if err := b.Release(t.Context(), b.slot, gone.Chain); !errors.Is(err, ErrNotReleased) || errors.Is(err, ErrForked) {
		t.Errorf("released: %v", err)
	}
	b.must(b.Prepare(t.Context(), b.slot, draft)) // nothing is erased for that
	b.wantAt(5, -1, "1")
	b.wantAt(5, 3, "3")
	b.must(b.Mend(t.Context(), b.slot, second))
	b.must(b.Mend(t.Context(), b.slot, third))
	b.wantAt(5, -1, "3")
}

// What does not fit is refused before anything is read or written.
func TestMisfits(t *testing.T) {
	b := newBench(t)
	line := b.line(5, 1)
	draft, certified := b.next(line[0], round{})
	_, elsewhere := b.next(line[0], round{nodes: away})
	other := Slot{b.slot.Identity, "other"}
	for name, test := range map[string]struct {
		change func(*Share)
		slot   Slot
	}{
		"another slot":      {func(*Share) {}, other},
		"another version":   {func(s *Share) { s.Version = 6 }, b.slot},
		"another epoch":     {func(s *Share) { s.Epoch = 2 }, b.slot},
		"epoch 0":           {func(s *Share) { s.Epoch = 0 }, b.slot},
		"no manifest":       {func(s *Share) { s.Manifest = nil }, b.slot},
		"another manifest":  {func(s *Share) { s.Manifest = recovered(t, b.slot, 5).Manifest }, b.slot},
		"no chain":          {func(s *Share) { s.Chain = nil }, b.slot},
		"a manifest for it": {func(s *Share) { s.Chain = s.Manifest }, b.slot},
		"chain cut off":     {func(s *Share) { s.Chain = s.Chain[:len(s.Chain)-1] }, b.slot},
		"chain goes on":     {func(s *Share) { s.Chain = append(slices.Clip(s.Chain), 0) }, b.slot},
		"chain too large":   {func(s *Share) { s.Chain = make([]byte, record.MaxDraftSize+1) }, b.slot},
		"another node's":    {func(s *Share) { s.Data = append([]byte{4}, s.Data[1:]...) }, b.slot},
		"no point of it":    {func(s *Share) { s.Data = append([]byte{9}, s.Data[1:]...) }, b.slot},
		"point 0":           {func(s *Share) { s.Data = append([]byte{0}, s.Data[1:]...) }, b.slot},
		"too short":         {func(s *Share) { s.Data = s.Data[:1] }, b.slot},
		"too long":          {func(s *Share) { s.Data = append(slices.Clip(s.Data), 1) }, b.slot},
		"nothing":           {func(s *Share) { s.Data = nil }, b.slot},
		"for others":        {func(s *Share) { s.Chain = elsewhere.Chain }, b.slot},
		"of the other kind": {func(s *Share) {
			if bytes.Equal(s.Chain, draft.Chain) {
				s.Chain = certified.Chain
			} else {
				s.Chain = draft.Chain
			}
		}, b.slot},
	} {
		faulty := &backendtest.Faulty{Backend: b.store}
		b.Node.store = faulty
		share := certified
		test.change(&share)
		if err := b.Mend(t.Context(), test.slot, share); !errors.Is(err, ErrNotMended) {
			t.Errorf("%s: mended with %v", name, err)
		}
		share = draft
		test.change(&share)
		if err := b.Prepare(t.Context(), test.slot, share); !errors.Is(err, ErrNotPrepared) {
			t.Errorf("%s: prepared with %v", name, err)
		}
		if calls := faulty.Calls(); len(calls) > 0 {
			t.Errorf("%s: the storage saw %v", name, calls)
		}
	}
	for name, chain := range map[string][]byte{
		"nothing": nil, "a manifest": line[0].Manifest, "a draft": draft.Chain, "one that names this node": certified.Chain,
		"cut off": elsewhere.Chain[:40],
	} {
		if err := b.Release(t.Context(), b.slot, chain); !errors.Is(err, ErrNotReleased) {
			t.Errorf("released for %s: %v", name, err)
		}
	}
	if err := b.Release(t.Context(), other, elsewhere.Chain); !errors.Is(err, ErrNotReleased) {
		t.Errorf("released in another slot: %v", err)
	}
	// Only where the certificate has the hash does another share not fit.
	certified.Data = append([]byte{3}, strings.Repeat("x", len(certified.Data)-1)...)
	if err := b.Mend(t.Context(), b.slot, certified); !errors.Is(err, ErrNotMended) {
		t.Errorf("not the share that was voted for: %v", err)
	}
	_, silent := b.next(line[0], round{silent: "local"})
	b.must(b.Mend(t.Context(), b.slot, silent))
	b.wantAt(5, -1, "1")
}

// What was recovered without a known hash gives way to the share of a certificate
// that has one.
func TestShareWithoutKnownHash(t *testing.T) {
	b := newBench(t)
	first := b.owned(5)
	_, known := b.next(first, round{})
	_, unknown := b.next(first, round{silent: "local"})
	wrong := unknown
	wrong.Data = append([]byte{3}, strings.Repeat("x", len(wrong.Data)-1)...)
	b.must(b.Mend(t.Context(), b.slot, wrong))
	if err := b.Mend(t.Context(), b.slot, unknown); !errors.Is(err, ErrNotMended) {
		t.Errorf("another share without a hash: %v", err)
	}
	b.must(b.Mend(t.Context(), b.slot, known))
	if share, err := b.Pull(t.Context(), b.slot, nil, nil, Caller{Proof: 2}); err != nil || !bytes.Equal(share.Data, known.Data) {
		t.Errorf("pulled %q, %v", share.Data, err)
	}
}

// Retained versions have epochs of their own, come to a new holder in any order,
// and leave one by one.
func TestOlderVersionsMove(t *testing.T) {
	for name, order := range map[string][]uint64{"oldest first": {5, 6}, "newest first": {6, 5}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			for _, version := range order {
				prepared, _ := b.next(b.owned(version), round{})
				b.must(b.Prepare(t.Context(), b.slot, prepared))
			}
			b.wantPrepared(1, 1)
			for _, version := range order {
				b.must(b.Mend(t.Context(), b.slot, b.line(version, 1)[1]))
			}
			b.wantOnlyNamed()
			b.wantAt(6, -1, "1")
			b.wantAt(5, -1, "1")
			b.must(b.Mend(t.Context(), b.slot, b.line(5, 2)[2]))
			b.wantAt(6, -1, "1")
			b.wantAt(5, -1, "2")
			_, gone := b.next(b.line(6, 1)[1], round{nodes: away})
			b.must(b.Release(t.Context(), b.slot, gone.Chain))
			b.wantAt(5, -1, "2")
			_, gone = b.next(b.line(5, 2)[2], round{nodes: away})
			b.must(b.Release(t.Context(), b.slot, gone.Chain))
			b.wantOnlyNamed()
			if _, err := b.History(t.Context(), b.slot, Caller{Proof: 2}); !errors.Is(err, api.ErrNotFound) {
				t.Errorf("its history: %v", err)
			}
		})
	}
}

// An older version is given up for a record that gives this node a share of it,
// too, and the current one is not.
func TestReleaseOfAnOlderVersion(t *testing.T) {
	b := newBench(t)
	b.pushOwned(5)
	_, certified := b.next(b.owned(5), round{})
	if err := b.Release(t.Context(), b.slot, certified.Chain); !errors.Is(err, ErrNotReleased) {
		t.Errorf("the current one: %v", err)
	}
	b.wantAt(5, -1, "0")
	b.pushOwned(6)
	b.must(b.Release(t.Context(), b.slot, certified.Chain))
	b.must(b.Release(t.Context(), b.slot, certified.Chain))
	found, err := b.Examine(t.Context(), b.slot)
	if err != nil || len(found.Held) != 1 || found.Held[0].Version != 6 {
		t.Errorf("%+v, %v", found, err)
	}
	settle(t, b.Node)
	b.wantOnlyNamed()
}

// What is no longer retained, or was deleted, does not come back.
func TestOlderVersionsStayAway(t *testing.T) {
	for name, prepare := range map[string]func(b bench){
		"two others are retained": func(b bench) { b.pushOwned(6, 7) },
		"it was deleted":          func(b bench) { b.pushOwned(5); b.delete(5); b.pushOwned(6) },
		"a later was deleted":     func(b bench) { b.pushOwned(6); b.delete(6); b.pushOwned(7) },
		"it is deleted":           func(b bench) { b.pushOwned(5); b.delete(5) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			prepare(b)
			draft, certified := b.next(b.owned(5), round{})
			if err := b.Mend(t.Context(), b.slot, certified); !errors.Is(err, ErrNotMended) {
				t.Errorf("mended: %v", err)
			}
			if err := b.Prepare(t.Context(), b.slot, draft); !errors.Is(err, ErrNotPrepared) {
				t.Errorf("prepared: %v", err)
			}
			settle(t, b.Node)
			b.wantOnlyNamed()
		})
	}
}

// What is prepared goes with its version, and not with time.
func TestPreparedStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.pushOwned(4, 5)
		for _, version := range []uint64{4, 5, 6} {
			prepared, _ := b.next(b.owned(version), round{})
			b.must(b.Prepare(t.Context(), b.slot, prepared))
		}
		scrap := generation{version: 5, epoch: 1, attempt: randomAttempt()}
		put(t, b.store, b.slot.shareKey(scrap), []byte("share"))
		for _, step := range []struct {
			after time.Duration
			want  int
		}{{0, 0}, {orphanAge - 1, 0}, {1, 1}, {8 * 24 * time.Hour, 0}} {
			time.Sleep(step.after)
			if found, err := b.Examine(t.Context(), b.slot); err != nil || found.Orphans != step.want {
				t.Errorf("%s later %d went, %v", step.after, found.Orphans, err)
			}
		}
		b.wantPrepared(1, 1, 1)
		b.pushOwned(6) // what was prepared for 4, no longer retained, goes
		b.wantPrepared(1, 1)
		b.delete(6)
		b.wantPrepared()
		b.wantOnlyNamed()
	})
}

// Rounds that came to nothing are given up one by one.
func TestDropPrepared(t *testing.T) {
	b := newBench(t)
	b.pushOwned(5)
	var drafts []Share
	for seed := range byte(3) {
		prepared, _ := b.next(b.owned(5), round{seed: seed})
		b.must(b.Prepare(t.Context(), b.slot, prepared))
		drafts = append(drafts, prepared)
	}
	hashOf := func(share Share) [32]byte {
		r, err := b.ParseDraft(share.Chain)
		if err != nil {
			t.Fatal(err)
		}
		return r.Hash
	}
	b.wantPrepared(1, 1, 1)
	b.must(b.DropPrepared(t.Context(), b.slot, hashOf(drafts[1])))
	b.must(b.DropPrepared(t.Context(), b.slot, hashOf(drafts[1]))) // again
	b.wantPrepared(1, 1)
	for _, g := range inOrder(must(b.generations(t.Context(), b.slot))(t).ages) {
		if g.epoch > 0 {
			b.spoil(b.slot.shareKey(g))
		}
	}
	b.wantPrepared() // they are damaged, and still there
	b.spoil(b.slot.commitKey())
	b.must(b.DropPrepared(t.Context(), b.slot, hashOf(drafts[0])))
	b.must(b.DropPrepared(t.Context(), b.slot, hashOf(drafts[2])))
	if left := must(b.generations(t.Context(), b.slot))(t).ages; len(left) != 1 {
		t.Errorf("left are %v", left)
	}
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// One share for one record.
func TestPrepareAnother(t *testing.T) {
	b := newBench(t)
	b.pushOwned(5)
	prepared, _ := b.next(b.owned(5), round{})
	b.must(b.Prepare(t.Context(), b.slot, prepared))
	prepared.Data = append([]byte{3}, strings.Repeat("x", len(prepared.Data)-1)...)
	if err := b.Prepare(t.Context(), b.slot, prepared); !errors.Is(err, ErrNotPrepared) {
		t.Errorf("another share: %v", err)
	}
	settle(t, b.Node)
	b.wantPrepared(1)
}

// Of two rounds for one epoch the later is the one that may have committed.
func TestPullOfTheLatestPrepared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.pushOwned(5)
		for seed := range byte(5) {
			prepared, _ := round{seed: seed}.after(t, b.owned(5), fmt.Sprintf("\x03round no.%d", seed))
			prepared.Data = prepared.Data[:len(b.owned(5).Data)]
			b.must(b.Prepare(t.Context(), b.slot, prepared))
			time.Sleep(time.Second)
			one := uint64(1)
			if got, err := b.Pull(t.Context(), b.slot, nil, &one, Caller{Proof: 2}); err != nil || !bytes.Equal(got.Data, prepared.Data) {
				t.Errorf("pulled %q, %v", got.Data, err)
			}
		}
	})
}

// Where there is nothing but what is prepared, its owner must be proved all the
// same, and where it was deleted it is not found.
func TestPullOfThePreparedAlone(t *testing.T) {
	b := newBench(t)
	prepared, _ := b.next(b.owned(5), round{})
	one := uint64(1)
	if _, err := b.Pull(t.Context(), b.slot, nil, &one, Caller{}); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("of nothing: %v", err)
	}
	b.must(b.Prepare(t.Context(), b.slot, prepared))
	if _, err := b.Pull(t.Context(), b.slot, nil, &one, Caller{}); !errors.Is(err, api.ErrOwnershipRequired) {
		t.Errorf("without a proof: %v", err)
	}
	if _, err := b.Pull(t.Context(), b.slot, nil, nil, Caller{Proof: 2}); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("as if it were committed: %v", err)
	}
	if got, err := b.Pull(t.Context(), b.slot, nil, &one, Caller{Proof: 2}); err != nil || got.Epoch != 1 || got.Version != 5 {
		t.Errorf("with one: %+v, %v", got, err)
	}
	two := uint64(2)
	if _, err := b.Pull(t.Context(), b.slot, nil, &two, Caller{Proof: 2}); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("of another epoch: %v", err)
	}
	if listed, err := b.Secrets(t.Context(), b.slot.Identity, Caller{}); err != nil || len(listed) != 0 {
		t.Errorf("listed are %+v, %v", listed, err)
	}
	b.pushOwned(5)
	b.delete(5)
	b.orphan(prepared)
	if _, err := b.Pull(t.Context(), b.slot, nil, &one, Caller{Proof: 2}); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("after a delete: %v", err)
	}
}

// A share that moves in needs room as a push does; one that replaces another was
// counted.
func TestMovesAndQuotas(t *testing.T) {
	b := newBench(t)
	b.pushOwned(5)
	b.cfg.MaxBytes = 1
	draft, certified := b.next(b.owned(5), round{})
	b.must(b.Prepare(t.Context(), b.slot, draft))
	b.must(b.Mend(t.Context(), b.slot, certified))
	before := len(b.store.Objects())
	at := b
	at.slot = ownedSlot("new")
	for _, in := range []bench{b, at} {
		draft, certified := in.next(in.owned(6), round{})
		if err := b.Prepare(t.Context(), in.slot, draft); !errors.Is(err, api.ErrQuotaExceeded) {
			t.Errorf("prepared: %v", err)
		}
		if err := b.Mend(t.Context(), in.slot, certified); !errors.Is(err, api.ErrQuotaExceeded) {
			t.Errorf("mended: %v", err)
		}
	}
	settle(t, b.Node)
	if after := len(b.store.Objects()); after != before {
		t.Errorf("there are %d objects, there were %d", after, before)
	}
}

// Where `version` is damaged, the latest epoch that is certified counts, and what
// is only prepared does not.
func TestMovesWhereVersionIsDamaged(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(b bench, line []Share)
		mend    int
		want    string
		refused bool
	}{
		"a later epoch replaces": {func(b bench, _ []Share) { b.pushOwned(5) }, 1, "1", false},
		"an earlier is put back": {func(b bench, line []Share) { b.must(b.Mend(t.Context(), b.slot, line[2])) }, 1, "2", true},
		"the same":               {func(b bench, line []Share) { b.must(b.Mend(t.Context(), b.slot, line[1])) }, 1, "1", false},
		"only prepared": {func(b bench, line []Share) {
			b.pushOwned(5)
			prepared, _ := b.next(line[0], round{seed: 9})
			b.must(b.Prepare(t.Context(), b.slot, prepared))
		}, 0, "0", false},
		"of the owner's": {func(b bench, line []Share) { b.must(b.Mend(t.Context(), b.slot, line[1])) }, 0, "1", true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				line := b.line(5, 2)
				test.prepare(b, line)
				b.spoil(b.slot.commitKey())
				time.Sleep(orphanAge)
				err := b.Mend(t.Context(), b.slot, line[test.mend])
				if refused := errors.Is(err, ErrNotMended); refused != test.refused || !refused && err != nil {
					t.Error(err)
				}
				settle(t, b.Node)
				b.wantAt(5, -1, test.want)
			})
		})
	}
}

// Nothing else is sound beside a version 0 that is mended.
func TestMendOfVersionZeroAnew(t *testing.T) {
	b := newBench(t)
	b.pushOwned(0)
	b.loseAll(0)
	b.spoil(b.slot.commitKey())
	b.must(b.Mend(t.Context(), b.slot, b.owned(0)))
	b.wantAt(0, -1, "0")
}

// Who lost its share still learns from what is left who holds it.
func TestClaimedRecords(t *testing.T) {
	b := newBench(t)
	b.pushOwned(5)
	line := b.line(5, 2)
	b.must(b.Mend(t.Context(), b.slot, line[1]))
	prepared, _ := b.next(line[1], round{seed: 1})
	b.must(b.Prepare(t.Context(), b.slot, prepared))
	b.spoilShare(5)
	claimed, err := b.ClaimedRecords(t.Context(), b.slot)
	want := [][]byte{line[1].Chain, line[0].Manifest, line[1].Chain, line[0].Manifest}
	if err != nil || !slices.EqualFunc(claimed, want, bytes.Equal) {
		t.Errorf("claimed are %d, %v", len(claimed), err)
	}
	one, err := b.ParseRecord(claimed[0])
	two, _ := b.ParseRecord(slices.Clone(claimed[0]))
	if err != nil || one.Epoch != 1 || one != two {
		t.Errorf("it was parsed anew, as %+v, %v", one, err)
	}
	if _, err := b.ParseRecord(make([]byte, record.MaxSize+1)); err == nil {
		t.Error("one too large is taken")
	}
}

// Everything that is here is sealed anew, and copied.
func TestRekeyAndCopyOfMoves(t *testing.T) {
	store := backendtest.NewMemory()
	b := bench{nodeWith(t, store, "k1", "k2"), t, store, ownedSlot("name")}
	b.pushOwned(4, 5)
	line := b.line(5, 1)
	b.must(b.Mend(t.Context(), b.slot, line[1]))
	prepared, certified := b.next(line[1], round{seed: 5})
	b.must(b.Prepare(t.Context(), b.slot, prepared))
	fresh := b
	fresh.slot = ownedSlot("fresh")
	alone, _ := fresh.next(fresh.owned(8), round{})
	b.must(b.Prepare(t.Context(), fresh.slot, alone))

	rekeyed := nodeWith(t, store, "k2", "k1")
	mustRekey(t, rekeyed, b.slot, 4, 0)
	mustRekey(t, rekeyed, b.slot, 0, 4)
	mustRekey(t, rekeyed, fresh.slot, 1, 0)
	there := backendtest.NewMemory()
	dst := nodeWith(t, there, "k2")
	for _, slot := range []Slot{b.slot, fresh.slot} {
		if outcome, err := rekeyed.CompareTo(t.Context(), nil, slot); err != nil || outcome != Copied {
			t.Errorf("%s: %s, %v", slot.Name, outcome, err)
		}
		mustCopy(t, rekeyed, dst, slot, Copied)
		mustCopy(t, rekeyed, dst, slot, map[bool]CopyOutcome{true: AlreadyThere, false: Copied}[slot == b.slot])
		wantSame(t, store, there, slot)
	}
	at := bench{nodeWith(t, there, "k2"), t, there, b.slot}
	at.wantPrepared(2)
	at.wantAt(5, -1, "1")
	at.must(at.Mend(t.Context(), at.slot, certified))
	at.wantAt(5, -1, "2")
	mustCopy(t, rekeyed, at.Node, b.slot, NewerThere)
	at.slot = fresh.slot
	at.wantPrepared(1)
}

// The older of two epochs never takes the place of the newer at a destination.
func TestCopyDecisionsOfMoves(t *testing.T) {
	live := func(epoch uint64, attempt string) *commit {
		return &commit{current: 5, live: &generation{version: 5, epoch: epoch, attempt: attempt}}
	}
	moved := func(epoch uint64) *commit { return &commit{current: 5, moved: &departure{epoch: epoch}} }
	deleted := &commit{current: 5}
	for _, test := range []struct {
		from, to *commit
		want     CopyOutcome
	}{
		{live(1, "a"), live(0, "b"), Copied},
		{live(0, "b"), live(1, "a"), NewerThere},
		{live(1, "a"), live(1, "b"), CopyConflict},
		{live(1, "a"), live(1, "a"), AlreadyThere},
		{live(0, "a"), live(0, "b"), CopyConflict},
		{moved(1), live(0, "a"), Copied},
		{moved(1), live(2, "a"), NewerThere},
		{moved(1), live(1, "a"), Copied},
		{live(1, "a"), moved(1), NewerThere},
		{live(2, "a"), moved(1), Copied},
		{moved(1), moved(2), NewerThere},
		{moved(2), moved(1), Copied},
		{deleted, moved(2), Copied},
		{moved(2), deleted, NewerThere},
		{nil, deleted, NewerThere},
		{nil, nil, Copied},
	} {
		if got := decideCopy(test.from, test.to); got != test.want {
			t.Errorf("%+v to %+v: %s, want %s", test.from, test.to, got, test.want)
		}
	}
}

// Damaged older versions go alone, also behind one that has moved away.
func TestDropBehindTheMoved(t *testing.T) {
	b := newBench(t)
	b.pushOwned(4, 5)
	_, gone := b.next(b.owned(5), round{nodes: away})
	b.must(b.Release(t.Context(), b.slot, gone.Chain))
	b.spoilShare(4)
	b.wantHeld(-4)
	b.must(b.Drop(t.Context(), b.slot))
	if now := b.commit(); now.moved == nil || len(now.older) != 0 || now.current != 5 {
		t.Errorf("left is %q", now.lines())
	}
	b.wantOnlyNamed()
}

// The hash of a later record must not pass for that of the manifest.
func TestManifestOfAChain(t *testing.T) {
	b := newBench(t)
	line := b.line(5, 2)
	share := line[2]
	share.Manifest = withManifest(t, b.slot, Share{Data: line[0].Data, Version: 5}, movable, func(m *manifest.Manifest) { m.Split = otherSplit }).Manifest
	if err := b.Mend(t.Context(), b.slot, share); !errors.Is(err, ErrNotMended) {
		t.Errorf("under another manifest of the owner: %v", err)
	}
}

// What is prepared for one epoch is not taken for another that somebody has
// renamed it to.
func TestPreparedIsBoundToItsName(t *testing.T) {
	b := newBench(t)
	b.pushOwned(5)
	prepared, _ := b.next(b.owned(5), round{})
	b.must(b.Prepare(t.Context(), b.slot, prepared))
	for _, g := range inOrder(must(b.generations(t.Context(), b.slot))(t).ages) {
		if g.epoch == 0 {
			continue
		}
		renamed := g
		renamed.epoch = 2
		put(t, b.store, b.slot.shareKey(renamed), b.store.Objects()[b.slot.shareKey(g)])
		put(t, b.store, b.slot.checksumKey(renamed), b.store.Objects()[b.slot.checksumKey(g)])
	}
	b.wantPrepared(1)
	b.wantAt(5, 2, "none")
}

// Two shares of the owner's at one version stay two, however many copies there
// are of either.
func TestTwinsAmongCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.push(5)
		twin := recovered(t, b.slot, 6, ofOtherSplit)
		twin.Split = otherSplit
		own := recovered(t, b.slot, 6)
		own.Split = testSplit
		for i, share := range []Share{own, twin, twin} {
			g := generation{version: 6, attempt: fmt.Sprintf("%012d", i)}
			checksum := must(b.sealShare(b.slot, g, share, standing{}))(t)
			if err := b.create(t.Context(), b.slot, g, share.Data, checksum); err != nil {
				t.Fatal(err)
			}
		}
		b.spoil(b.slot.commitKey())
		time.Sleep(orphanAge)
		if err := b.Mend(t.Context(), b.slot, recovered(t, b.slot, 5)); !errors.Is(err, ErrNotMended) {
			t.Error(err)
		}
		settle(t, b.Node)
		if _, err := b.fetchCommit(t.Context(), b.slot); err == nil {
			t.Errorf("one of two was chosen: %q", b.commit().lines())
		}
	})
}

// Of what `version` does not name, the lowest epoch of each version is told: a share
// from before may be there only where `version` is gone.
func TestExaminedUnnamed(t *testing.T) {
	b := newBench(t)
	pushed := b.owned(5)
	prepared, _ := b.next(pushed, round{})
	b.must(b.Prepare(t.Context(), b.slot, prepared))
	unnamed := func(want map[uint64]uint64) {
		t.Helper()
		if found := must(b.Examine(t.Context(), b.slot))(t); !maps.Equal(found.Unnamed, want) {
			t.Errorf("it tells %v, want %v", found.Unnamed, want)
		}
	}
	unnamed(map[uint64]uint64{5: 1})
	b.must(b.Push(t.Context(), b.slot, pushed, Caller{Proof: 2}))
	unnamed(map[uint64]uint64{5: 1})
	b.must(b.store.Delete(t.Context(), b.slot.commitKey(), backend.AnyRevision))
	unnamed(map[uint64]uint64{5: 0})
}

// lastLinkOf is a chain without all links but its last; see docs/FORMATS.md.
func lastLinkOf(t *testing.T, chain []byte) []byte {
	t.Helper()
	const vote = 1 + 32 + 64
	prefix, rest, ok := bytes.Cut(chain, []byte("\n"))
	in := cryptobyte.String(rest)
	var signed, body cryptobyte.String
	var epochs, links uint16
	ok = ok && in.ReadUint24LengthPrefixed(&signed) && in.ReadUint16(&epochs) && in.Skip(32*int(epochs)) && in.ReadUint16(&links) && links > 1
	head := len(chain) - len(in) - 2
	last := 0
	for range links {
		last = len(chain) - len(in)
		ok = ok && in.ReadUint16LengthPrefixed(&body) && in.Skip(32)
		for range 2 { // who agreed, who prepared
			var votes uint8
			ok = ok && in.ReadUint8(&votes) && in.Skip(vote*int(votes))
		}
	}
	if !ok || !in.Empty() || len(prefix) == 0 {
		t.Fatal("not a chain of two links or more")
	}
	return slices.Concat(chain[:head], []byte{0, 1}, chain[last:])
}
