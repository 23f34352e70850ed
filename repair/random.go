package repair

import (
	crand "crypto/rand"
	"math/rand/v2"
)

// newRandom draws what is no secret: jitter, and which helpers are asked. It is
// seeded from crypto/rand, so that a simulation which fixes that fixes it too.
func newRandom() *rand.Rand {
	var seed [32]byte
	crand.Read(seed[:])                    // never fails: it aborts the process instead
	return rand.New(rand.NewChaCha8(seed)) //nolint:gosec // it draws no secrets
}
