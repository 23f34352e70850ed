package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/api"
)

// maxBodiesInMemory bounds the bytes of all bodies held at once, so that a
// process of 512 MiB survives a thousand connections that all push the most
// they may: a body costs about three times its length until it is stored.
const maxBodiesInMemory = 128 << 20

// readBody reads the body for the handler, at most limit bytes of it. Small
// bodies are not counted: pulls and deletes go on while pushes that stall have
// used up the memory for bodies.
func (s *server) readBody(limit int64) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			request := c.Request()
			if request.ContentLength > limit {
				return api.ErrBodyTooLarge
			}
			var from io.Reader = http.MaxBytesReader(c.Response(), request.Body, limit)
			if limit > api.MaxBody {
				account := &account{budget: &s.bodies, from: from}
				defer account.close()
				from = account
			}
			body, err := readAll(from, request.ContentLength)
			if err != nil {
				return s.readError(c, err)
			}
			known := callOf(c)
			known.body = body
			defer known.takeBody() // where nobody took it
			return next(c)
		}
	}
}

// readAll is [io.ReadAll] for a body whose length was announced, -1 for one whose
// was not: nothing is allocated beyond that, nor much more than has arrived.
func readAll(from io.Reader, length int64) ([]byte, error) {
	first := int64(4 << 10)
	if 0 <= length && length < first {
		first = length + 1 // 1 to meet the end in
	}
	body := make([]byte, 0, first)
	for {
		if len(body) == cap(body) {
			longer := 2 * cap(body)
			if rest := length + 1; rest > int64(cap(body)) && rest < int64(longer) {
				longer = int(rest)
			}
			body = append(make([]byte, 0, longer), body...)
		}
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (s *server) readError(c echo.Context, err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return api.ErrBodyTooLarge
	}
	if errors.Is(err, api.ErrOverloaded) {
		return err
	}
	s.log.InfoContext(c.Request().Context(), fmt.Sprintf("connection error: %v", err), "error", err, "remote", c.Request().RemoteAddr)
	if errors.Is(err, os.ErrDeadlineExceeded) { // a valid request may get through another time
		return fmt.Errorf("%w: the body did not arrive in time", api.ErrOverloaded)
	}
	return fmt.Errorf("%w: reading body: %w", api.ErrInvalidJSON, err)
}

// budget is what may still be read into memory, in bytes.
type budget struct{ left atomic.Int64 }

// account reads at the expense of a budget until it is closed.
type account struct {
	budget *budget
	from   io.Reader
	spent  int64
}

func (a *account) Read(p []byte) (int, error) {
	n, err := a.from.Read(p)
	a.spent += int64(n)
	if a.budget.left.Add(-int64(n)) < 0 {
		return n, api.ErrOverloaded
	}
	return n, err
}

func (a *account) close() { a.budget.left.Add(a.spent) }
