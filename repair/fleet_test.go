package repair_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/repair"
	"github.com/vault-guardian/guardian/shamir"
)

// fleet is some guardians on a network of function calls, in one bubble.
type fleet struct {
	t        *testing.T
	all      []*member
	registry cluster.Registry
	// retain is how many versions each guardian keeps; 0 is 2.
	retain int
	mu     sync.Mutex
	// said is all that went over the network.
	said []said
	// bend changes what a guardian answers; nil for nothing.
	bend func(by *member, route string, answer []byte) []byte
	// cut tells which calls do not arrive; nil for none.
	cut func(from, to *member, route string, body []byte) bool
}

type said struct {
	to    *member
	route string
	body  []byte
}

// member is one guardian: a node over a storage in memory, and its Repairer.
type member struct {
	*repair.Repairer
	fleet *fleet
	id    string
	x     byte
	key   *integrity.NodeKey
	store *backendtest.Memory
	node  *guardian.Node
	log   logBuffer
	down  bool
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// inFleet runs f with n guardians whose queues are worked on until it returns.
func inFleet(t *testing.T, n int, f func(t *testing.T, w *fleet)) { inFleetRetaining(t, n, 0, f) }

// inFleetRetaining is inFleet with guardians that keep so many versions.
func inFleetRetaining(t *testing.T, n, retain int, f func(t *testing.T, w *fleet)) {
	synctest.Test(t, func(t *testing.T) {
		w := &fleet{t: t, registry: cluster.NewBucket(backendtest.NewMemory(), nil), retain: retain}
		for i := range n {
			w.join(i)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for _, m := range w.all {
			running.Go(func() { m.Run(ctx) })
		}
		f(t, w)
		stop()
		running.Wait()
		for _, m := range w.all {
			if err := m.node.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

// admissionKey admits everybody in the fleet.
var admissionKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)).Public().(ed25519.PublicKey)

func seedOf(i int) string { return fmt.Sprintf("%064x", i+1) }

func (w *fleet) join(i int) {
	w.t.Helper()
	key, err := integrity.ParseNodeKey([]byte(seedOf(i)))
	if err != nil {
		w.t.Fatal(err)
	}
	m := &member{fleet: w, id: fmt.Sprintf("g%d", i+1), x: byte(i + 1), key: key, store: backendtest.NewMemory()}
	log := slog.New(slog.NewTextHandler(&m.log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	sealer, err := integrity.NewSealer(w.t.Context(), m.id, integrity.InlineSource{Text: seedOf(100 + i)}, log)
	if err == nil {
		m.node, err = guardian.Open(w.t.Context(), m.store, sealer, guardian.Config{
			Retain: cmp.Or(w.retain, 2), RequestTimeout: 30 * time.Second, Logger: log,
			Damaged: func(slot guardian.Slot) { m.Damaged(slot) },
		})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	m.Repairer = repair.New(repair.Config{
		Node: m.node, Key: key, Peers: m, FailureDomain: "zone-" + m.id, Logger: log,
		Registry: w.registry, Admission: admissionKey,
	})
	w.all = append(w.all, m)
}

func (m *member) public() ed25519.PublicKey { return m.key.PublicKey() }

// Dial implements [repair.Peers].
func (m *member) Dial(key ed25519.PublicKey) (repair.Conn, error) {
	for _, other := range m.fleet.all {
		if other.public().Equal(key) {
			return &conn{from: m, to: other}, nil
		}
	}
	return nil, repair.ErrUnknownPeer
}

// Members implements [repair.Peers].
func (m *member) Members() []repair.Member {
	var all []repair.Member
	for _, other := range m.fleet.all {
		if other != m {
			all = append(all, other.asMember())
		}
	}
	return all
}

func (m *member) Self() repair.Member { return m.asMember() }

func (m *member) asMember() repair.Member {
	m.fleet.mu.Lock()
	defer m.fleet.mu.Unlock()
	return repair.Member{
		Key: m.public(), NodeID: m.id, Index: 1 + slices.Index(m.fleet.all, m), FailureDomain: "zone-" + m.id, Alive: !m.down,
	}
}

type conn struct{ from, to *member }

func (c *conn) Close() {}

var errDown = errors.New("nobody answers")

func (c *conn) Call(ctx context.Context, route string, body []byte) ([]byte, error) {
	w := c.to.fleet
	w.hear(c.to, route, body)
	w.mu.Lock()
	down, cut, bend := c.to.down || c.from.down, w.cut, w.bend
	w.mu.Unlock()
	if down || cut != nil && cut(c.from, c.to, route, body) {
		return nil, errDown
	}
	answer, err := c.to.Handle(ctx, c.from.public(), route, body)
	if err != nil {
		return nil, err
	}
	if bend != nil {
		answer = bend(c.to, route, answer)
	}
	w.hear(c.from, route, answer)
	return answer, nil
}

// set changes the network while guardians are at work.
func (w *fleet) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *fleet) hear(to *member, route string, body []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, said{to, route, bytes.Clone(body)})
}

// kept is one version of a secret as its owner split it among holders.
type kept struct {
	slot    guardian.Slot
	version uint64
	k       int
	payload []byte
	shares  map[*member][]byte
	signed  []byte
}

// keep splits a payload among holders and pushes each its share.
func (w *fleet) keep(owner int, name string, version uint64, k int, holders ...*member) *kept {
	w.t.Helper()
	s := w.split(owner, name, version, k, holders...)
	for _, m := range holders {
		s.push(w.t, m)
	}
	return s
}

func (w *fleet) split(owner int, name string, version uint64, k int, holders ...*member) *kept {
	w.t.Helper()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(owner), 9}, 16))
	sum := sha256.Sum256(private.Public().(ed25519.PublicKey))
	s := &kept{slot: guardian.Slot{Identity: hex.EncodeToString(sum[:]), Name: name}, version: version, k: k, shares: map[*member][]byte{}}
	s.payload = bytes.Repeat(fmt.Appendf(nil, "secret %d %q %d;", owner, name, version), 4)
	var points []byte
	for _, m := range holders {
		points = append(points, m.x)
	}
	shares, err := shamir.Split(s.payload, k, points)
	if err != nil {
		w.t.Fatal(err)
	}
	split := sha256.Sum256(shares[0])
	m := manifest.Manifest{
		Identity: s.slot.Identity, Name: name, Version: version, Threshold: k, Split: hex.EncodeToString(split[:16]),
		PayloadSize: len(s.payload), PayloadSHA256: sha256.Sum256(s.payload),
		Policy: manifest.Policy{Refresh: true, MinThreshold: 2, MaxHolders: 255, Admission: admissionKey},
	}
	for i, holder := range holders {
		s.shares[holder] = shares[i]
		m.Holders = append(m.Holders, manifest.Holder{X: holder.x, Node: holder.id, Key: holder.public(), SHA256: sha256.Sum256(shares[i])})
	}
	if s.signed, err = m.Sign(private); err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (s *kept) push(t *testing.T, at *member) {
	t.Helper()
	err := at.node.Push(t.Context(), s.slot, guardian.Share{Data: s.shares[at], Version: s.version, Manifest: s.signed}, guardian.Caller{})
	if err != nil {
		t.Fatalf("pushing to %s: %v", at.id, err)
	}
}

// has wants a guardian to have its very share at the version that was pushed.
func (s *kept) has(t *testing.T, at *member) {
	t.Helper()
	got, err := at.node.Pull(t.Context(), s.slot, nil, nil, guardian.Caller{Proof: 2})
	if err != nil || !bytes.Equal(got.Data, s.shares[at]) || got.Version != s.version {
		t.Errorf("%s has version %d, %v; want version %d and its share byte for byte", at.id, got.Version, err, s.version)
	}
}

// lose removes everything of a slot from a storage, as a thief or a disk would.
func (s *kept) lose(t *testing.T, at *member) {
	t.Helper()
	if err := at.node.Purge(t.Context(), s.slot); err != nil {
		t.Fatal(err)
	}
}

// damage flips a bit of every object whose key ends in suffix.
func (s *kept) damage(t *testing.T, at *member, suffix string) {
	t.Helper()
	flipped := 0
	for entry, err := range at.store.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(entry.Key, s.slot.Identity) || !strings.HasSuffix(entry.Key, suffix) {
			continue
		}
		data, rev, err := at.store.Get(t.Context(), entry.Key)
		if err == nil {
			data[len(data)-2] ^= 1
			_, err = at.store.Put(t.Context(), entry.Key, data, rev)
		}
		if err != nil {
			t.Fatal(err)
		}
		flipped++
	}
	if flipped == 0 {
		t.Fatalf("%s has no %s to damage", at.id, suffix)
	}
}

// mend queues a slot with guardians and gives them time.
func (w *fleet) mend(slot guardian.Slot, at ...*member) {
	w.t.Helper()
	for _, m := range at {
		if err := m.Add(w.t.Context(), []guardian.Slot{slot}); err != nil {
			w.t.Fatal(err)
		}
	}
	time.Sleep(time.Minute)
	synctest.Wait()
}

func statusOf(t *testing.T, m *member) repair.Status {
	t.Helper()
	status, err := m.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// ask calls a guardian as who has the key, and decodes the answer.
func ask[A any](t *testing.T, m *member, caller ed25519.PublicKey, route string, request any) (answer A, err error) {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	data, err := m.Handle(t.Context(), caller, route, body)
	if err == nil {
		err = json.Unmarshal(data, &answer)
	}
	return answer, err
}

// wantRefused wants a refusal with a code that quotes nothing of a share.
func wantRefused(t *testing.T, what, code string, err error) {
	t.Helper()
	refused, ok := errors.AsType[*repair.RefusedError](err)
	if !ok || refused.Code != code {
		t.Errorf("%s: %v, want it refused as %s", what, err, code)
	}
}
