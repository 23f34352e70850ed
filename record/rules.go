package record

import (
	"crypto/ed25519"
	"crypto/sha256"

	"github.com/vault-guardian/guardian/manifest"
)

// rules are the checks without which an attack succeeds. They are values so that
// a test can take out one at a time and see that it was needed.
type rules struct {
	refresh   func(p manifest.Policy) bool
	threshold func(k int, p manifest.Policy) bool
	most      func(n int, p manifest.Policy) bool
	// spare: the loss of any one holder loses nothing.
	spare func(n, k int) bool
	// sameNode: nodes know what is theirs by their id.
	sameNode func(before manifest.Holder, h Target) bool
	// admitted: with nobody to admit others, those whom the owner chose remain.
	admitted func(m *manifest.Manifest, holders []Target) bool
	// descends: base and lineage are what the hashes of all earlier records give.
	descends func(r *Record) bool
	derived  func(split, before string, seed [sha256.Size]byte) bool
	// counts returns how many of the voters have a say.
	counts   func(voucher *Record, voters []ed25519.PublicKey) int
	agreed   func(votes, k int) bool
	prepared func(votes int, p Proposal) bool
	// once: votes are of ascending points.
	once     func(before, x byte) bool
	agreeing func(hash, seed [sha256.Size]byte, x byte) []byte
	holding  func(hash, seed [sha256.Size]byte, x byte, share [sha256.Size]byte) []byte
	signed   func(key ed25519.PublicKey, message, signature []byte) bool
}

var pageRules = rules{
	refresh:   func(p manifest.Policy) bool { return p.Refresh },
	threshold: func(k int, p manifest.Policy) bool { return k >= p.MinThreshold },
	most:      func(n int, p manifest.Policy) bool { return n <= p.MaxHolders },
	spare:     func(n, k int) bool { return n > k },
	sameNode:  func(before manifest.Holder, h Target) bool { return before.Node == "" || before.Node == h.Node },
	admitted:  admitted,
	descends:  descends,
	derived: func(split, before string, seed [sha256.Size]byte) bool {
		return split == splitAfter(before, seed)
	},
	counts:   (*Record).count,
	agreed:   enough,
	prepared: func(votes int, p Proposal) bool { return votes >= Quorum(p) },
	once:     func(before, x byte) bool { return before < x },
	agreeing: AgreedMessage,
	holding:  PreparedMessage,
	signed:   signed,
}

// enough wants one vote more than could be bought by who may read the secret.
func enough(votes, k int) bool { return votes > k }

// admitted wants the very keys of the manifest, which a holder whose key it does
// not know is not among.
func admitted(m *manifest.Manifest, holders []Target) bool {
	if m.Policy.Admission != nil {
		return true
	}
	known := map[string]bool{}
	for _, h := range m.Holders {
		known[string(h.Key)] = true
	}
	for _, h := range holders {
		if !known[string(h.Key)] {
			return false
		}
	}
	return len(holders) == len(m.Holders)
}

func descends(r *Record) bool {
	return r.Base == r.ancestors[len(r.ancestors)-1] && r.Lineage == lineageOf(r.ancestors)
}

// signed refuses the keys that package ed25519 panics on.
func signed(key ed25519.PublicKey, message, signature []byte) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, message, signature)
}
