package round

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/integrity"
)

// clock is set by hand.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func (c *clock) pass(d time.Duration) { c.at = c.at.Add(d) }

// stage is a registry, two nodes that may coordinate, and the ballots of one.
type stage struct {
	t        *testing.T
	storage  *backendtest.Faulty // of the registry
	registry *cluster.Bucket
	disk     *backendtest.Faulty // of the ballots
	clock    *clock
	group    Group
	a, b     *Rounds
	ballots  *Ballots
}

func newStage(t *testing.T) *stage {
	s := &stage{
		t: t, storage: &backendtest.Faulty{Backend: backendtest.NewMemory()}, disk: &backendtest.Faulty{Backend: backendtest.NewMemory()},
		clock: &clock{time.Unix(1_800_000_000, 0)}, group: GroupOf(3, []ed25519.PublicKey{make([]byte, 32)}),
	}
	s.registry = cluster.NewBucket(s.storage, nil)
	s.a, s.b = New(s.registry, "g1", s.clock.now), New(s.registry, "g2", s.clock.now)
	s.ballots = NewBallots(s.disk, newSealer(t, "g1", strings.Repeat("1f", integrity.KeySize)), s.a, s.clock.now)
	return s
}

func newSealer(t *testing.T, node, keyring string) *integrity.Sealer {
	t.Helper()
	sealer, err := integrity.NewSealer(t.Context(), node, integrity.InlineSource{Text: keyring}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

func (s *stage) open(by *Rounds) *Round {
	s.t.Helper()
	r, err := by.Open(s.t.Context(), s.group, Summary{FromThreshold: 3, ToThreshold: 4, ToHolders: 6, Generations: 2, Bytes: 100})
	must(s.t, err)
	return r
}

func (s *stage) voting(by *Rounds, session Session, bases ...[32]byte) *Round {
	s.t.Helper()
	r := s.open(by)
	must(s.t, r.Vote(s.t.Context(), session, bases))
	return r
}

func (s *stage) cast(session Session, bases ...[32]byte) error {
	return s.ballots.Cast(s.t.Context(), s.group, session, bases)
}

func (s *stage) state() State {
	s.t.Helper()
	found, err := s.a.Look(s.t.Context(), s.group)
	must(s.t, err)
	return found
}

// put writes the group's record as it is.
func (s *stage) put(data string) {
	s.t.Helper()
	_, rev, err := s.registry.Load(s.t.Context(), s.group.Key())
	if !errors.Is(err, cluster.ErrNoRecord) {
		must(s.t, err)
	}
	_, err = s.registry.Swap(s.t.Context(), s.group.Key(), []byte(data), rev)
	must(s.t, err)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("got %v, want %v", err, target)
	}
}

// withSwap is a registry that does something right before its nth swap.
type withSwap struct {
	Registry
	n      int
	before func()
}

func (r *withSwap) Swap(ctx context.Context, key string, data []byte, rev cluster.Revision) (cluster.Revision, error) {
	if r.n--; r.n == 0 {
		r.before()
	}
	return r.Registry.Swap(ctx, key, data, rev)
}

var (
	one, two, other = Session{1}, Session{2}, Session{3}
	base, second    = [32]byte{9}, [32]byte{8}
)

// madeBy is a line in which a session has made the successor of a base, and of no
// other.
func madeBy(session Session, base [32]byte) func([32]byte) ([32]byte, bool) {
	return func(of [32]byte) ([32]byte, bool) { return session, of == base }
}
