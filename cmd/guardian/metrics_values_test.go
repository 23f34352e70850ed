package main

import (
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/location"
	"github.com/vault-guardian/guardian/backup/last"
	"github.com/vault-guardian/guardian/integrity"
)

// The numbers of a guardian are those of what happens to it.
func TestMetricsOfWhatHappens(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	putLastBackup(t, dir)
	p, err := launch(thisProgram(t), dir, bareEnvironment(
		"GUARDIAN_STORAGE="+dir, "GUARDIAN_UNAUTHENTICATED=true", "GUARDIAN_SCRUB_INTERVAL=0", "GOMEMLIMIT=400MiB",
		"GUARDIAN_INTEGRITY_KEY="+keyringOf("k2", "k1", "k2"), "GUARDIAN_BIND=127.0.0.1:0", "GUARDIAN_ADMIN_BIND=127.0.0.1:0",
	))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	n := &neighbour{process: p}
	want := func(numbers map[string]float64) {
		t.Helper()
		for name, number := range numbers {
			if shown := n.metric(name); shown != number {
				t.Errorf("%s is %v, not %v", name, shown, number)
			}
		}
	}
	identity := strings.Repeat("ab", api.IdentityDigits/2)
	wantStatus(t, p, api.RoutePush, `{"identity":"`+identity+`","share":"AQID","version":1,"threshold":3}`, http.StatusOK)
	wantStatus(t, p, api.RoutePull, `{"identity":"`+identity+`"}`, http.StatusOK)
	want(map[string]float64{
		"guardian_pushes_total": 1, "guardian_push_duration_seconds_count": 1, "guardian_pulls_total": 1,
		"guardian_shares": 1, "guardian_stored_threshold": 3, "guardian_quarantined_shares": 0, "guardian_integrity_failures_total": 0,
		`guardian_key_info{id="k1",primary="false"}`: 1, `guardian_key_info{id="k2",primary="true"}`: 1,
		"guardian_memory_limit_bytes": 400 << 20, `guardian_peers{state="alive"}`: 0, `guardian_cluster_members{state="alive"}`: 1,
	})
	eventually(t, "the last backup is known", func() bool { return n.metric("guardian_backup_last_success_timestamp_seconds") == 1772935209 })
	if used := n.metric("guardian_memory_usage_bytes"); used < 1<<20 || used > 400<<20 {
		t.Errorf("it says that it uses %v bytes", used)
	}
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	eventually(t, "a connection is counted", func() bool { return n.metric("guardian_active_connections") >= 1 })
	damage(t, filepath.Join(dir, "shares", identity))
	wantStatus(t, p, api.RoutePull, `{"identity":"`+identity+`"}`, http.StatusInternalServerError)
	want(map[string]float64{
		"guardian_pulls_total": 2, `guardian_pull_failures_total{code="integrity_failed"}`: 1,
		"guardian_quarantined_shares": 1,
	})
	if failures := n.metric("guardian_integrity_failures_total"); failures < 1 { // repair reads it, too
		t.Errorf("there were %v integrity failures", failures)
	}
}

// putLastBackup has a directory say that it was backed up, as guardianctl does.
func putLastBackup(t *testing.T, dir string) {
	t.Helper()
	at, err := location.Parse(dir)
	if err != nil {
		t.Fatal(err)
	}
	store, err := at.Open(t.Context(), location.Options{NodeID: "local"})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	sealer, err := integrity.NewSealer(t.Context(), "local", integrity.InlineSource{Text: keyringOf("k1", "k1")}, slog.New(slog.DiscardHandler))
	if err == nil {
		err = last.Put(t.Context(), store, sealer, last.Backup{ID: "an-id", Kind: "full", FinishedNS: 1772935209 * time.Second.Nanoseconds()})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// wantStatus posts.
func wantStatus(t *testing.T, p *process, route, body string, status int) {
	t.Helper()
	response, err := http.Post("http://"+p.address+route, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != status {
		t.Fatalf("%s answered %d, not %d:\n%s", route, response.StatusCode, status, p.stderr)
	}
}

// damage changes every share below a directory.
func damage(t *testing.T, dir string) {
	t.Helper()
	shares, err := filepath.Glob(filepath.Join(dir, "*", "share.bin"))
	if err != nil || len(shares) == 0 {
		t.Fatalf("found no share: %v", err)
	}
	for _, path := range shares {
		if err := os.WriteFile(path, []byte{1, 2, 4}, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
