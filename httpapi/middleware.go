package httpapi

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/audit"
)

// storageDeadline bounds the storage work of one call: existing clients give
// up after 5 s, so an answer must be there before.
const storageDeadline = 4 * time.Second

// recoverPanics turns a panic into api.ErrInternal.
func (s *server) recoverPanics(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if value := recover(); value != nil {
				err = panicError(value)
			}
		}()
		return next(c)
	}
}

// panicError describes a panic without repeating a value that may hold what a
// request sent: only errors of the runtime are quoted.
func panicError(value any) error {
	stack := debug.Stack()
	if err, ok := value.(runtime.Error); ok {
		return fmt.Errorf("%w: panic: %w\n%s", api.ErrInternal, err, stack)
	}
	return fmt.Errorf("%w: panic with a %T\n%s", api.ErrInternal, value, stack)
}

func requireJSON(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		contentType := c.Request().Header.Get(echo.HeaderContentType)
		if contentType == "" || contentType == echo.MIMEApplicationJSON {
			return next(c)
		}
		if media, _, err := mime.ParseMediaType(contentType); err != nil || media != echo.MIMEApplicationJSON {
			return api.ErrUnsupportedMediaType
		}
		return next(c)
	}
}

// writes are the actions that change what is stored.
var writes = []audit.Action{audit.Push, audit.Put, audit.Delete, audit.DeleteSecret}

// refuseFrozen refuses writes while an operator has frozen them.
func (s *server) refuseFrozen(action audit.Action) echo.MiddlewareFunc {
	freezable := slices.Contains(writes, action)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if freezable && s.cfg.Frozen != nil && s.cfg.Frozen() {
				return api.ErrFrozen
			}
			return next(c)
		}
	}
}

// takeSlot refuses a call while too many are being carried out. It comes after
// the body was read, so that slow bodies use no slot.
func (s *server) takeSlot(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		select {
		case s.slots <- struct{}{}:
		default:
			return api.ErrOverloaded
		}
		defer func() { <-s.slots }()
		return next(c)
	}
}

var errSlowStorage = errors.New("the storage did not answer in time")

// storageTime is how long the storage work of a call may take.
func storageTime(c echo.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(c.Request().Context(), storageDeadline, errSlowStorage)
}
