package admin

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/api"
)

// refusal is an error that only the admin plane knows, so that it has no row
// in the table that guardians and their clients share.
type refusal struct {
	status     int
	code, text string
}

func (r *refusal) Error() string { return r.text }

// writeError answers in the shape of package api. An internal error is logged
// with the request id that the answer carries.
func (s *server) writeError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	body, status := describe(err)
	if status == http.StatusInternalServerError {
		body.RequestID = newRequestID()
		s.log.ErrorContext(c.Request().Context(), "internal error",
			"request_id", body.RequestID, "method", c.Request().Method, "route", c.Path(), "error", err)
	}
	explain(c.Response().Header(), err, status)
	if err := c.JSON(status, body); err != nil {
		s.log.DebugContext(c.Request().Context(), "writing answer failed", "error", err)
	}
}

// explain says in the headers when to come again, and with what.
func explain(header http.Header, err error, status int) {
	if limited, ok := errors.AsType[*api.RateLimitedError](err); ok {
		header.Set(echo.HeaderRetryAfter, strconv.Itoa(int(limited.RetryAfter/time.Second)))
	}
	if status == http.StatusUnauthorized {
		header.Add(echo.HeaderWWWAuthenticate, "Bearer")
		header.Add(echo.HeaderWWWAuthenticate, `Basic realm="guardian, admin plane", charset="UTF-8"`)
	}
}

func describe(err error) (api.ErrorResponse, int) {
	if refused, ok := errors.AsType[*refusal](err); ok {
		return api.ErrorResponse{Error: refused.text, Code: refused.code}, refused.status
	}
	return api.NewErrorResponse(fromFramework(err))
}

// fromFramework turns what the router reports into errors of the protocol.
func fromFramework(err error) error {
	framework, ok := errors.AsType[*echo.HTTPError](err)
	if !ok {
		return err
	}
	switch framework.Code {
	case http.StatusNotFound:
		return api.ErrNoRoute
	case http.StatusMethodNotAllowed:
		return api.ErrMethodNotAllowed
	}
	return err
}

// recoverPanics turns a panic into api.ErrInternal. Only errors of the runtime
// are quoted in the log: another value may hold anything.
func (s *server) recoverPanics(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			value := recover()
			if fault, ok := value.(runtime.Error); ok {
				err = fmt.Errorf("%w: panic: %w\n%s", api.ErrInternal, fault, debug.Stack())
			} else if value != nil {
				err = fmt.Errorf("%w: panic with a %T\n%s", api.ErrInternal, value, debug.Stack())
			}
		}()
		return next(c)
	}
}

func newRequestID() string {
	var id [8]byte
	rand.Read(id[:]) // never fails: it aborts the process
	return hex.EncodeToString(id[:])
}
