package httpapi

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/guardian"
)

// lookup is a valid pull.
type lookup struct {
	ask
	version *uint64 // nil: the current one
	epoch   *uint64 // nil: the one that is committed
}

func parsePull(r api.PullRequest) (lookup, error) {
	a, err := askFor(auth.Pull, r.Identity, r.Proof)
	return lookup{a, r.Version, r.Epoch}, err
}

// pulled is [api.PullResponse], with bytes that are made base64 where they are
// written, and not in a copy.
type pulled struct {
	Share     []byte `json:"share"`
	Version   uint64 `json:"version"`
	Threshold int    `json:"threshold"`
	Split     string `json:"split,omitempty"`
	Epoch     uint64 `json:"epoch"`
	Manifest  []byte `json:"manifest,omitempty"`
}

func (s *server) pull(ctx context.Context, by guardian.Caller, l lookup) (pulled, error) {
	share, err := s.fetch(ctx, by, l)
	return pulled{share.Data, share.Version, share.Threshold, share.Split, share.Epoch, share.Manifest}, err
}

// fetch pulls and logs.
func (s *server) fetch(ctx context.Context, by guardian.Caller, l lookup) (guardian.Share, error) {
	share, err := s.cfg.Node.Pull(ctx, l.slot, l.version, l.epoch, by)
	if err != nil {
		return guardian.Share{}, s.readFailed(ctx, l.slot, err)
	}
	identity := s.logged(ctx, l.slot)
	s.log.LogAttrs(ctx, slog.LevelInfo, fmt.Sprintf("served share for identity %s (%d bytes)", identity, len(share.Data)),
		slog.String("identity", identity), slog.Int("bytes", len(share.Data)),
		slog.Uint64("version", share.Version), slog.Uint64("epoch", share.Epoch))
	return share, nil
}

// readFailed logs what is not a refusal, and passes the error on.
func (s *server) readFailed(ctx context.Context, slot guardian.Slot, err error) error {
	if !isRefusal(err) {
		identity := s.logged(ctx, slot)
		s.log.ErrorContext(ctx, fmt.Sprintf("failed to read share for %s: %v", identity, err), "identity", identity, "error", err)
	}
	return err
}

func parseHistory(r api.HistoryRequest) (ask, error) { return askFor(auth.Pull, r.Identity, r.Proof) }

func (s *server) history(ctx context.Context, by guardian.Caller, a ask) (api.HistoryResponse, error) {
	versions, err := s.cfg.Node.History(ctx, a.slot, by)
	if err != nil {
		return api.HistoryResponse{}, s.readFailed(ctx, a.slot, err)
	}
	response := api.HistoryResponse{Versions: []api.VersionInfo{}}
	for _, v := range versions {
		response.Versions = append(response.Versions, api.VersionInfo(v))
	}
	return response, nil
}
