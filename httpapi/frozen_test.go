package httpapi_test

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/vault-guardian/guardian/httpapi"
)

// While an operator has frozen writes, reads go on.
func TestFrozen(t *testing.T) {
	var frozen atomic.Bool
	p := start(t, nil, func(cfg *httpapi.Config, _ *slog.LevelVar) { cfg.Frozen = frozen.Load })
	p.want(t, pushRoute, goodPush, 200, `{"status":"stored"}`)
	frozen.Store(true)
	const refused = `{"error":"writes are frozen by the operator: nothing was stored or deleted, try again later","code":"frozen"}`
	for route, body := range map[string]string{
		pushRoute:  pushBody(id, testShare, "2"),
		deleteCall: `{"identity":"` + id + `","version":1}`,
	} {
		p.want(t, route, body, http.StatusServiceUnavailable, refused)
		if got := p.post(t, route, body).header.Get("Retry-After"); got != "10" {
			t.Errorf("Retry-After is %q", got)
		}
	}
	if got := p.post(t, pullRoute, pullBody(id)); got.status != http.StatusOK {
		t.Errorf("a pull is answered %d %s", got.status, got.body)
	}
	frozen.Store(false)
	p.want(t, pushRoute, pushBody(id, testShare, "2"), 200, `{"status":"stored"}`)
}
