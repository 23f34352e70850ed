package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vault-guardian/guardian/envelope"
	"github.com/vault-guardian/guardian/shamir"
)

// maxSets bounds how many sets of K shares are tried with the envelope: all
// there are of 14 shares with K = 4.
const maxSets = 1001

// rebuilt is what came of a candidate.
type rebuilt struct {
	secret []byte
	right  candidate // the members whose shares fit
	wrong  []member
	// checked is true when a wrong share would have been noticed.
	checked bool
	// byEnvelope and byPayload are true when the shares alone could not tell which
	// are wrong, but the envelope or the hash of the payload could.
	byEnvelope, byPayload bool
}

// rebuildFrom makes the secret of a candidate. What its manifest or envelope
// does not bear out is an error.
func (v *Vault) rebuildFrom(ctx context.Context, identity string, c candidate) (rebuilt, error) {
	if c.manifest != nil {
		return v.rebuildProven(identity, c)
	}
	result, err := v.decode(c)
	if err == nil {
		result.secret, err = v.open(identity, c.group.version, result.secret)
	}
	if v.owner == nil {
		return result, err
	}
	if err != nil {
		return v.search(ctx, identity, c, err)
	}
	result.checked = true
	return result, nil
}

// rebuildProven combines shares that are those of the owner's manifest, or make
// what it names.
func (v *Vault) rebuildProven(identity string, c candidate) (rebuilt, error) {
	shares, _ := c.shares()
	if c.group.redistributed() {
		shares = c.proof.basis
	}
	k := c.k(v.Threshold())
	if len(shares) < k {
		return rebuilt{}, v.inconsistent(c)
	}
	payload, err := shamir.Combine(shares[:k])
	if err != nil {
		return rebuilt{}, fmt.Errorf("combining the shares: %w", err)
	}
	if err := c.manifest.CheckPayload(payload); err != nil {
		return rebuilt{}, fmt.Errorf("checking version %d: %w: %w", c.group.version, ErrAuthentication, err)
	}
	secret, err := v.open(identity, c.group.version, payload)
	return rebuilt{secret: secret, right: c, checked: true, byPayload: c.group.redistributed() && !c.proof.sure()}, err
}

// decode rebuilds the payload of shares that nothing vouches for, and finds the
// wrong ones among them. Points that guardians contradict each other about are
// left out at first: at least one of each is wrong, so each costs as much as a
// wrong share does.
func (v *Vault) decode(c candidate) (rebuilt, error) {
	k := c.k(v.Threshold())
	shares, contested := c.shares()
	robust, err := shamir.CombineRobust(shares, k)
	if err != nil || contested && !robust.Checked {
		return rebuilt{}, v.inconsistent(c)
	}
	result := c.sift(robust, shares, k)
	result.secret = robust.Secret
	used := result.right.distinct()
	if used < c.need(v.Threshold()) || len(result.wrong) > 0 && used <= k {
		return rebuilt{}, v.inconsistent(c)
	}
	result.checked = used > k && (len(result.wrong) == 0 || used >= 2*k-1)
	return result, nil
}

// sift parts the members that fit what was rebuilt from those that do not.
func (c candidate) sift(robust shamir.Robust, shares [][]byte, k int) rebuilt {
	isWrong := map[int]bool{}
	for _, i := range robust.Wrong {
		isWrong[i] = true
	}
	var good [][]byte
	for i, share := range shares {
		if !isWrong[i] {
			good = append(good, share)
		}
	}
	return c.siftBy(good[:k])
}

// siftBy parts the members by K shares that are right.
func (c candidate) siftBy(good [][]byte) rebuilt {
	result := rebuilt{right: candidate{group: c.group}}
	for _, m := range c.members {
		if fits(good, m.share) {
			result.right.members = append(result.right.members, m)
		} else {
			result.wrong = append(result.wrong, m)
		}
	}
	return result
}

// fits reports whether a share lies on the polynomial of K others, or is one of
// them.
func fits(good [][]byte, share []byte) bool {
	for _, known := range good {
		if known[0] == share[0] {
			return bytes.Equal(known, share)
		}
	}
	same, err := shamir.Consistent(append(good[:len(good):len(good)], share), len(good))
	return same && err == nil
}

// search looks for K shares that rebuild an envelope which opens. Only right
// ones do, so this needs no more than K of them, however many are wrong. When
// there are none, or too many sets to try, it returns why the shares alone did
// not tell.
func (v *Vault) search(ctx context.Context, identity string, c candidate, why error) (rebuilt, error) {
	k, tried := c.k(v.Threshold()), 0
	for set := range shamir.Subsets(len(c.members), k) {
		if tried++; tried > maxSets || ctx.Err() != nil {
			break
		}
		shares, heads := make([][]byte, k), make([][]byte, k)
		for i, member := range set {
			shares[i] = c.members[member].share
			heads[i] = shares[i][:min(len(shares[i]), 1+envelope.HeadSize)]
		}
		head, err := shamir.Combine(heads)
		if err != nil || !envelope.Matches(head, v.place(identity, c.group.version), v.owner.root) {
			continue // a point twice, or a wrong share
		}
		payload, err := shamir.Combine(shares)
		if err != nil {
			continue
		}
		secret, err := v.open(identity, c.group.version, payload)
		clear(payload)
		if err == nil {
			result := c.siftBy(shares)
			result.secret, result.checked, result.byEnvelope = secret, true, true
			return result, nil
		}
	}
	return rebuilt{}, why
}

// shares returns one share for each point that is not contested: at which all
// who claim it show the same.
func (c candidate) shares() (shares [][]byte, contested bool) {
	seen, disputed := map[byte][]byte{}, map[byte]bool{}
	for _, m := range c.members {
		known, repeated := seen[m.share[0]]
		if repeated && !bytes.Equal(known, m.share) {
			disputed[m.share[0]] = true
		}
		seen[m.share[0]] = m.share
	}
	added := map[byte]bool{}
	for _, m := range c.members {
		if x := m.share[0]; !disputed[x] && !added[x] {
			shares = append(shares, m.share)
			added[x] = true
		}
	}
	return shares, len(disputed) > 0
}

func (v *Vault) inconsistent(c candidate) error {
	var names []string
	for _, m := range c.members {
		names = append(names, v.guardians[m.position].URL())
	}
	return fmt.Errorf("rebuilding version %d from %s: %w", c.group.version, strings.Join(names, ", "), ErrInconsistent)
}

// dubious reports an error that says of a candidate only that it is not what it
// seems, so that another may still be right.
func dubious(err error) bool {
	return errors.Is(err, ErrInconsistent) || errors.Is(err, ErrAuthentication)
}
