// Package httpapi is the client plane of a guardian over HTTP: decode,
// validate, one call of package guardian, map the error. It has no rules of
// its own. Every answer, of unknown routes and panics too, is JSON in the
// shapes of package api.
package httpapi

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/audit"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/limit"
)

// Config is what the client plane needs.
type Config struct {
	Node *guardian.Node
	// Tokens are the bearer tokens taken. When there is one, every call that
	// is not open needs one.
	Tokens *auth.TokenSet
	// Unauthenticated lets everybody in when Tokens is empty. Without it and
	// without tokens, only who proves ownership is let in, where that is
	// required; else nobody.
	Unauthenticated bool
	// Ownership is the node's: who must prove to own what they ask for.
	// OldestProof is the oldest version of a proof taken, 1 or 2.
	Ownership   guardian.Ownership
	OldestProof int
	Verifier    *auth.Verifier
	Sessions    *auth.Sessions
	Limits      *limit.Limits
	// Frozen reports whether an operator has frozen writes; nil stands for never.
	Frozen func() bool
	// Audit keeps a line of every decision; nil keeps none.
	Audit *audit.Log
	// TrustedProxies are believed what X-Forwarded-For says.
	TrustedProxies []netip.Prefix
	Health         *Monitor
	// Storage names the kind of storage in RouteStatus.
	Storage string
	// Cluster is what is known of the other guardians; without a registry this
	// one is alone in it.
	Cluster *cluster.Cluster
	// ClientPort is the port listened on, PeerPort that of the peer plane, 0
	// without one.
	ClientPort, PeerPort int
	// MaxRequests bounds the calls carried out at once.
	MaxRequests int
	// Metrics counts the calls; nil keeps the counts to itself.
	Metrics *Metrics
	Logger  *slog.Logger
}

type server struct {
	cfg     Config
	log     *slog.Logger
	metrics *Metrics
	slots   chan struct{}
	bodies  budget
	started time.Time
}

// New returns the handler of the client plane. It is safe for concurrent use.
func New(cfg Config) http.Handler {
	s := &server{
		cfg: cfg, log: cfg.Logger, metrics: cfg.Metrics, started: time.Now(),
		slots: make(chan struct{}, cfg.MaxRequests),
	}
	if s.metrics == nil {
		s.metrics = NewMetrics()
	}
	s.bodies.left.Store(maxBodiesInMemory)
	e := echo.New()
	e.HTTPErrorHandler = s.writeError
	e.Use(s.recoverPanics)
	s.routeOpen(e)
	s.routeV1(e)
	s.routeV2(e)
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
		api.RouteRoster:    s.roster,
		api.RouteOpenAPI:   serveOpenAPI,
	} {
		e.Match([]string{http.MethodGet, http.MethodHead}, route, handler)
	}
}

func (s *server) routeV1(e *echo.Echo) {
	e.POST(api.RoutePush, s.guarded(audit.Push, api.MaxPushBody, serve(s, parsePush, s.push)))
	e.POST(api.RoutePull, s.guarded(audit.Pull, api.MaxBody, serve(s, parsePull, s.pull)))
	e.POST(api.RouteHistory, s.guarded(audit.History, api.MaxBody, serve(s, parseHistory, s.history)))
	e.POST(api.RouteDelete, s.guarded(audit.Delete, api.MaxBody, serve(s, parseDelete, s.delete)))
	for _, route := range []string{api.RouteChallenge, api.RouteV2Challenge} {
		e.POST(route, s.guarded(audit.Challenge, api.MaxBody, serveOpen(s, s.challenge)))
	}
	for _, route := range []string{api.RouteSession, api.RouteV2Session} {
		e.POST(route, s.guarded(audit.Session, api.MaxBody, serveOpen(s, s.session)))
	}
}

func (s *server) routeV2(e *echo.Echo) {
	e.GET(api.RouteSecrets, s.guarded(audit.List, api.MaxBody, serveSecret(s, parseList, s.listSecrets)))
	e.PUT(api.RouteSecret, s.guarded(audit.Put, api.MaxPushBody, serveSecret(s, parsePut, s.putSecret)))
	e.GET(api.RouteSecret, s.guarded(audit.Get, api.MaxBody, serveSecret(s, parseGet, s.getSecret)))
	e.DELETE(api.RouteSecret, s.guarded(audit.DeleteSecret, api.MaxBody, serveSecret(s, parseDeleteSecret, s.deleteSecret)))
	e.GET(api.RouteVersions, s.guarded(audit.Versions, api.MaxBody, serveSecret(s, parseVersions, s.history)))
	// What has slashes in it, or nothing, is no name either.
	for method, action := range map[string]audit.Action{
		http.MethodGet: audit.Get, http.MethodPut: audit.Put, http.MethodDelete: audit.DeleteSecret,
	} {
		e.Add(method, api.RouteSecrets+"/*", s.guarded(action, api.MaxPushBody, func(echo.Context) error { return checkName("/") }))
	}
}

// guarded puts before a handler what its calls pass, in this order. What is
// decided by who or where the caller is (tokens, limits per address) comes before
// the body; what is decided by whose share it is (ownership, limits per identity)
// has its place in serve, between parse and answer. It is put together here, once:
// echo puts the middleware of a route together for each call.
func (s *server) guarded(action audit.Action, maxBody int64, handler echo.HandlerFunc) echo.HandlerFunc {
	for _, middleware := range slices.Backward([]echo.MiddlewareFunc{
		s.counted(action),
		s.audited(action),
		s.identifyCaller,
		requireJSON,
		s.readBody(maxBody),
		s.timed(action),
		s.refuseFrozen(action),
		s.boundActor,
		s.takeSlot,
	}) {
		handler = middleware(handler)
	}
	return handler
}
