package admin

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/freeze"
)

func (s *server) freezeRoutes() []route {
	if s.cfg.Freeze == nil {
		return nil
	}
	return []route{
		{http.MethodPost, "/admin/freeze", "refuse what users write, at all replicas; reads go on", s.freeze},
		{http.MethodPost, "/admin/thaw", "take it again", s.thaw},
	}
}

func (s *server) freeze(c echo.Context) error {
	state, err := s.cfg.Freeze.Freeze(c.Request().Context(), actorOf(c))
	return s.switched(c, state, err)
}

func (s *server) thaw(c echo.Context) error {
	state, err := s.cfg.Freeze.Thaw(c.Request().Context())
	return s.switched(c, state, err)
}

func (s *server) switched(c echo.Context, state freeze.State, err error) error {
	if err != nil {
		return s.unavailable(c, err)
	}
	return c.JSON(http.StatusOK, state)
}
