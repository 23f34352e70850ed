package admin_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/admin"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/backup/last"
	"github.com/vault-guardian/guardian/integrity"
)

// backupWorld is a storage whose last backup the plane shows.
func backupWorld(t *testing.T) (*backendtest.Faulty, *integrity.Sealer, *last.Watch) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	sealer, err := integrity.NewSealer(t.Context(), "g1", integrity.InlineSource{Text: strings.Repeat("0f", integrity.KeySize)}, log)
	if err != nil {
		t.Fatal(err)
	}
	store := &backendtest.Faulty{Backend: backendtest.NewMemory()}
	return store, sealer, last.NewWatch(store, sealer, log)
}

func backedUp(t *testing.T, store backend.Backend, sealer *integrity.Sealer, ago time.Duration) last.Backup {
	t.Helper()
	b := last.Backup{ID: "20260308T020000.123Z-5be0f2", Kind: "incremental", FinishedNS: time.Now().Add(-ago).UnixNano()}
	if err := last.Put(t.Context(), store, sealer, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// The endpoint says what the storage does now, not what it said a minute ago.
func TestLastBackup(t *testing.T) {
	t.Parallel()
	store, sealer, watch := backupWorld(t)
	handler := admin.New(admin.Config{Registry: admin.NewRegistry(), Backup: watch, Logger: slog.New(slog.DiscardHandler)})
	ask := func() answer {
		return call(handler, http.MethodGet, "/admin/backup", func(r *http.Request) { r.Host = "127.0.0.1:9090" })
	}
	says := func(want last.Backup) {
		t.Helper()
		var state last.State
		if got := ask(); got.status != http.StatusOK || json.Unmarshal([]byte(got.body), &state) != nil || state != (last.State{Backup: want}) {
			t.Errorf("answered %d %s", got.status, got.body)
		}
	}
	says(last.Backup{})
	says(backedUp(t, store, sealer, 2*time.Hour))
	says(backedUp(t, store, sealer, time.Hour))
	store.SetInject(func(backendtest.Call) backendtest.Fault { return backendtest.NotApplied })
	ask().refused(t, http.StatusServiceUnavailable, "storage_unavailable")
}

// The page says how old it is, and what is wrong with it.
func TestPageOfBackups(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		ago       time.Duration // 0 for none
		want, not string
	}{
		"never":  {0, "<dd>never</dd>", " old."},
		"recent": {time.Hour, "ago) <span>incremental 20260308T020000.123Z-5be0f2</span>", " old."},
		"old":    {27*time.Hour + 30*time.Minute, "The last backup is 27h", "Nothing needs attention."},
		"forged": {-time.Hour, "The last backup is not known: what the storage says of the last backup is not believed", "Nothing needs attention."},
	} {
		store, sealer, watch := backupWorld(t)
		if test.ago != 0 {
			backedUp(t, store, sealer, test.ago)
		}
		if _, err := watch.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		body := shown(t, admin.Config{Backup: watch}).body
		if !strings.Contains(body, test.want) || strings.Contains(body, test.not) {
			t.Errorf("%s: no %q, or %q, in\n%s", name, test.want, test.not, body)
		}
	}
	if body := shown(t, admin.Config{}).body; strings.Contains(body, "Last backup") {
		t.Error("a plane that knows nothing of backups shows one")
	}
}
