// Package clustertest says whether a registry keeps the contract of
// [cluster.Registry].
package clustertest

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vault-guardian/guardian/cluster"
)

// Database is what one registry lies in: the empty one of a sub-test, and the
// ways in which somebody with access to it may change it by hand. Its methods
// end the test when they fail.
type Database interface {
	// Open opens the registry once more, as another process would.
	Open(t *testing.T, log *slog.Logger) cluster.Registry
	// Claim gives indices, from first upwards, to nodes that have no record.
	Claim(t *testing.T, first int, nodes ...string)
	// Plant stores a guardian's record with whatever it is made of, without a
	// claim.
	Plant(t *testing.T, record Record)
	// Forget removes a guardian's record, as an operator does for one that is
	// gone for good. Claims stay.
	Forget(t *testing.T, node string)
}

// Record is a guardian's record as it is stored: text and integers by rights,
// anything where it is malformed.
type Record struct {
	NodeID        string
	Index         any
	ClientURL     any
	PeerURL       any
	PublicKey     any // base64
	FailureDomain any
	RegisteredNS  any
}

// Run runs the conformance suite, a named sub-test for each promise of
// [cluster.Registry]. Each sub-test calls newDatabase for an empty one of its
// own and closes what it opened.
//
// What an unknown outcome may leave behind is for each registry's own tests,
// which can bring one about.
func Run(t *testing.T, newDatabase func(t *testing.T) Database) {
	t.Helper()
	for _, group := range conformance {
		t.Run(group.name, func(t *testing.T) {
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) { test.run(t, database{newDatabase(t)}) })
			}
		})
	}
}

var conformance = []struct {
	name  string
	tests []conformanceTest
}{
	{"register", registerTests},
	{"index", indexTests},
	{"list", listTests},
	{"malformed", malformedTests()},
	{"record", recordTests},
	{"race", raceTests},
	{"lifecycle", lifecycleTests},
}

type conformanceTest struct {
	name string
	run  func(t *testing.T, d database)
}

type database struct{ Database }

// open opens the registry until the end of the test.
func (d database) open(t *testing.T) client {
	t.Helper()
	log := &logged{}
	r := d.Open(t, slog.New(slog.NewTextHandler(log, nil)))
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return client{r, log}
}

// pair opens it twice: two guardians.
func (d database) pair(t *testing.T) [2]client {
	t.Helper()
	return [2]client{d.open(t), d.open(t)}
}

// logged is what was written to a log.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// lines counts the lines about a node.
func (l *logged) lines(node string) int {
	n := 0
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, node) {
			n++
		}
	}
	return n
}

// client is a registry whose calls fail the test where they must not fail.
type client struct {
	cluster.Registry
	log *logged
}

// guardian is a member as it registers itself.
func guardian(node string) cluster.Member {
	return cluster.Member{
		NodeID:        node,
		ClientURL:     "https://" + node + ".example.org:7500",
		PeerURL:       "https://" + node + ".example.org:7501",
		PublicKey:     keyOf(node),
		FailureDomain: "region of " + node,
	}
}

// keyOf is the public key of a name.
func keyOf(name string) ed25519.PublicKey {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, name)
	return ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
}

func (c client) mustRegister(t *testing.T, m cluster.Member) cluster.Member {
	t.Helper()
	got, err := c.Register(t.Context(), m)
	if err != nil {
		t.Fatalf("Register(%s) = %v", m.NodeID, err)
	}
	want := m
	want.Index, want.RegisteredNS = got.Index, got.RegisteredNS
	if !same(got, want) || got.Check() != nil {
		t.Fatalf("Register(%s) = %+v, want %+v", m.NodeID, got, want)
	}
	return got
}

func (c client) mustGive(t *testing.T, node string, index int) cluster.Member {
	t.Helper()
	got := c.mustRegister(t, guardian(node))
	if got.Index != index {
		t.Fatalf("Register(%s) gave index %d, want %d", node, got.Index, index)
	}
	return got
}

// mustRefuse fails unless registering m is refused with want.
func (c client) mustRefuse(t *testing.T, m cluster.Member, want error) {
	t.Helper()
	_, err := c.Register(t.Context(), m)
	wantError(t, err, want)
}

func (c client) mustList(t *testing.T, want ...cluster.Member) {
	t.Helper()
	got, err := c.List(t.Context())
	if err != nil {
		t.Fatalf("List() = %v", err)
	}
	if !slices.EqualFunc(got, want, same) {
		t.Fatalf("List() = %+v, want %+v", got, want)
	}
}

func (c client) mustSwap(t *testing.T, key, data string, rev cluster.Revision) cluster.Revision {
	t.Helper()
	now, err := c.Swap(t.Context(), key, []byte(data), rev)
	if err != nil {
		t.Fatalf("Swap(%q) = %v", key, err)
	}
	if now == (cluster.Revision{}) || now == rev {
		t.Fatalf("Swap(%q) returned a revision that names no new state", key)
	}
	return now
}

// mustLose fails unless a swap at rev is lost.
func (c client) mustLose(t *testing.T, key, data string, rev cluster.Revision) {
	t.Helper()
	now, err := c.Swap(t.Context(), key, []byte(data), rev)
	wantError(t, err, cluster.ErrLost)
	if now != (cluster.Revision{}) {
		t.Fatalf("lost Swap(%q) returned a revision", key)
	}
}

// mustHold fails unless the record holds data, and returns its revision.
func (c client) mustHold(t *testing.T, key, data string) cluster.Revision {
	t.Helper()
	got, rev, err := c.Load(t.Context(), key)
	if err != nil {
		t.Fatalf("Load(%q) = %v", key, err)
	}
	if string(got) != data {
		t.Fatalf("Load(%q) = %d bytes %.40q, want %d bytes %.40q", key, len(got), got, len(data), data)
	}
	if rev == (cluster.Revision{}) {
		t.Fatalf("Load(%q) returned the revision of what is absent", key)
	}
	return rev
}

func (c client) mustBeAbsent(t *testing.T, key string) {
	t.Helper()
	data, rev, err := c.Load(t.Context(), key)
	wantError(t, err, cluster.ErrNoRecord)
	if data != nil || rev != (cluster.Revision{}) {
		t.Fatalf("Load(%q) of an absent record returned %q", key, data)
	}
}

func same(a, b cluster.Member) bool {
	return a.NodeID == b.NodeID && a.Index == b.Index && a.ClientURL == b.ClientURL && a.PeerURL == b.PeerURL &&
		bytes.Equal(a.PublicKey, b.PublicKey) && a.FailureDomain == b.FailureDomain && a.RegisteredNS == b.RegisteredNS
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}
