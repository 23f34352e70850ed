package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/guardian"
)

// deposit is a valid push.
type deposit struct {
	ask
	share guardian.Share
}

func parsePush(r api.PushRequest) (deposit, error) {
	if r.Version == nil {
		return deposit{}, errVersionMissing
	}
	a, err := askFor(auth.Push, r.Identity, r.Proof)
	if err != nil {
		return deposit{}, err
	}
	d := deposit{ask: a}
	return d, d.fill(r.Version, r.Share, r.Threshold, r.Split, r.Manifest)
}

// fill checks what is to be stored, as it was sent.
func (d *deposit) fill(version *uint64, share string, threshold int, split, manifest string) (err error) {
	if version == nil {
		return errVersionMissing
	}
	d.share.Version, d.share.Threshold = *version, threshold
	if d.share.Data, err = parseShare(share); err != nil {
		return err
	}
	if err = checkThreshold(threshold); err != nil {
		return err
	}
	if d.share.Split, err = parseSplit(split); err != nil {
		return err
	}
	d.share.Manifest, err = parseManifest(manifest)
	d.claim.Version, d.claim.Share, d.claim.Manifest = *version, d.share.Data, d.share.Manifest
	return err
}

func (s *server) push(ctx context.Context, by guardian.Caller, d deposit) (api.PushResponse, error) {
	identity := s.logged(ctx, d.slot)
	err := s.cfg.Node.Push(ctx, d.slot, d.share, by)
	if conflict, ok := errors.AsType[*api.VersionConflictError](err); ok {
		s.log.WarnContext(ctx, fmt.Sprintf("rejected rollback for %s: version %d <= current %d", identity, d.share.Version, conflict.Current),
			"identity", identity, "version", d.share.Version, "current", conflict.Current, "stored", conflict.Stored)
		return api.PushResponse{}, err
	}
	if isRefusal(err) {
		return api.PushResponse{}, err
	}
	if err != nil {
		s.log.ErrorContext(ctx, fmt.Sprintf("failed to write share for %s: %v", identity, err),
			"identity", identity, "version", d.share.Version, "error", err)
		return api.PushResponse{}, err
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, fmt.Sprintf("stored share for identity %s (%d bytes, version %d)", identity, len(d.share.Data), d.share.Version),
		slog.String("identity", identity), slog.Int("bytes", len(d.share.Data)), slog.Uint64("version", d.share.Version))
	return api.PushResponse{Status: "stored"}, nil
}

// isRefusal tells what the caller may not do from what the guardian cannot.
func isRefusal(err error) bool {
	return err != nil && api.RowOf(err).Status < http.StatusInternalServerError
}
