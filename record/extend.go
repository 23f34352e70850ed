package record

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"slices"

	"github.com/vault-guardian/guardian/manifest"
)

// Extend returns the chain of the record with the given body, which comes right
// after the last of chain, and whose votes are c. Records whose holders' votes
// are no longer needed are left out of it. All is verified. Errors: those of
// Parse, and ErrInvalid for a chain above MaxSize.
func Extend(chain, body []byte, c Certificate) ([]byte, error) {
	return pageRules.extend(chain, body, c)
}

func (rules *rules) extend(chain, body []byte, c Certificate) ([]byte, error) {
	base, kept, err := rules.parse(manifest.Parse, chain)
	if err != nil {
		return nil, err
	}
	r, err := rules.successor(base, body, c.Seed)
	if err != nil {
		return nil, err
	}
	full, err := complete(c, base)
	if err != nil {
		return nil, err
	}
	if err := rules.certify(r, base, full); err != nil {
		return nil, err
	}
	kept.links = append(kept.links[:needed(base.shown(), r, full.voters)], link{body, full})
	kept.ancestors = r.ancestors
	return kept.encode()
}

// successor returns the record of a body that a round over base with this seed
// makes, and of no other.
func (rules *rules) successor(base *Record, body []byte, seed [sha256.Size]byte) (*Record, error) {
	decoded, err := decodeBody(body)
	if err != nil {
		return nil, err
	}
	r, made, err := rules.next(base, decoded.proposal(), seed)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(made, body) {
		return nil, invalid("its body is not what base and seed make")
	}
	return r, nil
}

// needed returns how many links remain in front of that of r, for which these
// voted.
func needed(shown []*Record, r *Record, voters []ed25519.PublicKey) int {
	last := len(shown) - 1
	for last > 0 && isNeedless(shown[last], shown[last-1], r, voters) {
		last--
	}
	return last
}

// isNeedless tells whether of may be left out between before and after, for which
// these voted: whoever has a share of it, or of one that was left out next to it,
// must see it vouched for all the same. All that were left out between two records
// have the holders that these have in common, and no higher K than both: so enough
// votes of such holders vouch for all of them, and it must be so ever after.
func isNeedless(of, before, after *Record, voters []ed25519.PublicKey) bool {
	voting := 0
	for _, key := range voters {
		if of.names(key) && before.names(key) {
			voting++
		}
	}
	return enough(voting, max(of.Threshold, before.Threshold)) &&
		of.Threshold <= max(before.Threshold, after.Threshold) &&
		!slices.ContainsFunc(before.Holders, func(h manifest.Holder) bool { return after.names(h.Key) && !of.names(h.Key) })
}
