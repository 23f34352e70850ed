// Package secrecy holds no code but tests: what any K-1 nodes see together,
// through recoveries, audits and redistributions, tells nothing of a secret.
//
// Every byte that a node sees there is a sum of bytes nobody told it, with
// weights that everybody knows: bytes of the payload, coefficients of its
// polynomials, keystreams between two honest helpers, columns and new
// polynomials of honest dealers. The tests write a view down as such sums (a row
// of weights each) and ask in two ways whether it depends on the secret:
//
//   - by going through all values of everything unknown, on a field so small
//     that this is possible, and comparing how often each view appears;
//   - by rank over GF(2^8), at real sizes: a view tells of the secret if and only
//     if some sum of its rows has weights on the secret's bytes alone.
//
// That the sums are what the code computes is tested against the code itself.
//
// Redistributions make a line of dealings of one payload. Its views are asked
// about together, over all epochs, and the nodes of one epoch are K-1 of that
// epoch's: in a redistribution K-1 of the old and K'-1 of the new holders,
// whichever, so that a node that is both, or is read while it has shares of two
// epochs, counts in both. It is more than one adversary has that keeps to this:
// it may have a node as a new holder and lack it as an old one.
//
// Taken for granted: X25519, HKDF, AES-CTR and the sealing of dealings give
// bytes that look uniform to whoever lacks both private keys, and so does the
// keystream that a dealer's coefficients are; TLS hides an answer from all but
// the two who talk; SHA-256 of a share tells nothing of it, as 32 bytes of every
// payload are random. Whatever dishonest nodes send is made of what they know,
// and only changes what the rows are made of: helper sets, points, dealers,
// seeds. The tests draw those at random or go through all of them.
package secrecy
