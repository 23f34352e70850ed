package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
)

// benched is a real guardian that wants a token and proofs.
type benched struct {
	cmd                        *exec.Cmd
	dir, url, admin, tokenFile string
}

func startBenched(t *testing.T, environ ...string) *benched {
	t.Helper()
	b := &benched{cmd: exec.Command(filepath.Join(binaries, "guardian")), dir: t.TempDir(), tokenFile: filepath.Join(t.TempDir(), "token")}
	if err := os.WriteFile(b.tokenFile, []byte("a-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + b.dir, "GUARDIAN_STORAGE=" + b.dir, "GUARDIAN_BIND=127.0.0.1:0", "GUARDIAN_ADMIN_BIND=127.0.0.1:0",
		"GUARDIAN_SERVER_BEARER_TOKEN=a-token", "GUARDIAN_OWNERSHIP=required",
	}, environ...)
	stdout, err := b.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.kill)
	lines := bufio.NewScanner(stdout)
	for b.admin == "" && lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), listenPrefix); ok {
			b.url = "http://" + address
		}
		if address, ok := strings.CutPrefix(lines.Text(), "GUARDIAN_ADMIN_LISTEN_ADDR="); ok {
			b.admin = "http://" + address
		}
	}
	if b.admin == "" {
		t.Fatal("the guardian did not start")
	}
	go io.Copy(io.Discard, stdout) //nolint:errcheck // it ends with the guardian
	return b
}

// kill may be called again.
func (b *benched) kill() {
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
}

var noLimits = []string{"GUARDIAN_RATE_LIMIT_PER_ADDRESS=0", "GUARDIAN_MAX_IN_FLIGHT_PER_ACTOR=0"}

func (b *benched) bench(t *testing.T, wantCode int, args ...string) (result benchResult, errs string) {
	t.Helper()
	args = append([]string{"bench", "--json", "--guardians", b.url, "--token-file", b.tokenFile, "--warm-up", "0s", "--connections", "4", "--identities", "8"}, args...)
	out, errs := guardianctl(t, wantCode, args...)
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return result, errs
}

// TestBenchLeavesNothing: identities with owners, on a guardian that requires them.
func TestBenchLeavesNothing(t *testing.T) {
	t.Parallel()
	b := startBenched(t, noLimits...)
	result, _ := b.bench(t, exitOK, "--mix", "push=1,new=1,pull=1,history=1", "--duration", "300ms")
	got := result.Targets[0]
	sum := int64(0)
	for _, o := range got.Operations {
		sum += o.Requests
		if o.Requests > 0 && !(0 < o.P50 && o.P50 <= o.P90 && o.P90 <= o.P99 && o.P99 <= o.P999 && o.P999 <= o.Max*1.001) {
			t.Errorf("%+v", o)
		}
	}
	if sum == 0 || sum != got.Requests || got.Failed != 0 || len(result.Left) != 0 || !result.Signed {
		t.Errorf("%+v", result)
	}
	b.kill()
	out, _ := guardianctl(t, exitOK, "shares", "count", "--storage", b.dir)
	wantText(t, out, "live 0, ")
	if strings.Contains(out, "deleted 0") {
		t.Error("nothing was ever there")
	}
}

func TestBenchNamesLimits(t *testing.T) {
	t.Parallel()
	b := startBenched(t, "GUARDIAN_RATE_LIMIT_PER_ADDRESS=10")
	result, errs := b.bench(t, exitFailure, "--mix", "pull=1", "--duration", "1s", "--keep")
	if o := result.Targets[0].Operations[0]; o.Failed["rate_limited"] == 0 || o.Requests == 0 || len(result.Left) != 1 || len(result.Left[0].Identities) != 8 {
		t.Errorf("%+v", result)
	}
	wantText(t, errs, "most with rate_limited", "next: that is a limit of the guardian", "GUARDIAN_RATE_LIMIT_PER_ADDRESS=0", "GUARDIAN_MAX_IN_FLIGHT_PER_ACTOR=4")
}

// TestBenchRefused: a guardian that takes nothing keeps nothing, and a token goes
// only to those whose flag names it.
func TestBenchRefused(t *testing.T) {
	t.Parallel()
	b := startBenched(t, noLimits...)
	bench := func(args ...string) string {
		_, errs := guardianctl(t, exitFailure, append([]string{"bench", "--guardians", b.url, "--connections", "2", "--identities", "4"}, args...)...)
		return errs
	}
	errs := bench()
	wantText(t, errs, "missing bearer token", "next: give the bearer token with --token-file")
	if strings.Contains(errs, "could not be deleted") {
		t.Error(errs)
	}
	errs = bench("--token-file", b.tokenFile, "--against", b.url)
	wantText(t, errs, "missing bearer token", "--against-token-file")
	errs = bench("--token-file", b.tokenFile, "--bare")
	wantText(t, errs, "ownership proof required", "next: leave out --bare")
}

// TestBenchOfAKilledGuardian: what then fails is counted, and what is still stored
// is told.
func TestBenchOfAKilledGuardian(t *testing.T) {
	t.Parallel()
	b := startBenched(t, noLimits...)
	go func() {
		for !b.served(t) {
			time.Sleep(20 * time.Millisecond)
		}
		_ = b.cmd.Process.Kill()
	}()
	result, errs := b.bench(t, exitFailure, "--duration", "5s", "--rate", "200")
	got, silent := result.Targets[0], int64(0)
	for _, o := range got.Operations {
		silent += o.Failed[codeSilent]
	}
	if got.Requests == 0 || silent == 0 || silent != got.Failed || len(result.Left) != 1 || len(result.Left[0].Identities) != 8 {
		t.Errorf("%+v", result)
	}
	wantText(t, errs, "most with no_answer", "8 on "+b.url, "next: see the guardian's log")
}

// TestBenchPreparesAgain: a guardian that cannot store a share just now is asked
// again, and one that never can is not asked for ever.
func TestBenchPreparesAgain(t *testing.T) {
	t.Parallel()
	b := startBenched(t, append(noLimits, "GUARDIAN_OWNERSHIP=off")...)
	guardian, err := url.Parse(b.url)
	if err != nil {
		t.Fatal(err)
	}
	pass := httputil.NewSingleHostReverseProxy(guardian)
	var left, pushes atomic.Int64 // how many pushes are still to be refused, and how many there were
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == api.RoutePush {
			pushes.Add(1)
			if left.Add(-1) >= 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
				_, _ = io.WriteString(w, `{"error":"storage unavailable","code":"storage_unavailable"}`)
				return
			}
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	b.url = server.URL

	left.Store(3)
	result, _ := b.bench(t, exitOK, "--bare", "--mix", "pull=1", "--duration", "100ms")
	if pushes.Load() != 8+3 || result.Targets[0].Requests == 0 || len(result.Left) > 0 {
		t.Errorf("%d pushes: %+v", pushes.Load(), result)
	}

	pushes.Store(0)
	left.Store(1 << 20)
	_, errs := guardianctl(t, exitFailure, "bench", "--guardians", b.url, "--token-file", b.tokenFile, "--bare", "--connections", "1")
	wantText(t, errs, "storing the identities that there are from the start", "storage unavailable")
	if pushes.Load() != prepareTries {
		t.Errorf("%d pushes", pushes.Load())
	}
}

// served tells whether the guardian has served ten pulls.
func (b *benched) served(t *testing.T) bool {
	response, err := http.Get(b.admin + "/metrics")
	if err != nil {
		t.Error(err)
		return true
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	for line := range strings.Lines(string(text)) {
		if count, ok := strings.CutPrefix(line, "guardian_pulls_total "); ok {
			return len(strings.TrimSpace(count)) > 1
		}
	}
	return false
}

// TestBenchPace: a lane that waited too long for an answer is late, not at ease.
func TestBenchPace(t *testing.T) {
	t.Parallel()
	began := time.Now().Add(-time.Second)
	p := pace{began: began, end: began.Add(10 * time.Minute), rate: 10, lane: 1, lanes: 2}
	for number, after := range []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, 500 * time.Millisecond} {
		since, more := p.wait(t.Context(), number)
		if !more || since.Sub(began) != after {
			t.Errorf("request %d counts from %v, %v", number, since.Sub(began), more)
		}
	}
	if since, more := p.wait(t.Context(), 20); !more || since.Before(began.Add(4100*time.Millisecond)) {
		t.Errorf("request 20 was sent after %v, %v", since.Sub(began), more)
	}
	p.end = began.Add(time.Second)
	if _, more := p.wait(t.Context(), 3); more || p.missed(3, time.Now()) != 2 { // at 0.7 and 0.9 s
		t.Errorf("a turn that is over goes on, or %d were missed", p.missed(3, time.Now()))
	}
}

func TestBenchCodes(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		codeWrong:          errWrongShare,
		codeSilent:         &client.Error{Err: io.EOF},
		codeTimeout:        &client.Error{Err: os.ErrDeadlineExceeded},
		"rate_limited":     &client.Error{Status: 429, Err: &api.RateLimitedError{}},
		"version_conflict": &client.Error{Status: 409, Err: &api.VersionConflictError{}},
		"internal":         &client.Error{Status: 500, Err: api.ErrInternal},
		"http_502":         &client.Error{Status: 502, Err: errors.New("no guardian's error")},
	} {
		if got := codeOf(err); got != want {
			t.Errorf("%v is %s, not %s", err, got, want)
		}
	}
}
