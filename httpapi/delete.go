package httpapi

import (
	"context"
	"fmt"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/guardian"
)

// removal is a valid delete.
type removal struct {
	ask
	version uint64
}

func parseDelete(r api.DeleteRequest) (removal, error) {
	if r.Version == nil {
		return removal{}, errVersionMissing
	}
	a, err := askFor(auth.Delete, r.Identity, r.Proof)
	a.claim.Version = *r.Version
	return removal{a, *r.Version}, err
}

func (s *server) delete(ctx context.Context, by guardian.Caller, r removal) (api.DeleteResponse, error) {
	err := s.cfg.Node.Delete(ctx, r.slot, r.version, by)
	s.logDelete(ctx, r.slot, r.version, err)
	return api.DeleteResponse{Status: "deleted", Version: r.version}, err
}

func (s *server) logDelete(ctx context.Context, slot guardian.Slot, version uint64, err error) {
	identity := s.logged(ctx, slot)
	switch {
	case isRefusal(err):
	case err != nil:
		s.log.ErrorContext(ctx, fmt.Sprintf("failed to delete share for %s: %v", identity, err),
			"identity", identity, "version", version, "error", err)
	default:
		s.log.InfoContext(ctx, fmt.Sprintf("deleted share for identity %s (version %d)", identity, version),
			"identity", identity, "version", version)
	}
}
