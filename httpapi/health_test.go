package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/httpapi"
)

func TestReadinessFollowsTheStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var broken atomic.Bool
		const interval = 10 * time.Second
		monitor := httpapi.NewMonitor(func(context.Context) error {
			if broken.Load() {
				return errors.New("disk on fire")
			}
			return nil
		}, interval)
		if monitor.Ready() == nil || monitor.StorageOK() {
			t.Error("ready before the storage ever answered")
		}
		monitor.Probe(ctx)
		go monitor.Run(ctx)
		time.Sleep(10*interval + time.Millisecond)
		if err := monitor.Ready(); err != nil || !monitor.StorageOK() {
			t.Errorf("not ready with a sound storage: %v", err)
		}
		broken.Store(true)
		time.Sleep(interval / 2)
		if err := monitor.Ready(); err != nil {
			t.Errorf("not ready though the storage answered within the interval: %v", err)
		}
		if monitor.StorageOK() {
			t.Error("storage called sound right after a failed probe")
		}
		time.Sleep(2 * interval)
		if err := monitor.Ready(); err == nil || !strings.Contains(err.Error(), "disk on fire") {
			t.Errorf("ready, or no reason, long after the last answer: %v", err)
		}
		broken.Store(false)
		time.Sleep(interval)
		if err := monitor.Ready(); err != nil {
			t.Errorf("not ready again: %v", err)
		}
		monitor.Drain()
		if err := monitor.Ready(); err == nil || !strings.Contains(err.Error(), "draining") {
			t.Errorf("ready while draining: %v", err)
		}
	})
}

// A storage that hangs makes the guardian unready; the probe does not wait for
// it for ever, nor do the endpoints at all.
func TestReadinessWithASilentStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var silent atomic.Bool
		monitor := httpapi.NewMonitor(func(ctx context.Context) error {
			if silent.Load() {
				<-ctx.Done()
			}
			return ctx.Err()
		}, 10*time.Second)
		monitor.Probe(ctx)
		go monitor.Run(ctx)
		silent.Store(true)
		time.Sleep(time.Minute)
		if monitor.Ready() == nil || monitor.StorageOK() {
			t.Error("ready though the storage is silent")
		}
		silent.Store(false)
		time.Sleep(15 * time.Second)
		if err := monitor.Ready(); err != nil {
			t.Errorf("not ready again: %v", err)
		}
	})
}

func (p *plane) get(t testing.TB, route string, into any) answer {
	t.Helper()
	got := p.do(t, http.MethodGet, route, "", nil)
	if err := json.Unmarshal(got.body, into); err != nil {
		t.Fatalf("%s answered %q", route, got.body)
	}
	return got
}

func TestOpenEndpoints(t *testing.T) {
	var broken atomic.Bool
	p := start(t, func(call backendtest.Call) backendtest.Fault {
		if call.Op == backendtest.OpCheck && broken.Load() {
			return backendtest.NotApplied
		}
		return backendtest.None
	})
	p.want(t, pushRoute, goodPush, 200, `{"status":"stored"}`)
	settle(t, p)
	p.node.Counted(1, 0, true)
	var health api.HealthResponse
	p.get(t, api.RouteV1Health, &health)
	if want := (api.HealthResponse{Status: "ok", Version: api.Version, Shares: 1, StorageOK: true, DataDirOK: true}); health != want {
		t.Errorf("health is %+v, want %+v", health, want)
	}
	var status api.StatusResponse
	p.get(t, api.RouteStatus, &status)
	status.UptimeSeconds = 0
	if want := (api.StatusResponse{
		Status: "ok", Version: api.Version, DataDir: "memory", ClientPort: 7500, NodeID: "local", Storage: "fs",
		Alive: 1, Threshold: 3, WriteQuorum: 1, PrimaryKeyID: "default", Shares: 1,
	}); status != want {
		t.Errorf("status is %+v, want %+v", status, want)
	}
	var guardians api.GuardiansResponse
	p.get(t, api.RouteGuardians, &guardians)
	self := api.GuardianInfo{
		NodeID: "local", Address: "guardian.example", Port: 7500, URL: "http://guardian.example:7500", State: "alive", ShareCount: 1,
	}
	if len(guardians.Guardians) != 1 || guardians.Guardians[0] != self || guardians.Total != 1 || guardians.Threshold != 3 || guardians.WriteQuorum != 1 {
		t.Errorf("guardians are %+v", guardians)
	}

	broken.Store(true)
	p.monitor.Probe(t.Context())
	if got := p.get(t, api.RouteV1Health, &health); got.status != 200 || health.Status != "unhealthy" || health.StorageOK || health.DataDirOK {
		t.Errorf("with a broken storage: %d %+v", got.status, health)
	}
}

func TestReadyzRefusesWithTheReason(t *testing.T) {
	p := start(t, nil)
	p.monitor.Drain()
	for _, route := range []string{api.RouteReadyz, api.RouteReady} {
		var body api.ErrorResponse
		got := p.get(t, route, &body)
		if got.status != 503 || !strings.Contains(body.Reason, "draining") || got.header.Get("Retry-After") == "" {
			t.Errorf("%s answered %d %s while draining", route, got.status, got.body)
		}
	}
	for _, route := range []string{api.RouteHealthz, api.RouteHealth} {
		if got := p.do(t, http.MethodGet, route, "", nil); got.status != 200 {
			t.Errorf("%s answered %d while draining", route, got.status)
		}
	}
}

func TestHeadOfOpenEndpoints(t *testing.T) {
	p := start(t, nil)
	for _, route := range []string{
		api.RouteHealthz, api.RouteHealth, api.RouteReadyz, api.RouteReady,
		api.RouteV1Health, api.RouteStatus, api.RouteGuardians, api.RouteOpenAPI,
	} {
		if got := p.do(t, http.MethodHead, route, "", nil); got.status != 200 || len(got.body) > 0 {
			t.Errorf("HEAD %s: %d %q", route, got.status, got.body)
		}
	}
}
