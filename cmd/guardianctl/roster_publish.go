package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/cluster"
)

type rosterPublish struct {
	registryFlags
	admissionFlags
	timeout time.Duration
	replace bool
	json    bool
}

func newRosterPublishCommand() *cobra.Command {
	var p rosterPublish
	cmd := &cobra.Command{
		Use:   "publish [FILE]",
		Short: "Put a signed roster into the registry",
		Long: `Put a signed roster (default ` + defaultSigned + `) into the registry, from where every
guardian fetches it within seconds. One with a higher serial that is there stays.
It can be run again.

With --admission-key or GUARDIAN_ADMISSION_KEY the signature is verified first: a
guardian ignores a roster of another key. One of another key that is there may be
another cluster's, and is replaced with --replace only; without a key to verify it
with, so is one that has no node key in common with this.`,
		Example: `  guardianctl roster publish --registry s3://bucket/registry --admission-key d75a98...f70751
  guardianctl roster publish roster.signed --registry-file registry.url
  GUARDIAN_REGISTRY="$(cat registry.url)" guardianctl roster publish`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.run(cmd, append(args, defaultSigned)[0]) },
	}
	p.registryFlags.register(cmd)
	p.admissionFlags.register(cmd)
	registerTimeout(cmd, &p.timeout)
	cmd.Flags().BoolVar(&p.replace, "replace", false, "replace even a roster that seems to be another cluster's")
	cmd.Flags().BoolVar(&p.json, "json", false, "print the result as JSON")
	return cmd
}

func registerTimeout(cmd *cobra.Command, timeout *time.Duration) {
	cmd.Flags().DurationVar(timeout, "timeout", defaultTimeout, "give up after this long")
}

type rosterPublishResult struct {
	Serial    uint64 `json:"serial"`
	Guardians int    `json:"guardians"`
	Registry  string `json:"registry"`
	// Already says that just this roster was there.
	Already bool `json:"already_there"`
	// Verified says that the signature was.
	Verified bool `json:"verified"`
}

func (p *rosterPublish) run(cmd *cobra.Command, file string) error {
	admission, err := p.public(cmd)
	if err != nil {
		return err
	}
	if p.timeout <= 0 {
		return usageError("pass for example --timeout 20s", "--timeout must be positive")
	}
	at, err := p.location()
	if err != nil {
		return err
	}
	signed, err := readSigned(file)
	if err != nil {
		return err
	}
	roster, err := openRoster(signed, admission)
	if err != nil {
		return rosterError(file, err)
	}
	result := rosterPublishResult{Serial: roster.Serial, Guardians: len(roster.Entries), Registry: at.String(), Verified: admission != nil}
	err = useRegistry(cmd, at, p.timeout, func(ctx context.Context, registry cluster.Registry) error {
		result.Already, err = publish(ctx, registry, signed, admission, p.replace)
		return err
	})
	if err != nil {
		return err
	}
	return p.print(cmd, result)
}

// openRoster verifies a roster; without a key, only its form.
func openRoster(signed []byte, admission ed25519.PublicKey) (*cluster.Roster, error) {
	if admission == nil {
		return cluster.UnverifiedRoster(signed)
	}
	return cluster.ParseRoster(signed, admission)
}

// rosterError tells a roster that is damaged from one that another key signed.
func rosterError(source string, err error) error {
	err = fmt.Errorf("%s: %w", source, err)
	if errors.Is(err, cluster.ErrRosterSignature) {
		return &advisedError{exitVerification, err, "pass the public key that guardianctl roster init printed; if it is right, somebody else has made this roster"}
	}
	return failure(err, "name a file that guardianctl roster sign has written; sign again if it is damaged")
}

// swaps bounds how often publish begins again.
const swaps = 4

// publish puts a roster into the registry, unless just that one is there. A
// write of which nothing was heard, or that another came before, is followed by
// a look at what is there now.
func publish(ctx context.Context, registry cluster.Registry, signed []byte, admission ed25519.PublicKey, replace bool) (already bool, err error) {
	for range swaps {
		there, rev, errLoad := registry.Load(ctx, cluster.RosterKey)
		switch {
		case errors.Is(errLoad, cluster.ErrNoRecord):
		case errLoad != nil:
			return false, errors.Join(err, errLoad)
		case bytes.Equal(there, signed):
			return err == nil, nil // else it was we who put it there
		default:
			if err := mayFollow(there, signed, admission, replace); err != nil {
				return false, err
			}
		}
		if _, err = registry.Swap(ctx, cluster.RosterKey, signed, rev); err == nil {
			return false, nil
		}
	}
	return false, err
}

// mayFollow refuses a roster that no guardian would take after the one that is
// there, or that gives an index away, or that may be for another cluster. What
// is there and is no roster is none to guardians either.
func mayFollow(there, signed []byte, admission ed25519.PublicKey, replace bool) error {
	before, err := cluster.UnverifiedRoster(there)
	if err != nil {
		return nil //nolint:nilerr // anything may follow it
	}
	roster, err := openRoster(signed, admission)
	if err != nil {
		return err
	}
	if err := foreign(there, before, roster, admission); err != nil {
		if replace {
			return nil //nolint:nilerr // it is what is wanted
		}
		return failure(fmt.Errorf("the registry has a roster, with serial %d, %w: it may be another cluster's", before.Serial, err),
			"see whose it is: guardianctl roster show, with the same registry; if this one is to replace it, add --replace")
	}
	switch {
	case before.Serial > roster.Serial:
		return failure(fmt.Errorf("the registry has a roster with serial %d, and this one has %d", before.Serial, roster.Serial),
			"publish the latest; if this one is to replace that, "+adviceSerial(before.Serial, admission))
	case before.Serial == roster.Serial:
		return failure(fmt.Errorf("the registry has another roster with the same serial %d: there are two drafts of it", before.Serial),
			"find out who signed the other; if this one is to replace it, "+adviceSerial(before.Serial, admission))
	}
	if err := clash(seatsOf(before), seatsOf(roster)); err != nil {
		return failure(fmt.Errorf("the roster in the registry, with serial %d, says otherwise: %w", before.Serial, err),
			"correct the draft, and sign again")
	}
	return nil
}

// foreign returns an error where the roster that is there may be that of
// guardians which have nothing to do with those of the other.
func foreign(there []byte, before, roster *cluster.Roster, admission ed25519.PublicKey) error {
	if admission != nil {
		if _, err := cluster.ParseRoster(there, admission); err != nil {
			return errors.New("that this admission key has not signed")
		}
		return nil
	}
	inBoth := func(e cluster.Entry) bool {
		// By key: every cluster may have a g1.
		return slices.ContainsFunc(roster.Entries, func(r cluster.Entry) bool { return bytes.Equal(r.Key, e.Key) })
	}
	if len(before.Entries) > 0 && !slices.ContainsFunc(before.Entries, inBoth) {
		return errors.New("with no node key of this one")
	}
	return nil
}

func adviceSerial(serial uint64, admission ed25519.PublicKey) string {
	advice := fmt.Sprintf("set \"serial\" in its draft to %d and sign again", serial)
	if admission == nil {
		advice += "; with --admission-key and --replace, one that another key signed is replaced"
	}
	return advice
}

func (p *rosterPublish) print(cmd *cobra.Command, r rosterPublishResult) error {
	if !r.Verified {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning: who signed it was not verified: pass --admission-key")
	}
	if p.json {
		return printJSON(cmd.OutOrStdout(), r)
	}
	what := "published"
	if r.Already {
		what = "already there:"
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s serial %d with %d guardians in %s\n", what, r.Serial, r.Guardians, shown(r.Registry))
	return err
}
