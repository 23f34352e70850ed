package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/backend/bolt"
	"github.com/vault-guardian/guardian/backup/hot"
)

const (
	// copyTime bounds how long a copy of the storage is made. guardianctl waits a
	// little longer for the answer to begin.
	copyTime = 10 * time.Minute
	// Whoever fetches a copy takes fetchedBytes within fetchTime, again and again.
	fetchedBytes = 256 << 10
)

// fetchTime is a variable so that tests need not wait.
var fetchTime = time.Minute

// snapshot answers with a copy of the storage, which is made first: a consumer that
// is slow holds up nothing but the room that it takes.
func (s *server) snapshot(c echo.Context) error {
	var request hot.Request
	if err := readJSON(http.MaxBytesReader(c.Response(), c.Request().Body, maxBackupBody), &request); err != nil {
		return err
	}
	if s.cfg.Snapshot == nil {
		return &refusal{http.StatusConflict, "no_snapshot", "this guardian's storage is no file of bolt://: it can be backed up beside the running guardian"}
	}
	if err := request.Check(c.Request().Context(), s.cfg.Sealer); err != nil {
		return notSealed(err)
	}
	if !s.copying.TryLock() {
		return &refusal{http.StatusConflict, "running", "this guardian is being copied for another backup"}
	}
	defer s.copying.Unlock()
	file, size, err := s.copied(c)
	if err != nil {
		return err
	}
	defer file.Close()
	return s.send(c, file, size)
}

// copied makes the copy, however long the connection would wait else.
func (s *server) copied(c echo.Context) (*os.File, int64, error) {
	conn := http.NewResponseController(c.Response())
	if err := errors.Join(conn.SetReadDeadline(time.Time{}), conn.SetWriteDeadline(time.Time{})); err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), copyTime)
	defer cancel()
	began := time.Now()
	file, err := s.cfg.Snapshot(ctx)
	if errors.Is(err, bolt.ErrNoRoom) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		s.log.WarnContext(ctx, "there is no room for a copy of the storage", "error", err)
		return nil, 0, &refusal{http.StatusInsufficientStorage, "no_room", err.Error()}
	}
	if err != nil {
		return nil, 0, s.unavailable(c, err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	s.log.InfoContext(ctx, "the storage was copied for a backup", "actor", actorOf(c), "bytes", info.Size(), "took", time.Since(began).String())
	return file, info.Size(), nil
}

// send sends the copy for as long as somebody takes it. An answer that does not end
// well is shorter than it says, and so seen to be cut.
func (s *server) send(c echo.Context, file io.Reader, size int64) error {
	conn := http.NewResponseController(c.Response())
	c.Response().Header().Set(echo.HeaderContentType, echo.MIMEOctetStream)
	c.Response().Header().Set(echo.HeaderContentLength, strconv.FormatInt(size, 10))
	c.Response().WriteHeader(http.StatusOK)
	for sent := int64(0); sent < size; {
		err := conn.SetWriteDeadline(time.Now().Add(fetchTime))
		if err == nil {
			var n int64
			n, err = io.CopyN(c.Response(), file, min(fetchedBytes, size-sent))
			sent += n
		}
		if err != nil {
			s.log.WarnContext(c.Request().Context(), "a copy of the storage was not fetched to its end", "sent", sent, "of", size, "error", err)
			return fmt.Errorf("sending the copy: %w", err)
		}
	}
	return nil
}
