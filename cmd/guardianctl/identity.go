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

// identityFlags say under which identity a file is kept.
type identityFlags struct {
	hex  string
	file string
}

func (f *identityFlags) register(cmd *cobra.Command, fileUsage string) {
	cmd.Flags().StringVar(&f.hex, "identity", "", "the identity, 64 hex digits")
	cmd.Flags().StringVar(&f.file, "identity-file", "", fileUsage)
}

// existing returns the identity of something stored before.
func (f *identityFlags) existing(cmd *cobra.Command) (string, error) {
	switch {
	case f.hex != "" && f.file != "":
		return "", usageError("keep one of them", "--identity and --identity-file are both given")
	case f.hex != "":
		return parseIdentity(f.hex)
	case f.file != "":
		return readIdentity(f.file)
	}
	return "", usageError("pass the file that guardianctl store wrote: "+cmd.CommandPath()+" --identity-file FILE.identity", "no identity given")
}

// prepare returns the identity to store under, or none and the file that is
// to hold a new one. Nothing is written yet.
func (f *identityFlags) prepare(cmd *cobra.Command, input string) (identity, newFile string, err error) {
	if f.hex != "" || f.file != "" && exists(f.file) {
		identity, err = f.existing(cmd)
		return identity, "", err
	}
	if f.file != "" {
		return "", f.file, nil
	}
	path := defaultIdentityFile(input)
	if exists(path) {
		return "", "", usageError(
			fmt.Sprintf("to store a new version of it: guardianctl store %s --identity-file %s", shellWord(input), shellWord(path)),
			"%s exists: it is the identity of something stored before", path)
	}
	return "", path, nil
}

func defaultIdentityFile(input string) string {
	if input == "-" {
		return "guardian.identity"
	}
	return input + ".identity"
}

// createIdentity makes a random identity and keeps it in a new file.
func createIdentity(path string) (string, error) {
	identity := randomHex()
	if err := writeFile(path, []byte(identity+"\n"), false); err != nil {
		return "", failure(fmt.Errorf("keeping the identity: %w", err), "choose another place with --identity-file")
	}
	return identity, nil
}

// randomHex is 32 random bytes: an identity, or a token.
func randomHex() string {
	var random [api.IdentityDigits / 2]byte
	rand.Read(random[:])
	return hex.EncodeToString(random[:])
}

func readIdentity(path string) (string, error) {
	text, err := readSmallFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", failure(err, "pass the identity file that guardianctl store wrote, or --identity")
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
		return "", usageError("pass the 64 hex digits that guardianctl store kept for you", "%w", err)
	}
	return identity, nil
}

// shellWord quotes a file name so that a command shown can be pasted.
func shellWord(word string) string {
	if len(word) > 1 && word[0] == '-' {
		word = "./" + word // not a flag
	}
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
