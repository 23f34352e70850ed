package admin

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes is how many requests for the metrics are answered at once: more
// than the scrapers that anybody has.
const maxScrapes = 4

// route is one endpoint, and what the list of them says about it.
type route struct {
	method, path, about string
	handler             echo.HandlerFunc
}

func (s *server) routes() []route {
	routes := []route{
		{http.MethodGet, "/metrics", "metrics for Prometheus", s.metrics()},
		{http.MethodPost, "/admin/reload", "fetch keyring, tokens and certificates again", s.reload},
	}
	routes = append(routes, s.freezeRoutes()...)
	routes = append(routes, s.backupRoutes()...)
	routes = append(routes, s.repairRoutes()...)
	routes = append(routes, s.roundRoutes()...)
	routes = append(routes, profileRoutes()...)
	return append(routes,
		route{http.MethodGet, "/routes", "these endpoints, as text", listRoutes(routes)},
		route{http.MethodGet, "/", "how this guardian and its cluster are, as a web page", s.frontPage(routes)})
}

// metrics fails a scrape as a whole when a collector fails: half of the metrics
// would let alerts sleep, a failed scrape wakes them.
func (s *server) metrics() echo.HandlerFunc {
	return echo.WrapHandler(promhttp.HandlerFor(s.cfg.Registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(s.log.Handler(), slog.LevelError),
		ErrorHandling:       promhttp.HTTPErrorOnError,
		Registry:            s.cfg.Registry,
		MaxRequestsInFlight: maxScrapes,
	}))
}

// profileRoutes are those of net/http/pprof but for cmdline: arguments may say
// more about the machine than a profile should.
func profileRoutes() []route {
	const path = "/debug/pprof/"
	routes := []route{
		{http.MethodGet, path, "profiles, as an HTML page", echo.WrapHandler(http.HandlerFunc(pprof.Index))},
		{http.MethodGet, path + "profile", "CPU profile (?seconds=30)", boundSeconds(http.HandlerFunc(pprof.Profile))},
		{http.MethodGet, path + "trace", "execution trace (?seconds=1)", boundSeconds(http.HandlerFunc(pprof.Trace))},
		{http.MethodGet, path + "symbol", "names of program counters", echo.WrapHandler(http.HandlerFunc(pprof.Symbol))},
	}
	for _, name := range []string{"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"} {
		routes = append(routes, route{http.MethodGet, path + name, name + " profile", boundSeconds(pprof.Handler(name))})
	}
	return routes
}

func listRoutes(routes []route) echo.HandlerFunc {
	var list strings.Builder
	list.WriteString("Admin plane of a guardian.\n\n")
	for _, r := range routes {
		fmt.Fprintf(&list, "%-4s %-27s %s\n", r.method, r.path, r.about)
	}
	return func(c echo.Context) error { return c.String(http.StatusOK, list.String()) }
}
