// Package record says who holds which point of one generation of a secret. What
// is computed from a share toward a point goes to the key that the record has
// for it, and to no other.
//
// The record of epoch 0 is the manifest that the owner signed. Each later one is
// made by a round: its body follows from the record before, the holders that
// were proposed, and the seed, so everybody computes the same. It counts when
// K+1 of the old holders signed that the round was sound, and enough of the new
// ones that their shares are durable. A chain is the manifest, the records and
// the votes that lead from there to the last one; whoever has it needs nobody
// else to tell it from a false one.
//
// A chain leaves out records that later votes make needless, but for their
// hashes: what counts is that enough keys of some record that it shows agreed to
// the next that it shows. So it proves what it proves to one who knows the owner
// alone. Who holds a share of a record asks for more: see [Record.Vouched].
//
// The encodings are in docs/FORMATS.md, and canonical. All functions are pure,
// safe for concurrent use, and leave their arguments as they were.
package record
