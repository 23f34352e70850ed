package peer

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/limit"
	"github.com/vault-guardian/guardian/repair"
)

// handler is the plane behind the handshake.
type handler struct {
	members Members
	limits  Limits
	rates   *limit.Limits
	calls   map[string]bool // their routes
	running *places         // calls, by member
	refused *refusals
	log     *slog.Logger
}

func newHandler(cfg ServerConfig, limits Limits, refused *refusals) http.Handler {
	h := &handler{
		members: cfg.Members, limits: limits, refused: refused, log: cfg.Logger,
		// A member is here what an identity is to the client plane, and what
		// reads are there are its calls.
		rates:   limit.New(limit.Config{Writes: limits.RequestsPerMinute, Reads: limits.CallsPerMinute}),
		calls:   map[string]bool{},
		running: newPlaces(cluster.MaxIndex*limits.CallsAtOnce, limits.CallsAtOnce),
	}
	e := echo.New()
	e.HTTPErrorHandler = h.writeError
	e.Pre(h.identify)
	e.Use(h.recoverPanics, h.boundRate)
	e.POST(RouteHeartbeat, serve(decodeHeartbeat, cfg.Heartbeat), requireJSON, readBody(maxHeartbeat))
	for _, call := range cfg.Calls {
		h.calls[call.Route] = true
		e.POST(call.Route, h.answer(call), requireJSON, h.boundRunning, readBody(call.MaxBody))
	}
	return e
}

const (
	callerKey = "caller"
	bodyKey   = "body"
)

// callerOf is the node id of the member that calls, as its certificate proved.
func callerOf(c echo.Context) string { return claimOf(c).nodeID }

func claimOf(c echo.Context) claim {
	caller, _ := c.Get(callerKey).(claim)
	return caller
}

// identify lets only those through who are members still, and closes the
// connection of others without an answer.
func (h *handler) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		request := c.Request()
		if request.TLS == nil {
			panic(http.ErrAbortHandler)
		}
		caller, err := memberOf(*request.TLS, h.members)
		if err != nil {
			h.turnAway(request, err)
		}
		c.Set(callerKey, caller)
		return next(c)
	}
}

func (h *handler) turnAway(request *http.Request, why error) {
	h.refused.report(request.RemoteAddr, why)
	panic(http.ErrAbortHandler)
}

// recoverPanics turns a panic into api.ErrInternal, but for the one that closes
// the connection.
func (h *handler) recoverPanics(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			value := recover()
			if cause, ok := value.(error); ok && errors.Is(cause, http.ErrAbortHandler) {
				panic(value)
			}
			if value != nil {
				err = panicError(value)
			}
		}()
		return next(c)
	}
}

// panicError describes a panic without repeating a value that may hold what a
// request sent: only errors of the runtime are quoted.
func panicError(value any) error {
	if cause, ok := value.(runtime.Error); ok {
		return fmt.Errorf("%w: panic: %w\n%s", api.ErrInternal, cause, debug.Stack())
	}
	return fmt.Errorf("%w: panic with a %T\n%s", api.ErrInternal, value, debug.Stack())
}

func (h *handler) boundRate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		charge := h.rates.Write
		if h.calls[c.Request().URL.Path] {
			charge = h.rates.Read
		}
		if retryAfter, ok := charge(callerOf(c)); !ok {
			return &api.RateLimitedError{RetryAfter: retryAfter}
		}
		return next(c)
	}
}

func requireJSON(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		media, _, err := mime.ParseMediaType(c.Request().Header.Get(echo.HeaderContentType))
		if err != nil || media != echo.MIMEApplicationJSON {
			return api.ErrUnsupportedMediaType
		}
		return next(c)
	}
}

// readBody reads the body for the handler, at most limit bytes of it.
func readBody(limit int64) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			request := c.Request()
			if request.ContentLength > limit {
				return api.ErrBodyTooLarge
			}
			body, err := io.ReadAll(http.MaxBytesReader(c.Response(), request.Body, limit))
			if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
				return api.ErrBodyTooLarge
			}
			if err != nil {
				return fmt.Errorf("%w: reading body: %w", api.ErrInvalidJSON, err)
			}
			c.Set(bodyKey, body)
			return next(c)
		}
	}
}

// serve is every call: decode the body as one of the caller's, answer.
func serve[Request, Response any](
	decode func(from string, body []byte) (Request, error),
	answer func(from string, request Request) (Response, error),
) echo.HandlerFunc {
	return func(c echo.Context) error {
		body, _ := c.Get(bodyKey).([]byte)
		request, err := decode(callerOf(c), body)
		if err != nil {
			return err
		}
		response, err := answer(callerOf(c), request)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, response)
	}
}

// codeWrongNode is the code of cluster.ErrWrongNode, which only this plane has.
const codeWrongNode = "wrong_node"

// writeError answers with the error's row of api.ErrorTable. A caller that is no
// member after all gets no answer.
func (h *handler) writeError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	if errors.Is(err, cluster.ErrNotMember) {
		h.turnAway(c.Request(), err)
	}
	if errors.Is(err, cluster.ErrWrongNode) {
		h.refused.report(c.Request().RemoteAddr, err)
	}
	body, status := describe(err)
	switch status {
	case http.StatusTooManyRequests:
		c.Response().Header().Set(echo.HeaderRetryAfter, retryAfter(err))
	case http.StatusInternalServerError:
		h.logFailure(c, err)
	}
	if err := c.JSON(status, body); err != nil {
		h.log.DebugContext(c.Request().Context(), "peer plane: writing answer failed", "error", err)
	}
}

// retryAfter is a second for an error that does not say.
func retryAfter(err error) string {
	wait := time.Second
	if limited, ok := errors.AsType[*api.RateLimitedError](err); ok {
		wait = limited.RetryAfter
	}
	return strconv.Itoa(int(wait / time.Second))
}

// logFailure keeps quiet about what failed because the caller had gone.
func (h *handler) logFailure(c echo.Context, err error) {
	level := slog.LevelError
	if c.Request().Context().Err() != nil {
		level = slog.LevelDebug
	}
	h.log.Log(c.Request().Context(), level, "peer plane: internal error", "from", callerOf(c), "route", c.Path(), "error", err)
}

func describe(err error) (api.ErrorResponse, int) {
	if errors.Is(err, cluster.ErrWrongNode) {
		return api.ErrorResponse{Error: cluster.ErrWrongNode.Error(), Code: codeWrongNode}, http.StatusForbidden
	}
	if refused, ok := errors.AsType[*repair.RefusedError](err); ok {
		return api.ErrorResponse{Error: refused.Text, Code: refused.Code}, http.StatusForbidden
	}
	if framework, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch framework.Code {
		case http.StatusNotFound:
			err = api.ErrNoRoute
		case http.StatusMethodNotAllowed:
			err = api.ErrMethodNotAllowed
		}
	}
	return api.NewErrorResponse(err)
}
