package client

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/manifest"
)

// ErrPolicy reports a policy that the guardians given cannot have. Nothing was
// sent.
var ErrPolicy = errors.New("policy")

// Policy is what an owner says of what guardians may do by themselves with the
// shares of what is stored from now on. What it leaves out, a first version has
// as said at each field, and a later one that [Vault.Store] pushes as the version
// before. Least K and most holders follow K and N of the vault where they were
// just those of the version before, else no further than they must.
type Policy struct {
	// Refresh allows new shares of the same payload; nil leaves it out: allowed.
	Refresh *bool
	// MinThreshold is the least K of new shares, 2 up to the vault's, and
	// MaxHolders the most guardians that have one, from the vault's up to 255; 0
	// leaves either out: K and N of the vault.
	MinThreshold, MaxHolders int
	// Admission is the key that signs who may become a holder. Nil leaves it out;
	// one of no bytes that is not nil lets nobody.
	Admission ed25519.PublicKey
	// FirstAdmission is what Admission is where it is left out and there is no
	// version before; nil lets nobody.
	FirstAdmission ed25519.PublicKey
}

// empty reports a policy that leaves out everything.
func (p Policy) empty() bool {
	return p.Refresh == nil && p.MinThreshold == 0 && p.MaxHolders == 0 && p.Admission == nil && p.FirstAdmission == nil
}

// over is the policy of a manifest over n guardians with threshold k, after a
// version with the manifest previous; nil where there is none.
func (p Policy) over(previous *manifest.Manifest, k, n int) (manifest.Policy, error) {
	made := manifest.Policy{Refresh: true, MinThreshold: k, MaxHolders: n, Admission: p.FirstAdmission}
	if previous != nil {
		made = inherited(previous, k, n)
	}
	if p.Refresh != nil {
		made.Refresh = *p.Refresh
	}
	if p.MinThreshold != 0 {
		made.MinThreshold = p.MinThreshold
	}
	if p.MaxHolders != 0 {
		made.MaxHolders = p.MaxHolders
	}
	if p.Admission != nil {
		made.Admission = p.Admission
	}
	if len(made.Admission) == 0 {
		made.Admission = nil
	}
	made.Admission = bytes.Clone(made.Admission)
	return made, checkPolicy(made, k, n)
}

// inherited is the policy of the version before.
func inherited(previous *manifest.Manifest, k, n int) manifest.Policy {
	before := previous.Policy
	made := manifest.Policy{Refresh: before.Refresh, MinThreshold: k, MaxHolders: n, Admission: before.Admission}
	if before.MinThreshold != previous.Threshold {
		made.MinThreshold = min(before.MinThreshold, k)
	}
	if before.MaxHolders != len(previous.Holders) {
		made.MaxHolders = max(before.MaxHolders, n)
	}
	return made
}

// checkPolicy wants a policy that permits the split it is about.
func checkPolicy(p manifest.Policy, k, n int) error {
	switch {
	case p.MinThreshold < api.MinThreshold || p.MinThreshold > k:
		return fmt.Errorf("%w: the least threshold %d is not %d up to the threshold, %d", ErrPolicy, p.MinThreshold, api.MinThreshold, k)
	case p.MaxHolders < n || p.MaxHolders > api.MaxThreshold:
		return fmt.Errorf("%w: %d holders at most are not from as many as there are guardians, %d, up to %d", ErrPolicy, p.MaxHolders, n, api.MaxThreshold)
	case p.Admission != nil && len(p.Admission) != ed25519.PublicKeySize:
		return fmt.Errorf("%w: the admission key is not an Ed25519 public key", ErrPolicy)
	}
	return nil
}
