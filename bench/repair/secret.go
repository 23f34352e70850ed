package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/shamir"
)

// seed is 32 bytes that depend on what and number alone.
func seed(what string, number int) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%s %d", what, number))
}

func nodeKey(number int) (*integrity.NodeKey, error) {
	of := seed("node", number)
	return integrity.ParseNodeKey([]byte(hex.EncodeToString(of[:])))
}

// holdersOf are n guardians, the first of them at point 1.
func holdersOf(n int) ([]manifest.Holder, error) {
	holders := make([]manifest.Holder, n)
	for i := range holders {
		key, err := nodeKey(i)
		if err != nil {
			return nil, err
		}
		holders[i] = manifest.Holder{X: byte(i + 1), Node: nodeID(i), Key: key.PublicKey()}
	}
	return holders, nil
}

func nodeID(number int) string { return fmt.Sprintf("g%d", number+1) }

// owner has one secret.
type owner struct {
	private ed25519.PrivateKey
	slot    guardian.Slot
}

func newOwner(number int) owner {
	of := seed("owner", number)
	private := ed25519.NewKeyFromSeed(of[:])
	sum := sha256.Sum256(private.Public().(ed25519.PublicKey))
	return owner{private, guardian.Slot{Identity: hex.EncodeToString(sum[:])}}
}

// deal splits a payload, another one for each version, into shares of size bytes
// for the holders, and signs who has which.
func (o owner) deal(version uint64, k int, holders []manifest.Holder, size int) (shares [][]byte, signed []byte, err error) {
	payload := o.payload(version, size)
	points := make([]byte, len(holders))
	for i, h := range holders {
		points[i] = h.X
	}
	if shares, err = shamir.Split(payload, k, points); err != nil {
		return nil, nil, err
	}
	m := manifest.Manifest{
		Identity: o.slot.Identity, Version: version, Threshold: k, Split: hex.EncodeToString(payload[:16]),
		PayloadSize: len(payload), PayloadSHA256: sha256.Sum256(payload),
		Policy: manifest.Policy{Refresh: true, MinThreshold: k, MaxHolders: 255},
	}
	for i, h := range holders {
		h.SHA256 = sha256.Sum256(shares[i])
		m.Holders = append(m.Holders, h)
	}
	signed, err = m.Sign(o.private)
	return shares, signed, err
}

// payload is what a version of the secret is, for shares of size bytes.
func (o owner) payload(version uint64, size int) []byte {
	of := sha256.Sum256(fmt.Append(o.private.Seed(), version))
	return bytes.Repeat(of[:], size/len(of)+1)[:size-1]
}
