package admin

import (
	"log/slog"
	"net/http"
	"time"
)

const (
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	// writeTimeout is for everything but profiles: their handlers add the time
	// that they profile for. So the longest answer takes 5 minutes.
	writeTimeout   = time.Minute
	maxProfile     = 4 * time.Minute
	idleTimeout    = 120 * time.Second
	maxHeaderBytes = 64 << 10
)

// NewServer returns a server for the handler of [New] in which every phase of a
// connection has a timeout. A profile may take up to 4 minutes, so stopping it
// should not wait for its requests for long. What net/http reports goes to the
// logger.
func NewServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}
