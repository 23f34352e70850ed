package httpapi

import (
	"context"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/guardian"
)

// removal is a valid delete.
type removal struct {
	slot    guardian.Slot
	version uint64
}

func parseDelete(r api.DeleteRequest) (removal, error) {
	if r.Version == nil {
		return removal{}, errVersionMissing
	}
	identity, err := api.ParseIdentity(r.Identity)
	return removal{guardian.Slot{Identity: identity}, *r.Version}, err
}

func (s *server) delete(ctx context.Context, r removal) (api.DeleteResponse, error) {
	identity := s.logged(ctx, r.slot)
	err := s.cfg.Node.Delete(ctx, r.slot, r.version)
	if errors.Is(err, api.ErrNotFound) || errors.Is(err, api.ErrVersionConflict) {
		return api.DeleteResponse{}, err
	}
	if err != nil {
		s.log.ErrorContext(ctx, fmt.Sprintf("failed to delete share for %s: %v", identity, err),
			"identity", identity, "version", r.version, "error", err)
		return api.DeleteResponse{}, err
	}
	s.log.InfoContext(ctx, fmt.Sprintf("deleted share for identity %s (version %d)", identity, r.version),
		"identity", identity, "version", r.version)
	return api.DeleteResponse{Status: "deleted", Version: r.version}, nil
}
