package secrecy

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/repair/check"
	"github.com/vault-guardian/guardian/shamir"
)

// TestMovesAreTheFormsOfProduction: all holders are the code that guardians run.
// There are columns and dealings with which the model gives what they published
// and the shares that they have before and after; and none as soon as one byte
// of it is another, or the model lacks the masks of new holders.
func TestMovesAreTheFormsOfProduction(t *testing.T) {
	for n, c := range changes[:9] {
		t.Run(c.name, func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, uint64(n))
			g := newGuardians(t, c, 7, 1, 22)
			m, seen := g.redistribute(t)
			from, to := g.epochs[0], g.epochs[1]
			shares := join(from, from.shares(c.old.nodes...), to.shares(c.new.nodes...))
			all := join(from, shares, from.move(to, nil, nil, m))
			if !from.solvable(all, seen) {
				t.Error("the answers are not the model's")
			}
			for _, at := range []int{len(shares.rows), len(seen) - 1, len(shares.rows) + int(fresh(1)[0])} {
				seen[at] ^= 1
				if from.solvable(all, seen) {
					t.Errorf("with byte %d of the answers another they are still the model's", at-len(shares.rows))
				}
				seen[at] ^= 1
			}
			m.bare = true
			if from.solvable(join(from, shares, from.move(to, nil, nil, m)), seen) {
				t.Error("new holders answer without masks")
			}
		})
	}
}

// solvable tells whether some values of the unknowns make a view what was seen.
func (f *field) solvable(v view, seen []byte) bool {
	var rows [][]byte
	for i, row := range v.rows {
		rows = append(rows, append(slices.Clone(row), seen[i]))
	}
	return len(f.residue(rows, len(v.rows[0]))) == 0
}

// guardians are all old and new holders of some generations, a node at the same
// point in both.
type guardians struct {
	change
	epochs  []dealing
	keys    map[byte]*integrity.NodeKey
	holders map[byte]*check.Holder
	records []*record.Record
	chains  [][]byte
	shares  []map[byte][]byte // by generation
	moved   map[byte][][]byte // the new ones, by point
	roster  check.Roster
	answers map[check.Party]check.AnswerAnswer
}

func newGuardians(t *testing.T, c change, sizes ...int) *guardians {
	t.Helper()
	g := &guardians{
		change: c, keys: map[byte]*integrity.NodeKey{}, holders: map[byte]*check.Holder{},
		moved: map[byte][][]byte{}, answers: map[check.Party]check.AnswerAnswer{},
	}
	for _, x := range slices.Concat(c.old.nodes, c.new.nodes) {
		if g.keys[x] == nil {
			g.join(t, x)
		}
	}
	total := 0
	for i, size := range sizes {
		g.store(t, uint64(i), fresh(size))
		total += size
	}
	g.epochs = line(gf256, total, c.old.k, c.new.k)
	return g
}

func (g *guardians) join(t *testing.T, x byte) {
	t.Helper()
	key, err := integrity.ParseNodeKey([]byte(hex.EncodeToString(fresh(ed25519.SeedSize))))
	if err != nil {
		t.Fatal(err)
	}
	g.keys[x] = key
	g.holders[x] = check.NewHolder(key, check.Config{
		Source: func(_ context.Context, name record.Ref) (*record.Record, []byte, error) {
			return g.records[name.Version], bytes.Clone(g.shares[name.Version][x]), nil
		},
		Permit: func(context.Context, []*record.Record, record.Proposal) error { return nil },
		Vote:   func(context.Context, [32]byte, []*record.Record, []manifest.Holder) error { return nil },
		Store: func(_ context.Context, prepared []check.Prepared) error {
			for _, p := range prepared {
				g.moved[x] = append(g.moved[x], bytes.Clone(p.Share))
			}
			return nil
		},
	}, time.Now)
}

// store splits a payload among the old holders.
func (g *guardians) store(t *testing.T, version uint64, payload []byte) {
	t.Helper()
	shares, err := shamir.Split(payload, g.old.k, g.old.nodes)
	if err != nil {
		t.Fatal(err)
	}
	owner := ed25519.NewKeyFromSeed(fresh(ed25519.SeedSize))
	identity := sha256.Sum256(owner.Public().(ed25519.PublicKey))
	m := manifest.Manifest{
		Identity: hex.EncodeToString(identity[:]), Version: version, Threshold: g.old.k, Split: hex.EncodeToString(fresh(16)),
		PayloadSize: len(payload), PayloadSHA256: sha256.Sum256(payload),
		Policy: manifest.Policy{Refresh: true, MinThreshold: 2, MaxHolders: 255, Admission: owner.Public().(ed25519.PublicKey)},
	}
	of := map[byte][]byte{}
	for i, x := range g.old.nodes {
		of[x] = shares[i]
		m.Holders = append(m.Holders, manifest.Holder{X: x, Node: nodeName(x), Key: g.keys[x].PublicKey(), SHA256: sha256.Sum256(shares[i])})
	}
	chain, err := m.Sign(owner)
	if err != nil {
		t.Fatal(err)
	}
	r, err := record.Parse(chain)
	if err != nil {
		t.Fatal(err)
	}
	g.records, g.chains, g.shares = append(g.records, r), append(g.chains, chain), append(g.shares, of)
}

func nodeName(x byte) string { return fmt.Sprintf("node-%d", x) }

// redistribute returns the attempt, and in the order of the model all old and
// new shares and all answers.
func (g *guardians) redistribute(t *testing.T) (m move, seen []byte) {
	t.Helper()
	result, err := g.run(t, g.call)
	if err != nil || len(result.Certificates) != len(g.records) {
		t.Fatalf("redistributing: %d certificates, %v, absent %v %v", len(result.Certificates), err, result.Absent, result.New.Absent)
	}
	m = attempt(pointsOf(g.roster.Members), g.roster.Dealers, pointsOf(g.roster.New), nil, expand(t, result.Seed, g.epochs[0].size))
	return m, slices.Concat(g.held(), g.published(m))
}

// run redistributes with the first of the old holders as coordinator.
func (g *guardians) run(t *testing.T, call check.Call) (check.Result, error) {
	t.Helper()
	batch, err := check.NewBatch(g.records)
	if err != nil {
		t.Fatal(err)
	}
	p := record.Proposal{Threshold: g.new.k}
	for _, x := range g.new.nodes {
		p.Holders = append(p.Holders, record.Target{X: x, Node: nodeName(x), Key: g.keys[x].PublicKey()})
	}
	params := check.Params{Batch: batch, Proposal: &p, Chains: g.chains, Parallel: 1}
	return check.Redistribute(t.Context(), params, func([32]byte) error { return nil }, call)
}

// call asks the real holders, and keeps what the tests look at.
func (g *guardians) call(ctx context.Context, to check.Party, step check.Step, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	body, err = g.holders[to.X].Serve(ctx, g.keys[g.old.nodes[0]].PublicKey(), step, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return err
	}
	switch answer := answer.(type) {
	case *check.DealAnswer:
		g.roster = request.(check.DealRequest).Roster
	case *check.AnswerAnswer:
		g.answers[to] = *answer
	}
	return nil
}

// held are the payloads of all shares: of the old ones, by point and generation,
// then of the new ones.
func (g *guardians) held() (all []byte) {
	for _, x := range g.old.nodes {
		for _, of := range g.shares {
			all = append(all, of[x][1:]...)
		}
	}
	for _, x := range g.new.nodes {
		for _, share := range g.moved[x] {
			all = append(all, share[1:]...)
		}
	}
	return all
}

func (g *guardians) published(m move) (all []byte) {
	for _, x := range m.participants {
		all = append(all, inOrder(g.answers[check.Party{X: x}])...)
	}
	for i := range m.dealers {
		for _, x := range m.targets {
			all = append(all, g.answers[check.Party{New: true, X: x}].Columns[i]...)
		}
	}
	return all
}

func pointsOf(members []check.Member) (points []byte) {
	for _, m := range members {
		points = append(points, m.X)
	}
	return points
}
