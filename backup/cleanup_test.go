package backup_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backup"
)

// TestCleanupBreaksNoChain removes as much as it may, after every step of a
// history, and all that is left can be restored.
func TestCleanupBreaksNoChain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kinds  []string
		recent int // how many of them are not old
		kept   []int
	}{
		"the newest is kept":             {[]string{backup.Full, backup.Full, backup.Full}, 0, []int{2}},
		"and all that it was made upon":  {[]string{backup.Full, backup.Full, backup.Incremental, backup.Incremental}, 0, []int{1, 2, 3}},
		"an old chain goes as a whole":   {[]string{backup.Full, backup.Incremental, backup.Full}, 1, []int{2}},
		"a chain that is not old stays":  {[]string{backup.Full, backup.Incremental, backup.Incremental, backup.Full}, 2, []int{0, 1, 2, 3}},
		"what stands upon it goes first": {[]string{backup.Full, backup.Incremental, backup.Incremental, backup.Full}, 1, []int{3}},
		"what is not old stays":          {[]string{backup.Full, backup.Full}, 2, []int{0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var all []backup.Manifest
			for i, kind := range c.kinds {
				w.push(1, uint64(i+1))
				all = append(all, w.backup(kind))
			}
			before := time.Now().Add(time.Hour)
			if c.recent > 0 {
				before = all[len(all)-c.recent].Started.Truncate(time.Millisecond)
			}
			dry, err := w.place.Cleanup(t.Context(), before, true)
			if listed, _ := w.place.List(t.Context()); err != nil || len(listed) != len(all) {
				t.Fatalf("a dry run removed something: %+v, %v", listed, err)
			}
			done, err := w.place.Cleanup(t.Context(), before, false)
			if err != nil || !slices.Equal(done.Removed, dry.Removed) {
				t.Fatalf("%+v, %v, and dry %+v", done, err, dry)
			}
			var left []int
			listed, err := w.place.List(t.Context())
			for _, l := range listed {
				left = append(left, slices.IndexFunc(all, func(m backup.Manifest) bool { return m.ID == l.ID }))
				if _, err := w.place.Verify(t.Context(), l.Manifest, func() {}); err != nil {
					t.Error(err)
				}
			}
			slices.Reverse(left)
			if err != nil || !slices.Equal(left, c.kept) {
				t.Errorf("left %v, %v", left, err)
			}
			for i, m := range all {
				if !slices.Contains(c.kept, i) && len(w.keys(m.ID)) > 0 {
					t.Errorf("of %d there is %v", i, w.keys(m.ID))
				}
			}
		})
	}
}

// TestCleanupKeepsWhatIsWhole: a newest backup that has lost its parent is none.
func TestCleanupKeepsWhatIsWhole(t *testing.T) {
	t.Parallel()
	w := filled(t)
	first, lost, broken := w.backup(backup.Full), w.backup(backup.Full), w.backup(backup.Incremental)
	w.remove(w.keys(lost.ID + "/manifest")[0])
	done, err := w.place.Cleanup(t.Context(), time.Now().Add(time.Hour), false)
	if err != nil || !slices.Equal(done.Needed, []string{first.ID}) || !slices.Equal(done.Removed, []string{broken.ID}) {
		t.Errorf("%+v, %v", done, err)
	}
}

// TestCleanupTakesLeftovers, but not of what may still be in the making.
func TestCleanupTakesLeftovers(t *testing.T) {
	t.Parallel()
	w := filled(t)
	w.backup(backup.Full)
	const prefix = "backups/g1/"
	now := time.Now().UTC().Format("20060102T150405.000Z") + "-aaaaaa"
	w.put(prefix+"20200101T000000.000Z-aaaaaa/data-000001", []byte("x"))
	w.put(prefix+"drills/20200101T000000.000Z-aaaaaa/shares/x", []byte("x"))
	w.put(prefix+now+"/data-000001", []byte("x"))
	w.put(prefix+"drills/"+now+"/shares/x", []byte("x"))
	done, err := w.place.Cleanup(t.Context(), time.Now().Add(-time.Hour), false)
	if err != nil || done.Unfinished != 2 || len(done.Kept) != 1 || len(w.keys("2020")) != 0 || len(w.keys(now)) != 2 {
		t.Errorf("%+v, %v, left %v", done, err, w.keys(""))
	}
}

// TestParentGoesMeanwhile: what was built upon nothing is no backup.
func TestParentGoesMeanwhile(t *testing.T) {
	t.Parallel()
	w := filled(t)
	first := w.backup(backup.Full)
	writer, err := w.place.NewWriter(t.Context(), w.node, w.source, backup.Incremental)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	w.remove(w.keys(first.ID + "/manifest")[0])
	if _, err := writer.Finish(t.Context()); !errors.Is(err, backup.ErrDamaged) {
		t.Error(err)
	}
	if all, err := w.place.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestDrill(t *testing.T) {
	t.Parallel()
	w, all, _ := chain(t)
	kept := w.kept.Objects()
	found, err := w.place.Drill(t.Context(), all[2], func() {})
	if err != nil || found.RTO <= 0 || found.RPO <= 0 || found.Identities != all[2].Identities || !found.Started.Equal(all[2].Started) {
		t.Errorf("%+v, %v", found, err)
	}
	wantSame(t, w.kept.Objects(), kept) // nothing is left behind
	w.put(w.keys(all[1].ID + "/data")[0], []byte("another"))
	if _, err := w.place.Drill(t.Context(), all[2], func() {}); !errors.Is(err, backup.ErrDamaged) {
		t.Error(err)
	}
	if left := w.keys("drills"); len(left) > 0 {
		t.Error(left)
	}
}
