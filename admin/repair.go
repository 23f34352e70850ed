package admin

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/repair"
)

// maxSlots bounds how many slots one request names: more go into a file in
// queue/inbox/.
const maxSlots = 1000

// slotsRequest names slots; none stands for all where that has a meaning.
type slotsRequest struct {
	Slots []repair.SlotName `json:"slots"`
}

// addedResponse says how many slots were queued.
type addedResponse struct {
	Queued int `json:"queued"`
}

func (s *server) repairRoutes() []route {
	if s.cfg.Repairer == nil {
		return nil
	}
	return []route{
		{http.MethodGet, "/admin/scrub", "how the scrub gets on, and what the last one found", s.scrubProgress},
		{http.MethodPost, "/admin/scrub", "scrub now", s.startScrub},
		{http.MethodGet, "/admin/repair", "the repair queue", s.repairStatus},
		{http.MethodPost, "/admin/repair", "queue slots for repair", s.addRepairs},
		{http.MethodPost, "/admin/repair/run", "try all that is queued now", s.runRepairs},
		{http.MethodGet, "/admin/audit", "how the audit of the cluster gets on, and what the last one found", s.auditProgress},
		{http.MethodPost, "/admin/audit", "audit the cluster now", s.startAudit},
	}
}

func (s *server) scrubProgress(c echo.Context) error {
	return c.JSON(http.StatusOK, s.cfg.Repairer.ScrubProgress())
}

func (s *server) startScrub(c echo.Context) error {
	s.cfg.Repairer.StartScrub()
	return c.JSON(http.StatusAccepted, s.cfg.Repairer.ScrubProgress())
}

func (s *server) repairStatus(c echo.Context) error {
	status, err := s.cfg.Repairer.Status(c.Request().Context())
	if err != nil {
		return s.unavailable(c, err)
	}
	return c.JSON(http.StatusOK, status)
}

func (s *server) addRepairs(c echo.Context) error {
	slots, err := slotsOf(c)
	if err != nil {
		return err
	}
	if len(slots) == 0 {
		return &refusal{http.StatusBadRequest, "invalid_slots", "name at least one slot"}
	}
	if err := s.cfg.Repairer.Add(c.Request().Context(), slots); err != nil {
		return s.unavailable(c, err)
	}
	return c.JSON(http.StatusAccepted, addedResponse{len(slots)})
}

// unavailable says that the storage failed, and logs how.
func (s *server) unavailable(c echo.Context, err error) error {
	ctx := c.Request().Context()
	if ctx.Err() == nil {
		s.log.WarnContext(ctx, "the storage cannot be read or written", "route", c.Path(), "error", err)
	}
	return fmt.Errorf("%w: %w", api.ErrStorageUnavailable, err)
}

func (s *server) runRepairs(c echo.Context) error {
	s.cfg.Repairer.RunNow()
	return s.repairStatus(c)
}

func (s *server) auditProgress(c echo.Context) error {
	return c.JSON(http.StatusOK, s.cfg.Repairer.AuditProgress())
}

func (s *server) startAudit(c echo.Context) error {
	slots, err := slotsOf(c)
	if err != nil {
		return err
	}
	if err := s.cfg.Repairer.StartAudit(slots); err != nil {
		return auditRefusal(err)
	}
	return c.JSON(http.StatusAccepted, s.cfg.Repairer.AuditProgress())
}

func auditRefusal(err error) error {
	switch {
	case errors.Is(err, repair.ErrNoCluster):
		return &refusal{http.StatusConflict, "no_cluster", err.Error()}
	case errors.Is(err, repair.ErrRunning):
		return &refusal{http.StatusConflict, "running", err.Error()}
	}
	return err
}

// slotsOf reads the slots of a request; an empty body names none.
func slotsOf(c echo.Context) ([]guardian.Slot, error) {
	var request slotsRequest
	body := http.MaxBytesReader(c.Response(), c.Request().Body, maxSlots*512)
	if err := readJSON(body, &request); err != nil {
		return nil, err
	}
	if len(request.Slots) > maxSlots {
		return nil, api.ErrBodyTooLarge
	}
	var slots []guardian.Slot
	for _, name := range request.Slots {
		slot := guardian.Slot{Identity: name.Identity, Name: name.Name}
		if !slot.Valid() {
			return nil, &refusal{http.StatusBadRequest, "invalid_slots", "an identity is 64 lower-case hex digits, a name 1 to 128 of letters, digits, - and _"}
		}
		slots = append(slots, slot)
	}
	return slots, nil
}
