package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/vault-guardian/guardian/envelope"
)

const (
	keyFileVariable = "GUARDIANCTL_KEY_FILE"
	// keyHeader is the first line of a key file. The second is the key in hex,
	// and there is no third.
	keyHeader = "guardian-key-file-v1"
	// keySize is that of the key, which is random, in bytes.
	keySize = 32
	// maxKeyFile bounds a key file, in bytes.
	maxKeyFile = 1 << 10
)

// createKey makes a key and keeps it in a new file, 0600. Error: fs.ErrExist
// when there is something in its place.
func createKey(path string) (*envelope.Root, error) {
	key := make([]byte, keySize)
	rand.Read(key)
	defer clear(key)
	root, err := envelope.FromKeyFile(key)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return root, writeKey(path, keyHeader, key)
}

// writeKey keeps a key in a new file, 0600: a header and the key in hex, a line
// each.
func writeKey(path, header string, key []byte) error {
	text := append(hex.AppendEncode([]byte(header+"\n"), key), '\n')
	defer clear(text)
	return writeFile(path, text, false)
}

// readKey reads a key file that is its owner's alone.
func readKey(path string) (*envelope.Root, error) {
	text, err := readPrivate(path, maxKeyFile)
	defer clear(text)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failure(err, "make a key first: guardianctl keygen -o "+shellWord(path))
	}
	if err != nil {
		return nil, failure(fmt.Errorf("reading the key: %w", err), "pass the key file that guardianctl keygen made")
	}
	root, err := parseKey(text)
	if err != nil {
		return nil, usageError("pass the key file that guardianctl keygen made", "%s: %w", path, err)
	}
	return root, nil
}

// readPrivate reads a file of so many bytes at most. It refuses one that others
// than its owner may read or change.
func readPrivate(path string, limit int) ([]byte, error) {
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
			fmt.Errorf("%s is open to others (mode %04o): what is in it must be known to you alone", path, mode),
			"chmod 600 "+shellWord(path)+", and make a new one if somebody else may have read it",
		)
	}
	return readWiping(file, limit)
}

// parseKey reads the text of a key file. Its errors do not quote it.
func parseKey(text []byte) (*envelope.Root, error) {
	key, err := keyIn(text, keyHeader)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return envelope.FromKeyFile(key)
}

// keyIn is the key in the text of a file that writeKey has written. Its errors
// do not quote it.
func keyIn(text []byte, header string) ([]byte, error) {
	first, digits, _ := bytes.Cut(text, []byte("\n"))
	if string(first) != header {
		return nil, errors.New("this is no key file: the first line is not " + header)
	}
	digits = bytes.TrimSuffix(digits, []byte("\n"))
	key := make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(key, digits); err != nil || len(key) != keySize {
		clear(key)
		return nil, fmt.Errorf("the key is damaged: the second line, the last one, is not %d hex digits", 2*keySize)
	}
	return key, nil
}
