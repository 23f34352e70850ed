package client

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/vault-guardian/guardian/shamir"
)

// agreeing returns the candidate without a share that is wrong, and that
// share. Only one is looked for, by leaving out each in turn: where more than
// K of the others agree it is the only one whose absence makes them, for any
// two such sets share K points and so the polynomial.
func (v *Vault) agreeing(c candidate) (right candidate, wrong []member, err error) {
	k := v.Threshold()
	agree, err := c.agree(k)
	if agree || err != nil {
		return c, nil, err
	}
	for i, m := range c.members {
		rest := candidate{c.group, slices.Delete(slices.Clone(c.members), i, i+1)}
		if !rest.checkable(k) || rest.distinct() < rest.need(k) {
			continue
		}
		if agree, err := rest.agree(k); agree || err != nil {
			return rest, []member{m}, err
		}
	}
	return c, nil, v.inconsistent(c)
}

// agree reports whether all shares lie on one polynomial, and those at the
// same point are the same.
func (c candidate) agree(vault int) (bool, error) {
	shares, same := c.shares()
	if !same {
		return false, nil
	}
	agree, err := shamir.Consistent(shares, c.k(vault))
	if err != nil {
		return false, fmt.Errorf("checking the shares: %w", err)
	}
	return agree, nil
}

// combine rebuilds from K of the shares, which have been found to agree.
func (c candidate) combine(vault int) ([]byte, error) {
	shares, _ := c.shares()
	secret, err := shamir.Combine(shares[:c.k(vault)])
	if err != nil {
		return nil, fmt.Errorf("combining the shares: %w", err)
	}
	return secret, nil
}

// shares returns one share for each point; same is false when two at one
// point differ.
func (c candidate) shares() (shares [][]byte, same bool) {
	seen := map[byte][]byte{}
	for _, m := range c.members {
		known, repeated := seen[m.share[0]]
		if repeated && !bytes.Equal(known, m.share) {
			return nil, false
		}
		if !repeated {
			shares = append(shares, m.share)
		}
		seen[m.share[0]] = m.share
	}
	return shares, true
}

func (v *Vault) inconsistent(c candidate) error {
	var names []string
	for _, m := range c.members {
		names = append(names, v.guardians[m.position].URL())
	}
	return fmt.Errorf("rebuilding version %d from %s: %w", c.group.version, strings.Join(names, ", "), ErrInconsistent)
}
