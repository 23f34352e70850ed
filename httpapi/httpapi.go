// Package httpapi is the client plane of a guardian over HTTP: decode,
// validate, one call of package guardian, map the error. It has no rules of
// its own. Every answer, of unknown routes and panics too, is JSON in the
// shapes of package api.
package httpapi

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/guardian"
)

// Config is what the client plane needs.
type Config struct {
	Node *guardian.Node
	// Tokens are the bearer tokens taken. When there is one, every call that
	// is not open needs one.
	Tokens *auth.Tokens
	// Unauthenticated lets everybody in when Tokens is empty. Without it and
	// without tokens nobody is let in.
	Unauthenticated bool
	Health          *Monitor
	// Storage names the kind of storage in RouteStatus.
	Storage string
	// ClientPort is the port listened on, and AdvertiseURL what clients use.
	ClientPort   int
	AdvertiseURL string
	// MaxRequests bounds the calls carried out at once.
	MaxRequests int
	Logger      *slog.Logger
}

type server struct {
	cfg     Config
	log     *slog.Logger
	slots   chan struct{}
	bodies  budget
	started time.Time
}

// New returns the handler of the client plane. It is safe for concurrent use.
func New(cfg Config) http.Handler {
	s := &server{
		cfg: cfg, log: cfg.Logger, started: time.Now(),
		slots: make(chan struct{}, cfg.MaxRequests),
	}
	s.bodies.left.Store(maxBodiesInMemory)
	e := echo.New()
	e.HTTPErrorHandler = s.writeError
	e.Use(s.recoverPanics)
	s.routeOpen(e)
	s.routeV1(e)
	return e
}

func (s *server) routeOpen(e *echo.Echo) {
	for route, handler := range map[string]echo.HandlerFunc{
		api.RouteHealthz:   s.alive,
		api.RouteHealth:    s.alive,
		api.RouteReadyz:    s.ready,
		api.RouteReady:     s.ready,
		api.RouteV1Health:  s.health,
		api.RouteStatus:    s.status,
		api.RouteGuardians: s.guardians,
		api.RouteOpenAPI:   serveOpenAPI,
	} {
		e.Match([]string{http.MethodGet, http.MethodHead}, route, handler)
	}
}

func (s *server) routeV1(e *echo.Echo) {
	e.POST(api.RoutePush, serve(parsePush, s.push), s.guarded(api.MaxPushBody)...)
	e.POST(api.RoutePull, serve(parsePull, s.pull), s.guarded(api.MaxBody)...)
	e.POST(api.RouteDelete, serve(parseDelete, s.delete), s.guarded(api.MaxBody)...)
}

// guarded is what a call passes before its handler, in this order. What is
// decided by who or where the caller is (tokens, limits per address) comes
// before the body; what is decided by whose share it is (ownership, limits per
// identity) has its place in serve, between parse and answer.
func (s *server) guarded(maxBody int64) []echo.MiddlewareFunc {
	return []echo.MiddlewareFunc{
		s.authenticate,
		requireJSON,
		s.readBody(maxBody),
		s.takeSlot,
		limitStorageTime,
	}
}
