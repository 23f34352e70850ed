// Package shamir splits a secret into shares of which any k rebuild it while
// fewer than k tell nothing about it (A. Shamir, How to Share a Secret,
// CACM 22(11), 1979).
//
// Every byte of the secret is the constant term of its own random polynomial
// of degree k-1 over GF(2^8) modulo x^8+x^4+x^3+x+1. A share is [x][y...]: one
// byte of evaluation point, 1 to 255, then one byte per byte of the secret.
//
// Time and memory accesses depend on lengths, thresholds and points, never on
// a byte of a secret, a coefficient or a share's y. Shares carry no
// authentication: rebuilding from a wrong share gives a wrong secret, and from
// shares of different splits nothing but noise. All functions are pure, safe
// for concurrent use, and leave their arguments as they were.
//
// The work on whole buffers is done by the fastest kernel that the CPU can run:
// gfni (amd64 with GFNI and AVX2), avx2 (amd64), neon (arm64), or portable,
// which is plain Go in words of 64 bits. [Kernel] tells which, for benchmarks
// and bug reports. The environment variable SHAMIR_KERNEL forces one by name;
// it is read once, when the program starts, and no other kernel ever stands in
// for the one it names: if this machine does not have it, the first call that
// needs a kernel panics and says so. An empty value forces nothing. All kernels
// compute the same.
package shamir
