package record

import (
	"errors"
	"fmt"
)

// What is refused, and why. Errors that wrap these tell fields, points, epochs
// and lengths, never a byte of a share or a key.
var (
	// ErrShare reports a share that is not the one the record has for its point.
	ErrShare = errors.New("share is not the record's")
	// ErrNoHash reports a share of the right form at a point whose hash the
	// record does not know: only an audit can tell whether it is sound.
	ErrNoHash = errors.New("the record has no hash for this point")
	// ErrInvalid reports bytes that encode no record, chain or draft, or records
	// that do not follow one another.
	ErrInvalid = errors.New("invalid record")
	// ErrCertificate reports a record without the votes that it needs.
	ErrCertificate = errors.New("record without the votes that it needs")
	// ErrProposal reports holders or a threshold that the owner's manifest does
	// not permit, or that no round can give shares to.
	ErrProposal = errors.New("proposal not permitted")
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

func uncertified(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCertificate, fmt.Sprintf(format, args...))
}

func forbidden(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProposal, fmt.Sprintf(format, args...))
}
