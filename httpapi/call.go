package httpapi

import (
	"net/netip"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/audit"
	"github.com/vault-guardian/guardian/limit"
)

// call is what is known of a call beyond what echo knows.
type call struct {
	// event is what its audit line will say, as far as is known.
	event audit.Event
	// address is where it comes from, and caller who sends it, as far as its head
	// tells: identified says that it has told.
	address    netip.Addr
	caller     limit.Caller
	identified bool
	// body is what readBody has read, until it is taken.
	body []byte
	// creates says that it creates an identity if it succeeds.
	creates bool
	// conflicts says that a version conflict is 409: for calls of V2, and those
	// of V1 with a proof or a session, whose clients tell a conflict by that. A
	// bare push is answered 400, as operators know it.
	conflicts bool
}

const callKey = "call"

// callOf returns what is known of c, the same each time.
func callOf(c echo.Context) *call {
	known, ok := c.Get(callKey).(*call)
	if !ok {
		known = &call{event: audit.Event{RequestID: newRequestID()}}
		c.Set(callKey, known)
	}
	return known
}

// takeBody returns what readBody has read, once: the call does not keep it in
// memory while it is carried out.
func (k *call) takeBody() []byte {
	body := k.body
	k.body = nil
	return body
}
