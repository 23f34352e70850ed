package check

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/shamir"
)

// tester is what *testing.T, *testing.B and *rapid.T share.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// guardians hold shares of some secrets at the points given. Their holders
// answer in memory, through the JSON of every message.
type guardians struct {
	xs       []byte
	k        int
	keys     map[byte]*integrity.NodeKey
	holders  map[byte]*Holder
	payloads [][]byte
	records  []*record.Record
	batch    *Batch
	now      func() time.Time

	mu     sync.Mutex
	shares map[byte]map[string][]byte // by point and record hash
	// tamper, if not nil, sees and changes what a holder answered, or fails it.
	tamper func(x byte, step Step, request, answer any) error
}

var (
	cachedKeys   = map[byte]*integrity.NodeKey{}
	cachedKeysMu sync.Mutex
)

// nodeKey makes one key for each point in a process: most tests want any.
func nodeKey(t tester, x byte) *integrity.NodeKey {
	cachedKeysMu.Lock()
	defer cachedKeysMu.Unlock()
	if cachedKeys[x] == nil {
		key, err := integrity.ParseNodeKey([]byte(hex.EncodeToString(randomBytes(32))))
		must(t, err)
		cachedKeys[x] = key
	}
	return cachedKeys[x]
}

func newGuardians(t tester, n, k int, sizes ...int) *guardians {
	t.Helper()
	xs := make([]byte, n)
	for i := range xs {
		xs[i] = byte(i + 1)
	}
	return guardiansAt(t, xs, k, sizes...)
}

func guardiansAt(t tester, xs []byte, k int, sizes ...int) *guardians {
	t.Helper()
	g := &guardians{
		xs: xs, k: k, keys: map[byte]*integrity.NodeKey{}, holders: map[byte]*Holder{},
		shares: map[byte]map[string][]byte{}, now: time.Now,
	}
	for _, x := range xs {
		g.keys[x], g.shares[x] = nodeKey(t, x), map[string][]byte{}
		g.holders[x] = NewHolder(g.keys[x], Config{Source: g.source(x)}, func() time.Time { return g.now() })
	}
	for i, size := range sizes {
		g.store(t, fmt.Sprint("name", i), randomBytes(size))
	}
	batch, err := NewBatch(g.records)
	must(t, err)
	g.batch = batch
	return g
}

func (g *guardians) store(t tester, name string, payload []byte) {
	t.Helper()
	shares, err := shamir.Split(payload, g.k, g.xs)
	must(t, err)
	r := &record.Record{
		Hash: sha256.Sum256(randomBytes(32)), Identity: "identity", Name: name, Version: 7,
		Threshold: g.k, ShareSize: len(payload) + 1,
	}
	for i, x := range g.xs {
		holder := manifest.Holder{X: x, Key: g.keys[x].PublicKey(), SHA256: sha256.Sum256(shares[i])}
		r.Holders = append(r.Holders, holder)
		g.shares[x][string(r.Hash[:])] = shares[i]
	}
	g.payloads, g.records = append(g.payloads, payload), append(g.records, r)
}

func (g *guardians) source(x byte) Source {
	return func(_ context.Context, name record.Ref) (*record.Record, []byte, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		share, ok := g.shares[x][string(name.Hash)]
		if !ok {
			return nil, nil, fmt.Errorf("reading: %w", ErrNoShare)
		}
		for _, r := range g.records {
			if string(r.Hash[:]) == string(name.Hash) {
				return r, append([]byte(nil), share...), nil
			}
		}
		return nil, nil, errors.New("no record of a share")
	}
}

// coordinatorKey is that of the first holder.
func (g *guardians) coordinatorKey() ed25519.PublicKey { return g.keys[g.xs[0]].PublicKey() }

// call is the Call of a coordinator that is the first holder.
func (g *guardians) call(ctx context.Context, to Party, step Step, request, answer any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	x := to.X
	body, err = g.holders[x].Serve(ctx, g.coordinatorKey(), step, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return err
	}
	if g.tamper != nil {
		return g.tamper(x, step, request, answer)
	}
	return nil
}

func (g *guardians) run(t tester) (Verdict, error) {
	t.Helper()
	return Run(context.Background(), Params{Batch: g.batch}, g.call)
}

// setRules gives all holders the rules.
func (g *guardians) setRules(r rules) {
	for _, h := range g.holders {
		h.rules = r
	}
}

// reseal lets a dealer that knows its session's private key change what it
// deals to x.
func (g *guardians) reseal(t tester, dealer, x byte, key []byte, roster Roster, sealed []byte, change func(values []byte)) []byte {
	t.Helper()
	s := g.session(dealer, key)
	aead, err := dealing(s.private, roster.keyOf(x), sessionOf(g.batch, roster), dealer, x)
	must(t, err)
	nonce := make([]byte, aead.NonceSize())
	values, err := aead.Open(nil, nonce, sealed, nil)
	must(t, err)
	change(values)
	return aead.Seal(nil, nonce, values, nil)
}

// session is what a dishonest holder knows of its own session.
func (g *guardians) session(x byte, key []byte) *session {
	h := g.holders[x]
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[string(key)]
}

func must(t tester, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t tester, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func randomBytes(size int) []byte {
	data := make([]byte, size)
	_, _ = rand.Read(data)
	return data
}
