package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/cluster"
)

// step is one call of a registry, and what must be true after it, whatever
// became of it.
type step struct {
	name string
	// before makes the state that the call finds.
	before func(t *testing.T, r cluster.Registry) cluster.Revision
	call   func(ctx context.Context, r cluster.Registry, rev cluster.Revision) error
	// after checks a registry without faults, given the call's error.
	after func(t *testing.T, r cluster.Registry, err error)
}

var steps = []step{
	{"register", nothing, func(ctx context.Context, r cluster.Registry, _ cluster.Revision) error {
		_, err := r.Register(ctx, guardianCalled("a"))
		return err
	}, func(t *testing.T, r cluster.Registry, _ error) {
		wantIndex(t, r, guardianCalled("a"), 1)
		wantIndex(t, r, guardianCalled("b"), 2)
		wantMembers(t, r, 2)
	}},
	{"register after others", func(t *testing.T, r cluster.Registry) cluster.Revision {
		wantIndex(t, r, guardianCalled("x"), 1)
		wantIndex(t, r, guardianCalled("y"), 2)
		return cluster.Revision{}
	}, func(ctx context.Context, r cluster.Registry, _ cluster.Revision) error {
		_, err := r.Register(ctx, guardianCalled("a"))
		return err
	}, func(t *testing.T, r cluster.Registry, _ error) {
		for _, node := range []string{"b", "a"} { // in either order, by whether a got as far as its claim
			if _, err := r.Register(t.Context(), guardianCalled(node)); err != nil {
				t.Fatalf("Register(%s) = %v", node, err)
			}
		}
		for i, m := range wantMembers(t, r, 4) {
			if m.Index != i+1 {
				t.Errorf("member %d has index %d", i+1, m.Index)
			}
		}
	}},
	{"move", func(t *testing.T, r cluster.Registry) cluster.Revision {
		wantIndex(t, r, guardianCalled("a"), 1)
		return cluster.Revision{}
	}, func(ctx context.Context, r cluster.Registry, _ cluster.Revision) error {
		_, err := r.Register(ctx, moved("a"))
		return err
	}, func(t *testing.T, r cluster.Registry, err error) {
		members := wantMembers(t, r, 1)
		if err == nil && members[0].ClientURL != moved("a").ClientURL {
			t.Errorf("moved, but the list has %s", members[0].ClientURL)
		}
		wantIndex(t, r, moved("a"), 1)
		wantIndex(t, r, guardianCalled("b"), 2)
	}},
	{"create", nothing, swap, func(t *testing.T, r cluster.Registry, err error) {
		data, rev, loading := r.Load(t.Context(), "key")
		switch {
		case errors.Is(err, cluster.ErrLost):
			t.Error("nobody else wrote, and the creation is said to be lost")
		case err == nil && string(data) != "new":
			t.Errorf("created, but there is %q, %v", data, loading)
		case loading != nil && !errors.Is(loading, cluster.ErrNoRecord):
			t.Errorf("Load = %v", loading)
		}
		wantSwap(t, r, rev)
	}},
	{"swap", func(t *testing.T, r cluster.Registry) cluster.Revision {
		return wantSwap(t, r, cluster.Revision{})
	}, swap, func(t *testing.T, r cluster.Registry, err error) {
		data, rev, loading := r.Load(t.Context(), "key")
		switch {
		case errors.Is(err, cluster.ErrLost):
			t.Error("nobody else wrote, and the swap is said to be lost")
		case loading != nil:
			t.Errorf("Load = %v", loading)
		case err == nil && string(data) != "new":
			t.Errorf("swapped, but there is %q", data)
		case string(data) != "new" && string(data) != "old":
			t.Errorf("there is %q", data)
		}
		wantSwap(t, r, rev)
	}},
}

func nothing(*testing.T, cluster.Registry) cluster.Revision { return cluster.Revision{} }

func swap(ctx context.Context, r cluster.Registry, rev cluster.Revision) error {
	_, err := r.Swap(ctx, "key", []byte("new"), rev)
	return err
}

func moved(node string) cluster.Member {
	m := guardianCalled(node)
	m.ClientURL = "http://127.0.0.1:1"
	return m
}

func wantIndex(t *testing.T, r cluster.Registry, m cluster.Member, index int) {
	t.Helper()
	got, err := r.Register(t.Context(), m)
	if err != nil || got.Index != index || got.ClientURL != m.ClientURL {
		t.Fatalf("Register(%s) = %+v, %v, want index %d", m.NodeID, got, err, index)
	}
}

func wantMembers(t *testing.T, r cluster.Registry, n int) []cluster.Member {
	t.Helper()
	members, err := r.List(t.Context())
	if err != nil || len(members) != n {
		t.Fatalf("List() = %+v, %v, want %d", members, err, n)
	}
	return members
}

func wantSwap(t *testing.T, r cluster.Registry, rev cluster.Revision) cluster.Revision {
	t.Helper()
	now, err := r.Swap(t.Context(), "key", []byte("old"), rev)
	if err != nil {
		t.Fatalf("Swap = %v", err)
	}
	return now
}

// TestBucketFaults fails each storage call of each step, once and from then on,
// in both ways.
func TestBucketFaults(t *testing.T) {
	kinds := map[string]backendtest.Fault{"not applied": backendtest.NotApplied, "answer lost": backendtest.AnswerLost}
	for _, s := range steps {
		calls := s.run(t, nil)
		if calls < 1 {
			t.Fatalf("%s makes no call", s.name)
		}
		for kind, fault := range kinds {
			for n := 1; n <= calls; n++ {
				t.Run(fmt.Sprintf("%s/%s/call %d", s.name, kind, n), func(t *testing.T) {
					s.run(t, func(c backendtest.Call) backendtest.Fault { return faultIf(c.N == n, fault) })
				})
				t.Run(fmt.Sprintf("%s/%s/call %d and later", s.name, kind, n), func(t *testing.T) {
					s.run(t, func(c backendtest.Call) backendtest.Fault { return faultIf(c.N >= n, fault) })
				})
			}
		}
	}
}

func faultIf(hit bool, fault backendtest.Fault) backendtest.Fault {
	if hit {
		return fault
	}
	return backendtest.None
}

// run runs the step on a storage of its own and returns how many calls it made.
func (s step) run(t *testing.T, inject func(backendtest.Call) backendtest.Fault) int {
	t.Helper()
	memory := backendtest.NewMemory()
	sound := cluster.NewBucket(memory, nil)
	rev := s.before(t, sound)
	faulty := &backendtest.Faulty{Backend: memory, Inject: inject}
	err := s.call(t.Context(), cluster.NewBucket(faulty, nil), rev)
	if inject == nil && err != nil {
		t.Fatalf("%s without a fault: %v", s.name, err)
	}
	if err != nil && !errors.Is(err, backendtest.ErrInjected) {
		t.Errorf("%s: error is %v, not the storage's", s.name, err)
	}
	s.after(t, cluster.NewBucket(memory, nil), err)
	return len(faulty.Calls())
}

// errUnknown stands for any error but ErrLost.
var errUnknown = errors.New("the outcome is unknown")

// TestBucketSwapInDoubt has another writer act between the first sending of a
// swap, of which nothing is heard, and the second.
func TestBucketSwapInDoubt(t *testing.T) {
	for _, test := range []struct {
		name    string
		fault   backendtest.Fault
		writers int // that follow
		want    error
	}{
		{"took effect", backendtest.AnswerLost, 0, nil},
		{"took effect, and was followed", backendtest.AnswerLost, 1, nil},
		{"took effect, and was followed often", backendtest.AnswerLost, 15, nil},
		{"did not, and nobody wrote", backendtest.NotApplied, 0, nil},
		{"did not, and another won", backendtest.NotApplied, 1, cluster.ErrLost},
		{"did not, and others won", backendtest.NotApplied, 15, cluster.ErrLost},
		{"took effect, and was forgotten", backendtest.AnswerLost, 16, errUnknown},
		{"did not, and was forgotten", backendtest.NotApplied, 16, errUnknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			memory := backendtest.NewMemory()
			other := cluster.NewBucket(memory, nil)
			rev := wantSwap(t, other, cluster.Revision{})
			faulty := &backendtest.Faulty{Backend: memory}
			puts := 0
			faulty.SetInject(func(c backendtest.Call) backendtest.Fault {
				if c.Op != backendtest.OpPut {
					return backendtest.None
				}
				if puts++; puts == 1 {
					return test.fault
				}
				follow(t, other, test.writers)
				return backendtest.None
			})
			now, err := cluster.NewBucket(faulty, nil).Swap(t.Context(), "key", []byte("new"), rev)
			if !errors.Is(err, test.want) && (!errors.Is(test.want, errUnknown) || err == nil || errors.Is(err, cluster.ErrLost)) {
				t.Fatalf("Swap = %v, want %v", err, test.want)
			}
			if !errors.Is(test.want, errUnknown) {
				wantUsable(t, other, now, test.want == nil && test.writers == 0)
			}
		})
	}
}

// follow writes n times after whatever is there.
func follow(t *testing.T, r cluster.Registry, n int) {
	t.Helper()
	for range n {
		_, rev, err := r.Load(t.Context(), "key")
		if err != nil {
			t.Fatal(err)
		}
		wantSwap(t, r, rev)
	}
}

// wantUsable fails unless a swap at the revision goes as it should.
func wantUsable(t *testing.T, r cluster.Registry, rev cluster.Revision, usable bool) {
	t.Helper()
	_, err := r.Swap(t.Context(), "key", []byte("next"), rev)
	if usable != (err == nil) || err != nil && !errors.Is(err, cluster.ErrLost) {
		t.Errorf("swap at the revision returned: %v, want success: %v", err, usable)
	}
}

// TestBucketCorrupt plants what no Bucket writes under each of its prefixes.
func TestBucketCorrupt(t *testing.T) {
	for key, data := range map[string]string{
		"guardians/x":              "",
		"guardians/y":              "\x00\xff",
		"guardians/z":              `{"node_id":"z","share_index":1`,
		"guardians/null":           "null",
		"guardians/list":           "[]",
		"guardians/two":            "{} {}",
		"guardians/UPPER":          "{}",
		"guardians/dir/file":       "{}",
		"guardians/huge":           string(make([]byte, backend.MaxObjectSize)),
		"indices/000":              "x",
		"indices/256":              "x",
		"indices/1":                "x",
		"indices/0001":             "x",
		"indices/-01":              "x",
		"indices/abc":              "x",
		"indices/009/x":            "x",
		"a":                        "unrelated",
		"records/key":              "no record",
		"records/empty":            "",
		"records/history":          "guardian-record-v1 \n",
		"records/bad-history":      "guardian-record-v1 zz\n",
		"records/half-a-history":   "guardian-record-v1 0123456789abcdef0123456789abcdef,01\n",
		"records/without-an-end":   "guardian-record-v1 0123456789abcdef0123456789abcdef",
		"records/longer-than-ever": string(make([]byte, backend.MaxObjectSize)),
		"zzz/after-everything":     "",
	} {
		t.Run(key, func(t *testing.T) {
			memory := backendtest.NewMemory()
			put(t, memory, key, data)
			r := cluster.NewBucket(memory, nil)
			wantMembers(t, r, 0)
			wantIndex(t, r, guardianCalled("a"), 1)
			wantIndex(t, r, guardianCalled("b"), 2)
			wantMembers(t, r, 2)
			if name, isRecord := recordName(key); isRecord {
				wantNoRecord(t, r, name)
			}
		})
	}
}

func recordName(key string) (string, bool) { return strings.CutPrefix(key, "records/") }

// wantNoRecord fails unless a damaged record is neither loaded nor taken for
// absent.
func wantNoRecord(t *testing.T, r cluster.Registry, name string) {
	t.Helper()
	data, _, err := r.Load(t.Context(), name)
	if err == nil || errors.Is(err, cluster.ErrNoRecord) {
		t.Errorf("Load = %q, %v", data, err)
	}
	if _, err := r.Swap(t.Context(), name, []byte("new"), cluster.Revision{}); err == nil {
		t.Error("a damaged record was overwritten as if it were absent")
	}
}

// TestBucketClaimOfNobody wants an index whose claim is damaged to be lost, not
// given.
func TestBucketClaimOfNobody(t *testing.T) {
	for name, data := range map[string]string{"empty": "", "no node": "Not A Node", "long": string(make([]byte, 1<<20))} {
		t.Run(name, func(t *testing.T) {
			memory := backendtest.NewMemory()
			put(t, memory, "indices/001", data)
			log := &bytes.Buffer{}
			r := cluster.NewBucket(memory, slog.New(slog.NewTextHandler(log, nil)))
			wantIndex(t, r, guardianCalled("a"), 2)
			wantMembers(t, r, 1)
			if n := strings.Count(log.String(), "indices/001"); n != 1 {
				t.Errorf("%d lines about it: %s", n, log)
			}
		})
	}
}

// TestBucketReadsClaimsOnce counts what a List costs.
func TestBucketReadsClaimsOnce(t *testing.T) {
	faulty := &backendtest.Faulty{Backend: backendtest.NewMemory()}
	r := cluster.NewBucket(faulty, nil)
	for i := range 10 {
		wantIndex(t, r, guardianCalled(fmt.Sprintf("n-%d", i)), i+1)
	}
	wantMembers(t, r, 10)
	before := len(faulty.Calls())
	wantMembers(t, r, 10)
	if cost := len(faulty.Calls()) - before; cost != 12 {
		t.Errorf("a List of 10 members costs %d calls, want two listings and a read for each", cost)
	}
}
