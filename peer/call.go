package peer

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/api"
)

// maxAnswer bounds the answer to a call, in bytes.
const maxAnswer = 2 << 20

// Caller is the member that calls, as the certificate of the connection that the
// call came by proved it. That Members know the key was checked for this very
// call.
type Caller struct {
	NodeID string
	// Key is not to be changed.
	Key ed25519.PublicKey
}

// Call is a route that members may call, with bytes that are JSON.
type Call struct {
	// Route is under /peer/v1/.
	Route string
	// MaxBody bounds the body of a request, in bytes.
	MaxBody int64
	// Answer returns at most 2 MiB. It is called by several goroutines at once.
	// Its context ends when the caller goes away and after Limits.CallTimeout.
	// The caller is told a *repair.RefusedError as it is and an error of package
	// api by its row; any other is an internal one, and is only logged.
	Answer func(ctx context.Context, from Caller, body []byte) ([]byte, error)
}

// boundRunning refuses what would be one call too many at once.
func (h *handler) boundRunning(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		caller := callerOf(c)
		if !h.running.take(caller) {
			return &api.RateLimitedError{RetryAfter: time.Second}
		}
		defer h.running.leave(caller)
		return next(c)
	}
}

// answer is the handler of one call.
func (h *handler) answer(call Call) echo.HandlerFunc {
	return func(c echo.Context) error {
		answer, err := h.work(c, call)
		if err != nil {
			return err
		}
		if len(answer) > maxAnswer {
			return fmt.Errorf("%w: an answer of %d bytes", api.ErrInternal, len(answer))
		}
		c.Response().Header().Set(echo.HeaderContentLength, strconv.Itoa(len(answer)))
		return c.JSONBlob(http.StatusOK, answer)
	}
}

// work has the call answered. The server's deadlines stop meanwhile: that for
// reading would end the context, and that for writing runs from the header on.
func (h *handler) work(c echo.Context, call Call) ([]byte, error) {
	deadlines := http.NewResponseController(c.Response())
	if err := deadlines.SetReadDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("stopping the deadline for reading: %w", err)
	}
	defer func() { _ = deadlines.SetWriteDeadline(time.Now().Add(h.limits.Timeout)) }() // fails on a closed connection only
	ctx, cancel := context.WithTimeout(c.Request().Context(), h.limits.CallTimeout)
	defer cancel()
	body, _ := c.Get(bodyKey).([]byte)
	caller := claimOf(c)
	return call.Answer(ctx, Caller{caller.nodeID, caller.key}, body)
}
