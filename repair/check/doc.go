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
// holds for one seed only: answers under two tell the masks, and so 32 bytes.
// Therefore holders sign one seed in a session, answer after having seen it signed
// by all, answer once, and forget the masks.
//
// No n answers name more than floor((n-K)/2) wrong ones ([shamir.CombineRobust]).
// Where a dealer's columns are off at a holder, one of the two is wrong and
// nobody else can tell which; the next attempt has other dealers. Whoever is in
// such pairs with more others than can be wrong is named: for a bound of one,
// the common member of two pairs.
//
// # Redistribution
//
// The same session moves the batch to new holders ([Redistribute]), of whom some,
// all or none are old ones, with a threshold K' of their own. A node that is both
// plays two roles, with two keys E. Everything above holds for the old role. What
// is added, in its place:
//
//	join     chains of the batch, proposal    -> E_j of a new holder, signed
//	                                             (and the proposal is in open)
//	share    after receive, of each dealer,
//	         for each new holder              -> what it deals, sealed
//	take     all E, then one of these each    -> after the last one an ack
//	prepare  the answers of all               -> new holders: a vote that the new
//	                                             share is durable
//	agree    the answers of all               -> old holders: a vote that all is well
//
// For each byte of its shares and of the masks M, dealer i makes a polynomial g_i
// of degree K'-1 with g_i(0) = l_i(0) * that byte, l_i being the Lagrange
// coefficients of the dealers; new holder j gets g_i(x_j), and its new share is
// the sum over i. It publishes, for each dealer, c_ij = <r, g_i(x_j)> + what it
// was dealt of M. Answers of either role are signed.
//
// All is well if a lies on A of degree K-1, every c_i on C_i of degree K'-1, and
// C_i(0) = l_i(0)*A(x_i). So every new share lies on one polynomial of degree K'-1
// with the secret at 0, whatever K, K' and common holders: but for a probability of
// 2^-119, as there are 1 + 2K vectors to pass with 2^-128 each, and as long as K of the
// old and K' of the new holders that take part are honest, so that A and the C_i are
// theirs. More than n-K of the n old ones can hand on another secret, which those left
// out may object to ([Config.Vote]). Every voter judges that for itself, from answers that all signed, and
// votes once. Coordinators only carry. It takes more than K old holders, without
// whom A proves nothing, and [record.Quorum] new ones.
//
// Nothing is learnt of C_i but what A tells: its other coefficients are masked by
// those of g_i for the masks. Whoever has K' new shares has the secret when they are
// dealt, before anybody votes: a lower K' is a lower bound at once.
//
// A share that is off A names its holder. No C_i, or another C_i(0), names dealer
// i, as long as no more than floor((n'-K')/2) new holders are wrong. A point off C_i
// is a pair of dealer and new holder. Whoever is named is left out, whoever is in a
// pair deals no more if others can, and all starts again.
//
// For a batch of B bytes a dealer keeps B + 32 bytes (it expands the polynomials
// anew for each new holder) and takes 4 B while it deals; a new holder keeps
// (K+1)*B + 16*K, and the chains; a coordinator holds 4 shares at once. Each
// counts once more, by four thirds, while it is JSON.
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
//	          SHA-256 of each record in order); in a redistribution the next
//	move      SHA-256("guardian-check-move-v1", batch, K' (1), N' (1), for each of
//	          the proposal by x: x, length of the node id (1), node id, node key (32))
//	open      Ed25519 over ("guardian-check-open-v1", batch, x, E)
//	          and of a new holder over ("guardian-check-open-new-v1", move, x, E)
//	session   SHA-256("guardian-check-session-v1", batch or move, K (1), n (1), for
//	          each old participant by x: x, node key (32), E (32); x of each dealer;
//	          for each new participant by x: x, node key (32), E (32))
//	sealed    AES-256-GCM, nonce 0, no additional data, of the 32 bytes, under
//	          HKDF-SHA-256(X25519(e_i, E_j), salt session,
//	          info "guardian-check-deal-v1", x_i, x_j)
//	received  SHA-256("guardian-check-received-v1", session, x, sealed of each
//	          dealer by x)
//	share     AES-256-GCM, nonce 0, no additional data, of what dealer i has for new
//	          holder j: a byte for each of the payloads in order, and 16 for M; under
//	          HKDF-SHA-256(X25519(e_i, E_j), salt session,
//	          info "guardian-check-share-v1", x_i, x_j)
//	taken     received of a new holder: SHA-256("guardian-check-taken-v1", session,
//	          x, SHA-256 of the share of each dealer by x)
//	seed      SHA-256("guardian-check-v1", session, for each old participant by x,
//	          then for each new one by x: x, random (32), received (32))
//	seal      Ed25519 over ("guardian-check-seed-v1", session, seed, x), and of a new
//	          holder over ("guardian-check-seed-new-v1", session, seed, x)
//	answer    Ed25519 over ("guardian-answer-v1", session, seed, 0 of an old holder
//	          or 1 of a new one, x, a of an old one, 16 bytes for each dealer by x);
//	          in a redistribution alone
//	votes     see [record.AgreedMessage], [record.PreparedMessage]
//	r         AES-256-CTR, IV 0, of zeros under HKDF-SHA-256(seed, no salt, info
//	          "guardian-check-rows-v1"): byte 16*m+t is row t at byte m of the
//	          payloads
//	T         likewise, "guardian-check-matrix-v1": byte 16*t+c is row t, column c
package check
