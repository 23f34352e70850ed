package check

import (
	"crypto/sha256"
	"slices"
)

type digest = [sha256.Size]byte

func hashOf(label string, parts ...[]byte) digest {
	return sha256.Sum256(append([]byte(label), slices.Concat(parts...)...))
}

func openMessage(batch digest, x byte, key []byte) []byte {
	return slices.Concat([]byte("guardian-check-open-v1"), batch[:], []byte{x}, key)
}

func sealMessage(session, seed digest, x byte) []byte {
	return slices.Concat([]byte("guardian-check-seed-v1"), session[:], seed[:], []byte{x})
}

// sessionOf is of a roster that was checked against the batch.
func sessionOf(b *Batch, r Roster) digest {
	members := []byte{byte(b.Threshold()), byte(len(r.Members))}
	for _, m := range r.Members {
		key, _ := b.keyAt(m.X)
		members = slices.Concat(members, []byte{m.X}, key, m.Key)
	}
	return hashOf("guardian-check-session-v1", b.hash[:], members, r.Dealers)
}

func receivedOf(session digest, x byte, sealed [][]byte) digest {
	return hashOf("guardian-check-received-v1", session[:], []byte{x}, slices.Concat(sealed...))
}

func seedOf(session digest, acks []Ack) digest {
	var all []byte
	for _, a := range acks {
		all = slices.Concat(all, []byte{a.X}, a.Random, a.Received)
	}
	return hashOf("guardian-check-v1", session[:], all)
}
