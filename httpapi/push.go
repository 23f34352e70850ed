package httpapi

import (
	"context"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/guardian"
)

// deposit is a valid push.
type deposit struct {
	slot  guardian.Slot
	share guardian.Share
}

func parsePush(r api.PushRequest) (d deposit, err error) {
	if r.Version == nil {
		return d, errVersionMissing
	}
	d.share.Version, d.share.Threshold = *r.Version, r.Threshold
	if d.slot.Identity, err = api.ParseIdentity(r.Identity); err != nil {
		return d, err
	}
	if d.share.Data, err = parseShare(r.Share); err != nil {
		return d, err
	}
	if err = checkThreshold(r.Threshold); err != nil {
		return d, err
	}
	if d.share.Split, err = parseSplit(r.Split); err != nil {
		return d, err
	}
	d.share.Manifest, err = parseManifest(r.Manifest)
	return d, err
}

func (s *server) push(ctx context.Context, d deposit) (api.PushResponse, error) {
	identity := s.logged(ctx, d.slot)
	err := s.cfg.Node.Push(ctx, d.slot, d.share)
	if conflict, ok := errors.AsType[*api.VersionConflictError](err); ok {
		s.log.WarnContext(ctx, fmt.Sprintf("rejected rollback for %s: version %d <= current %d", identity, d.share.Version, conflict.Current),
			"identity", identity, "version", d.share.Version, "current", conflict.Current, "stored", conflict.Stored)
		return api.PushResponse{}, err
	}
	if err != nil {
		s.log.ErrorContext(ctx, fmt.Sprintf("failed to write share for %s: %v", identity, err),
			"identity", identity, "version", d.share.Version, "error", err)
		return api.PushResponse{}, err
	}
	s.log.InfoContext(ctx, fmt.Sprintf("stored share for identity %s (%d bytes, version %d)", identity, len(d.share.Data), d.share.Version),
		"identity", identity, "bytes", len(d.share.Data), "version", d.share.Version)
	return api.PushResponse{Status: "stored"}, nil
}
