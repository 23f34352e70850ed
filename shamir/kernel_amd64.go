package shamir

import "golang.org/x/sys/cpu"

// vectorBytes is the size of a YMM register, and the least that the vector
// kernels are made for.
const vectorBytes = 32

// vectorKernels asks for AVX2 in both cases: that flag is set only where the
// operating system saves the YMM registers, and where there is a leaf 7 of
// CPUID. The VEX form of the GFNI instruction, the one used here, needs nothing
// of AVX-512.
func vectorKernels() []kernel {
	var found []kernel
	if cpu.X86.HasAVX2 && hasGFNI() {
		found = append(found, vector("gfni", vectorBytes, sumGFNI))
	}
	if cpu.X86.HasAVX2 {
		found = append(found, vector("avx2", vectorBytes, sumAVX2))
	}
	return found
}

// hasGFNI asks leaf 7 of CPUID. Package cpu tells of GFNI only together with
// AVX-512, which not all CPUs with GFNI have.
func hasGFNI() bool

// sumGFNI is a [weightedSum] of at least vectorBytes elements.
//
//go:noescape
func sumGFNI(dst, weights []byte, rows [][]byte)

// sumAVX2 is a [weightedSum] of at least vectorBytes elements.
func sumAVX2(dst, weights []byte, rows [][]byte) { shuffleAVX2(dst, weights, rows, products) }

//go:noescape
func shuffleAVX2(dst, weights []byte, rows [][]byte, products *[256][32]byte)
