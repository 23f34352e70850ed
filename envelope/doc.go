// Package envelope encrypts a secret and wraps its key for the ways in that an
// owner has: 24 words, user name and passphrase, or a key file. Each way in
// gives a [Root], and a Root alone opens what was sealed for it: nothing else
// need be kept. docs/FORMATS.md describes every byte, testdata/vectors.json has
// the values to check another implementation with.
//
// What is sealed is bound to its [Place]. Whatever was changed in a payload, be
// it a single bit, and wherever it was moved, it does not open; nothing of it
// is returned then. Keys are compared with a stored commitment before anything
// is decrypted, as AES-GCM alone would let one ciphertext open under two keys
// (P. Grubbs, J. Lu, T. Ristenpart, Message Franking via Committing
// Authenticated Encryption, CRYPTO 2017).
//
// Errors never quote words, passphrases, user names or keys. Secrets in buffers
// of this package are wiped after use. Out of its reach are strings, which Go
// cannot overwrite, and what the libraries below keep, Argon2id's memory among it.
//
// The package is pure but for its draws from crypto/rand. All functions leave
// their arguments as they were and are safe for concurrent use.
package envelope
