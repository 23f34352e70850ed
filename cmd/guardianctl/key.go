package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/vault-guardian/guardian/auth"
)

const (
	keyFileVariable = "GUARDIANCTL_KEY_FILE"
	// keyHeader is the first line of a key file. The second is the seed of an
	// Ed25519 key (RFC 8032 section 5.1.5) in hex, and there is no third.
	keyHeader = "guardian-owner-key-v1"
	// maxKeyFile bounds a key file, in bytes.
	maxKeyFile = 1 << 10
)

// createKey makes an owner's key and keeps it in a new file, 0600. Error:
// fs.ErrExist when there is something in its place.
func createKey(path string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	text := fmt.Appendf(nil, "%s\n%x\n", keyHeader, key.Seed())
	defer clear(text)
	return key, writeFile(path, text, false)
}

// readKey reads a key file that is its owner's alone.
func readKey(path string) (ed25519.PrivateKey, error) {
	text, err := readPrivate(path)
	defer clear(text)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failure(err, "make a key first: guardianctl keygen -o "+shellWord(path))
	}
	if err != nil {
		return nil, failure(fmt.Errorf("reading the key: %w", err), "pass the key file that guardianctl keygen made")
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, usageError("pass the key file that guardianctl keygen made", "%s: %w", path, err)
	}
	return key, nil
}

// readPrivate refuses a file that others than its owner may read or change.
func readPrivate(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat() // of what was opened
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, failure(
			fmt.Errorf("%s is open to others (mode %04o): whoever has the key owns what is stored with it", path, mode),
			"chmod 600 "+shellWord(path)+", and make a new key if somebody else may have read this one",
		)
	}
	return io.ReadAll(io.LimitReader(file, maxKeyFile))
}

// parseKey reads the text of a key file. Its errors do not quote it.
func parseKey(text []byte) (ed25519.PrivateKey, error) {
	header, digits, _ := bytes.Cut(text, []byte("\n"))
	if string(header) != keyHeader {
		return nil, errors.New("this is no owner's key: the first line is not " + keyHeader)
	}
	digits = bytes.TrimSuffix(digits, []byte("\n"))
	seed := make([]byte, hex.DecodedLen(len(digits)))
	defer clear(seed)
	if _, err := hex.Decode(seed, digits); err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("the key is damaged: the second line, the last one, is not %d hex digits", 2*ed25519.SeedSize)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// ownedBy is the identity of what is stored with a key.
func ownedBy(key ed25519.PrivateKey) string {
	return auth.IdentityOf(key.Public().(ed25519.PublicKey))
}
