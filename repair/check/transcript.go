package check

import (
	"crypto/sha256"
	"slices"
)

type digest = [sha256.Size]byte

func hashOf(label string, parts ...[]byte) digest {
	return sha256.Sum256(append([]byte(label), slices.Concat(parts...)...))
}

// labelled is the label of what a party says: old and new holders say nothing
// that could be taken for the other.
func labelled(label string, p Party) []byte {
	if p.New {
		label += "-new"
	}
	return []byte(label + "-v1")
}

func openMessage(batch digest, x byte, key []byte) []byte {
	return openMessageOf(batch, Party{X: x}, key)
}

func openMessageOf(batch digest, p Party, key []byte) []byte {
	return slices.Concat(labelled("guardian-check-open", p), batch[:], []byte{p.X}, key)
}

func sealMessage(session, seed digest, x byte) []byte {
	return sealMessageOf(session, seed, Party{X: x})
}

func sealMessageOf(session, seed digest, p Party) []byte {
	return slices.Concat(labelled("guardian-check-seed", p), session[:], seed[:], []byte{p.X})
}

func answerMessage(session, seed digest, p Party, answer AnswerAnswer) []byte {
	role := byte(0)
	if p.New {
		role = 1
	}
	return slices.Concat([]byte("guardian-answer-v1"), session[:], seed[:], []byte{role, p.X},
		answer.Shares, slices.Concat(answer.Columns...))
}

// sessionOf is of a roster that was checked against the batch.
func sessionOf(b *Batch, r Roster) digest {
	members := []byte{byte(b.Threshold()), byte(len(r.Members))}
	for _, m := range r.Members {
		key, _ := b.keyAt(m.X)
		members = slices.Concat(members, []byte{m.X}, key, m.Key)
	}
	members = append(members, r.Dealers...)
	for _, m := range r.New {
		key, _ := b.keyFor(Party{New: true, X: m.X})
		members = slices.Concat(members, []byte{m.X}, key, m.Key)
	}
	return hashOf("guardian-check-session-v1", b.hash[:], members)
}

func receivedOf(session digest, x byte, sealed [][]byte) digest {
	return hashOf("guardian-check-received-v1", session[:], []byte{x}, slices.Concat(sealed...))
}

// takenOf has the hash of what each dealer sealed to a new holder.
func takenOf(session digest, x byte, sealed []digest) digest {
	var all []byte
	for _, hash := range sealed {
		all = append(all, hash[:]...)
	}
	return hashOf("guardian-check-taken-v1", session[:], []byte{x}, all)
}

// seedOf takes the acks of old holders, and then those of new ones.
func seedOf(session digest, acks ...[]Ack) digest {
	var all []byte
	for _, a := range slices.Concat(acks...) {
		all = slices.Concat(all, []byte{a.X}, a.Random, a.Received)
	}
	return hashOf("guardian-check-v1", session[:], all)
}
