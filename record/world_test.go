package record

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"github.com/vault-guardian/guardian/manifest"
)

// tester is what testing.TB and rapid.T share.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// keyOf is the node key of a node of that number.
func keyOf(number int) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Appendf(nil, "node %d", number))
	return ed25519.NewKeyFromSeed(seed[:])
}

func publicOf(number int) ed25519.PublicKey { return keyOf(number).Public().(ed25519.PublicKey) }

// secretOf finds the private key again, of the nodes that tests have.
func secretOf(t tester, public ed25519.PublicKey) ed25519.PrivateKey {
	t.Helper()
	for number := range 600 {
		if keys[number] == nil {
			keys[number] = keyOf(number)
		}
		if public.Equal(keys[number].Public()) {
			return keys[number]
		}
	}
	t.Fatalf("nobody has the key %x", public)
	return nil
}

var keys = make([]ed25519.PrivateKey, 600)

// sample is a manifest of n holders, 1 to n, of whom k are needed, and that lets
// guardians do everything.
func sample(k, n int) manifest.Manifest {
	owner := ownerKey.Public().(ed25519.PublicKey)
	identity := sha256.Sum256(owner)
	m := manifest.Manifest{
		Identity: hex.EncodeToString(identity[:]), Name: "name", Version: 7, Threshold: k,
		Split: "000102030405060708090a0b0c0d0e0f", PayloadSize: 10,
		Policy: manifest.Policy{Refresh: true, MinThreshold: 2, MaxHolders: 255, Admission: publicOf(0)},
	}
	for x := range n {
		h := target(x + 1)
		m.Holders = append(m.Holders, manifest.Holder{X: h.X, Node: h.Node, Key: h.Key, SHA256: sha256.Sum256(shareOf(h.X, 0))})
	}
	return m
}

var ownerKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func signed0(t tester, m manifest.Manifest) []byte {
	t.Helper()
	data, err := m.Sign(ownerKey)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// shareOf is what the holder of a point has at an epoch.
func shareOf(x byte, epoch uint64) []byte {
	return append([]byte{x}, fmt.Sprintf("epoch %04d", epoch)...)
}

// target is the node of a number, at its point.
func target(number int) Target {
	return Target{byte(number), fmt.Sprintf("node-%d", number), publicOf(number)}
}

// among proposes the nodes of these numbers.
func among(k int, numbers ...int) Proposal {
	p := Proposal{Threshold: k}
	for _, number := range slices.Sorted(slices.Values(numbers)) {
		p.Holders = append(p.Holders, target(number))
	}
	return p
}

func upTo(n int) []int {
	var numbers []int
	for i := range n {
		numbers = append(numbers, i+1)
	}
	return numbers
}

func seedOf(number uint64) [sha256.Size]byte {
	return sha256.Sum256(binary.BigEndian.AppendUint64([]byte("seed"), number))
}

// votes is the certificate of a record that all its holders prepared and these
// holders of base agreed to.
func votes(t tester, base, r *Record, seed [sha256.Size]byte, agreeing ...byte) Certificate {
	t.Helper()
	c := Certificate{Seed: seed}
	for _, x := range agreeing {
		c.Agreed = append(c.Agreed, agree(t, base, r, seed, x))
	}
	for _, h := range r.Holders {
		c.Prepared = append(c.Prepared, prepare(t, r, seed, h.X))
	}
	return c
}

func agree(t tester, base, r *Record, seed [sha256.Size]byte, x byte) Vote {
	t.Helper()
	holder, _ := base.At(x)
	return Vote{X: x, Signature: ed25519.Sign(secretOf(t, holder.Key), AgreedMessage(r.Hash, seed, x))}
}

func prepare(t tester, r *Record, seed [sha256.Size]byte, x byte) Vote {
	t.Helper()
	holder, _ := r.At(x)
	share := sha256.Sum256(shareOf(x, r.Epoch))
	return Vote{X: x, Share: share, Signature: ed25519.Sign(secretOf(t, holder.Key), PreparedMessage(r.Hash, seed, x, share))}
}

func points(r *Record) []byte {
	var points []byte
	for _, h := range r.Holders {
		points = append(points, h.X)
	}
	return points
}

// round extends a chain by a record that the given holders of the last agreed
// to, or all of them.
func round(t tester, chain []byte, p Proposal, agreeing ...byte) []byte {
	t.Helper()
	base := mustParse(t, chain)
	seed := seedOf(base.Epoch)
	r, body, err := Next(base, p, seed)
	if err != nil {
		t.Fatal(err)
	}
	if agreeing == nil {
		agreeing = points(base)
	}
	next, err := Extend(chain, body, votes(t, base, r, seed, agreeing...))
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func mustParse(t tester, chain []byte) *Record {
	t.Helper()
	r, err := Parse(chain)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// mustRead is the container of a chain.
func mustRead(t testing.TB, chain []byte) *container {
	t.Helper()
	c, err := decodeContainer(chain)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustWrite(t testing.TB, c *container) []byte {
	t.Helper()
	chain, err := c.encode()
	if err != nil {
		t.Fatal(err)
	}
	return chain
}
