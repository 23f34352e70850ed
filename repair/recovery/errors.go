package recovery

import "errors"

// What is refused, and why. Errors that wrap these tell points, counts and
// lengths, never a byte of a key or a share.
var (
	// ErrNotHolder reports a caller whose key is not the one that the record has
	// for the point it asks for.
	ErrNotHolder = errors.New("the record does not name the caller for this point")
	// ErrOffers reports offers that are not exactly K sound ones of the record,
	// with an unspent one of the helper asked among them.
	ErrOffers = errors.New("offers refused")
	// ErrNoShare reports a helper without the record's share for its own point.
	ErrNoShare = errors.New("no share of this record")
	// ErrMismatch reports contributions that do not make the record's share. Any
	// of those who sent them, or of those whose offers were used, may be wrong.
	ErrMismatch = errors.New("contributions do not make the record's share")
	// ErrBusy reports that no more offers can be kept.
	ErrBusy = errors.New("too many offers are open")
)
