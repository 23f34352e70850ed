package httpapi_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/httpapi"
)

// nodeKeyOf is a key that the id of a node decides.
func nodeKeyOf(id string) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(fmt.Appendf(nil, "%-*.*s", ed25519.SeedSize, ed25519.SeedSize, id))
}

func memberOf(id string) cluster.Member {
	return cluster.Member{
		NodeID: id, ClientURL: "http://" + id + ".example", PeerURL: "https://" + id + ".example:7501",
		PublicKey: nodeKeyOf(id).Public().(ed25519.PublicKey), FailureDomain: "zone-" + id,
	}
}

// others answer heartbeats until they are silenced.
type others struct {
	mu     sync.Mutex
	silent map[string]bool
}

func (o *others) silence(ids ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.silent = map[string]bool{}
	for _, id := range ids {
		o.silent[id] = true
	}
}

// Heartbeat implements cluster.Caller.
func (o *others) Heartbeat(_ context.Context, to cluster.Member, _ cluster.Heartbeat) (cluster.Heartbeat, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.silent[to.NodeID] {
		return cluster.Heartbeat{}, errors.New("silent")
	}
	return cluster.Heartbeat{NodeID: to.NodeID, Shares: 7, TimeNS: 1}, nil
}

// clusterOf makes a plane whose guardian, "local", shares a registry with n-1
// others, m2 to mn. The cluster runs until the test ends.
func clusterOf(t *testing.T, n int, calls *others, change func(*cluster.Config, cluster.Registry)) (option, *cluster.Cluster) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	registry := cluster.NewBucket(backendtest.NewMemory(), log)
	self := memberOf("local")
	for i := range n {
		m := self
		if i > 0 {
			m = memberOf(fmt.Sprintf("m%d", i+1))
		}
		if _, err := registry.Register(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	cfg := cluster.Config{Self: self, Registry: registry, Caller: calls, Logger: log, Shares: func() int64 { return 1 }}
	if change != nil {
		change(&cfg, registry)
	}
	known := newCluster(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { known.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return func(c *httpapi.Config, _ *slog.LevelVar) { c.Cluster, c.PeerPort = known, 7501 }, known
}

// record asks a plane without a network.
func record[T any](t *testing.T, p *plane, route string) (into T) {
	t.Helper()
	recorder := httptest.NewRecorder()
	p.handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, route, http.NoBody))
	if err := json.Unmarshal(recorder.Body.Bytes(), &into); err != nil || recorder.Code != http.StatusOK {
		t.Fatalf("%s answered %d %s", route, recorder.Code, recorder.Body)
	}
	return into
}

func TestKAndWFollowTheAlive(t *testing.T) {
	for alive, want := range map[int]struct{ threshold, writeQuorum int }{
		1: {3, 1}, 2: {3, 2}, 3: {3, 2}, 4: {3, 3}, 5: {3, 4}, 14: {4, 10}, 50: {16, 34}, 100: {33, 67},
	} {
		synctest.Test(t, func(t *testing.T) {
			inCluster, _ := clusterOf(t, alive, &others{}, nil)
			p := newPlane(t, inCluster)
			synctest.Wait()
			got := record[api.GuardiansResponse](t, p, api.RouteGuardians)
			if got.Threshold != want.threshold || got.WriteQuorum != want.writeQuorum || got.Total != alive || len(got.Guardians) != alive {
				t.Errorf("of %d alive: K=%d W=%d N=%d and %d listed", alive, got.Threshold, got.WriteQuorum, got.Total, len(got.Guardians))
			}
			status := record[api.StatusResponse](t, p, api.RouteStatus)
			if status.Alive != alive || status.Peers != alive-1 || status.Threshold != want.threshold || status.WriteQuorum != want.writeQuorum {
				t.Errorf("of %d alive: %+v", alive, status)
			}
			word := "ok"
			if alive < want.threshold {
				word = "degraded"
			}
			if health := record[api.HealthResponse](t, p, api.RouteV1Health); health.Status != word || health.Peers != alive-1 || status.Status != word {
				t.Errorf("of %d alive: %+v", alive, health)
			}
		})
	}
}

func TestClusterAsItIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := &others{}
		calls.silence("m3", "m4")
		inCluster, _ := clusterOf(t, 4, calls, nil)
		p := newPlane(t, inCluster)
		time.Sleep(30 * time.Second)
		calls.silence("m4")
		time.Sleep(50 * time.Second)
		calls.silence("m3", "m4")
		time.Sleep(20 * time.Second)

		got := record[api.GuardiansResponse](t, p, api.RouteGuardians)
		if got.Threshold != 3 || got.WriteQuorum != 2 || got.Total != 4 {
			t.Errorf("K=%d W=%d N=%d of two alive among four", got.Threshold, got.WriteQuorum, got.Total)
		}
		for i, id := range []string{"local", "m2", "m3", "m4"} {
			want := api.GuardianInfo{
				NodeID: id, Address: id + ".example", Port: 80, URL: "http://" + id + ".example",
				State: []string{"alive", "alive", "suspect", "dead"}[i], Index: i + 1,
				LastSeenSeconds: got.Guardians[i].LastSeenSeconds, ShareCount: []int64{0, 7, 7, 0}[i], ShareCountApprox: true,
				FailureDomain: "zone-" + id, NodeKey: hex.EncodeToString(memberOf(id).PublicKey),
			}
			if got.Guardians[i] != want {
				t.Errorf("got %+v\nwant %+v", got.Guardians[i], want)
			}
			if seen, bounds := got.Guardians[i].LastSeenSeconds, [][2]float64{{0, 0}, {0, 6}, {15, 30}, {95, 100}}[i]; seen < bounds[0] || seen > bounds[1] {
				t.Errorf("%s was last seen %v s ago", id, seen)
			}
		}
		status := record[api.StatusResponse](t, p, api.RouteStatus)
		if status.NodeKey != got.Guardians[0].NodeKey || status.Index != 1 || status.PeerPort != 7501 || status.Alive != 2 || status.Peers != 3 {
			t.Errorf("status is %+v", status)
		}
	})
}

// Degraded is measured by the largest threshold of what is stored here, once
// something is.
func TestDegraded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := &others{}
		inCluster, _ := clusterOf(t, 5, calls, nil)
		p := newPlane(t, inCluster)
		word := func() string { return record[api.HealthResponse](t, p, api.RouteV1Health).Status }
		push := func(threshold string) {
			recorder := httptest.NewRecorder()
			body := `{"identity":"` + identity("a") + `","share":"` + testShare + `","version":` + threshold + `,"threshold":` + threshold + `}`
			request := httptest.NewRequest(http.MethodPost, pushRoute, strings.NewReader(body))
			request.Header.Set("Content-Type", "application/json")
			if p.handler.ServeHTTP(recorder, request); recorder.Code != http.StatusOK {
				t.Fatalf("push answered %d %s", recorder.Code, recorder.Body)
			}
		}
		synctest.Wait()
		calls.silence("m2")
		time.Sleep(time.Minute)
		if got := word(); got != "ok" { // K of four alive
			t.Errorf("with four of five alive and nothing stored: %s", got)
		}
		push("4")
		if got := word(); got != "ok" {
			t.Errorf("with as many alive as are needed: %s", got)
		}
		push("5")
		if got := word(); got != "degraded" {
			t.Errorf("with one alive fewer than are needed: %s", got)
		}
		calls.silence()
		time.Sleep(10 * time.Second)
		if got := word(); got != "ok" {
			t.Errorf("with all alive again: %s", got)
		}
		p.store.SetInject(func(backendtest.Call) backendtest.Fault { return backendtest.NotApplied })
		calls.silence("m2")
		time.Sleep(time.Minute)
		p.monitor.Probe(t.Context())
		if got := word(); got != "unhealthy" {
			t.Errorf("without storage: %s", got)
		}
	})
}

// Real answers about a cluster, one of whose members has not registered yet, are
// as described.
func TestAnswersOfAClusterAreAsDescribed(t *testing.T) {
	_, router := loadDescription(t)
	admission := nodeKeyOf("admission")
	roster := cluster.Roster{Serial: 1<<64 - 1}
	for i, id := range []string{"local", "m2", "m3", "absent"} {
		roster.Entries = append(roster.Entries, cluster.Entry{NodeID: id, Index: 252 + i, Key: memberOf(id).PublicKey})
	}
	inCluster, known := clusterOf(t, 3, &others{}, func(cfg *cluster.Config, registry cluster.Registry) {
		signed, err := roster.Sign(admission)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := registry.Swap(t.Context(), cluster.RosterKey, signed, cluster.Revision{}); err != nil {
			t.Fatal(err)
		}
		cfg.Admission = admission.Public().(ed25519.PublicKey)
	})
	eventually(t, func() bool { return known.View().Reached })
	p := start(t, nil, inCluster)
	for _, route := range []string{api.RouteV1Health, api.RouteStatus, api.RouteGuardians, api.RouteRoster} {
		validate(t, router, p, refusal{method: http.MethodGet, route: route, status: http.StatusOK})
	}
	var listed api.GuardiansResponse
	p.get(t, api.RouteGuardians, &listed)
	if absent := listed.Guardians[3]; listed.Total != 4 || absent.NodeID != "absent" || absent.Index != 255 || absent.URL != "" || absent.Port != 0 {
		t.Errorf("of a roster with four, three registered: %+v", listed)
	}
	var status api.StatusResponse
	p.get(t, api.RouteStatus, &status)
	if status.RosterSerial != 1<<64-1 || status.Index != 252 {
		t.Errorf("status is %+v", status)
	}
	var shown api.RosterResponse
	p.get(t, api.RouteRoster, &shown)
	signed, err := base64.StdEncoding.DecodeString(shown.Roster)
	if err != nil {
		t.Fatal(err)
	}
	read, err := cluster.ParseRoster(signed, admission.Public().(ed25519.PublicKey))
	if err != nil || !reflect.DeepEqual(*read, roster) {
		t.Errorf("the roster shown is %+v, %v", read, err)
	}
}

// Where no roster is in force there is none to show, and no token is asked for.
func TestNoRoster(t *testing.T) {
	_, router := loadDescription(t)
	p := start(t, nil)
	validate(t, router, p, refusal{method: http.MethodGet, route: api.RouteRoster, status: http.StatusNotFound, code: "not_found"})
}
