package main

import (
	"crypto/ed25519"
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

// identityFlags say under which identity a file is kept, under which of its
// names, and who owns it.
type identityFlags struct {
	ownerFlags
	hex  string
	file string
	name string
}

// ownerFlags say who owns a file.
type ownerFlags struct{ keyFile string }

func (f *identityFlags) register(cmd *cobra.Command, fileUsage string) {
	cmd.Flags().StringVar(&f.hex, "identity", "", "the identity, 64 hex digits")
	f.ownerFlags.register(cmd)
	cmd.Flags().StringVar(&f.file, "identity-file", "", fileUsage)
	cmd.Flags().StringVar(&f.name, "name", "", "one of many that a key keeps: 1 to 128 of A-Z a-z 0-9 _ -; needs the key")
}

func (f *ownerFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.keyFile, "key-file", "", "file with the owner's key, as keygen made it (or "+keyFileVariable+"); the identity is the key's")
}

// owner returns the owner's key, nil where there is none. A name that is given
// is a name, lest an empty variable of a script reach what has none.
func (f *identityFlags) owner(cmd *cobra.Command) (ed25519.PrivateKey, error) {
	key, err := f.key()
	switch {
	case err != nil || !cmd.Flags().Changed("name"):
		return key, err
	case key == nil:
		return nil, usageError("pass the owner's key with --key-file, or leave out --name", "--name needs the owner's key")
	case f.name == "":
		return nil, usageError("name what is meant, or leave out --name", "--name is empty")
	}
	return key, nil
}

// key returns the owner's key, nil where there is none.
func (f *ownerFlags) key() (ed25519.PrivateKey, error) {
	if f.keyFile == "" {
		f.keyFile = os.Getenv(keyFileVariable)
	}
	if f.keyFile == "" {
		return nil, nil
	}
	return readKey(f.keyFile)
}

// existing returns the identity of something stored before: the key's where
// there is one, and then none but that may be named.
func (f *identityFlags) existing(cmd *cobra.Command, key ed25519.PrivateKey) (string, error) {
	if key == nil {
		return f.named(cmd)
	}
	if f.hex == "" && f.file == "" {
		return ownedBy(key), nil
	}
	identity, err := f.named(cmd)
	if err == nil && identity != ownedBy(key) {
		err = usageError(
			"leave out --identity and --identity-file, or the key: --key-file and "+keyFileVariable,
			"the key in %s owns another identity", f.keyFile)
	}
	return identity, err
}

func (f *identityFlags) named(cmd *cobra.Command) (string, error) {
	switch {
	case f.hex != "" && f.file != "":
		return "", usageError("keep one of them", "--identity and --identity-file are both given")
	case f.hex != "":
		return parseIdentity(f.hex)
	case f.file != "":
		return readIdentity(f.file)
	}
	return "", usageError("pass the owner's key, or the file that guardianctl store wrote: "+cmd.CommandPath()+" --identity-file FILE.identity", "no identity given")
}

// prepare returns the identity to store under, or none and the file that is
// to hold a new one. Nothing is written yet.
func (f *identityFlags) prepare(cmd *cobra.Command, input string, key ed25519.PrivateKey) (identity, newFile string, err error) {
	if key != nil || f.hex != "" || f.file != "" && exists(f.file) {
		identity, err = f.existing(cmd, key)
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
	text, err := readSmallFile(path, maxSmallFile)
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
