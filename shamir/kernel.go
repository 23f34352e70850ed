package shamir

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// kernelVariable names the environment variable that forces a kernel.
const kernelVariable = "SHAMIR_KERNEL"

// kernel is one way to compute a [weightedSum].
//
// All of them take time and touch memory by lengths, the number of rows and
// weights alone, which are public. The vector kernels are assembly and show it:
// elements are loaded, multiplied, shuffled and added, and never compared or
// made into an address. For the portable one the machine code was read too (Go
// 1.26 for amd64 and arm64; go tool objdump -s 'shamir\.(sum|add|double|quad|mul|inv)'
// shows it):
//
//   - sumPortable, sumBlock, unionOf and addRows branch on lengths, on the
//     number of rows and on bits of weights, and call what follows.
//   - doubleAll and quadrupleAll have two loops each, over words and over the
//     bytes left, that branch on the number of elements. doubleLanes and
//     quadrupleLanes are inlined there: AND, XOR, ADD, SUB and shifts by
//     constants.
//   - subtle.XORBytes branches on lengths and on where its buffers lie.
//   - mulLanes and invLanes, where mul and inv are done, count to 8 and to 6.
//   - None has a table, and no conditional move or set depends on an element.
type kernel struct {
	name string
	sum  sumFunc
}

// sumFunc computes a [weightedSum].
type sumFunc func(dst, weights []byte, rows [][]byte)

var active, errActive = choose(os.Getenv(kernelVariable), kernels())

// kernels returns those that this machine can run, the fastest first.
func kernels() []kernel {
	return append(vectorKernels(), kernel{name: "portable", sum: sumPortable})
}

// choose returns the kernel of the given name, or the first one for "".
func choose(name string, available []kernel) (kernel, error) {
	var names []string
	for _, k := range available {
		if name == "" || name == k.name {
			return k, nil
		}
		names = append(names, k.name)
	}
	return kernel{}, fmt.Errorf("shamir: %s=%q names no kernel of this machine, which has: %s",
		kernelVariable, name, strings.Join(names, ", "))
}

// Kernel returns the name of the kernel in use: gfni, avx2, neon or portable.
// It panics if SHAMIR_KERNEL names one that this machine does not have.
func Kernel() string { return inUse().name }

// inUse panics rather than fall back to another kernel: whoever forces one
// wants to know what that one does. It does so at the first use, so that a
// program which only imports the package still runs.
func inUse() kernel {
	if errActive != nil {
		panic(errActive)
	}
	return active
}

// weightedSum sets dst = weights[0]*rows[0] ^ weights[1]*rows[1] ^ ..., element
// by element. There is a weight for each row; each row is at least as long as
// dst, and none overlaps it.
//
// This is all that is ever done to secrets in bulk. Weights, lengths and the
// number of rows are public, the elements are secret.
func weightedSum(dst, weights []byte, rows [][]byte) {
	k := inUse()
	checkRows(dst, weights, rows)
	k.sum(dst, weights, rows)
}

// checkRows stands in for the bounds checks that assembly does not have.
func checkRows(dst, weights []byte, rows [][]byte) {
	if len(weights) != len(rows) {
		panic(fmt.Sprintf("shamir: %d weights for %d rows", len(weights), len(rows)))
	}
	for _, row := range rows {
		if len(row) < len(dst) {
			panic(fmt.Sprintf("shamir: row of %d elements in a sum of %d", len(row), len(dst)))
		}
	}
}

// wipe overwrites what was secret. KeepAlive keeps the compiler from dropping
// a store that nothing reads.
func wipe(secret []byte) {
	clear(secret)
	runtime.KeepAlive(secret)
}
