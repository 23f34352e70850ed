package recovery

import (
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/record"
)

// Rebuild returns the share at point x, [x][y...], from the contributions of all
// K helpers of one set. Error: ErrMismatch when they are not K, not of the
// record's length, or when what they make has not the record's hash.
//
// Where the record knows no hash for x, the share comes with an error that wraps
// [record.ErrNoHash]: one helper that lied would have made it wrong, so it is
// nothing to keep or serve until an audit in which it took part found it sound.
func Rebuild(r *record.Record, x byte, masked [][]byte) ([]byte, error) {
	if len(masked) != r.Threshold {
		return nil, fmt.Errorf("%w: %d of them, for a threshold of %d", ErrMismatch, len(masked), r.Threshold)
	}
	share := make([]byte, r.ShareSize)
	share[0] = x
	for _, part := range masked {
		if len(part) != r.ShareSize-1 {
			clear(share)
			return nil, fmt.Errorf("%w: one of %d bytes, for shares of %d", ErrMismatch, len(part), r.ShareSize)
		}
		subtle.XORBytes(share[1:], share[1:], part)
	}
	err := r.Check(x, share)
	if errors.Is(err, record.ErrNoHash) {
		return share, fmt.Errorf("rebuilding a share: %w", err)
	}
	if err != nil {
		clear(share)
		return nil, fmt.Errorf("%w: %w", ErrMismatch, err)
	}
	return share, nil
}
