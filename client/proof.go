package client

import (
	"bytes"
	"slices"

	"github.com/vault-guardian/guardian/shamir"
)

// proof is what is known of the redistributed shares of one group. No hash of
// theirs is signed, but that of the payload: K shares that make it show the
// polynomial that the others must lie on. Which K do is found by decoding, and
// where too many are wrong for that by trying.
//
// Two or more shares that are wrong together can make the payload with K-2 that
// are right, though they are on no polynomial of others. So of all the sets that
// make it the one counts which most shares fit.
type proof struct {
	members []*holding
	// basis is K shares that make the payload, nil while none are known; head is
	// how that begins. right are the members that fit them.
	basis [][]byte
	head  []byte
	right map[*holding]bool
	tried int // sets of K
}

// headSize is how many bytes of a payload tell it from nearly all others.
const headSize = 32

// found reports whether the payload can be rebuilt. There need be no proof.
func (p *proof) found() bool { return p != nil && p.basis != nil }

// refutes reports a share that does not fit. There need be no proof.
func (p *proof) refutes(h *holding) bool { return p.found() && !p.right[h] }

// sure reports whether those that do not fit are the wrong ones, if fewer than K
// guardians lie: these and K-2 others are all that false polynomials fit.
func (p *proof) sure() bool {
	return len(p.members) == len(p.right) || points(p.right) >= 2*p.threshold()-2
}

func (p *proof) threshold() int { return p.members[0].group.threshold }

// points counts the different points of shares.
func points(shares map[*holding]bool) int {
	different := map[byte]bool{}
	for h := range shares {
		different[h.share[0]] = true
	}
	return len(different)
}

// add takes a share into account.
func (p *proof) add(h *holding) {
	p.members = append(p.members, h)
	if p.found() && fits(p.basis, h.share) {
		p.right[h] = true
		return
	}
	if len(p.members) < p.threshold() || p.found() && p.sure() || p.decode() {
		return
	}
	p.search(h)
}

// decode reports whether so few shares are wrong that no other set of K that are
// right could be fitted by as many.
func (p *proof) decode() bool {
	all, k := candidate{}, p.threshold()
	for i, h := range p.members {
		all.members = append(all.members, member{i, h.share})
	}
	shares, _ := all.shares()
	if len(shares) < k+2 {
		return false
	}
	robust, err := shamir.CombineRobust(shares, k)
	defer clear(robust.Secret)
	if err != nil || p.members[0].manifest.CheckPayload(robust.Secret) != nil {
		return false
	}
	for _, i := range slices.Backward(robust.Wrong) {
		shares = slices.Delete(shares, i, i+1)
	}
	p.settle(shares[:k], robust.Secret)
	return true
}

// search tries the sets of K shares that the last of them makes possible.
func (p *proof) search(last *holding) {
	others := p.members[:len(p.members)-1]
	for set := range shamir.Subsets(len(others), p.threshold()-1) {
		if p.tried++; p.tried > maxSets {
			return
		}
		shares := [][]byte{last.share}
		for _, i := range set {
			shares = append(shares, others[i].share)
		}
		p.try(shares)
		if p.found() && p.sure() {
			return
		}
	}
}

// try settles for K shares if they make the payload that the owner signed.
func (p *proof) try(shares [][]byte) {
	if p.found() && !p.begins(shares) {
		return
	}
	payload, err := shamir.Combine(shares)
	defer clear(payload)
	if err == nil && p.members[0].manifest.CheckPayload(payload) == nil {
		p.settle(shares, payload)
	}
}

// begins reports whether shares make what the payload begins with.
func (p *proof) begins(shares [][]byte) bool {
	var heads [][]byte
	for _, share := range shares {
		heads = append(heads, share[:1+len(p.head)])
	}
	head, err := shamir.Combine(heads)
	return err == nil && bytes.Equal(head, p.head)
}

// settle takes K shares that make the payload, unless as many fit those known.
func (p *proof) settle(basis [][]byte, payload []byte) {
	right := map[*holding]bool{}
	for _, h := range p.members {
		if fits(basis, h.share) {
			right[h] = true
		}
	}
	if points(right) > points(p.right) {
		p.basis, p.right = basis, right
		p.head = bytes.Clone(payload[:min(len(payload), headSize)])
	}
}
