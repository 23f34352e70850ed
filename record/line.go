package record

import (
	"crypto/ed25519"
	"crypto/sha256"
	"slices"
)

const lineageLabel = "guardian-lineage-v1"

// Follows reports whether hash is that of r or of an earlier record of its line.
// Whose votes say so is another question: see Vouched.
func (r *Record) Follows(hash [sha256.Size]byte) bool {
	return r.Hash == hash || slices.Contains(r.ancestors, hash)
}

// Vouched reports whether a node that holds a share of held may give it up for
// r: r is that very record, or follows it, and the chain shows it, or K+1 of
// held's own holders agreed to a record of the chain that comes after. A chain
// alone leaves out records between those who vouch and those they vouch for, so
// without this K+1 who held a share long ago, and may since have lost their
// keys, could have what follows erased.
func (r *Record) Vouched(held *Record) bool {
	if !r.Follows(held.Hash) {
		return false
	}
	return r.Hash == held.Hash || slices.ContainsFunc(r.shown(), func(of *Record) bool {
		return of.Hash == held.Hash || of.Epoch > held.Epoch && held.vouches(of.voters)
	})
}

// Made returns the seed of the session that made the successor of a record, by its
// hash, where the chain shows it.
func (r *Record) Made(base [sha256.Size]byte) (seed [sha256.Size]byte, known bool) {
	for _, of := range r.shown() {
		if of.Epoch > 0 && of.Base == base {
			return of.Seed, true
		}
	}
	return seed, false
}

// Named reports whether r, its manifest or any other record that its chain shows
// names the key. Nobody has the nil key.
func (r *Record) Named(key ed25519.PublicKey) bool {
	return slices.ContainsFunc(r.shown(), func(of *Record) bool { return of.names(key) })
}

// shown is all records of the chain, r the last of them.
func (r *Record) shown() []*Record { return append(slices.Clip(r.line), r) }

// vouches reports whether K+1 of the voters are holders of r.
func (r *Record) vouches(voters []ed25519.PublicKey) bool {
	return enough(r.count(voters), r.Threshold)
}

// count returns how many of the voters, no two of them the same, are holders.
func (r *Record) count(voters []ed25519.PublicKey) int {
	count := 0
	for _, key := range voters {
		if r.names(key) {
			count++
		}
	}
	return count
}

func (r *Record) names(key ed25519.PublicKey) bool {
	_, named := r.Of(key)
	return named
}

// extended is the lineage of what comes after a record with the given hash.
func extended(lineage, hash [sha256.Size]byte) [sha256.Size]byte {
	text := append([]byte(lineageLabel), lineage[:]...)
	return sha256.Sum256(append(text, hash[:]...))
}

// lineageOf is the lineage of the record that comes after all these.
func lineageOf(ancestors [][sha256.Size]byte) (lineage [sha256.Size]byte) {
	for _, hash := range ancestors {
		lineage = extended(lineage, hash)
	}
	return lineage
}
