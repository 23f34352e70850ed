package httpapi

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/api"
)

// retryAfterSeconds is how long a client is told to wait after a 503, and
// retryFrozenSeconds while an operator has frozen writes.
const (
	retryAfterSeconds  = "1"
	retryFrozenSeconds = "10"
)

// writeError answers with the error's row of api.ErrorTable. An internal error
// is logged with the request id that the answer carries.
func (s *server) writeError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	body, status := describe(err, c)
	if limited, ok := errors.AsType[*api.RateLimitedError](err); ok {
		c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(int(limited.RetryAfter/time.Second)))
	}
	if body.Code == codeInternal {
		body.RequestID = callOf(c).event.RequestID
		s.log.ErrorContext(c.Request().Context(), "internal error",
			"request_id", body.RequestID, "method", c.Request().Method, "route", c.Path(), "error", err)
	}
	s.answerError(c, status, body)
}

func describe(err error, c echo.Context) (api.ErrorResponse, int) {
	body, status := api.NewErrorResponse(fromFramework(err))
	if body.Code == codeConflict && callOf(c).conflicts {
		status = http.StatusConflict
	}
	return body, status
}

func (s *server) answerError(c echo.Context, status int, body api.ErrorResponse) {
	header := c.Response().Header()
	switch status {
	case http.StatusServiceUnavailable:
		header.Set(echo.HeaderRetryAfter, retryAfterSeconds)
		if body.Code == codeFrozen {
			header.Set(echo.HeaderRetryAfter, retryFrozenSeconds)
		}
	case http.StatusUnauthorized:
		header.Set(echo.HeaderWWWAuthenticate, "Bearer") // RFC 9110 section 11.6.1
	}
	if err := c.JSON(status, body); err != nil {
		s.log.DebugContext(c.Request().Context(), "writing answer failed", "error", err)
	}
}

var (
	codeInternal = api.RowOf(api.ErrInternal).Code
	codeConflict = api.RowOf(api.ErrVersionConflict).Code
	codeFrozen   = api.RowOf(api.ErrFrozen).Code
)

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

func newRequestID() string {
	var id [8]byte
	rand.Read(id[:]) // never fails: it aborts the process
	return hex.EncodeToString(id[:])
}
