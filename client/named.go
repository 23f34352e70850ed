package client

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/vault-guardian/guardian/api"
)

var nameText = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

func validName(name string) bool { return nameText.MatchString(name) }

// named reports whether calls are about a named secret, over V2.
func (g *Guardian) named() bool { return g.owner != nil && g.owner.name != "" }

// secretRoute puts the name into a route. It needs no escaping.
func (g *Guardian) secretRoute(route string) string {
	return strings.Replace(route, ":name", g.owner.name, 1)
}

func (g *Guardian) put(ctx context.Context, request api.PushRequest) error {
	put := call{method: http.MethodPut, route: g.secretRoute(api.RouteSecret), body: api.PutSecretRequest{
		Share: request.Share, Version: request.Version, Threshold: request.Threshold,
		Split: request.Split, Manifest: request.Manifest,
	}}
	response, err := inSession[api.PutSecretResponse](ctx, g, put, request.Proof)
	if err == nil && (response.Status != "stored" || response.Name != g.owner.name || response.Version != *request.Version) {
		return g.notDone()
	}
	return err
}

func (g *Guardian) get(ctx context.Context, request api.PullRequest) (api.PullResponse, error) {
	get := call{method: http.MethodGet, route: g.secretRoute(api.RouteSecret)}
	query := url.Values{}
	if request.Version != nil {
		query.Set("version", strconv.FormatUint(*request.Version, 10))
	}
	if request.Epoch != nil {
		query.Set("epoch", strconv.FormatUint(*request.Epoch, 10))
	}
	get.query = query.Encode()
	r, err := inSession[api.SecretResponse](ctx, g, get, request.Proof)
	return api.PullResponse{
		Share: r.Share, Version: r.Version, Threshold: r.Threshold, Split: r.Split, Epoch: r.Epoch, Manifest: r.Manifest,
	}, err
}

func (g *Guardian) versions(ctx context.Context, request api.HistoryRequest) (api.HistoryResponse, error) {
	get := call{method: http.MethodGet, route: g.secretRoute(api.RouteVersions)}
	return inSession[api.HistoryResponse](ctx, g, get, request.Proof)
}

// remove cannot say which version is meant, nor learn which one it was.
func (g *Guardian) remove(ctx context.Context, request api.DeleteRequest) error {
	remove := call{method: http.MethodDelete, route: g.secretRoute(api.RouteSecret)}
	response, err := inSession[api.DeleteSecretResponse](ctx, g, remove, request.Proof)
	if err == nil && (response.Status != "deleted" || response.Name != g.owner.name) {
		return g.notDone()
	}
	return err
}
