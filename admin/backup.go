package admin

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/backup/hot"
	"github.com/vault-guardian/guardian/backup/last"
)

// maxBackupBody bounds what is asked about backups.
const maxBackupBody = 16 << 10

func (s *server) backupRoutes() []route {
	if s.cfg.Backup == nil {
		return nil
	}
	return []route{
		{http.MethodGet, "/admin/backup", "the last backup of what this guardian stores", s.lastBackup},
		{http.MethodPost, "/admin/backup", "take note of a backup that was made", s.noteBackup},
		{http.MethodPost, hot.Path, "a copy of the open file of bolt://, for guardianctl backup", s.snapshot},
	}
}

// lastBackup asks the storage: who has just made a backup wants to see it.
func (s *server) lastBackup(c echo.Context) error {
	state, err := s.cfg.Backup.Look(c.Request().Context())
	if err != nil {
		return s.unavailable(c, err)
	}
	return c.JSON(http.StatusOK, state)
}

// noteBackup has the storage keep that a backup was made, for who cannot write there.
func (s *server) noteBackup(c echo.Context) error {
	var note hot.Note
	if err := readJSON(http.MaxBytesReader(c.Response(), c.Request().Body, maxBackupBody), &note); err != nil {
		return err
	}
	state, err := s.cfg.Backup.Keep(c.Request().Context(), []byte(note.Sealed))
	switch {
	case errors.Is(err, last.ErrNotBelieved):
		return notSealed(err)
	case err != nil:
		return s.unavailable(c, err)
	}
	return c.JSON(http.StatusOK, state)
}

func notSealed(err error) error { return &refusal{http.StatusForbidden, "not_sealed", err.Error()} }
