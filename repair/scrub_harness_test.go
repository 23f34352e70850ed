package repair

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/manifest"
)

// scrubOwner is one of many owners, and where it keeps a secret.
type scrubOwner struct{ key ed25519.PrivateKey }

func ownerNo(i int) scrubOwner {
	var seed [ed25519.SeedSize]byte
	binary.BigEndian.PutUint64(seed[:], uint64(i))
	return scrubOwner{ed25519.NewKeyFromSeed(seed[:])}
}

func (o scrubOwner) slot(name string) guardian.Slot {
	sum := sha256.Sum256(o.key.Public().(ed25519.PublicKey))
	return guardian.Slot{Identity: hex.EncodeToString(sum[:]), Name: name}
}

// scrubShare is the share of a version for the point of a holder.
func scrubShare(slot guardian.Slot, version uint64, x byte) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d/%d", slot.Identity, slot.Name, version, x))
	return append([]byte{x}, sum[:]...)
}

// manifestFor is what an owner signs about a version for holders by node id and
// key, which have the points from 1.
func (o scrubOwner) manifestFor(t testing.TB, name string, version uint64, holders ...*scrubNode) []byte {
	t.Helper()
	slot := o.slot(name)
	m := manifest.Manifest{
		Identity: slot.Identity, Name: name, Version: version, Threshold: 2,
		Split: strings.Repeat("5", 32), PayloadSize: sha256.Size,
		Policy: manifest.Policy{MinThreshold: 2, MaxHolders: 255},
	}
	for i, h := range holders {
		x := byte(i + 1)
		m.Holders = append(m.Holders, manifest.Holder{X: x, Node: h.id, Key: h.public(), SHA256: sha256.Sum256(scrubShare(slot, version, x))})
	}
	signed, err := m.Sign(o.key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// push stores the version at those of the holders who are to have it now.
func (o scrubOwner) push(t testing.TB, name string, version uint64, holders []*scrubNode, at ...*scrubNode) {
	t.Helper()
	signed := o.manifestFor(t, name, version, holders...)
	for i, h := range holders {
		if !slices.Contains(at, h) {
			continue
		}
		share := guardian.Share{Data: scrubShare(o.slot(name), version, byte(i+1)), Version: version, Manifest: signed}
		if err := h.node.Push(t.Context(), o.slot(name), share, guardian.Caller{}); err != nil {
			t.Fatal(err)
		}
	}
}

// scrubNode is a guardian over its storage, and a scrubber of it.
type scrubNode struct {
	*scrubber
	id    string
	key   *integrity.NodeKey
	store *backendtest.Memory
	node  *guardian.Node
	world *scrubWorld
	log   bytes.Buffer

	mu     sync.Mutex
	queued []Item
	failQ  error
	// answer stands in for the scrubber when it returns true.
	answer func(route string, body []byte) ([]byte, error, bool)
	calls  map[string]int
}

func (n *scrubNode) public() ed25519.PublicKey { return n.key.PublicKey() }

func (n *scrubNode) add(_ context.Context, item Item) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.failQ == nil {
		n.queued = append(n.queued, item)
	}
	return n.failQ
}

// taken are the items queued so far, as "reason slot", in order.
func (n *scrubNode) taken() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []string
	for _, item := range n.queued {
		all = append(all, fmt.Sprintf("%s %s/%s", item.Reason, item.Slot.Short(), item.Slot.Name))
	}
	n.queued = nil
	slices.Sort(all)
	return all
}

func wants(reason Reason, slots ...guardian.Slot) []string {
	var all []string
	for _, slot := range slots {
		all = append(all, fmt.Sprintf("%s %s/%s", reason, slot.Short(), slot.Name))
	}
	slices.Sort(all)
	return all
}

// scrubWorld is a cluster whose members reach each other by function calls.
type scrubWorld struct {
	nodes []*scrubNode

	mu   sync.Mutex
	dead map[*scrubNode]bool
}

func (w *scrubWorld) kill(n *scrubNode)   { w.setDead(n, true) }
func (w *scrubWorld) revive(n *scrubNode) { w.setDead(n, false) }

func (w *scrubWorld) setDead(n *scrubNode, dead bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead[n] = dead
}

func (w *scrubWorld) isDead(n *scrubNode) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead[n]
}

func newScrubWorld(t testing.TB, count int) *scrubWorld {
	w := &scrubWorld{dead: map[*scrubNode]bool{}}
	for i := range count {
		n := &scrubNode{id: fmt.Sprintf("g%d", i), store: backendtest.NewMemory(), world: w, calls: map[string]int{}}
		n.key = scrubKey(t, i)
		n.node = openScrubNode(t, n.id, n.store)
		w.nodes = append(w.nodes, n)
		n.restart(t)
	}
	return w
}

func scrubKey(t testing.TB, i int) *integrity.NodeKey {
	t.Helper()
	key, err := integrity.ParseNodeKey([]byte(strings.Repeat(fmt.Sprintf("%02x", i+1), 32)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func openScrubNode(t testing.TB, id string, store backend.Backend) *guardian.Node {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	sealer, err := integrity.NewSealer(context.Background(), id, integrity.InlineSource{Text: strings.Repeat("0f", integrity.KeySize)}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	node, err := guardian.Open(context.Background(), store, sealer, guardian.Config{Retain: 2, RequestTimeout: time.Minute, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = node.Close(context.Background()) })
	return node
}

// restart makes a new scrubber, as a new process does.
func (n *scrubNode) restart(t testing.TB) {
	t.Helper()
	n.scrubber = n.replica(n.node)
}

func (n *scrubNode) replica(node *guardian.Node) *scrubber {
	return newScrubber(Config{
		Node: node, Key: n.key, Peers: scrubPeers{n}, ScrubInterval: time.Hour, Now: time.Now,
		Logger: slog.New(slog.NewTextHandler(&n.log, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}, n.add)
}

// scrub makes one whole pass.
func (n *scrubNode) scrub(t testing.TB) ScrubReport {
	t.Helper()
	mustPass(t, n.scrubber)
	return n.lastInventory().Report
}

func mustPass(t testing.TB, s *scrubber) {
	t.Helper()
	state, rev, err := s.loadState(t.Context())
	if err == nil {
		err = s.pass(t.Context(), state, rev)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// compareAll makes one round with all live members.
func (n *scrubNode) compareAll(t testing.TB) ExchangeReport {
	t.Helper()
	before := n.progress().Exchange
	_, due := n.dueMembers(nil, map[string]time.Time{}, true)
	n.compareWith(t.Context(), due, map[string]time.Time{}, true)
	after := n.progress().Exchange
	after.Comparisons -= before.Comparisons
	after.Equal -= before.Equal
	after.Failed -= before.Failed
	after.Buckets -= before.Buckets
	after.Entries -= before.Entries
	after.Bad -= before.Bad
	after.Queued -= before.Queued
	after.Noticed -= before.Noticed
	after.Forked -= before.Forked
	return after
}

// objectsOf are the keys of a slot's generations.
func (n *scrubNode) objectsOf(slot guardian.Slot) []string {
	var keys []string
	for key := range n.store.Objects() {
		if strings.Contains(key, slot.Identity) && strings.Contains(key, cmp.Or(slot.Name, "shares/")) && strings.HasSuffix(key, ".bin") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func (n *scrubNode) lose(t testing.TB, slot guardian.Slot) {
	t.Helper()
	for _, key := range n.objectsOf(slot) {
		if err := n.store.Delete(t.Context(), key, backend.AnyRevision); err != nil {
			t.Fatal(err)
		}
	}
}

// forget removes all that is stored of a slot.
func (n *scrubNode) forget(t testing.TB, slot guardian.Slot) {
	t.Helper()
	if err := n.node.Purge(t.Context(), slot); err != nil {
		t.Fatal(err)
	}
}

func (n *scrubNode) spoil(t testing.TB, slot guardian.Slot) {
	t.Helper()
	for _, key := range n.objectsOf(slot) {
		data, rev, err := n.store.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)-1] ^= 1
		if _, err := n.store.Put(t.Context(), key, data, rev); err != nil {
			t.Fatal(err)
		}
	}
}

type scrubPeers struct{ of *scrubNode }

func (p scrubPeers) Self() Member { return Member{Key: p.of.public(), NodeID: p.of.id, Alive: true} }

func (p scrubPeers) Members() []Member {
	var all []Member
	for _, n := range p.of.world.nodes {
		if n != p.of {
			all = append(all, Member{Key: n.public(), NodeID: n.id, Alive: !p.of.world.isDead(n)})
		}
	}
	return all
}

func (p scrubPeers) Dial(key ed25519.PublicKey) (Conn, error) {
	for _, n := range p.of.world.nodes {
		if n.public().Equal(key) {
			return scrubConn{p.of, n}, nil
		}
	}
	return nil, ErrUnknownPeer
}

// scrubConn carries JSON, as the wire does.
type scrubConn struct{ from, to *scrubNode }

func (c scrubConn) Close() {}

func (c scrubConn) Call(ctx context.Context, route string, body []byte) ([]byte, error) {
	if c.from.world.isDead(c.to) {
		return nil, errors.New("no answer")
	}
	c.to.mu.Lock()
	c.to.calls[route]++
	c.to.mu.Unlock()
	if c.to.answer != nil {
		if answer, err, instead := c.to.answer(route, body); instead {
			return answer, err
		}
	}
	caller := c.from.public()
	switch route {
	case RouteInventory:
		return scrubAnswer(ctx, caller, body, c.to.answerInventory)
	case RouteBucket:
		return scrubAnswer(ctx, caller, body, c.to.answerBucket)
	case RouteNotice:
		return scrubAnswer(ctx, caller, body, c.to.answerNotice)
	}
	return nil, errors.New("no such route")
}

func scrubAnswer[Request, Answer any](ctx context.Context, caller ed25519.PublicKey, body []byte, f func(context.Context, ed25519.PublicKey, Request) (Answer, error)) ([]byte, error) {
	var request Request
	if err := json.Unmarshal(body, &request); err != nil {
		return nil, err
	}
	answer, err := f(ctx, caller, request)
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}
