package shamir

import "fmt"

// minThreshold is the least for which one share alone tells nothing;
// maxThreshold is the number of points that are not 0.
const (
	minThreshold = 2
	maxThreshold = 255
)

func checkThreshold(k int) error {
	if k < minThreshold || k > maxThreshold {
		return fmt.Errorf("%w: got %d", ErrThreshold, k)
	}
	return nil
}

func checkPoints(points []byte, need int) error {
	if len(points) < need {
		return fmt.Errorf("%w: need %d, got %d", ErrTooFewShares, need, len(points))
	}
	var seen [256]bool
	for _, x := range points {
		if x == 0 {
			return ErrZeroPoint
		}
		if seen[x] {
			return fmt.Errorf("%w: %d", ErrRepeatedPoint, x)
		}
		seen[x] = true
	}
	return nil
}

// open takes shares apart into points and payloads. The payloads are the
// shares' own memory.
func open(shares [][]byte, need int) (points []byte, payloads [][]byte, err error) {
	for i, share := range shares {
		if len(share) < 2 {
			return nil, nil, fmt.Errorf("%w: share %d of %d", ErrEmpty, i+1, len(shares))
		}
		if len(share) != len(shares[0]) {
			return nil, nil, fmt.Errorf("%w: %d and %d bytes", ErrUnequalLengths, len(shares[0]), len(share))
		}
		points = append(points, share[0])
		payloads = append(payloads, share[1:])
	}
	return points, payloads, checkPoints(points, need)
}
