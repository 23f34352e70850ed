package httpapi

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/limit"
)

// ask is what every call on a slot comes to, once it is valid: whose it is,
// what its owner would sign, and what was shown for it.
type ask struct {
	slot  guardian.Slot
	claim auth.Claim
	proof api.Proof
}

func (a ask) asked() ask { return a }

// question is a valid request.
type question interface{ asked() ask }

// askFor makes the ask of a V1 call; the identity is signed as it was written.
func askFor(verb auth.Verb, identity string, proof api.Proof) (ask, error) {
	folded, err := api.ParseIdentity(identity)
	return ask{
		slot:  guardian.Slot{Identity: folded},
		claim: auth.Claim{Verb: verb, Identity: identity, Time: proof.Timestamp, Audience: proof.Audience},
		proof: proof,
	}, err
}

// identifyCaller finds out who calls, and charges the address for it before any
// signature is checked; a call with a wrong token too, or guessing were free.
func (s *server) identifyCaller(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		actor, errToken := s.actorOf(c.Request().Header.Get(echo.HeaderAuthorization))
		known := callOf(c)
		caller := limit.Caller{Actor: actor, Address: known.address}
		if wait, ok := s.cfg.Limits.Address(caller); !ok {
			return &api.RateLimitedError{RetryAfter: wait}
		}
		if errToken != nil {
			return errToken
		}
		known.caller, known.identified = caller, true
		return next(c)
	}
}

// actorOf returns whose bearer token (RFC 6750) a call carries.
func (s *server) actorOf(authorization string) (string, error) {
	if s.cfg.Tokens.Empty() {
		if s.cfg.Unauthenticated || s.cfg.Ownership == guardian.OwnershipRequired {
			return "", nil
		}
		return "", api.ErrTokenRequired
	}
	scheme, token, _ := strings.Cut(authorization, " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", api.ErrTokenRequired
	}
	actor, ok := s.cfg.Tokens.Actor(token)
	if !ok {
		return "", api.ErrTokenInvalid
	}
	return actor, nil
}

func (s *server) addressOf(c echo.Context) netip.Addr {
	return limit.ClientAddr(c.Request().RemoteAddr, c.Request().Header.Values(echo.HeaderXForwardedFor), s.cfg.TrustedProxies)
}

// boundActor bounds the calls of one actor that are carried out at once.
func (s *server) boundActor(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		release, ok := s.cfg.Limits.Acquire(callOf(c).caller)
		if !ok {
			return &api.RateLimitedError{RetryAfter: time.Second}
		}
		defer release()
		return next(c)
	}
}

// admit decides whether a valid call may go to the node: a session that was
// sent must be the identity's, a proof that was shown must prove it, and the
// identity must not have had its share of calls.
func (s *server) admit(c echo.Context, a ask) (guardian.Caller, error) {
	concerns(c, a)
	if token := c.Request().Header.Get(api.HeaderSession); token != "" {
		identity, err := s.cfg.Sessions.Check(token)
		if err != nil || identity != a.slot.Identity {
			return guardian.Caller{}, api.ErrSessionInvalid
		}
		callOf(c).conflicts = true
	}
	proof, err := s.proved(a)
	if err != nil {
		return guardian.Caller{}, err
	}
	if a.proof.Signature != "" {
		callOf(c).conflicts = true
	}
	if err := s.chargeIdentity(a, proof); err != nil {
		return guardian.Caller{}, err
	}
	return guardian.Caller{Proof: proof, Create: s.mayCreate(c)}, nil
}

// proved returns the version of the proof that was shown and holds, 0 for none.
func (s *server) proved(a ask) (int, error) {
	if s.cfg.Ownership == guardian.OwnershipOff {
		return 0, nil
	}
	if a.proof.Pubkey == "" && a.proof.Signature == "" {
		if s.cfg.Ownership == guardian.OwnershipRequired {
			return 0, api.ErrOwnershipRequired
		}
		return 0, nil
	}
	version := max(a.proof.Proof, auth.V1) // absent is 1
	if a.proof.Proof < 0 || version > auth.V2 || version < s.cfg.OldestProof {
		return 0, fmt.Errorf("%w: version %d is not taken here", api.ErrOwnershipInvalid, a.proof.Proof)
	}
	err := s.cfg.Verifier.Verify(auth.Proof{Version: version, PublicKey: a.proof.Pubkey, Signature: a.proof.Signature}, a.claim)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", api.ErrOwnershipInvalid, err)
	}
	return version, nil
}

// chargeIdentity counts calls without a proof apart: else whoever knows an
// identity could use up its owner's share.
func (s *server) chargeIdentity(a ask, proof int) error {
	key := a.slot.Identity
	if proof == 0 {
		key = "bare " + key
	}
	charge := s.cfg.Limits.Read
	if a.claim.Verb == auth.Push || a.claim.Verb == auth.Delete {
		charge = s.cfg.Limits.Write
	}
	if wait, ok := charge(key); !ok {
		return &api.RateLimitedError{RetryAfter: wait}
	}
	return nil
}

func (s *server) mayCreate(c echo.Context) func() error {
	return func() error {
		if wait, ok := s.cfg.Limits.MayCreate(callOf(c).caller); !ok {
			return &api.RateLimitedError{RetryAfter: wait}
		}
		callOf(c).creates = true
		return nil
	}
}

// succeed charges what the call has created, and answers.
func (s *server) succeed(c echo.Context, response any) error {
	if known := callOf(c); known.creates {
		s.cfg.Limits.Created(known.caller)
	}
	return s.answer(c, response)
}

// needSession refuses a call without a session and returns whose it is, as it
// was sent. The identity is never taken from the body or path of a V2 call.
func (s *server) needSession(c echo.Context) (identity string, err error) {
	token := c.Request().Header.Get(api.HeaderSession)
	if token == "" {
		return "", api.ErrSessionRequired
	}
	if _, err := s.cfg.Sessions.Check(token); err != nil {
		return "", api.ErrSessionInvalid
	}
	return token[:api.IdentityDigits], nil
}
