package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
)

// identityFlags name what other clients stored without a key.
type identityFlags struct {
	hex  string
	file string
}

func (f *identityFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.hex, "identity", "", "the identity, 64 hex digits, of what another client stored without a key")
	cmd.Flags().StringVar(&f.file, "identity-file", "", "file with such an identity")
}

// identity returns "" when none is given.
func (f *identityFlags) identity() (string, error) {
	switch {
	case f.hex != "" && f.file != "":
		return "", usageError("keep one of them", "--identity and --identity-file are both given")
	case f.hex != "":
		return parseIdentity(f.hex)
	case f.file != "":
		return readIdentity(f.file)
	}
	return "", nil
}

// randomHex is 32 random bytes: an identity, or a token.
func randomHex() string {
	var random [api.IdentityDigits / 2]byte
	rand.Read(random[:])
	return hex.EncodeToString(random[:])
}

func readIdentity(path string) (string, error) {
	text, err := readSmallFile(path, maxSmallFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", failure(err, "pass the identity file, or --identity")
	}
	if err != nil {
		return "", failure(fmt.Errorf("reading the identity: %w", err), "make the identity file readable, or pass --identity")
	}
	identity, err := parseIdentity(strings.TrimSpace(text))
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	return identity, nil
}

func parseIdentity(text string) (string, error) {
	identity, err := api.ParseIdentity(text)
	if err != nil {
		return "", usageError("pass all 64 hex digits of the identity", "%w", err)
	}
	return identity, nil
}

// shellWord quotes a file name so that a command shown can be pasted.
func shellWord(word string) string {
	if len(word) > 1 && word[0] == '-' {
		word = "./" + word // not a flag
	}
	return quoted(word)
}

// quoted is a word as a shell takes it.
func quoted(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,=@%+", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
