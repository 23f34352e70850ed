package client

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/quorum"
)

// Vault is N guardians over which secrets are split. The order of the
// guardians matters: the one at position i (from 1) gets the share at x = i,
// but with [WithIndices] or [WithMembers] that at x = its index. Safe for concurrent use.
type Vault struct {
	guardians []*Guardian
	points    []byte // x by position
	threshold int    // 0: the default
	owner     *owner // that of the first guardian; nil: anybody's identity, nothing sealed
	policy    Policy
}

// NewVault returns the vault of the guardians at these URLs (see [New]), 1 to
// 255 of them, none twice. The bearer tokens are none, one for all of them, or
// one each in the same order: a guardian that is sent a token of its own cannot
// use it with the others. The threshold is K of the splits it makes, 0 for
// quorum.Threshold(N). Reads use the K kept with each share, but believe
// nothing that fewer than the threshold vouch for.
func NewVault(urls, tokens []string, threshold int, with ...Option) (*Vault, error) {
	if len(urls) == 0 || len(urls) > api.MaxThreshold {
		return nil, fmt.Errorf("%d guardians given, 1 to %d are possible", len(urls), api.MaxThreshold)
	}
	if threshold != 0 && (threshold < api.MinThreshold || threshold > api.MaxThreshold) {
		return nil, fmt.Errorf("%w %d: %d to %d are possible", ErrThreshold, threshold, api.MinThreshold, api.MaxThreshold)
	}
	if len(tokens) > 1 && len(tokens) != len(urls) {
		return nil, fmt.Errorf("%d tokens for %d guardians: give one for all, or one each", len(tokens), len(urls))
	}
	o := optionsOf(with)
	vault := &Vault{threshold: threshold, policy: o.policy}
	known := map[string]bool{}
	for i, raw := range urls {
		guardian, err := New(raw, tokenOf(tokens, i), with...)
		if err != nil {
			return nil, fmt.Errorf("guardian %d of the list: %w", i+1, err)
		}
		if known[guardian.URL()] {
			return nil, fmt.Errorf("guardian %s is listed twice: it would hold two shares", guardian.URL())
		}
		known[guardian.URL()] = true
		vault.guardians = append(vault.guardians, guardian)
	}
	if vault.owner = vault.guardians[0].owner; vault.owner == nil && !o.policy.empty() {
		return nil, fmt.Errorf("signing a policy: %w", errNoKey)
	}
	if err := vault.seat(o.members, o.indices); err != nil {
		return nil, err
	}
	return vault, nil
}

// seat gives the guardians their points, and says who they are if others know.
func (v *Vault) seat(members []Member, indices []int) (err error) {
	if members != nil {
		if err := checkMembers(members, v.guardians, indices); err != nil {
			return err
		}
		indices = indicesOf(members)
	}
	if v.points, err = pointsOf(len(v.guardians), indices); err != nil {
		return err
	}
	for i, m := range members {
		v.guardians[i].node.fix(m)
	}
	return nil
}

// pointsOf are the indices, or where there are none the positions: never some
// of each.
func pointsOf(n int, indices []int) ([]byte, error) {
	points := make([]byte, n)
	if indices == nil {
		for i := range points {
			points[i] = byte(i + 1)
		}
		return points, nil
	}
	if len(indices) != n {
		return nil, fmt.Errorf("%d share indices for %d guardians: give one each", len(indices), n)
	}
	for i, index := range indices {
		if index < 1 || index > api.MaxThreshold {
			return nil, fmt.Errorf("share index %d is not 1 to %d", index, api.MaxThreshold)
		}
		if bytes.IndexByte(points[:i], byte(index)) >= 0 {
			return nil, fmt.Errorf("share index %d is given twice", index)
		}
		points[i] = byte(index)
	}
	return points, nil
}

func tokenOf(tokens []string, position int) string {
	switch len(tokens) {
	case 0:
		return ""
	case 1:
		return tokens[0]
	}
	return tokens[position]
}

// Guardians returns the guardians in order of their position.
func (v *Vault) Guardians() []*Guardian { return append([]*Guardian(nil), v.guardians...) }

// Threshold returns K of the splits that this vault makes.
func (v *Vault) Threshold() int {
	if v.threshold != 0 {
		return v.threshold
	}
	return quorum.Threshold(len(v.guardians))
}

// WriteQuorum returns how many guardians must acknowledge a push.
func (v *Vault) WriteQuorum() int { return quorum.Acks(len(v.guardians), v.Threshold()) }

// Warning says what the threshold gives away, or "" when it is a sound one.
func (v *Vault) Warning() string {
	n, k := len(v.guardians), v.Threshold()
	switch {
	case n == k:
		return fmt.Sprintf("with %d guardians and threshold %d no guardian may be lost: if one is, so is the secret", n, k)
	case k < quorum.Threshold(n):
		return fmt.Sprintf("with threshold %d any %d guardians together can read the secret; for %d guardians %d is usual", k, k, n, quorum.Threshold(n))
	}
	return ""
}

// checkSplit refuses a split that could never be rebuilt.
func (v *Vault) checkSplit() error {
	n, k := len(v.guardians), v.Threshold()
	switch {
	case n >= k:
		return nil
	case v.threshold != 0 || n < api.MinThreshold:
		return fmt.Errorf("%w %d needs at least %d guardians, %d given", ErrThreshold, k, k, n)
	}
	return fmt.Errorf("%w %d is usual and needs as many guardians, %d given: add guardians, or choose a threshold from %d up to %d knowing that fewer can then be lost", ErrThreshold, k, n, api.MinThreshold, n)
}

func (v *Vault) positions() []int {
	all := make([]int, len(v.guardians))
	for i := range all {
		all[i] = i
	}
	return all
}

// checkIdentity folds an identity; its error names the rule.
func (v *Vault) checkIdentity(identity string) (string, error) {
	folded, err := api.ParseIdentity(identity)
	if err != nil {
		return "", fmt.Errorf("checking the identity: %w", err)
	}
	if v.owner != nil && v.owner.identity() != folded {
		return "", fmt.Errorf("checking the identity: %w: the key is not the identity's", auth.ErrClaim)
	}
	return folded, nil
}

// sortErrors brings errors of guardians into the order of the vault.
func (v *Vault) sortErrors(errs map[int]error) []error {
	var sorted []error
	for i := range v.guardians {
		if err := errs[i]; err != nil {
			sorted = append(sorted, v.named(i, err))
		}
	}
	return sorted
}

// named makes err an [*Error] of the guardian at a position.
func (v *Vault) named(position int, err error) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return &Error{Guardian: v.guardians[position].URL(), Err: err}
}
