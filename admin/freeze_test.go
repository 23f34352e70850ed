package admin_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"testing"

	"github.com/vault-guardian/guardian/admin"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/freeze"
)

func TestFreeze(t *testing.T) {
	t.Parallel()
	store := &backendtest.Faulty{Backend: backendtest.NewMemory()}
	log := slog.New(slog.DiscardHandler)
	writes, err := freeze.Open(t.Context(), store, log)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := auth.NewTokens(map[string]string{"admin-anna": operatorToken, "prometheus": scraperToken})
	if err != nil {
		t.Fatal(err)
	}
	handler := admin.New(admin.Config{Registry: admin.NewRegistry(), Tokens: auth.NewTokenSet(tokens), Freeze: writes, Logger: log})
	call(handler, "POST", "/admin/freeze", bearer(scraperToken)).refused(t, http.StatusForbidden, "forbidden")
	if writes.Frozen() {
		t.Fatal("frozen by who may only watch")
	}
	for _, test := range []struct {
		path string
		want freeze.State
	}{
		{"/admin/freeze", freeze.State{Frozen: true, By: "admin-anna"}},
		{"/admin/freeze", freeze.State{Frozen: true, By: "admin-anna"}},
		{"/admin/thaw", freeze.State{}},
		{"/admin/thaw", freeze.State{}},
	} {
		got := call(handler, "POST", test.path, bearer(operatorToken))
		var state freeze.State
		err := json.Unmarshal([]byte(got.body), &state)
		state.SinceNS = 0
		if err != nil || got.status != http.StatusOK || state != test.want || writes.Frozen() != test.want.Frozen {
			t.Errorf("%s answered %d %s", test.path, got.status, got.body)
		}
	}
	store.SetInject(func(backendtest.Call) backendtest.Fault { return backendtest.NotApplied })
	call(handler, "POST", "/admin/freeze", bearer(operatorToken)).refused(t, http.StatusServiceUnavailable, "storage_unavailable")
}
