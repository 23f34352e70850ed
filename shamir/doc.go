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
package shamir
