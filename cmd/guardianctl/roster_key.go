package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
)

const (
	admissionVariable = "GUARDIAN_ADMISSION_KEY"
	// admissionHeader is the first line of an admission key's file. The second
	// is its seed in hex, and there is no third.
	admissionHeader = "guardian-admission-key-v1"
)

// createAdmissionKey makes an admission key, keeps it in a new file, 0600, and
// returns its public half. Error: fs.ErrExist when there is something in its
// place.
func createAdmissionKey(path string) (ed25519.PublicKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed)
	defer clear(seed)
	private := ed25519.NewKeyFromSeed(seed)
	defer clear(private)
	return publicOf(private), writeKey(path, admissionHeader, seed)
}

// readAdmissionKey reads a file that is its owner's alone. The caller wipes the
// key.
func readAdmissionKey(path string) (ed25519.PrivateKey, error) {
	const advice = "pass the file that guardianctl roster init made"
	text, err := readPrivate(path, maxKeyFile)
	defer clear(text)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failure(err, advice+"; for a new cluster, guardianctl roster init makes one")
	}
	if err != nil {
		return nil, failure(fmt.Errorf("reading the admission key: %w", err), advice)
	}
	seed, err := keyIn(text, admissionHeader)
	if err != nil {
		return nil, usageError(advice, "%s: %w", path, err)
	}
	defer clear(seed)
	return ed25519.NewKeyFromSeed(seed), nil
}

// publicOf is a copy: the private key is wiped.
func publicOf(private ed25519.PrivateKey) ed25519.PublicKey {
	return ed25519.PublicKey(string(private[ed25519.SeedSize:]))
}

// parsePublicKey reads an Ed25519 public key in hex.
func parsePublicKey(digits string) (ed25519.PublicKey, error) {
	key, err := hex.DecodeString(digits)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("not an Ed25519 public key: %d hex digits", hex.EncodedLen(ed25519.PublicKeySize))
	}
	return key, nil
}

// admissionFlags say whose signature counts.
type admissionFlags struct{ key, keyFile string }

func (f *admissionFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.key, "admission-key", os.Getenv(admissionVariable),
		"the public admission key in hex, to verify the signature with (or "+admissionVariable+")")
}

func (f *admissionFlags) registerFile(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.keyFile, "admission-key-file", "", "file of the admission key, in place of --admission-key")
}

// public is nil where no key is given.
func (f *admissionFlags) public(cmd *cobra.Command) (ed25519.PublicKey, error) {
	switch {
	case f.keyFile != "" && cmd.Flags().Changed("admission-key"):
		return nil, usageError("keep one of them", "--admission-key and --admission-key-file are both given")
	case f.keyFile != "":
		private, err := readAdmissionKey(f.keyFile)
		if err != nil {
			return nil, err
		}
		defer clear(private)
		return publicOf(private), nil
	case f.key == "" && cmd.Flags().Changed("admission-key"):
		return nil, usageError("leave --admission-key out, or pass what guardianctl roster init printed", "--admission-key is empty")
	case f.key == "":
		return nil, nil
	}
	key, err := parsePublicKey(f.key)
	if err != nil {
		return nil, usageError("pass what guardianctl roster init printed as "+admissionVariable, "the admission key is %w", err)
	}
	return key, nil
}
