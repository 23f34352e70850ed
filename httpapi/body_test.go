package httpapi

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/api"
)

// Bodies share a budget of memory: what is beyond it is refused, and what is
// closed gives back all that it took.
func TestBodiesShareABudget(t *testing.T) {
	var b budget
	b.left.Store(10)
	first := &account{budget: &b, from: strings.NewReader("12345678")}
	if text, err := io.ReadAll(first); err != nil || string(text) != "12345678" {
		t.Fatalf("within the budget: %q, %v", text, err)
	}
	second := &account{budget: &b, from: strings.NewReader("123")}
	if _, err := io.ReadAll(second); !errors.Is(err, api.ErrOverloaded) {
		t.Errorf("beyond the budget: %v", err)
	}
	second.close()
	first.close()
	if left := b.left.Load(); left != 10 {
		t.Errorf("%d bytes are left of 10", left)
	}
}

// TestSmallBodiesNeedNoBudget: pulls go on while pushes that stall hold all the
// memory there is for bodies.
func TestSmallBodiesNeedNoBudget(t *testing.T) {
	s := &server{log: slog.New(slog.DiscardHandler)}
	read := func(limit int64) error {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader("{}"))
		c := echo.New().NewContext(request, httptest.NewRecorder())
		return s.readBody(limit)(func(echo.Context) error { return nil })(c)
	}
	if err := read(api.MaxBody); err != nil {
		t.Errorf("a small body: %v", err)
	}
	if err := read(api.MaxPushBody); !errors.Is(err, api.ErrOverloaded) {
		t.Errorf("a push: %v", err)
	}
}

// TestBodyThatStalls: who is too slow is told to try again, and not that the
// request is malformed, after which no client would.
func TestBodyThatStalls(t *testing.T) {
	s := &server{log: slog.New(slog.DiscardHandler)}
	read := s.readBody(api.MaxBody)(func(echo.Context) error { return nil })
	told := make(chan error, 1)
	guardian := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told <- read(echo.New().NewContext(r, w))
	}))
	guardian.Config.ReadTimeout = 50 * time.Millisecond
	guardian.Start()
	defer guardian.Close()
	conn, err := net.Dial("tcp", guardian.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	if err := <-told; !errors.Is(err, api.ErrOverloaded) {
		t.Errorf("readBody = %v", err)
	}
}
