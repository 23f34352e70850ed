package check

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/shamir"
)

// fleet is some nodes and the generations that they hold. A node has the point
// of its number, if a test does not give it another one for the next epoch. Its coordinator is the first old holder.
type fleet struct {
	t        tester
	nodes    map[byte]*node
	k        int
	payloads [][]byte
	batch    *Batch
	chains   [][]byte
	proposal record.Proposal
	owner    ed25519.PrivateKey

	mu sync.Mutex
	// tamper, if not nil, sees and changes what a party answered, or fails it;
	// before, if not nil, does so with what it is asked.
	tamper  func(to Party, step Step, request, answer any) error
	before  func(to Party, step Step) error
	relayed map[Step]int // bytes of requests and answers
	at      time.Time
}

// node is one of them: what it stores, and what its callbacks were asked.
type node struct {
	key    *integrity.NodeKey
	holder *Holder
	fleet  *fleet

	mu       sync.Mutex
	held     map[digest]stored
	prepared []Prepared
	given    []Prepared // as they were given: wiped afterwards
	asked    []manifest.Holder
	votes    int
	// refusals of its callbacks.
	permit, vote, store error
}

type stored struct {
	record *record.Record
	share  []byte
}

// newFleet has the nodes of the numbers given hold payloads of the sizes given.
func newFleet(t tester, olds []byte, k int, sizes ...int) *fleet {
	t.Helper()
	f := &fleet{t: t, nodes: map[byte]*node{}, k: k, relayed: map[Step]int{}, at: time.Unix(1e9, 0)}
	_, owner, err := ed25519.GenerateKey(nil)
	must(t, err)
	f.owner = owner
	var records []*record.Record
	for i, size := range sizes {
		payload := randomBytes(size)
		f.payloads = append(f.payloads, payload)
		shares, err := shamir.Split(payload, k, olds)
		must(t, err)
		chain := f.manifest(fmt.Sprint("name", i), payload, olds, shares)
		r, err := record.Parse(chain)
		must(t, err)
		records, f.chains = append(records, r), append(f.chains, chain)
		for n, x := range olds {
			f.node(x).held[r.Hash] = stored{r, shares[n]}
		}
	}
	f.batch, err = NewBatch(records)
	must(t, err)
	return f
}

func (f *fleet) manifest(name string, payload []byte, olds []byte, shares [][]byte) []byte {
	public := f.owner.Public().(ed25519.PublicKey)
	identity := sha256.Sum256(public)
	m := manifest.Manifest{
		Identity: hex.EncodeToString(identity[:]), Name: name, Version: 7, Threshold: f.k,
		Split: hex.EncodeToString(randomBytes(16)), PayloadSize: len(payload), PayloadSHA256: sha256.Sum256(payload),
		Policy: manifest.Policy{Refresh: true, MinThreshold: 2, MaxHolders: 255, Admission: public},
	}
	for n, x := range olds {
		m.Holders = append(m.Holders, manifest.Holder{
			X: x, Node: nameOf(x), Key: f.node(x).key.PublicKey(), SHA256: sha256.Sum256(shares[n]),
		})
	}
	data, err := m.Sign(f.owner)
	must(f.t, err)
	return data
}

func nameOf(x byte) string { return fmt.Sprint("node-", x) }

func (f *fleet) node(x byte) *node {
	if f.nodes[x] == nil {
		n := &node{key: nodeKey(f.t, x), fleet: f, held: map[digest]stored{}}
		n.holder = NewHolder(n.key, Config{Source: n.source, Permit: n.permits, Vote: n.votesFor, Store: n.stores}, f.now)
		f.nodes[x] = n
	}
	return f.nodes[x]
}

func (f *fleet) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at
}

func (n *node) source(_ context.Context, name record.Ref) (*record.Record, []byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	held, ok := n.held[[32]byte(name.Hash)]
	if !ok {
		return nil, nil, fmt.Errorf("reading: %w", ErrNoShare)
	}
	return held.record, slices.Clone(held.share), nil
}

func (n *node) permits(context.Context, []*record.Record, record.Proposal) error { return n.permit }

func (n *node) votesFor(_ context.Context, _ [32]byte, batch []*record.Record, absent []manifest.Holder) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.votes++
	n.asked = absent
	if len(batch) != len(n.fleet.batch.records) || batch[0].Hash != n.fleet.batch.records[0].Hash {
		return errors.New("asked about other records")
	}
	return n.vote
}

func (n *node) stores(_ context.Context, shares []Prepared) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.store != nil {
		return n.store
	}
	n.prepared, n.given = nil, shares
	for _, p := range shares {
		r, base, _, _, err := record.ParseDraft(p.Draft)
		if err != nil || r.Hash != p.Record.Hash || !bytes.Equal(base, p.Base) {
			return fmt.Errorf("not the draft of the record: %w", err)
		}
		p.Share = slices.Clone(p.Share)
		n.prepared = append(n.prepared, p)
	}
	return nil
}

// propose has the nodes of these numbers hold the shares next.
func (f *fleet) propose(k int, news ...byte) *fleet {
	f.proposal = record.Proposal{Threshold: k}
	for _, x := range news {
		f.proposal.Holders = append(f.proposal.Holders, record.Target{X: x, Node: nameOf(x), Key: f.node(x).key.PublicKey()})
	}
	return f
}

func (f *fleet) coordinatorKey() ed25519.PublicKey { return f.batch.records[0].Holders[0].Key }

// call is the Call of the coordinator, through the JSON of every message.
func (f *fleet) call(ctx context.Context, to Party, step Step, request, answer any) error {
	if f.before != nil {
		if err := f.before(to, step); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	f.count(step, len(body))
	if len(body) > step.MaxRequest() {
		return fmt.Errorf("%d bytes of %s", len(body), step)
	}
	body, err = f.party(to).holder.Serve(ctx, f.coordinatorKey(), step, body)
	if err != nil {
		return err
	}
	f.count(step, len(body))
	if err := json.Unmarshal(body, answer); err != nil {
		return err
	}
	if f.tamper != nil {
		return f.tamper(to, step, request, answer)
	}
	return nil
}

// party returns the node that is one.
func (f *fleet) party(p Party) *node {
	moving := Batch{records: f.batch.records, proposal: &f.proposal}
	key, _ := moving.keyFor(p)
	for _, n := range f.nodes {
		if n.key.PublicKey().Equal(key) {
			return n
		}
	}
	f.t.Fatalf("nobody is %s", p)
	return nil
}

func (f *fleet) count(step Step, size int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.relayed[step] += size
}

func (f *fleet) params() Params {
	return Params{Batch: f.batch, Proposal: &f.proposal, Chains: f.chains}
}

func (f *fleet) redistribute() (Result, error) {
	return Redistribute(context.Background(), f.params(), func([32]byte) error { return nil }, f.call)
}

// redistributeWith is one whose coordinator goes by other rules.
func (f *fleet) redistributeWith(r rules) (Result, error) {
	c, err := newMover(f.params(), f.call)
	must(f.t, err)
	c.rules, c.next.quorum = r, r.quorum(f.proposal)
	return c.redistribute(context.Background(), func([32]byte) error { return nil })
}

func (f *fleet) setRules(r rules) {
	for _, n := range f.nodes {
		n.holder.rules = r
	}
}

// newShares are what the nodes stored of one generation, by point.
func (f *fleet) newShares(generation int) map[byte][]byte {
	shares := map[byte][]byte{}
	for _, h := range f.proposal.Holders {
		if prepared := f.party(Party{true, h.X}).prepared; prepared != nil {
			shares[h.X] = prepared[generation].Share
		}
	}
	return shares
}

// combined is what k of some shares make, those of the lowest points.
func combined(t tester, shares map[byte][]byte, k int) []byte {
	t.Helper()
	var some [][]byte
	for x := range 256 {
		if share := shares[byte(x)]; share != nil && len(some) < k {
			some = append(some, share)
		}
	}
	secret, err := shamir.Combine(some)
	must(t, err)
	return secret
}

// sound wants certified records whose shares make the payloads, all of them of
// one sharing of degree K'-1.
func (f *fleet) sound(t *testing.T, result Result) {
	t.Helper()
	for i, payload := range f.payloads {
		r, err := record.Parse(result.Chains[i])
		must(t, err)
		shares := f.newShares(i)
		if len(shares) < record.Quorum(f.proposal) || !r.Follows(f.batch.records[i].Hash) {
			t.Errorf("%d shares of a record that follows %t", len(shares), r.Follows(f.batch.records[i].Hash))
		}
		var all [][]byte
		for x, share := range shares {
			if err := r.Check(x, share); err != nil && !errors.Is(err, record.ErrNoHash) {
				t.Errorf("generation %d, point %d: %v", i, x, err)
			}
			all = append(all, share)
		}
		fits, err := shamir.Consistent(all, f.proposal.Threshold)
		must(t, err)
		if secret := combined(t, shares, f.proposal.Threshold); !fits || !bytes.Equal(secret, payload) {
			t.Errorf("generation %d: the new shares fit: %t", i, fits)
		}
	}
}

// commit makes the new records those that the nodes hold, and no others.
func (f *fleet) commit(t tester, result Result) *fleet {
	t.Helper()
	var records []*record.Record
	for _, chain := range result.Chains {
		r, err := record.Parse(chain)
		must(t, err)
		records = append(records, r)
	}
	for _, n := range f.nodes {
		n.held = map[digest]stored{}
		for i, p := range n.prepared {
			n.held[records[i].Hash] = stored{records[i], p.Share}
		}
		n.prepared = nil
	}
	var err error
	f.batch, err = NewBatch(records)
	must(t, err)
	f.chains, f.k = result.Chains, f.proposal.Threshold
	return f
}

// idle wants nothing left in the memory of any node.
func (f *fleet) idle(t *testing.T) {
	t.Helper()
	for _, n := range f.nodes {
		empty(t, n.holder)
	}
}

// upTo are 1 to n.
func upTo(n int) (xs []byte) {
	for x := range n {
		xs = append(xs, byte(x+1))
	}
	return xs
}
