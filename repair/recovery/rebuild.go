package recovery

import (
	"crypto/subtle"
	"fmt"

	"github.com/vault-guardian/guardian/repair/record"
)

// Rebuild returns the share at point x, [x][y...], from the contributions of all
// K helpers of one set. Error: ErrMismatch when they are not K, not of the
// record's length, or when what they make has not the record's hash.
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
	if err := r.Check(x, share); err != nil {
		clear(share)
		return nil, fmt.Errorf("%w: %w", ErrMismatch, err)
	}
	return share, nil
}
