package s3test

import "time"

// Fault is what becomes of a request. The zero Fault lets it through; what is
// set adds up.
type Fault struct {
	// StripConditions takes If-Match and If-None-Match away from what the
	// server sees, as a store does that ignores them. The request is then
	// signed anew with the keys of the Server that the proxy stands before. A
	// client that signs each chunk of a body, as the SDK does not, is refused.
	StripConditions bool
	// AfterApply has the server carry the request out first, whatever else is
	// to happen: what is lost is the answer. Without it, the server sees
	// nothing of a request that is to be answered or cut here.
	AfterApply bool
	// Delay holds the request back, or its answer if AfterApply is set. A
	// client that goes away ends the wait, and its request with it.
	Delay time.Duration
	// Answer is the status of an answer in the server's place, and Code the
	// error code in its body.
	Answer int
	Code   string
	// Cut closes the connection in place of an answer. Go's HTTP client
	// repeats a GET or HEAD by itself if that was not the first request of
	// its connection.
	Cut bool
	// Corrupt flips one bit in the middle of the answer's body. Headers,
	// checksums among them, stay. An answer without a body passes whole.
	Corrupt bool
	// Truncate sends the answer's headers and half of its body, then closes
	// the connection. An answer without a body is cut instead.
	Truncate bool
}

// forwards reports whether the server gets to see the request.
func (f Fault) forwards() bool {
	return f.AfterApply || f.Answer == 0 && !f.Cut
}

// spoil makes of the server's answer what the client is to see; nil is a
// closed connection. The server's is nil if it did not see the request.
func (f Fault) spoil(a *answer) *answer {
	switch {
	case f.Cut:
		return nil
	case f.Answer != 0:
		a = errorAnswer(f.Answer, f.Code)
	}
	if len(a.body) == 0 {
		if f.Truncate {
			return nil
		}
		return a
	}
	if f.Corrupt {
		a.body[len(a.body)/2] ^= 1
	}
	a.truncate = f.Truncate
	return a
}
