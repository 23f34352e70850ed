package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/audit"
	"github.com/vault-guardian/guardian/auth"
)

// audited has a line kept of every decision about a call, refusals and panics
// included. Where lines are required, a call whose line cannot be kept fails,
// whatever else came of it.
func (s *server) audited(action audit.Action) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		recovering := s.recoverPanics(next)
		return func(c echo.Context) error {
			known := callOf(c)
			known.address = s.addressOf(c)
			known.event.Action, known.event.Remote = action, known.address.String()
			err := recovering(c)
			if err == nil || errors.Is(err, errAudit) || isTooSoon(c, err) {
				return err // succeed has kept it, before the answer, or could not
			}
			body, status := describe(err, c)
			if errKeeping := s.keep(c, status, body.Code); errKeeping != nil {
				return errKeeping
			}
			return err
		}
	}
}

// isTooSoon reports a call that its address had no budget for. It got as far
// as nobody, and lines of it would be without bound: a metric counts it.
func isTooSoon(c echo.Context, err error) bool {
	return errors.Is(err, api.ErrRateLimited) && !callOf(c).identified
}

// concerns notes whose what a call is about.
func concerns(c echo.Context, a ask) {
	event := &callOf(c).event
	event.Identity, event.Name = a.slot.Identity, a.slot.Name
	if a.claim.Verb == auth.Push || a.claim.Verb == auth.Delete && a.slot.Name == "" {
		event.Version = &a.claim.Version
	}
}

// keep waits for the line no longer than a call may wait for the storage.
func (s *server) keep(c echo.Context, status int, code string) error {
	if s.cfg.Audit == nil {
		return nil
	}
	known := callOf(c)
	event := known.event
	event.Actor, event.Status, event.Code = known.caller.Actor, status, code
	ctx := context.WithoutCancel(c.Request().Context())
	if s.cfg.Audit.Required() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, storageDeadline)
		defer cancel()
	}
	if err := s.cfg.Audit.Record(ctx, event); err != nil {
		s.log.ErrorContext(ctx, "a call failed because its audit line cannot be kept", "request_id", event.RequestID, "error", err)
		return fmt.Errorf("%w: %w", errAudit, err)
	}
	return nil
}

var errAudit = &api.FieldError{
	Sentinel: api.ErrStorageUnavailable,
	Text:     "audit log unavailable: nothing was acknowledged, try again",
}

// answer sends what a call has come to, once its line is kept.
func (s *server) answer(c echo.Context, response any) error {
	if err := s.keep(c, http.StatusOK, "ok"); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, response)
}
