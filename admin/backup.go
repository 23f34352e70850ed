package admin

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

func (s *server) backupRoutes() []route {
	if s.cfg.Backup == nil {
		return nil
	}
	return []route{{http.MethodGet, "/admin/backup", "the last backup of what this guardian stores", s.lastBackup}}
}

// lastBackup asks the storage: who has just made a backup wants to see it.
func (s *server) lastBackup(c echo.Context) error {
	state, err := s.cfg.Backup.Look(c.Request().Context())
	if err != nil {
		return s.unavailable(c, err)
	}
	return c.JSON(http.StatusOK, state)
}
