package backendtest

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vault-guardian/guardian/backend"
)

// landscape holds every order trap at once: '-' and '.' sort before '/', so
// that a storage which sorts by segment gets it wrong.
var landscape = []string{
	"A/x", "a-b/x", "a.b", "a/-", "a/b-c", "a/b.c", "a/b/c/d", "a/b/c/e", "a/b/d", "a/b0", "a0", "b", "b-", "c/d/e/f",
}

// manyKeys is more than any backend reads in one go.
const manyKeys = 1100

var listTests = []conformanceTest{
	{"empty storage", func(t *testing.T, s storage) {
		wantKeys(t, s.open(t).mustList(t, "", ""), nil)
	}},
	{"byte order from every position", func(t *testing.T, s storage) {
		b := s.landscape(t)
		for _, prefix := range prefixes() {
			for _, after := range positions() {
				want := filter(landscape, func(key string) bool { return strings.HasPrefix(key, prefix) && key > after })
				wantKeys(t, b.mustList(t, prefix, after), want)
			}
		}
	}},
	{"deleted and replaced", func(t *testing.T, s storage) {
		b := s.landscape(t)
		b.mustDelete(t, "a/b/d", backend.AnyRevision)
		b.mustPut(t, "a/b/c/d", "longer than before", backend.AnyRevision)
		want := filter(landscape, func(key string) bool { return key != "a/b/d" })
		wantKeys(t, b.mustList(t, "", ""), want)
	}},
	{"many keys", func(t *testing.T, s storage) {
		b := s.open(t)
		keys := b.createMany(t)
		wantKeys(t, b.mustList(t, "", ""), keys)
		wantKeys(t, b.mustList(t, "many/", keys[700]), keys[701:])
		wantKeys(t, b.mustListSegments(t, "many/", keys[700]), keys[701:])
	}},
	{"early break", func(t *testing.T, s storage) {
		b := s.landscape(t)
		for range 50 {
			for entry, err := range b.List(t.Context(), "", "") {
				if err != nil || entry.Key != landscape[0] {
					t.Fatalf("first entry is %q, %v", entry.Key, err)
				}
				break
			}
		}
		wantKeys(t, b.mustList(t, "", ""), landscape)
	}},
	{"sequence can be ranged over again", func(t *testing.T, s storage) {
		b := s.landscape(t)
		entries := b.List(t.Context(), "", "")
		wantKeys(t, collect(t, entries), landscape)
		b.create(t, "zz", "one")
		wantKeys(t, collect(t, entries), append(slices.Clone(landscape), "zz"))
	}},
	{"cancelled context ends it with its error", func(t *testing.T, s storage) {
		b := s.landscape(t)
		wantCancelled(t, b.List(cancelled(t), "", ""))
		wantCancelled(t, b.List(cancelled(t), "none/", ""))
	}},
	{"context cancelled on the way", func(t *testing.T, s storage) {
		b := s.open(t)
		keys := b.createMany(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var got []string
		var last error
		for entry, err := range b.List(ctx, "", "") {
			if last != nil {
				t.Fatalf("entry %q behind the error %v", entry.Key, last)
			}
			if last = err; err != nil {
				continue
			}
			got = append(got, entry.Key)
			cancel()
		}
		wantError(t, last, context.Canceled)
		if !slices.Equal(got, keys[:len(got)]) {
			t.Errorf("entries before the error are not the first %d keys", len(got))
		}
	}},
	{"what nobody touches is seen exactly once", func(t *testing.T, s storage) {
		both := s.pair(t)
		for _, key := range landscape {
			both[0].create(t, key, "one")
		}
		stop := churn(t, both[1])
		defer stop()
		for range 30 {
			seen := filter(keysOf(both[0].mustList(t, "", "")), func(key string) bool { return !strings.Contains(key, "churn") })
			if !slices.Equal(seen, landscape) {
				t.Fatalf("saw %q, want %q", seen, landscape)
			}
		}
	}},
}

var segmentTests = []conformanceTest{
	{"empty storage", func(t *testing.T, s storage) {
		wantKeys(t, s.open(t).mustListSegments(t, "", ""), nil)
	}},
	{"groups come once, from every position", func(t *testing.T, s storage) {
		b := s.landscape(t)
		for _, prefix := range prefixes() {
			for _, after := range positions() {
				want := filter(segmentsOf(prefix), func(key string) bool { return key > after })
				wantKeys(t, b.mustListSegments(t, prefix, after), want)
			}
		}
	}},
	{"going on behind each entry", func(t *testing.T, s storage) {
		b := s.landscape(t)
		var walked []string
		for after := ""; ; after = walked[len(walked)-1] {
			rest := b.mustListSegments(t, "", after)
			if len(rest) == 0 {
				break
			}
			walked = append(walked, rest[0].Key)
		}
		if want := segmentsOf(""); !slices.Equal(walked, want) {
			t.Errorf("walked %q, want %q", walked, want)
		}
	}},
	{"group has no size and no time", func(t *testing.T, s storage) {
		b := s.open(t)
		b.create(t, "a/x", "one")
		b.create(t, "b", "four")
		entries := b.mustListSegments(t, "", "")
		wantKeys(t, entries, []string{"a/", "b"})
		if entries[0] != (backend.Entry{Key: "a/"}) {
			t.Errorf("group is %+v", entries[0])
		}
		if entries[1].Size != 4 || entries[1].ModTime.IsZero() {
			t.Errorf("object is %+v", entries[1])
		}
	}},
	{"group goes with its last key", func(t *testing.T, s storage) {
		b := s.open(t)
		b.create(t, "a/b/c/x", "one")
		b.create(t, "a/b/y", "one")
		b.mustDelete(t, "a/b/c/x", backend.AnyRevision)
		wantKeys(t, b.mustListSegments(t, "a/b/", ""), []string{"a/b/y"})
		b.mustDelete(t, "a/b/y", backend.AnyRevision)
		wantKeys(t, b.mustListSegments(t, "a/", ""), nil)
		wantKeys(t, b.mustListSegments(t, "", ""), nil)
	}},
	{"early break", func(t *testing.T, s storage) {
		b := s.landscape(t)
		for range 50 {
			for entry, err := range b.ListSegments(t.Context(), "a/", "") {
				if err != nil || entry.Key != segmentsOf("a/")[0] {
					t.Fatalf("first entry is %q, %v", entry.Key, err)
				}
				break
			}
		}
	}},
	{"cancelled context ends it with its error", func(t *testing.T, s storage) {
		b := s.landscape(t)
		wantCancelled(t, b.ListSegments(cancelled(t), "", ""))
	}},
}

func (s storage) landscape(t *testing.T) client {
	t.Helper()
	b := s.open(t)
	for _, key := range landscape {
		b.create(t, key, "one")
	}
	return b
}

// createMany creates manyKeys keys, many at a time, and returns them in order.
func (c client) createMany(t *testing.T) []string {
	t.Helper()
	keys := make([]string, manyKeys)
	for i := range keys {
		keys[i] = fmt.Sprintf("many/%05d", i)
	}
	var group sync.WaitGroup
	for part := range slices.Chunk(keys, manyKeys/20) {
		group.Go(func() {
			for _, key := range part {
				if _, err := c.Put(t.Context(), key, []byte("one"), backend.Revision{}); err != nil {
					t.Errorf("Put(%q) = %v", key, err)
				}
			}
		})
	}
	group.Wait()
	return keys
}

// churn keeps creating and deleting keys between those of landscape.
func churn(t *testing.T, c client) (stop func()) {
	t.Helper()
	var stopping atomic.Bool
	var group sync.WaitGroup
	for _, key := range []string{"a/b/churn/x", "a/churn", "churn/y", "a-churn"} {
		group.Go(func() {
			for !stopping.Load() {
				_, put := c.Put(t.Context(), key, []byte("one"), backend.AnyRevision)
				deleted := c.Delete(t.Context(), key, backend.AnyRevision)
				if put != nil || deleted != nil {
					t.Errorf("writing %q beside a listing: %v, %v", key, put, deleted)
					return
				}
			}
		})
	}
	return func() {
		stopping.Store(true)
		group.Wait()
	}
}

func prefixes() []string {
	return []string{"", "A", "a", "a/", "a/b", "a/b/", "a/b/c", "a/b/c/", "a-", "a.b", "b", "c/d/e/f", "d", "a/z"}
}

// positions are all keys, all groups, and what lies just before and behind.
func positions() []string {
	all := []string{"", "zz"}
	for _, key := range landscape {
		all = append(all, key, key+"0", key[:len(key)-1])
		for i := range key {
			if key[i] == '/' {
				all = append(all, key[:i], key[:i+1])
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// segmentsOf is what ListSegments must yield of landscape under prefix.
func segmentsOf(prefix string) []string {
	var segments []string
	for _, key := range landscape {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		if group, deeper := groupOf(key, prefix); deeper {
			key = group
		}
		segments = append(segments, key)
	}
	return slices.Compact(segments)
}

func (c client) mustList(t *testing.T, prefix, after string) []backend.Entry {
	t.Helper()
	return collect(t, c.List(t.Context(), prefix, after))
}

func (c client) mustListSegments(t *testing.T, prefix, after string) []backend.Entry {
	t.Helper()
	return collect(t, c.ListSegments(t.Context(), prefix, after))
}

func collect(t *testing.T, entries iter.Seq2[backend.Entry, error]) []backend.Entry {
	t.Helper()
	var all []backend.Entry
	for entry, err := range entries {
		if err != nil {
			t.Fatalf("listing: %v", err)
		}
		all = append(all, entry)
	}
	if !slices.IsSortedFunc(all, func(a, b backend.Entry) int { return cmp.Compare(a.Key, b.Key) }) {
		t.Fatalf("listing is out of order: %q", keysOf(all))
	}
	return all
}

// wantKeys compares with want in byte order.
func wantKeys(t *testing.T, entries []backend.Entry, want []string) {
	t.Helper()
	want = slices.Sorted(slices.Values(want))
	if got := keysOf(entries); !slices.Equal(got, want) {
		t.Fatalf("listed %q, want %q", got, want)
	}
}

func wantCancelled(t *testing.T, entries iter.Seq2[backend.Entry, error]) {
	t.Helper()
	var errs []error
	for entry, err := range entries {
		if err == nil {
			t.Fatalf("listed %q under a cancelled context", entry.Key)
		}
		errs = append(errs, err)
	}
	if len(errs) != 1 {
		t.Fatalf("errors are %v, want one", errs)
	}
	wantError(t, errs[0], context.Canceled)
}

func keysOf(entries []backend.Entry) []string {
	keys := make([]string, len(entries))
	for i, entry := range entries {
		keys[i] = entry.Key
	}
	return keys
}

func filter(keys []string, keep func(string) bool) []string {
	return slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !keep(key) })
}
