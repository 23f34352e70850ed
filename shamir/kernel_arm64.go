package shamir

// vectorBytes is the size of a vector register, and the least that the vector
// kernel is made for.
const vectorBytes = 16

// vectorKernels need not ask: all arm64 CPUs that Go runs on have NEON.
func vectorKernels() []kernel {
	return []kernel{vector("neon", vectorBytes, sumNEON)}
}

// sumNEON is a [weightedSum] of at least vectorBytes elements.
func sumNEON(dst, weights []byte, rows [][]byte) { shuffleNEON(dst, weights, rows, products) }

//go:noescape
func shuffleNEON(dst, weights []byte, rows [][]byte, products *[256][32]byte)
