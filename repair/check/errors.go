package check

import "errors"

// What a holder refuses, and how a check ends without a verdict. No error
// quotes a byte of a share, a mask or a key.
var (
	// ErrMalformed: the request is not what the step takes.
	ErrMalformed = errors.New("malformed request of a check")
	// ErrNoShare is for a [Source] to say that there is no sound share of a
	// generation.
	ErrNoShare = errors.New("no sound share of this generation")
	// ErrSession: the session is not known here, not to this caller, not with
	// these participants, or this step of it was done.
	ErrSession = errors.New("session of a check refused")
	// ErrUnsound: the answers of a redistribution do not show that the new shares
	// make what the old ones make, or they are not those of all who took part.
	ErrUnsound = errors.New("answers do not show that the new shares are right")
	// ErrObjected is for [Config.Vote] to say that an old holder that takes no
	// part has a sound share, and could.
	ErrObjected = errors.New("a holder that takes no part objects")
	// ErrBusy: too many sessions are open, or too large ones; try again later.
	ErrBusy = errors.New("too many checks are going on")

	// ErrBatch: the records cannot be checked together, or are too many.
	ErrBatch = errors.New("not a batch")
	// ErrTooFew: no more than K holders take part, and then nothing can be told; or
	// fewer new ones than a redistribution needs.
	ErrTooFew = errors.New("a check needs more than K holders")
	// ErrUndecided: something is wrong, with more than floor((n-K)/2) holders;
	// with n = K+1 that is any one.
	ErrUndecided = errors.New("more holders are wrong than can be named")
	// ErrAttempts: holders went silent or accused each other in every attempt.
	ErrAttempts = errors.New("no attempt came to an end")
)
