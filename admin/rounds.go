package admin

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/repair"
)

// roundsRequest is an order for rounds. What is left out is kept as it is for
// each secret; without slots all are meant.
type roundsRequest struct {
	Slots     []repair.SlotName `json:"slots"`
	Threshold int               `json:"threshold"`
	Members   []string          `json:"members"`
}

// roundsResponse is what is known of rounds.
type roundsResponse struct {
	// Progress is of those that this process coordinates.
	Progress repair.RoundsReport `json:"progress"`
	// Open are the committed rounds of this node whose certificates are not
	// followed by all yet.
	Open []repair.OpenEpoch `json:"open"`
}

func (s *server) roundRoutes() []route {
	if s.cfg.Repairer == nil {
		return nil
	}
	return []route{
		{http.MethodGet, "/admin/rounds", "the rounds that this guardian coordinates, and what is still open of earlier ones", s.roundsProgress},
		{http.MethodPost, "/admin/rounds", "deal shares anew: refresh them, or move them to other holders or another K", s.startRounds},
		{http.MethodGet, "/admin/rounds/groups", "the rounds of all guardians, as the registry has them", s.roundGroups},
	}
}

func (s *server) roundsProgress(c echo.Context) error {
	open, err := s.cfg.Repairer.OpenEpochs(c.Request().Context())
	if err != nil {
		return s.unavailable(c, err)
	}
	return c.JSON(http.StatusOK, roundsResponse{s.cfg.Repairer.RoundsProgress(), open})
}

func (s *server) startRounds(c echo.Context) error {
	var request roundsRequest
	body := http.MaxBytesReader(c.Response(), c.Request().Body, maxSlots*512)
	if err := readJSON(body, &request); err != nil {
		return err
	}
	order := repair.RoundOrder{Threshold: request.Threshold, Members: request.Members}
	for _, name := range request.Slots {
		slot := guardian.Slot{Identity: name.Identity, Name: name.Name}
		if !slot.Valid() {
			return &refusal{http.StatusBadRequest, "invalid_slots", "an identity is 64 lower-case hex digits, a name 1 to 128 of A-Z, a-z, 0-9, _ and -"}
		}
		order.Slots = append(order.Slots, slot)
	}
	switch {
	case len(order.Slots) > maxSlots:
		return &refusal{http.StatusBadRequest, "invalid_slots", "name at most 1000 slots, or none for all"}
	case order.Threshold < 0 || order.Threshold == 1 || order.Threshold > api.MaxThreshold:
		return &refusal{http.StatusBadRequest, "invalid_threshold", "a threshold is 2 to 255, or 0 to keep each secret's"}
	case len(order.Members) > api.MaxThreshold:
		return &refusal{http.StatusBadRequest, "invalid_members", "there are at most 255 holders"}
	}
	if err := s.cfg.Repairer.StartRounds(order); err != nil {
		return roundsRefusal(err)
	}
	return c.JSON(http.StatusAccepted, roundsResponse{Progress: s.cfg.Repairer.RoundsProgress(), Open: []repair.OpenEpoch{}})
}

func (s *server) roundGroups(c echo.Context) error {
	groups, err := s.cfg.Repairer.RoundGroups(c.Request().Context())
	switch {
	case errors.Is(err, repair.ErrNoRounds):
		return roundsRefusal(err)
	case err != nil:
		return s.registryRefusal(c, err)
	}
	return c.JSON(http.StatusOK, map[string]any{"groups": groups})
}

// registryRefusal says how the registry failed: its errors hold no credential, and
// who asks operates the guardian.
func (s *server) registryRefusal(c echo.Context, err error) error {
	ctx := c.Request().Context()
	if ctx.Err() == nil {
		s.log.WarnContext(ctx, "the registry's rounds cannot be read", "route", c.Path(), "error", err)
	}
	return &refusal{http.StatusServiceUnavailable, "registry_unavailable", "the registry's rounds cannot be read: " + err.Error()}
}

func roundsRefusal(err error) error {
	switch {
	case errors.Is(err, repair.ErrNoCluster), errors.Is(err, repair.ErrNoRounds):
		return &refusal{http.StatusConflict, "no_cluster", err.Error()}
	case errors.Is(err, repair.ErrRoundsRunning):
		return &refusal{http.StatusConflict, "running", err.Error()}
	}
	return err
}
