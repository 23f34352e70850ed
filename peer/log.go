package peer

import (
	"bytes"
	"log/slog"
	"strings"
)

// errorLog takes what http.Server reports: trouble of the listener, and of
// members, as others do not get so far.
type errorLog struct{ logger *slog.Logger }

func (l errorLog) Write(line []byte) (int, error) {
	text := strings.TrimPrefix(string(bytes.TrimSpace(line)), "http: ")
	if cause, ok := strings.CutPrefix(text, "Accept error: "); ok {
		l.logger.Error("peer plane: accept error: "+cause, "error", cause)
	} else {
		l.logger.Warn("peer plane: connection error: "+text, "error", text)
	}
	return len(line), nil
}
