package httpapi

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/guardian"
)

// lookup is a valid pull.
type lookup struct {
	slot    guardian.Slot
	version *uint64 // nil: the current one
}

func parsePull(r api.PullRequest) (lookup, error) {
	identity, err := api.ParseIdentity(r.Identity)
	return lookup{guardian.Slot{Identity: identity}, r.Version}, err
}

func (s *server) pull(ctx context.Context, l lookup) (api.PullResponse, error) {
	identity := s.logged(ctx, l.slot)
	share, err := s.cfg.Node.Pull(ctx, l.slot, l.version)
	if errors.Is(err, api.ErrNotFound) {
		return api.PullResponse{}, err
	}
	if err != nil {
		s.log.ErrorContext(ctx, fmt.Sprintf("failed to read share for %s: %v", identity, err), "identity", identity, "error", err)
		return api.PullResponse{}, err
	}
	s.log.InfoContext(ctx, fmt.Sprintf("served share for identity %s (%d bytes)", identity, len(share.Data)),
		"identity", identity, "bytes", len(share.Data), "version", share.Version)
	return api.PullResponse{
		Share:     base64.StdEncoding.EncodeToString(share.Data),
		Version:   share.Version,
		Threshold: share.Threshold,
		Split:     share.Split,
		Epoch:     share.Epoch,
		Manifest:  base64.StdEncoding.EncodeToString(share.Manifest),
	}, nil
}
