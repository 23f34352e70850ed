// Package round orders the rounds of redistribution: what the registry keeps of
// them ([Rounds], [Round]), and what one node keeps of its own votes
// ([Ballots]). It decides whose turn it is and moves no share.
//
// The rounds of a group, all records with the same K and the same holders, come
// one after the other. Their state is one record of the registry, changed by
// compare-and-swap alone:
//
//	idle, committed, aborted -> open -> voting -> committed
//	                                 \         \-> aborted
//
// A coordinator opens a round and runs a session of package check in it. Once
// the answers are judged, it puts that session to the vote (the record names it
// and its bases, the records that it makes successors of), gathers the votes,
// keeps them where it finds them after a crash, commits, and shows the
// certificates. A node casts a ballot, durably, before it signs a vote.
//
// # Why no two sessions over one base are committed
//
// With a registry that is what it claims to be, one linearizable record:
//
//   - A session is committed by one swap of the record that says that this
//     session of this coordinator's process is being voted on. Whoever takes the
//     round over swaps that record for one that lists the session as aborted. One
//     of the two swaps loses. A coordinator that slept for an hour between Vote
//     and Commit, or was cut off, loses then, and shows nothing.
//   - A session is voted on once: one that is listed is not taken again.
//   - The bases of a committed session stay in the record until it is closed,
//     and no session over one of them is put to the vote, or voted for. Votes
//     alone would not do: K+1 of N old holders are enough, and from N = 2K+2 two
//     halves of a partition have that many each, without a voter in common and
//     with nobody in reach who objects. It is closed when N-K of the N follow
//     its certificate, after which K+1 others are no more.
//   - Clocks decide only when a round is taken over. A wrong one costs a round,
//     and nothing else: safety does not rest on the lease.
//   - An answer that was lost is replaced by another look. What took effect is
//     known by serial, coordinator and nonce, and whether a session was committed
//     by the lists, as others may have gone on since. Where they say nothing
//     (64 sessions later, or after the registry was put back), Commit says
//     ErrUnknown, and never that the session was not committed.
//
// # When the registry is not what it claims to be
//
// One that was emptied or put back, or that lies, has forgotten sessions. Then
// the ballots hold: a node that voted over a base votes for no other session
// over it unless the registry lists the first as aborted. So two sessions need
// two sets of voters of which none is in both, or a registry that says of a
// committed session that it was aborted (which one that is put back to the
// middle of its vote comes to say when the round is taken over).
// A dishonest coordinator can also keep the votes of a session that it let be
// aborted, and show a certificate. For that no rule of this package suffices:
// two certificates over one base meet at some node, which erases nothing
// and raises an alarm, as do all that hear of both.
//
// Ballots that somebody with access to the storage put back to an older state,
// or removed, verify. Then it is the registry that holds. Ballots that do not
// verify stop the node from voting.
//
// # Records
//
// All are JSON; fields that are not known are ignored, and gone with the next
// change.
//
//	rounds/<group, hex>   [State]
//	rounds-index          the groups that had rounds, for people
//
// In the node's storage, `rounds/ballots` is a line "hmac <key id> <hex>" and
// JSON, sealed under the label "ballots" together with its key.
package round
