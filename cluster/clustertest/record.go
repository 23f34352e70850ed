package clustertest

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/cluster"
)

// never are revisions that no record was ever at: those of another record, which
// lies in the registry for this purpose.
func (c client) never(t *testing.T) cluster.Revision {
	t.Helper()
	return c.mustSwap(t, "of-another-record", "x", cluster.Revision{})
}

var recordTests = []conformanceTest{
	{"absent", func(t *testing.T, d database) {
		r := d.open(t)
		r.mustBeAbsent(t, "a")
		r.mustSwap(t, "b", "one", cluster.Revision{})
		r.mustBeAbsent(t, "a")
	}},
	{"create only what is absent", func(t *testing.T, d database) {
		both := d.pair(t)
		both[0].mustSwap(t, "a", "one", cluster.Revision{})
		for _, r := range both {
			r.mustLose(t, "a", "two", cluster.Revision{})
			r.mustLose(t, "a", "one", cluster.Revision{})
			r.mustHold(t, "a", "one")
		}
	}},
	{"replace at the revision swapped", func(t *testing.T, d database) {
		r := d.open(t)
		rev := r.mustSwap(t, "a", "one", cluster.Revision{})
		rev = r.mustSwap(t, "a", "two", rev)
		if got := r.mustHold(t, "a", "two"); got != rev {
			t.Errorf("Load gives another revision than Swap")
		}
		r.mustSwap(t, "a", "three", rev)
		r.mustHold(t, "a", "three")
	}},
	{"replace at the revision loaded", func(t *testing.T, d database) {
		both := d.pair(t)
		both[0].mustSwap(t, "a", "one", cluster.Revision{})
		both[1].mustSwap(t, "a", "two", both[1].mustHold(t, "a", "one"))
		both[0].mustSwap(t, "a", "three", both[0].mustHold(t, "a", "two"))
		both[1].mustHold(t, "a", "three")
	}},
	{"stale revision loses and changes nothing", func(t *testing.T, d database) {
		both := d.pair(t)
		stale := both[0].mustSwap(t, "a", "one", cluster.Revision{})
		now := both[1].mustSwap(t, "a", "two", stale)
		both[0].mustLose(t, "a", "three", stale)
		if got := both[0].mustHold(t, "a", "two"); got != now {
			t.Error("a lost swap moved the revision")
		}
		both[0].mustSwap(t, "a", "three", now)
	}},
	{"equal data do not bring a revision back", func(t *testing.T, d database) {
		r := d.open(t)
		first := r.mustSwap(t, "a", "one", cluster.Revision{})
		rev := r.mustSwap(t, "a", "one", first)
		r.mustLose(t, "a", "two", first)
		rev = r.mustSwap(t, "a", "two", rev)
		rev = r.mustSwap(t, "a", "one", rev)
		r.mustLose(t, "a", "three", first)
		r.mustSwap(t, "a", "three", rev)
	}},
	{"revision of another record loses", func(t *testing.T, d database) {
		r := d.open(t)
		never := r.never(t)
		r.mustLose(t, "absent", "one", never)
		r.mustBeAbsent(t, "absent")
		rev := r.mustSwap(t, "a", "one", cluster.Revision{})
		r.mustLose(t, "a", "two", never)
		r.mustSwap(t, "a", "two", rev)
	}},
	{"long chain", func(t *testing.T, d database) {
		both := d.pair(t)
		var all []cluster.Revision
		rev := cluster.Revision{}
		for i := range 40 {
			rev = both[i%2].mustSwap(t, "a", strings.Repeat("x", i), rev)
			all = append(all, rev)
		}
		for _, old := range all[:39] {
			both[0].mustLose(t, "a", "late", old)
		}
		both[0].mustSwap(t, "a", "last", rev)
	}},
	{"any bytes", func(t *testing.T, d database) {
		both := d.pair(t)
		every := make([]byte, 256)
		for i := range every {
			every[i] = byte(i)
		}
		for key, data := range map[string]string{
			"empty": "", "newline": "\n", "null": "null", "blob": "x'6162'", "quotes": `'";--`,
			"every": string(every), "utf-8": "\u00e9\u202e\U0001f511", "largest": strings.Repeat("\xff", cluster.MaxRecordSize),
		} {
			both[0].mustSwap(t, key, data, cluster.Revision{})
			both[1].mustHold(t, key, data)
		}
	}},
	{"too large", func(t *testing.T, d database) {
		r := d.open(t)
		_, err := r.Swap(t.Context(), "a", make([]byte, cluster.MaxRecordSize+1), cluster.Revision{})
		wantError(t, err, cluster.ErrTooLarge)
		r.mustBeAbsent(t, "a")
	}},
	{"invalid key", func(t *testing.T, d database) {
		r := d.open(t)
		for _, key := range []string{"", "/", "a/", "/a", "a//b", "../a", ".a", "a b", "a\x00", "\u00e9", strings.Repeat("a/", 128) + "a"} {
			_, _, err := r.Load(t.Context(), key)
			wantError(t, err, cluster.ErrInvalidKey)
			_, err = r.Swap(t.Context(), key, []byte("one"), cluster.Revision{})
			wantError(t, err, cluster.ErrInvalidKey)
		}
	}},
	{"keys are apart", func(t *testing.T, d database) {
		r := d.open(t)
		keys := []string{"a", "A", "a.", "b/a", "b/b/a", "guardians/a", "indices/001", strings.Repeat("k", 200), cluster.RosterKey}
		for _, key := range keys {
			r.mustSwap(t, key, "of "+key, cluster.Revision{})
		}
		for _, key := range keys {
			r.mustHold(t, key, "of "+key)
		}
		r.mustList(t)
		r.mustGive(t, "a", 1)
	}},
	{"bytes are the caller's", func(t *testing.T, d database) {
		r := d.open(t)
		given := []byte("one")
		rev, err := r.Swap(t.Context(), "a", given, cluster.Revision{})
		wantError(t, err, nil)
		copy(given, "xxx")
		for range 2 {
			got, now, err := r.Load(t.Context(), "a")
			if err != nil || !bytes.Equal(got, []byte("one")) || now != rev {
				t.Fatalf("Load = %q, %v", got, err)
			}
			copy(got, "yyy")
		}
	}},
	{"ended context", func(t *testing.T, d database) {
		r := d.open(t)
		rev := r.mustSwap(t, "a", "one", cluster.Revision{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err := r.Load(ctx, "a")
		wantError(t, err, context.Canceled)
		_, err = r.Swap(ctx, "a", []byte("two"), rev)
		wantError(t, err, context.Canceled)
		r.mustHold(t, "a", "one")
	}},
}

var lifecycleTests = []conformanceTest{
	{"reopen", func(t *testing.T, d database) {
		first := d.Open(t, nil)
		a, err := first.Register(t.Context(), guardian("a"))
		wantError(t, err, nil)
		rev, err := first.Swap(t.Context(), "key", []byte("one"), cluster.Revision{})
		wantError(t, err, nil)
		if err := first.Close(); err != nil {
			t.Fatalf("Close() = %v", err)
		}
		r := d.open(t)
		r.mustList(t, a)
		if got := r.mustHold(t, "key", "one"); got != rev {
			t.Error("a reopened registry has another revision")
		}
		r.mustSwap(t, "key", "two", rev)
		r.mustGive(t, "b", 2)
	}},
	{"no log", func(t *testing.T, d database) {
		d.Plant(t, Record{NodeID: "hostile", Index: 0, ClientURL: "", PeerURL: "", PublicKey: "", FailureDomain: "", RegisteredNS: 0})
		r := d.Open(t, nil)
		if members, err := r.List(t.Context()); err != nil || len(members) != 0 {
			t.Errorf("List() = %v, %v", members, err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	}},
}
