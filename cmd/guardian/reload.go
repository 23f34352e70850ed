package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/vault-guardian/guardian/admin"
	"github.com/vault-guardian/guardian/integrity"
)

// reloadTimeout bounds one fetch of the keyring or of the tokens.
const reloadTimeout = 10 * time.Second

// reloader fetches again what can be another: at a signal, at the call of an
// operator, and regularly. Each of the things fetched stands for itself: where
// one fails its last good one stays, and the others are reloaded.
type reloader struct {
	sealer      *integrity.Sealer
	bearers     *bearers
	certificate *certificate // nil without TLS
	// operators and adminCertificate are those of the admin plane, nil where it
	// asks for no token and speaks no TLS.
	operators        *bearers
	adminCertificate *certificate
	log              *slog.Logger
}

// openReloader fetches for the first time what the sealer does not hold.
func openReloader(ctx context.Context, cfg *Config, sealer *integrity.Sealer, log *slog.Logger) (*reloader, error) {
	bearers, err := openBearers(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	operators, err := openOperators(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	certificate, err := openCertificate(cfg.clientTLS(), log)
	if err != nil {
		return nil, err
	}
	adminCertificate, err := openCertificate(cfg.adminTLS(), log)
	if err != nil {
		return nil, err
	}
	return &reloader{sealer, bearers, certificate, operators, adminCertificate, log}, nil
}

// reloadOn reloads at each signal until ctx ends.
func (r *reloader) reloadOn(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			_, _ = r.reload(ctx) // it has logged the error
		}
	}
}

func (r *reloader) reload(ctx context.Context) (admin.Reloaded, error) {
	err := errors.Join(r.reloadKeyring(ctx),
		r.reloadTokens(ctx, r.bearers), r.reloadTokens(ctx, r.operators),
		r.reloadCertificate(ctx, r.certificate), r.reloadCertificate(ctx, r.adminCertificate))
	return admin.Reloaded{PrimaryKeyID: r.sealer.PrimaryKeyID()}, err
}

func (r *reloader) reloadKeyring(ctx context.Context) error {
	err := r.fetch(ctx, "keyring", r.sealer.Reload)
	if err == nil {
		r.log.Info("keyring reloaded primary="+r.sealer.PrimaryKeyID(), "primary", r.sealer.PrimaryKeyID())
	}
	return err
}

func (r *reloader) reloadTokens(ctx context.Context, tokens *bearers) error {
	if tokens == nil || !tokens.source.changes() {
		return nil
	}
	_, err := r.fetchTokens(ctx, tokens)
	if err == nil {
		r.log.Info("bearer tokens reloaded", "from", tokens.source.String())
	}
	return err
}

func (r *reloader) reloadCertificate(ctx context.Context, shown *certificate) error {
	if shown == nil {
		return nil
	}
	err := r.fetch(ctx, "TLS certificate", func(context.Context) error { return shown.reload() })
	if err == nil {
		r.log.Info("TLS certificate reloaded", "file", shown.certFile, "expires", shown.expiry())
	}
	return err
}

// pollKeyring is a reload that is worth a line only when something came of it.
func (r *reloader) pollKeyring(ctx context.Context) {
	before := r.sealer.PrimaryKeyID()
	if err := r.fetch(ctx, "keyring", r.sealer.Reload); err == nil && r.sealer.PrimaryKeyID() != before {
		r.log.Info("keyring rotated primary="+r.sealer.PrimaryKeyID(), "primary", r.sealer.PrimaryKeyID(), "before", before)
	}
}

// pollTokens is likewise.
func (r *reloader) pollTokens(ctx context.Context) {
	if changed, err := r.fetchTokens(ctx, r.bearers); err == nil && changed {
		r.log.Info("bearer tokens changed", "from", r.bearers.source.String())
	}
}

func (r *reloader) fetchTokens(ctx context.Context, tokens *bearers) (changed bool, err error) {
	err = r.fetch(ctx, "set of bearer tokens", func(ctx context.Context) (err error) {
		changed, err = tokens.reload(ctx)
		return err
	})
	return changed, err
}

func (r *reloader) fetch(ctx context.Context, what string, again func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	err := again(ctx)
	if err != nil && ctx.Err() != context.Canceled {
		r.log.Error(fmt.Sprintf("reloading the %s failed, keeping the last good one", what), "error", err)
	}
	return err
}
