package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/manifest"
)

// noAdmission is in place of an admission key where nobody is to be admitted.
const noAdmission = "none"

// policyFlags are what guardians may do with the shares by themselves.
type policyFlags struct {
	refresh      bool
	minThreshold int
	maxHolders   int
	admission    string
}

func (f *policyFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.refresh, "refresh", true, "let guardians replace the shares by new ones of the same file")
	flags.IntVar(&f.minThreshold, "min-threshold", 0, "least threshold of new shares (default the threshold)")
	flags.IntVar(&f.maxHolders, "max-holders", 0, "how many guardians may have new shares (default as many as there are)")
	flags.StringVar(&f.admission, "admission-key", "", "who says which guardians may have new shares besides those that have one now: a public admission key in hex, a file with it, or \""+noAdmission+"\" (default the roster key in use, else none)")
}

// policy is what the flags say; what none says is left as it is. roster is the
// key that signed the roster in use, nil where there is none.
func (f *policyFlags) policy(cmd *cobra.Command, roster ed25519.PublicKey) (policy client.Policy, err error) {
	flags := cmd.Flags()
	policy = client.Policy{MinThreshold: f.minThreshold, MaxHolders: f.maxHolders, FirstAdmission: roster}
	if flags.Changed("refresh") {
		policy.Refresh = &f.refresh
	}
	for name, value := range map[string]int{"min-threshold": f.minThreshold, "max-holders": f.maxHolders} {
		if flags.Changed(name) && value < 1 {
			return policy, usageError("pass a number of shares, or leave --"+name+" out", "--%s must be above 0", name)
		}
	}
	if flags.Changed("admission-key") {
		policy.Admission, err = admissionKeyOf(f.admission)
	}
	return policy, err
}

// admissionKeyOf reads a public key, from a file if it is not one. Of the file
// that roster init made it is the public half. It is empty, not nil, for nobody's.
func admissionKeyOf(text string) (ed25519.PublicKey, error) {
	const advice = "pass the 64 hex digits that guardianctl roster init printed, a file with them, or " + noAdmission
	if text == noAdmission {
		return ed25519.PublicKey{}, nil
	}
	if key, err := parsePublicKey(text); err == nil {
		return key, nil
	}
	content, err := readSmallFile(text, maxKeyFile)
	if os.IsNotExist(err) {
		return nil, usageError(advice, "--admission-key is no Ed25519 public key, and there is no such file")
	}
	if err != nil {
		return nil, failure(fmt.Errorf("reading the admission key: %w", err), advice)
	}
	if strings.HasPrefix(content, admissionHeader) {
		private, err := readAdmissionKey(text)
		if err != nil {
			return nil, err
		}
		defer clear(private)
		return publicOf(private), nil
	}
	key, err := parsePublicKey(strings.TrimSpace(content))
	if err != nil {
		return nil, usageError(advice, "%s: %w", text, err)
	}
	return key, nil
}

// shownPolicy is a policy in a result.
type shownPolicy struct {
	Refresh      bool   `json:"refresh"`
	MinThreshold int    `json:"min_threshold"`
	MaxHolders   int    `json:"max_holders"`
	AdmissionKey string `json:"admission_key"` // "" for none
}

func showPolicy(p manifest.Policy) shownPolicy {
	return shownPolicy{p.Refresh, p.MinThreshold, p.MaxHolders, hex.EncodeToString(p.Admission)}
}

// String says it to people.
func (p shownPolicy) String() string {
	if !p.Refresh {
		return "guardians may not make new shares of it"
	}
	text := fmt.Sprintf("guardians may make new shares of it, of which no fewer than %d rebuild it, for at most %d guardians; ", p.MinThreshold, p.MaxHolders)
	if p.AdmissionKey == "" {
		return text + "none that has no share now"
	}
	return text + "new ones by admission key " + p.AdmissionKey
}

// usual reports the policy that a file has of which nothing was said.
func (p shownPolicy) usual(threshold, guardians int) bool {
	return p == shownPolicy{Refresh: true, MinThreshold: threshold, MaxHolders: guardians}
}
