package main

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/envelope"
)

const (
	guardiansVariable = "GUARDIANCTL_GUARDIANS"
	exampleGuardians  = "http://127.0.0.1:7501,http://127.0.0.1:7502,http://127.0.0.1:7503,http://127.0.0.1:7504,http://127.0.0.1:7505"

	defaultTimeout = 20 * time.Second
	// maxSmallFile bounds a token or identity file, in bytes.
	maxSmallFile = 64 << 10
	// maxCAFile bounds a file of certificates; a system's has 200 KiB.
	maxCAFile = 4 << 20
	// byteOrderMark is put before UTF-8 by some editors.
	byteOrderMark = "\ufeff"
)

// vaultFlags are the flags of every command that talks to guardians.
type vaultFlags struct {
	guardians []string
	fromFlags
	tokenFile string
	threshold int
	// writes makes a list of guardians that is known to lack some an error.
	writes bool
	callFlags
}

func (f *vaultFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.guardians, "guardians", nil, "the guardians, in the order of their shares: url,url,... (or "+guardiansVariable+")")
	f.fromFlags.register(cmd)
	flags.StringVar(&f.tokenFile, "token-file", "", "file with the guardians' bearer token: one for all, or one a line in their order")
	flags.IntVar(&f.threshold, "threshold", 0, "shares that rebuild the file, K (default a third of the guardians, at least 3)")
	f.callFlags.register(cmd)
}

// callFlags are about calls, whomever they go to.
type callFlags struct {
	caFile  string
	timeout time.Duration
	json    bool
}

func (f *callFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.caFile, "ca-file", "", "file with the certificate authorities of https guardians, in place of the system's")
	flags.DurationVar(&f.timeout, "timeout", defaultTimeout, "give up after this long")
	flags.BoolVar(&f.json, "json", false, "print the result as JSON")
}

// endpoints are the guardians that flags and environment name, and how they are
// spoken to. members are who they are, where a roster or a confirmed list says
// so, in order of index, else nil.
type endpoints struct {
	flags        *vaultFlags
	urls, tokens []string
	roots        *x509.CertPool
	members      []client.Member
	// roster is the key that signed who the members are, nil for none; policy is
	// that of what is stored.
	roster ed25519.PublicKey
	policy client.Policy
}

// endpoints reads all that the flags name, and asks for the list of guardians
// where they say so. What is wrong with it, or with the name of a secret, is
// found here, before anybody is asked for one.
func (f *vaultFlags) endpoints(cmd *cobra.Command, name string) (*endpoints, error) {
	urls, from, err := f.source(cmd)
	if err != nil {
		return nil, err
	}
	if err := f.checkTimeout(); err != nil {
		return nil, err
	}
	tokens, err := f.tokens()
	if err != nil {
		return nil, err
	}
	roots, err := f.roots()
	if err != nil {
		return nil, err
	}
	at := &endpoints{flags: f, urls: urls, tokens: tokens, roots: roots}
	if from != "" {
		if at.roster, err = admissionOf(f.rosterKey); err != nil {
			return nil, err
		}
		if at.members, err = f.membersFrom(cmd, from, at.roster, roots); err != nil {
			return nil, err
		}
		at.urls = urlsOf(at.members)
	}
	_, err = at.rehearsal(name)
	return at, err
}

// source is where the guardians are named: their URLs, or the one to ask. Flags
// come before the environment.
func (f *vaultFlags) source(cmd *cobra.Command) (urls []string, from string, err error) {
	if err := notEmpty(cmd, "guardians-from", "roster-key"); err != nil {
		return nil, "", err
	}
	byFlag := len(f.guardians) > 0 || f.from != ""
	urls, from = f.guardians, f.from
	if !byFlag {
		urls = strings.FieldsFunc(os.Getenv(guardiansVariable), func(r rune) bool { return r == ',' })
		from = os.Getenv(guardiansFromVariable)
	}
	switch {
	case len(urls) > 0 && from != "" && byFlag:
		return nil, "", usageError("keep one of them", "--guardians and --guardians-from are both given")
	case len(urls) > 0 && from != "":
		return nil, "", usageError("unset one of them, or pass --guardians or --guardians-from", "%s and %s are both set", guardiansVariable, guardiansFromVariable)
	case from == "" && len(given(cmd, "roster-key", "trust-on-first-use")) > 0:
		return nil, "", usageError("add --guardians-from URL", "--roster-key and --trust-on-first-use go with --guardians-from")
	case len(urls) == 0 && from == "":
		return nil, "", usageError("pass for example --guardians "+exampleGuardians+", or set "+guardiansVariable+"; or pass --guardians-from URL, to ask one guardian for the list", "no guardians given")
	}
	return urls, from, nil
}

func (f *callFlags) checkTimeout() error {
	if f.timeout <= 0 {
		return usageError("pass for example --timeout 20s", "--timeout must be positive")
	}
	return nil
}

// rehearsal is the vault of an owner that nobody is, to try what needs one.
func (e *endpoints) rehearsal(name string) (*client.Vault, error) {
	nobody, err := envelope.FromKeyFile(make([]byte, keySize))
	if err != nil {
		return nil, err
	}
	return e.vault(nobody, name)
}

// vault is that of the owner of root, or nobody's for nil, and of one name of
// that owner's where it is not "".
func (e *endpoints) vault(root *envelope.Root, name string) (*client.Vault, error) {
	vault, err := client.NewVault(e.urls, e.tokens, e.flags.threshold, client.WithRoot(root), client.WithName(name), client.WithRootCAs(e.roots), client.WithMembers(e.members), client.WithPolicy(e.policy))
	if errors.Is(err, api.ErrInvalidName) {
		return nil, usageError("choose another name with --name", "%w", err)
	}
	if err != nil && e.members != nil {
		return nil, usageError("correct --token-file (one token for all, or one a line in the order of the share indices) and --threshold", "%w", err)
	}
	if err != nil {
		return nil, usageError("correct --guardians (or "+guardiansVariable+"), --token-file and --threshold", "%w", err)
	}
	return vault, nil
}

func (f *vaultFlags) tokens() ([]string, error) { return tokensIn(f.tokenFile, "--token-file") }

// tokensIn are the bearer tokens in the file that a flag names, nil for none.
func tokensIn(file, flag string) ([]string, error) {
	if file == "" {
		return nil, nil
	}
	text, err := readSmallFile(file, maxSmallFile)
	if err != nil {
		return nil, failure(err, "make "+flag+" a readable file that holds just the token")
	}
	var tokens []string
	for line := range strings.Lines(strings.TrimSpace(text)) {
		tokens = append(tokens, strings.TrimSpace(line))
	}
	if len(tokens) == 0 || slices.ContainsFunc(tokens, unfitToken) {
		return nil, usageError("make it a file that holds just the token, or one a line in the order of the guardians", "%s holds no bearer token", file)
	}
	return tokens, nil
}

// unfitToken tells what no Authorization header carries.
func unfitToken(token string) bool {
	return token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}

// roots are the authorities in --ca-file, nil for the system's.
func (f *callFlags) roots() (*x509.CertPool, error) { return rootsIn(f.caFile, "--ca-file") }

// rootsIn are the authorities in the file that a flag names, nil for the system's.
func rootsIn(file, flag string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := readSmallFile(file, maxCAFile)
	if err != nil {
		return nil, failure(err, "make "+flag+" a readable file with certificates in PEM")
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(text)) {
		return nil, usageError("make it a file with certificates in PEM: -----BEGIN CERTIFICATE-----", "%s holds no certificate", file)
	}
	return roots, nil
}

// ask gives do the time that --timeout allows. A command that a signal or that
// limit ended is told from guardians that failed.
func (f *callFlags) ask(cmd *cobra.Command, doing string, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
	defer cancel()
	defer showProgress(cmd.ErrOrStderr(), doing)()
	err := do(ctx)
	switch {
	case err != nil && cmd.Context().Err() != nil:
		return interrupted(cmd.Context())
	case ctx.Err() != nil && err != nil, errors.Is(err, context.DeadlineExceeded): // a part of it may end sooner
		return &advisedError{
			advised(err).code, fmt.Errorf("%s ran out of time (--timeout %s): %w", doing, f.timeout, err),
			"pass a longer --timeout; if that does not help, look at the guardians named above",
		}
	}
	return err
}

func readSmallFile(path string, limit int64) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = errors.New(path + " is too long to be what it should be")
	}
	return strings.TrimPrefix(string(text), byteOrderMark), err
}
