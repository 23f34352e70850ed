package record

import (
	"crypto/ed25519"
	"crypto/sha256"
	"slices"

	"github.com/vault-guardian/guardian/manifest"
)

const (
	agreedLabel   = "guardian-agreed-v1"
	preparedLabel = "guardian-prepared-v1"
)

// Vote is what one holder signed about one record.
type Vote struct {
	// X is the voter's point: in the record before if it agreed, in the new one
	// if it prepared.
	X byte
	// Share is SHA-256 of the voter's new share if it prepared, else zero.
	Share     [sha256.Size]byte
	Signature []byte
}

// Certificate is the votes that make a record count.
type Certificate struct {
	Seed [sha256.Size]byte
	// Agreed are at least K+1 of the holders of the record before, Prepared at
	// least Quorum of the new ones, both in ascending order of X.
	Agreed, Prepared []Vote
}

// AgreedMessage is what a holder of the record before signs with its node key
// (Ed25519, RFC 8032) when it agrees to a record: all answers of the round were
// sound. x is its point in the record before.
func AgreedMessage(hash, seed [sha256.Size]byte, x byte) []byte {
	return append(slices.Concat([]byte(agreedLabel), hash[:], seed[:]), x)
}

// PreparedMessage is what a holder of the new record signs once its share, which
// has the given hash, is durable. x is its point in the new record.
func PreparedMessage(hash, seed [sha256.Size]byte, x byte, share [sha256.Size]byte) []byte {
	return slices.Concat([]byte(preparedLabel), hash[:], seed[:], []byte{x}, share[:])
}

// certificate is a Certificate with the key of each who agreed: the record that
// had it for the voter's point may since have been left out of the chain.
type certificate struct {
	Certificate
	voters []ed25519.PublicKey
}

// complete finds the keys of those who agreed in the record before.
func complete(c Certificate, base *Record) (certificate, error) {
	full := certificate{Certificate: c}
	for _, v := range c.Agreed {
		holder, _ := base.At(v.X)
		if holder.Key == nil {
			return full, uncertified("nobody known is at point %d of the record before", v.X)
		}
		full.voters = append(full.voters, holder.Key)
	}
	return full, nil
}

// certify returns nil if c has the votes that r needs, voucher being the record
// before or, where that is left out, one before it.
func (rules *rules) certify(r, voucher *Record, c certificate) error {
	if err := rules.checkAgreed(r, voucher, c); err != nil {
		return err
	}
	return rules.checkPrepared(r, c)
}

// checkAgreed counts keys, not points: in the record before a voter may have had
// another point than in the voucher.
func (rules *rules) checkAgreed(r, voucher *Record, c certificate) error {
	keys := map[string]bool{}
	before := byte(0)
	for i, v := range c.Agreed {
		if !rules.once(before, v.X) || v.Share != [sha256.Size]byte{} || keys[string(c.voters[i])] {
			return uncertified("the votes are not of ascending points and one of each key, at %d", v.X)
		}
		if isBase(voucher, r) && !voucher.has(v.X, c.voters[i]) {
			return uncertified("the record before has another key at point %d", v.X)
		}
		if !rules.signed(c.voters[i], rules.agreeing(r.Hash, c.Seed, v.X), v.Signature) {
			return uncertified("point %d of the record before did not sign this", v.X)
		}
		keys[string(c.voters[i])], before = true, v.X
	}
	if votes := rules.counts(voucher, c.voters); !rules.agreed(votes, voucher.Threshold) {
		return uncertified("%d holders of epoch %d agreed to epoch %d, for a threshold of %d",
			votes, voucher.Epoch, r.Epoch, voucher.Threshold)
	}
	return nil
}

func (rules *rules) checkPrepared(r *Record, c certificate) error {
	before := byte(0)
	for _, v := range c.Prepared {
		if !rules.once(before, v.X) || v.Share == [sha256.Size]byte{} {
			return uncertified("those who prepared are not of ascending points and with a hash each, at %d", v.X)
		}
		holder, _ := r.At(v.X)
		if !rules.signed(holder.Key, rules.holding(r.Hash, c.Seed, v.X, v.Share), v.Signature) {
			return uncertified("point %d did not sign that it prepared", v.X)
		}
		before = v.X
	}
	if p := r.proposal(); !rules.prepared(len(c.Prepared), p) {
		return uncertified("%d holders prepared epoch %d in place of %d", len(c.Prepared), r.Epoch, Quorum(p))
	}
	return nil
}

func (r *Record) has(x byte, key ed25519.PublicKey) bool {
	holder, _ := r.At(x)
	return holder.Key.Equal(key)
}

// isBase reports whether r comes right after the voucher, which it is known to
// follow.
func isBase(voucher, r *Record) bool { return voucher.Epoch+1 == r.Epoch }

// accept takes the hashes of shares and the voters from a certificate that was
// checked.
func (r *Record) accept(c certificate) {
	r.voters, r.Seed = c.voters, c.Seed
	for _, v := range c.Prepared {
		i := slices.IndexFunc(r.Holders, func(h manifest.Holder) bool { return h.X == v.X })
		r.Holders[i].SHA256 = v.Share
	}
}
