package guardian

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
)

// keyOf is the node key of a node.
func keyOf(node string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("key of " + node))
	return ed25519.NewKeyFromSeed(seed[:])
}

func publicOf(node string) ed25519.PublicKey { return keyOf(node).Public().(ed25519.PublicKey) }

// movable makes a manifest one of four holders, the first of them "local", whose
// owner lets guardians move the secret.
func movable(m *manifest.Manifest) {
	x := m.Holders[0].X
	m.Holders = m.Holders[:1]
	m.Holders[0].Key = publicOf("local")
	for i := range 3 {
		node := fmt.Sprint("g", i+1)
		m.Holders = append(m.Holders, manifest.Holder{X: x + byte(i) + 1, Node: node, Key: publicOf(node)})
	}
	m.Policy = manifest.Policy{Refresh: true, MinThreshold: 2, MaxHolders: 8, Admission: publicOf("admission")}
}

// round is what makes the record after another one.
type round struct {
	seed byte
	// nodes are the holders of the new record, at the first points from the one
	// of the share on; nil for the four of movable.
	nodes []string
	// silent does not say that it has prepared.
	silent string
	// agreeing are the points that agree; nil for the first three.
	agreeing []byte
}

var away = []string{"g1", "g2", "g3", "g4"} // without "local"

// after returns what a round makes of a share, with the bytes given: as it is
// prepared and as it is committed.
func (r round) after(t testing.TB, before Share, data string) (prepared, certified Share) {
	t.Helper()
	base, err := record.Parse(before.Record())
	if err != nil {
		t.Fatal(err)
	}
	seed := sha256.Sum256([]byte{r.seed})
	next, body, err := record.Next(base, r.proposal(base), seed)
	if err != nil {
		t.Fatal(err)
	}
	draft, err := record.Draft(before.Record(), body, seed)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := record.Extend(before.Record(), body, r.votes(base, next, seed, []byte(data)))
	if err != nil {
		t.Fatal(err)
	}
	after := Share{Data: []byte(data), Version: before.Version, Epoch: next.Epoch, Manifest: before.Manifest, Chain: draft}
	committed := after
	committed.Data, committed.Chain = slices.Clone(after.Data), chain
	return after, committed
}

func (r round) proposal(base *record.Record) record.Proposal {
	nodes := r.nodes
	if nodes == nil {
		nodes = []string{"local", "g1", "g2", "g3"}
	}
	p := record.Proposal{Threshold: base.Threshold}
	first := base.Manifest.Holders[0].X
	for i, node := range nodes {
		p.Holders = append(p.Holders, record.Target{X: first + byte(i), Node: node, Key: publicOf(node)})
	}
	return p
}

func (r round) votes(base, next *record.Record, seed [sha256.Size]byte, data []byte) record.Certificate {
	c := record.Certificate{Seed: seed}
	for i, h := range base.Holders {
		if r.agreeing == nil && i < 3 || slices.Contains(r.agreeing, h.X) {
			message := record.AgreedMessage(next.Hash, seed, h.X)
			c.Agreed = append(c.Agreed, record.Vote{X: h.X, Signature: ed25519.Sign(keyOf(h.Node), message)})
		}
	}
	for _, h := range next.Holders {
		share := sha256.Sum256(append([]byte{h.X}, data[1:]...))
		message := record.PreparedMessage(next.Hash, seed, h.X, share)
		if h.Node != r.silent {
			c.Prepared = append(c.Prepared, record.Vote{X: h.X, Share: share, Signature: ed25519.Sign(keyOf(h.Node), message)})
		}
	}
	return c
}
