// Package client talks to guardians. A [Guardian] is one node; a [Vault] is N
// of them, over which a secret is split so that any K rebuild it and fewer
// than K learn nothing.
//
// Answers of guardians are not trusted: they are bounded, never followed
// elsewhere, and never repeated in an error beyond a short printable text.
package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
)

// Guardian talks to one node. Safe for concurrent use.
type Guardian struct {
	base    *url.URL
	token   string
	owner   *owner // nil: calls are not proved
	session session
	node    node
	http    *http.Client
}

// New returns the guardian at a URL: http or https, without user, query or
// fragment. A bare host:port is taken as http on the loopback interface only.
// The token is sent as bearer token with every request unless it is "".
func New(rawURL, token string, with ...Option) (*Guardian, error) {
	o := optionsOf(with)
	base, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	owner, err := newOwner(o.root, o.name, base)
	if err != nil {
		return nil, err
	}
	return &Guardian{base: base, token: token, owner: owner, http: newHTTPClient(o.roots)}, nil
}

// URL returns the guardian's base URL; it holds no credentials.
func (g *Guardian) URL() string { return g.base.String() }

// Push stores one share. Errors are [*Error] over those of package api;
// *api.VersionConflictError says with Stored whether the very same share is
// there already, *api.RateLimitedError when to come back. With a root, what
// cannot be signed is an error too and nothing is sent: auth.ErrClaim where the
// identity is not the root's. So it is with the other calls.
func (g *Guardian) Push(ctx context.Context, request api.PushRequest) (err error) {
	if request.Proof, err = g.owner.provePush(request); err != nil {
		return err
	}
	if g.named() {
		return g.put(ctx, request)
	}
	response, err := do[api.PushResponse](ctx, g, http.MethodPost, api.RoutePush, request)
	if err == nil && response.Status != "stored" {
		return g.notDone()
	}
	return err
}

// Pull returns the current share, or the version that the request names, if
// retained. Errors are [*Error], over api.ErrNotFound when there is none.
func (g *Guardian) Pull(ctx context.Context, request api.PullRequest) (response api.PullResponse, err error) {
	if request.Proof, err = g.owner.prove(claimNow(auth.Pull, request.Identity), request.Proof); err != nil {
		return response, err
	}
	if g.named() {
		return g.get(ctx, request)
	}
	return do[api.PullResponse](ctx, g, http.MethodPost, api.RoutePull, request)
}

// History returns which versions the guardian retains. Errors are [*Error],
// over api.ErrNotFound when it never held any.
func (g *Guardian) History(ctx context.Context, request api.HistoryRequest) (response api.HistoryResponse, err error) {
	if request.Proof, err = g.owner.prove(claimNow(auth.Pull, request.Identity), request.Proof); err != nil {
		return response, err
	}
	if g.named() {
		return g.versions(ctx, request)
	}
	return do[api.HistoryResponse](ctx, g, http.MethodPost, api.RouteHistory, request)
}

// Delete leaves a tombstone at the version named, which must be the current
// one; with [WithName] at whatever version is. Errors are [*Error], over
// api.ErrNotFound when the share is absent or already deleted.
func (g *Guardian) Delete(ctx context.Context, request api.DeleteRequest) (err error) {
	if request.Proof, err = g.owner.prove(claimNow(auth.Delete, request.Identity), request.Proof); err != nil {
		return err
	}
	if g.named() {
		return g.remove(ctx, request)
	}
	response, err := do[api.DeleteResponse](ctx, g, http.MethodPost, api.RouteDelete, request)
	if err == nil && (response.Status != "deleted" || request.Version == nil || response.Version != *request.Version) {
		return g.notDone()
	}
	return err
}

// notDone is what a success that does not say what was done is taken for.
func (g *Guardian) notDone() error {
	return &Error{Guardian: g.URL(), Status: http.StatusOK, Err: errNotDone}
}

// Health returns what the guardian says of its own health.
func (g *Guardian) Health(ctx context.Context) (api.HealthResponse, error) {
	return do[api.HealthResponse](ctx, g, http.MethodGet, api.RouteV1Health, nil)
}

// Status returns what the guardian says of its configuration and state.
func (g *Guardian) Status(ctx context.Context) (api.StatusResponse, error) {
	return do[api.StatusResponse](ctx, g, http.MethodGet, api.RouteStatus, nil)
}

// Roster returns the roster in force at the guardian, in base64: whoever has it
// must check who signed it. Errors are [*Error], over api.ErrNotFound when there
// is none.
func (g *Guardian) Roster(ctx context.Context) (api.RosterResponse, error) {
	return do[api.RosterResponse](ctx, g, http.MethodGet, api.RouteRoster, nil)
}

// Guardians returns the guardians that this one knows.
func (g *Guardian) Guardians(ctx context.Context) (api.GuardiansResponse, error) {
	return do[api.GuardiansResponse](ctx, g, http.MethodGet, api.RouteGuardians, nil)
}
