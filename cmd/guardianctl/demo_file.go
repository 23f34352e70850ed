package main

import (
	"bytes"
	"context"
	"errors"

	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/envelope"
)

// demoAttempts bounds how often a step goes for the guardians that were late.
const demoAttempts = 4

// demoFile is a file, the key that it is kept with, and the guardians.
type demoFile struct {
	name   string
	secret []byte
	words  string // the 24 that lead to root
	root   *envelope.Root
	vault  *client.Vault
}

// connect makes the vault of the guardians at urls, with nothing but the words
// for a key.
func (f *demoFile) connect(urls []string, token string, with ...client.Option) (err error) {
	if f.words == "" {
		if f.words, err = envelope.NewMnemonic(); err != nil {
			return err
		}
	}
	if f.root, err = envelope.FromMnemonic(f.words); err != nil {
		return err
	}
	f.vault, err = client.NewVault(urls, []string{token}, 0, append(with, client.WithRoot(f.root))...)
	return err
}

// storeEverywhere stores until no guardian is without a share: on a slow
// machine one may miss a push that the others have acknowledged.
func (f *demoFile) storeEverywhere(ctx context.Context) (report client.PushReport, err error) {
	for range demoAttempts {
		report, err = f.vault.Store(ctx, f.root.Identity(), f.secret)
		if err != nil || len(report.Lacking) == 0 {
			return report, err
		}
	}
	return report, errors.Join(report.Lacking...)
}

// pull recovers the file and compares it with the original.
func (f *demoFile) pull(ctx context.Context) ([]byte, client.PullReport, error) {
	secret, report, err := f.vault.Pull(ctx, f.root.Identity())
	if err == nil && !bytes.Equal(secret, f.secret) {
		err = errors.New("what was recovered is not the file that was stored")
	}
	if err == nil && !report.Manifest {
		err = errors.New("the shares were not checked against the manifest that was signed with them")
	}
	return secret, report, err
}
