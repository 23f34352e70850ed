package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/envelope"
)

// passphraseFlags say who a user is, and where the passphrase comes from. Under
// the identity that follows from both the guardians keep the entropy of the
// words, and nothing else: it is the words that open what is stored.
type passphraseFlags struct {
	user  string
	file  string
	realm string
}

func (f *passphraseFlags) register(cmd *cobra.Command, fileUsage string) {
	flags := cmd.Flags()
	flags.StringVar(&f.user, "user", "", "user name, for who keeps a passphrase (keygen passphrase)")
	flags.StringVar(&f.file, "passphrase-file", "", fileUsage)
	flags.StringVar(&f.realm, "realm", "", "the deployment's realm, where it has one; it counts like a part of the passphrase")
}

// passphrase reads it, or asks for it, twice when it is a fresh one.
func (f *passphraseFlags) passphrase(cmd *cobra.Command, fresh bool) (string, error) {
	if fromStandardInput(f.file) && isTerminal(cmd.InOrStdin()) {
		return promptPassphrase(cmd, f.user, fresh)
	}
	text, err := readSecret(cmd, f.file, "--passphrase-file")
	return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r"), err
}

// stretch returns the root of user name and passphrase. That takes seconds,
// which are no fault of a guardian's, so --timeout does not count them.
func (f *passphraseFlags) stretch(cmd *cobra.Command, passphrase string) (*envelope.Root, error) {
	type result struct {
		root *envelope.Root
		err  error
	}
	defer showProgress(cmd.ErrOrStderr(), "deriving the key")()
	derived := make(chan result, 1)
	go func() {
		root, err := envelope.FromPassphrase(f.realm, f.user, passphrase)
		derived <- result{root, err}
	}()
	select {
	case <-cmd.Context().Done():
		return nil, interrupted(cmd.Context())
	case got := <-derived:
		return got.root, wayError(got.err)
	}
}

// open returns the root that user name and passphrase themselves lead to.
func (f *passphraseFlags) open(cmd *cobra.Command) (*envelope.Root, error) {
	passphrase, err := f.passphrase(cmd, false)
	if err != nil {
		return nil, err
	}
	return f.stretch(cmd, passphrase)
}

// root returns the root of the words.
func (f *passphraseFlags) root(cmd *cobra.Command, at *endpoints) (*envelope.Root, error) {
	own, err := f.open(cmd)
	if err != nil {
		return nil, err
	}
	defer own.Wipe()
	entropy, err := keptEntropy(cmd, at, own)
	defer clear(entropy)
	if errors.Is(err, api.ErrNotFound) {
		return nil, f.unknown(err)
	}
	if err != nil {
		return nil, err
	}
	words, err := envelope.MnemonicOf(entropy)
	if err != nil {
		return nil, &advisedError{
			exitVerification, fmt.Errorf("what is kept for this user name and passphrase are no words: %w", err),
			"find out what stored it; the words themselves, with --mnemonic, open what is stored with them",
		}
	}
	return envelope.FromMnemonic(words)
}

// keptEntropy is what is kept for a user name and passphrase.
func keptEntropy(cmd *cobra.Command, at *endpoints, own *envelope.Root) (entropy []byte, err error) {
	vault, err := at.vault(own, "")
	if err != nil {
		return nil, err
	}
	err = at.flags.ask(cmd, "bringing back the words", func(ctx context.Context) error {
		entropy, _, err = vault.Pull(ctx, own.Identity())
		return err
	})
	if errors.Is(err, client.ErrAuthentication) {
		return nil, &advisedError{exitVerification, fmt.Errorf("bringing back the words: %w", err), advised(err).advice}
	}
	return entropy, err
}

// unknown does not say which of the two is wrong: nobody can tell.
func (f *passphraseFlags) unknown(err error) error {
	return &advisedError{
		exitNotFound, fmt.Errorf("nothing is kept for this user name and passphrase: %w", err),
		"check both, as well as --realm and --guardians: in the passphrase every letter, its case and every space count; to make a passphrase: guardianctl keygen passphrase --user " + quoted(f.user),
	}
}

func (f *passphraseFlags) shown() string {
	text := "--user " + quoted(f.user)
	if !fromStandardInput(f.file) {
		text += " --passphrase-file " + shellWord(f.file)
	}
	if f.realm != "" {
		text += " --realm " + quoted(f.realm)
	}
	return text
}
