// Package recovery computes one lost share anew from K others. The node that
// lost it learns this share and nothing else, those that help learn nothing, and
// nobody learns the secret. It does no I/O: docs/PROTOCOLS.md has the messages.
//
// Node j, which the record R of a generation names for point x_j, asks the
// holders i of other points:
//
//	j -> i   R, x_j
//	i -> j   Offer: x_i, E_i, signature         Helper.Offer, CheckOffer
//	j -> i   the K offers of a set H of them
//	i -> j   l_i*y_i + the masks of i with      Helper.Contribute
//	         every other b in H
//	j        adds the K answers: in the sum     Rebuild
//	         each mask is there twice
//
// E_i is an X25519 key (RFC 7748) made for this one time, good for [Lifetime] and
// kept in memory alone. l_i is what the share at x_i weighs in that at x_j, when
// the points are those of H. The mask of i and b is a keystream that they alone
// can compute (pairwise masks: Bonawitz et al., Practical Secure Aggregation for
// Privacy-Preserving Machine Learning, CCS 2017), each from its own private key
// and what the other offered:
//
//	signature = Ed25519 of i's node key (RFC 8032) over 83 bytes:
//	            "guardian-offer-v1" || SHA-256(R) || x_j || x_i || E_i
//	session   = SHA-256("guardian-recover-v1" || SHA-256(R) || x_j || x || E || x || E ...)
//	            with the offers of H in ascending order of x: 52 + 33*K bytes
//	k_ib      = HKDF-SHA-256(key material X25519(e_i, E_b), salt session,
//	            info the lower, then the higher of x_i and x_b), 32 bytes (RFC 5869)
//	mask      = AES-256-CTR under k_ib, counter block from zero, of the length of y
//
// A point is one byte, SHA-256(R) and a key are 32, labels are ASCII without a
// terminator, || joins.
//
// An answer is of use to the node that R names for x_j, and to nobody else, as
// long as every mask in it is unknown to whoever reads it, but for those of
// helpers who conspire with the reader. So a helper believes R alone about who
// is who, wants every other offer signed by the key that R has for its point,
// and binds the masks to R, x_j and the whole of H: no two answers under
// different ones of these can be added up. Each check is a value in rules, and
// there is a test of what fewer than K nodes read without it.
//
// An offer is redeemed at most once, whatever comes of it. It is taken when the
// request names it rightly and before anything costly or secret is done: of two
// requests that name it one gets nothing, nobody tries set after set against one
// key, and whoever reads a helper's memory later finds nothing to open a
// recorded answer with. Only its own caller can use an offer up, and asks for
// another.
package recovery
