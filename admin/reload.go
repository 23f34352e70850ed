package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// reloadTimeout bounds a reload, also one that does not bound itself. It is
// shorter than the server's write timeout, so that the failure is answered.
const reloadTimeout = 30 * time.Second

// reloadResponse acknowledges a reload.
type reloadResponse struct {
	Status       string `json:"status"` // "reloaded"
	PrimaryKeyID string `json:"primary_key_id"`
}

func (s *server) reload(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), reloadTimeout)
	defer cancel()
	reloaded, err := s.cfg.Reload(ctx)
	if err != nil {
		return &refusal{
			http.StatusServiceUnavailable, "reload_failed",
			"reloading failed, the last good state stays in use: " + err.Error(),
		}
	}
	return c.JSON(http.StatusOK, reloadResponse{"reloaded", reloaded.PrimaryKeyID})
}
