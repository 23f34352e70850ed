// Package limit bounds what one caller may ask of a guardian: requests per
// client address, writes and reads per identity, new identities per client
// address, and requests in flight per bearer actor. It also finds the client's
// address behind trusted proxies.
//
// All counts are in the memory of one process: a caller of several replicas
// has each limit once per replica, and a restart gives everybody a full budget.
//
// A limit remembers at most 100,000 addresses or identities, and each only
// until its budget is full again. When there are more, those go first that were
// not charged for the longest time, and get a full budget. To make a guardian
// forget one address, 100,000 others must each make a request that is not
// refused, between two such requests of its own. Whoever has so many could have
// used their budgets instead: 12 million requests a minute at the default,
// while the eviction wins back 120. So an attacker gains nothing for himself;
// he can only make the limits more lenient for others, never stricter.
package limit

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// The names of the limits, fit to be the values of a label.
const (
	NameAddress       = "address"
	NameWrites        = "writes"
	NameReads         = "reads"
	NameNewIdentities = "new_identities"
	NameInFlight      = "in_flight"
)

// Names are all of them.
var Names = []string{NameAddress, NameWrites, NameReads, NameNewIdentities, NameInFlight}

// Config holds the numbers. A limit of 0 or less is off, and costs nothing.
type Config struct {
	// PerAddress is how many requests a client address may make per minute.
	PerAddress int
	// Writes and Reads are how many an identity takes per minute.
	Writes, Reads int
	// NewIdentities is how many a client address may create per hour.
	NewIdentities int
	// InFlight is how many requests of an actor may be in flight at once.
	InFlight int

	// Exempt and GatewayActors name the callers that PerAddress, NewIdentities
	// and InFlight do not bind: a gateway speaks for many users. Writes and
	// Reads bind everybody.
	Exempt        []netip.Prefix
	GatewayActors []string

	// OnRefused, if there is one, is called with one of Names for every
	// refusal, by several goroutines at once.
	OnRefused func(name string)
}

// Caller is who makes a request.
type Caller struct {
	// Address is that of the client; see [ClientAddr]. An IPv4-mapped address
	// is the IPv4 address, a zone means nothing, and IPv6 addresses count by
	// their /64, which is the least that a client has. All that are invalid
	// count as one.
	Address netip.Addr
	// Actor is the one whose bearer token was verified, or empty.
	Actor string
}

// Limits are the limits of one process, safe for concurrent use.
//
// The methods that refuse return after how long one more will be allowed, in
// whole seconds and at least one. Nothing is charged for what is refused.
type Limits struct {
	exempt   []netip.Prefix
	gateways map[string]bool
	refused  func(name string)

	seed  maphash.Seed
	start time.Time

	addresses, writes, reads, creations *buckets
	calls                               *calls
}

// New returns limits that have seen nobody yet.
func New(cfg Config) *Limits {
	l := &Limits{
		exempt: cfg.Exempt, gateways: map[string]bool{}, refused: cfg.OnRefused,
		seed: maphash.MakeSeed(), start: time.Now(),
		addresses: newBuckets(cfg.PerAddress, time.Minute),
		writes:    newBuckets(cfg.Writes, time.Minute),
		reads:     newBuckets(cfg.Reads, time.Minute),
		creations: newBuckets(cfg.NewIdentities, time.Hour),
		calls:     newCalls(cfg.InFlight),
	}
	for _, actor := range cfg.GatewayActors {
		l.gateways[actor] = true
	}
	if l.refused == nil {
		l.refused = func(string) {}
	}
	return l
}

// Address charges a request to the caller's address.
func (l *Limits) Address(c Caller) (retryAfter time.Duration, ok bool) {
	if l.addresses == nil || l.exempts(c) {
		return 0, true
	}
	return l.answer(NameAddress, l.addresses.take(l.addressKey(c.Address), l.now()))
}

// Write charges a write to an identity, given in the one form that all its
// requests are folded to.
func (l *Limits) Write(identity string) (retryAfter time.Duration, ok bool) {
	if l.writes == nil {
		return 0, true
	}
	return l.answer(NameWrites, l.writes.take(l.identityKey(identity), l.now()))
}

// Read is Write for reads.
func (l *Limits) Read(identity string) (retryAfter time.Duration, ok bool) {
	if l.reads == nil {
		return 0, true
	}
	return l.answer(NameReads, l.reads.take(l.identityKey(identity), l.now()))
}

// MayCreate decides whether the caller may create an identity. It is for a push
// that storage has shown to be the first of its identity, before anything is
// written. It charges nothing: Created does, once the identity is there, so
// that a push that fails costs nothing.
//
// Of n pushes in flight between the two calls all may pass, so an address can
// exceed its limit by n-1 at most. What it has exceeded is charged all the same
// and delays its next, so over time the limit holds.
func (l *Limits) MayCreate(c Caller) (retryAfter time.Duration, ok bool) {
	if l.creations == nil || l.exempts(c) {
		return 0, true
	}
	return l.answer(NameNewIdentities, l.creations.wait(l.addressKey(c.Address), l.now()))
}

// Created charges an identity that was created to the caller's address.
func (l *Limits) Created(c Caller) {
	if l.creations == nil || l.exempts(c) {
		return
	}
	l.creations.charge(l.addressKey(c.Address), l.now())
}

// Acquire lets a request of an actor begin, unless too many of that actor's
// are in flight. Requests without an actor are not counted. The caller must
// call release when the request has ended; it is never nil, and calls after
// the first do nothing. When a place will be free nobody can tell, so a refusal
// comes without a time.
func (l *Limits) Acquire(c Caller) (release func(), ok bool) {
	if l.calls == nil || c.Actor == "" || l.exempts(c) {
		return func() {}, true
	}
	release, ok = l.calls.begin(c.Actor)
	if !ok {
		l.refused(NameInFlight)
	}
	return release, ok
}

// Len returns how many addresses, identities and actors are remembered. Those
// with a full budget go when the same limit is next charged.
func (l *Limits) Len() int {
	return l.addresses.len() + l.writes.len() + l.reads.len() + l.creations.len() + l.calls.len()
}

func (l *Limits) exempts(c Caller) bool {
	return c.Actor != "" && l.gateways[c.Actor] || contains(l.exempt, canonical(c.Address))
}

// answer rounds up, so that whoever waits as long as told is let in.
func (l *Limits) answer(name string, wait time.Duration) (retryAfter time.Duration, ok bool) {
	if wait == 0 {
		return 0, true
	}
	l.refused(name)
	return (wait + time.Second - 1).Truncate(time.Second), false
}

// now is monotonic: setting the clock of the machine does not change it.
func (l *Limits) now() time.Duration { return time.Since(l.start) }

// Keys are hashes under a seed that this process alone knows: identities are
// not kept, and nobody can look for two with the same key.

func (l *Limits) identityKey(identity string) uint64 { return maphash.String(l.seed, identity) }

func (l *Limits) addressKey(a netip.Addr) uint64 {
	bytes := a.As16() // without the zone, IPv4 as IPv4-mapped
	if a.Is6() && !a.Is4In6() {
		return maphash.Bytes(l.seed, bytes[:8])
	}
	return maphash.Bytes(l.seed, bytes[:])
}
