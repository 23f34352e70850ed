// Package admin is the admin plane of a guardian: metrics, profiles, a web page
// for operators, and what they ask of a running process. Without tokens everybody who reaches it
// may do everything, so it then belongs on loopback (see [Loopback]), and it
// refuses what a web page in a browser on the same machine could send there.
//
// Errors are JSON in the shape of package api. Excepted are those that the
// Prometheus and pprof handlers report themselves: plain text, as their tools
// expect.
package admin

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/vault-guardian/guardian/audit"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/backup/last"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/freeze"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/limit"
	"github.com/vault-guardian/guardian/repair"
)

// Config is what the admin plane needs.
type Config struct {
	// Tokens, unless nil, are those of whom the plane answers: each actor may
	// read the metrics and the page, and one whose name starts with "admin" may do everything.
	// An empty set lets nobody in.
	Tokens *auth.TokenSet
	// Audit keeps a line of every call that may change something, and of every
	// one refused; nil keeps none.
	Audit *audit.Log
	// Registry holds the metrics; those of the metrics endpoint itself are
	// added to it.
	Registry *prometheus.Registry
	// Reload fetches again what can be reloaded. After an error what was loaded
	// last stays in use. The error is shown to the caller, so it holds no
	// secret. It is called by many goroutines at once if there are many
	// requests, logs for itself, and returns soon after ctx ends.
	Reload func(ctx context.Context) (Reloaded, error)
	// Node, Members and Ready are what the page shows of this guardian, of the
	// cluster, and of why no requests should be sent here; each may be nil.
	Node    *guardian.Node
	Members func() cluster.View
	Ready   func() error
	// Freeze is where writes are frozen; nil where they cannot be.
	Freeze *freeze.Switch
	// Backup is what is known of the last backup; nil where nothing is.
	Backup *last.Watch
	// Snapshot returns a copy of all that is stored, for who backs it up; nil where
	// the storage is not this process's alone, and can be read beside it. Sealer is
	// that of the guardian, whose keyring seals what asks for one; it may be nil
	// where Backup is.
	Snapshot func(ctx context.Context) (*os.File, error)
	Sealer   *integrity.Sealer
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
	cfg      Config
	log      *slog.Logger
	origins  *http.CrossOriginProtection
	refusals *limit.Limits
	started  time.Time
	// copying is held while there is a copy of the storage.
	copying sync.Mutex
}

// New returns the handler of the admin plane. It is safe for concurrent use.
func New(cfg Config) http.Handler {
	s := &server{
		cfg: cfg, log: cfg.Logger, started: time.Now(), origins: http.NewCrossOriginProtection(),
		refusals: limit.New(limit.Config{PerAddress: refusalsPerMinute}),
	}
	e := echo.New()
	e.HTTPErrorHandler = s.writeError
	e.Use(s.recoverPanics, s.admit)
	for _, r := range s.routes() {
		e.Add(r.method, r.path, r.handler)
	}
	return e
}
