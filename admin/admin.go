// Package admin is the admin plane of a guardian: metrics, profiles, and what
// an operator asks of a running process. It has no authentication, so it
// belongs on loopback (see [LoopbackOnly]), and it refuses what a web page in a
// browser on the same machine could send there.
//
// Errors are JSON in the shape of package api. Excepted are those that the
// Prometheus and pprof handlers report themselves: plain text, as their tools
// expect.
package admin

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/vault-guardian/guardian/repair"
)

// Config is what the admin plane needs.
type Config struct {
	// Registry holds the metrics; those of the metrics endpoint itself are
	// added to it.
	Registry *prometheus.Registry
	// Reload fetches again what can be reloaded. After an error what was loaded
	// last stays in use. The error is shown to the caller, so it holds no
	// secret. It is called by many goroutines at once if there are many
	// requests, logs for itself, and returns soon after ctx ends.
	Reload func(ctx context.Context) (Reloaded, error)
	// Repairer is asked to scrub, repair and audit; nil where there is none.
	Repairer *repair.Repairer
	Logger   *slog.Logger
}

// Reloaded is what is in use after a reload.
type Reloaded struct {
	// PrimaryKeyID is the id of the integrity key that seals now.
	PrimaryKeyID string
}

type server struct {
	cfg Config
	log *slog.Logger
}

// New returns the handler of the admin plane. It is safe for concurrent use.
func New(cfg Config) http.Handler {
	s := &server{cfg: cfg, log: cfg.Logger}
	e := echo.New()
	e.HTTPErrorHandler = s.writeError
	e.Use(s.recoverPanics, refuseNamedHosts, refuseCrossOrigin)
	for _, r := range s.routes() {
		e.Add(r.method, r.path, r.handler)
	}
	return e
}
