package cluster_test

import (
	"crypto/ed25519"

	"github.com/vault-guardian/guardian/cluster"
)

// guardianCalled is a member as it registers itself.
func guardianCalled(node string) cluster.Member {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, node)
	return cluster.Member{
		NodeID:    node,
		ClientURL: "https://" + node + ".example.org:7500",
		PeerURL:   "https://" + node + ".example.org:7501",
		PublicKey: ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey),
	}
}
