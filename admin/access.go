package admin

import (
	"cmp"
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/audit"
	"github.com/vault-guardian/guardian/limit"
)

const (
	// operatorPrefix begins the names of the actors who may do everything here.
	// All others may only watch.
	operatorPrefix = "admin"
	// refusalsPerMinute bounds the tokens that one address may guess, and the
	// audit lines that it can cause.
	refusalsPerMinute = 120
	// auditTime bounds the wait for a line that must be stored.
	auditTime = 4 * time.Second
)

// watched are the paths for who may only watch.
var watched = []string{"/", "/metrics"}

// admit lets a call pass that may be made, once there is an audit line of it if
// it changes something. Of a refused one there is a line too.
func (s *server) admit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		actor, err := s.judge(c)
		if err != nil {
			return s.refuse(c, actor, err)
		}
		c.Set(actorKey, actor)
		if method := c.Request().Method; method != http.MethodGet && method != http.MethodHead {
			if err := s.keep(c, actor, nil); err != nil {
				return err
			}
		}
		return next(c)
	}
}

const actorKey = "actor"

// actorOf is who makes a call that was admitted, "" where no token is needed.
func actorOf(c echo.Context) string {
	actor, _ := c.Get(actorKey).(string)
	return actor
}

// judge returns who calls, "" where no token is needed, and why not to let them.
func (s *server) judge(c echo.Context) (actor string, err error) {
	if s.cfg.Tokens == nil {
		err = checkHost(c.Request().Host)
	} else {
		actor, err = s.authorize(c)
	}
	if err == nil {
		err = s.checkOrigin(c.Request())
	}
	return actor, err
}

// authorize returns whose token a call carries. A page whose name was made to
// resolve to this machine has none, so the host is of no interest.
func (s *server) authorize(c echo.Context) (actor string, err error) {
	actor, err = s.identify(c.Request())
	if err == nil && !strings.HasPrefix(actor, operatorPrefix) && !slices.Contains(watched, c.Path()) {
		err = &refusal{
			http.StatusForbidden, "forbidden",
			"this actor may only watch: an actor whose name starts with " + operatorPrefix + " may do more",
		}
	}
	return actor, err
}

// identify takes a token as Bearer (RFC 6750), and as the password of Basic (RFC
// 7617), which is what a browser asks its user for. A user name must then be the
// actor's.
func (s *server) identify(request *http.Request) (actor string, err error) {
	name, token, basic := request.BasicAuth()
	if !basic {
		var scheme string
		scheme, token, _ = strings.Cut(request.Header.Get(echo.HeaderAuthorization), " ")
		if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") {
			return "", api.ErrTokenRequired
		}
	}
	if token == "" {
		return "", api.ErrTokenRequired
	}
	actor, ok := s.cfg.Tokens.Actor(token)
	if !ok || cmp.Or(name, actor) != actor {
		return "", api.ErrTokenInvalid
	}
	return actor, nil
}

// refuse is how a call ends that may not be made: without a line where its
// address was refused too often lately.
func (s *server) refuse(c echo.Context, actor string, why error) error {
	if wait, ok := s.refusals.Address(limit.Caller{Address: addressOf(c)}); !ok {
		return &api.RateLimitedError{RetryAfter: wait}
	}
	if err := s.keep(c, actor, why); err != nil {
		return err
	}
	return why
}

// keep has the audit log keep that a call was admitted or, with an error, was
// not. It comes before the call is carried out, so that where lines are required
// nothing is done without.
func (s *server) keep(c echo.Context, actor string, refused error) error {
	if s.cfg.Audit == nil {
		return nil
	}
	event := audit.Event{
		RequestID: newRequestID(), Actor: actor, Action: audit.Action(c.Request().Method + " " + c.Path()),
		Code: "admitted", Remote: addressOf(c).String(),
	}
	if refused != nil {
		body, status := describe(refused)
		event.Status, event.Code = status, body.Code
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request().Context()), auditTime)
	defer cancel()
	if err := s.cfg.Audit.Record(ctx, event); err != nil {
		s.log.ErrorContext(ctx, "a call of the admin plane was not carried out because its audit line cannot be kept", "request_id", event.RequestID, "error", err)
		return errAudit
	}
	return nil
}

var errAudit = &api.FieldError{Sentinel: api.ErrStorageUnavailable, Text: "audit log unavailable: nothing was done, try again"}

func addressOf(c echo.Context) netip.Addr {
	return limit.ClientAddr(c.Request().RemoteAddr, nil, nil)
}
