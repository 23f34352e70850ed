package shamir

import "errors"

// What is wrong with the arguments of a call. Errors that wrap these name
// points and lengths, never a byte of a secret or of a share's y.
var (
	// ErrThreshold reports a threshold outside 2 to 255.
	ErrThreshold = errors.New("threshold must be 2 to 255")
	// ErrTooFewShares reports fewer points or shares than the call needs.
	ErrTooFewShares = errors.New("too few shares")
	// ErrZeroPoint reports the point 0, where the secret itself lies.
	ErrZeroPoint = errors.New("point 0 is not a share")
	// ErrRepeatedPoint reports two shares at one point.
	ErrRepeatedPoint = errors.New("repeated point")
	// ErrUnequalLengths reports shares that cannot be of one split.
	ErrUnequalLengths = errors.New("shares of unequal length")
	// ErrEmpty reports a secret or share without a byte of payload.
	ErrEmpty = errors.New("nothing to share: empty payload")
)
