package httpapi

import (
	"bytes"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

const (
	headerTimeout = 10 * time.Second
	// idleTimeout is longer than common clients keep a connection, so that it
	// is they who close it and no request meets a closing connection.
	idleTimeout = 120 * time.Second
	// answerTime is left for storing and answering after a body that took the
	// whole request timeout.
	answerTime     = 10 * time.Second
	maxHeaderBytes = 64 << 10
)

// NewServer returns a server for the handler in which every phase of a
// connection has a timeout: a silent client holds nothing but its own
// connection. What net/http reports goes to the logger.
func NewServer(handler http.Handler, requestTimeout time.Duration, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: min(headerTimeout, requestTimeout),
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout + answerTime,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(errorLog{logger}, "", 0),
	}
}

// errorLog bridges http.Server.ErrorLog to the log lines that operators
// search for.
type errorLog struct{ logger *slog.Logger }

func (l errorLog) Write(line []byte) (int, error) {
	text := strings.TrimPrefix(string(bytes.TrimSpace(line)), "http: ")
	if cause, ok := strings.CutPrefix(text, "Accept error: "); ok {
		l.logger.Error(fmt.Sprintf("accept error: %s", cause), "error", cause)
	} else {
		l.logger.Warn(fmt.Sprintf("connection error: %s", text), "error", text)
	}
	return len(line), nil
}
