package httpapi

import (
	"context"
	"log/slog"

	"github.com/vault-guardian/guardian/guardian"
)

// logged is the identity as log lines show it: whole at debug level only.
func (s *server) logged(ctx context.Context, slot guardian.Slot) string {
	if s.log.Enabled(ctx, slog.LevelDebug) {
		return slot.Identity
	}
	return slot.Short()
}
