package secrecy

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/shamir"
)

// cluster is a dealing whose unknowns have values, and nodes that hold the
// shares.
type cluster struct {
	dealing
	values []byte
	shares map[byte][]byte
	seeds  map[byte][]byte // of the node keys
	record *record.Record
}

// deal draws a payload and its polynomials, and gives the nodes their shares.
func deal(t *testing.T, n, k, size int) *cluster {
	t.Helper()
	c := &cluster{dealing: dealing{field: gf256, k: k, size: size}, shares: map[byte][]byte{}, seeds: map[byte][]byte{}}
	c.values = fresh(c.unknowns())
	c.record = &record.Record{Identity: hex.EncodeToString(fresh(32)), Version: 3, Threshold: k, Split: hex.EncodeToString(fresh(16)), ShareSize: size + 1}
	copy(c.record.Hash[:], fresh(sha256.Size))
	for _, x := range upTo(n) {
		c.seeds[x] = fresh(ed25519.SeedSize)
		c.shares[x] = append([]byte{x}, c.evaluate(c.dealing.shares(x), nil)...)
		c.record.Holders = append(c.record.Holders, manifest.Holder{
			X: x, Key: c.private(x).Public().(ed25519.PublicKey), SHA256: sha256.Sum256(c.shares[x]),
		})
	}
	return c
}

func fresh(size int) []byte {
	random := make([]byte, size)
	_, _ = rand.Read(random)
	return random
}

func (c *cluster) private(x byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(c.seeds[x]) }

func (c *cluster) public(x byte) ed25519.PublicKey { return c.private(x).Public().(ed25519.PublicKey) }

func (c *cluster) nodeKey(t *testing.T, x byte) *integrity.NodeKey {
	t.Helper()
	key, err := integrity.ParseNodeKey([]byte(hex.EncodeToString(c.seeds[x])))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// evaluate returns the bytes that a view is, when the session's own randomness
// has these values.
func (c *cluster) evaluate(v view, own []byte) []byte {
	return evaluate(v, append(bytes.Clone(own), c.values...))
}

// TestSharesAreTheFormsOfProduction: what the forms say of K nodes is a payload
// that shamir.Combine rebuilds.
func TestSharesAreTheFormsOfProduction(t *testing.T) {
	c := deal(t, 9, 4, 50)
	payload, err := shamir.Combine([][]byte{c.shares[2], c.shares[9], c.shares[4], c.shares[7]})
	if err != nil || !bytes.Equal(payload, c.values[c.hidden():]) {
		t.Errorf("the payload is %x, %v", payload, err)
	}
}

func newExchangeKey(t *testing.T) *ecdh.PrivateKey {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
