// Package check finds out whether the shares that guardians hold of some
// secrets still lie on polynomials of degree K-1, and whose do not, while
// nobody learns anything about a secret, not even the one who asks.
//
// One holder, the coordinator, speaks to each of n holders over one connection
// each ([Run]); the others answer ([Holder]). Holders trust no coordinator.
// What is checked is a batch: generations with the same holders and K, one
// behind the other as if they were one long share. The steps, each a request to
// every holder (to every dealer in the second):
//
//	open     batch                        -> E_j, a fresh X25519 key, signed
//	deal     all E, dealers               -> 32 bytes sealed to each holder
//	receive  all E, dealers, what they
//	         sealed to the one asked      -> ack: 32 random bytes, a hash
//	seal     the acks of all              -> signature over the seed
//	answer   the signatures of all        -> a_j, and 16 bytes for each dealer
//
// Exactly K holders are dealers. Each makes 32 random columns of degree K-1;
// the first 16, summed over the dealers, are the masks M. The seed gives 16 rows
// r and a matrix T. Holder j publishes a_j = <r, y_j> + M(x_j) and, for each
// dealer, T * columns 1..16 + columns 17..32. Each must lie on a polynomial of
// degree K-1. One that does not passes with probability 2^-128.
//
// Nothing is learnt by K-1 holders and the coordinator together: one of K
// dealers is honest, so M(0) is uniform, and columns 17..32 hide the others. It
// holds for one seed only. Therefore holders sign one seed in a session, answer
// after having seen it signed by all, answer once, and forget the masks.
//
// No n answers name more than floor((n-K)/2) wrong ones ([shamir.CombineRobust]).
// Where a dealer's columns are off at a holder, one of the two is wrong and
// nobody else can tell which; the next attempt has other dealers. Whoever is in
// such pairs with more others than can be wrong is named: for a bound of one,
// the common member of two pairs.
//
// # What it cannot do
//
// Who hears all other answers can compute its own without a share: a coordinator
// that conspires with a holder can let that one seem sound. Who acknowledges last
// can try seeds, so that 2^-128 grows by as many as it tries.
//
// # Encodings
//
// All are concatenations; a label is its ASCII bytes, x one byte.
//
//	batch     SHA-256("guardian-check-batch-v1", count (2 bytes, big endian),
//	          SHA-256 of each record in order)
//	open      Ed25519 over ("guardian-check-open-v1", batch, x, E)
//	session   SHA-256("guardian-check-session-v1", batch, K (1), n (1), for each
//	          participant by x: x, node key (32), E (32); x of each dealer)
//	sealed    AES-256-GCM, nonce 0, no additional data, of the 32 bytes, under
//	          HKDF-SHA-256(X25519(e_i, E_j), salt session,
//	          info "guardian-check-deal-v1", x_i, x_j)
//	received  SHA-256("guardian-check-received-v1", session, x, sealed of each
//	          dealer by x)
//	seed      SHA-256("guardian-check-v1", session, for each participant by x:
//	          x, random (32), received (32))
//	seal      Ed25519 over ("guardian-check-seed-v1", session, seed, x)
//	r         AES-256-CTR, IV 0, of zeros under HKDF-SHA-256(seed, no salt, info
//	          "guardian-check-rows-v1"): byte 16*m+t is row t at byte m of the
//	          payloads
//	T         likewise, "guardian-check-matrix-v1": byte 16*t+c is row t, column c
package check
