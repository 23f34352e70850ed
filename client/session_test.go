package client_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/guardiantest"
)

// opened counts the sessions that a guardian was asked for.
func opened(requests []sent) int {
	count := 0
	for _, request := range requests {
		if request.route == api.RouteV2Session {
			count++
		}
	}
	return count
}

func TestASessionIsKept(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 1)
	requests := record(cluster)
	guardian := guardianOf(t, cluster, 0, client.WithRoot(owner), client.WithName("name"))
	if err := guardian.Push(t.Context(), pushOf("\x01share")); err != nil {
		t.Fatal(err)
	}
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() {
			if _, err := guardian.Pull(t.Context(), api.PullRequest{Identity: owned}); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	if _, err := guardian.List(t.Context()); err != nil {
		t.Error(err)
	}
	if got := opened(requests()); got != 1 {
		t.Errorf("%d sessions for 6 calls", got)
	}
}

// sessions puts a guardian before the first one that counts the sessions it
// hands out, and accepts only those whose number good says.
func sessions(cluster *guardiantest.Cluster, good func(number int) bool) (count func() int) {
	var mu sync.Mutex
	var handed int
	cluster.Front(0, func(real http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if r.URL.Path == api.RouteV2Session {
				handed++
			}
			if r.Header.Get(api.HeaderSession) != "" && !good(handed) {
				r.Header.Set(api.HeaderSession, "of another key")
			}
			real.ServeHTTP(w, r)
		})
	})
	return func() int { mu.Lock(); defer mu.Unlock(); return handed }
}

func TestARefusedSessionIsRenewedOnce(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 1)
	least := 1
	count := sessions(cluster, func(number int) bool { return number >= least })
	guardian := guardianOf(t, cluster, 0, client.WithRoot(owner), client.WithName("name"))
	if err := guardian.Push(t.Context(), pushOf("\x01share")); err != nil || count() != 1 {
		t.Fatalf("first call, %d sessions: %v", count(), err)
	}
	least = 2
	for range 2 {
		if _, err := guardian.Pull(t.Context(), api.PullRequest{Identity: owned}); err != nil || count() != 2 {
			t.Fatalf("after the first was refused, %d sessions: %v", count(), err)
		}
	}
	least = 99
	if _, err := guardian.Pull(t.Context(), api.PullRequest{Identity: owned}); !errors.Is(err, api.ErrTokenInvalid) || count() != 3 {
		t.Errorf("where none is accepted, %d sessions: %v", count(), err)
	}
	least = 0
	if _, err := guardian.Pull(t.Context(), api.PullRequest{Identity: owned}); err != nil || count() != 4 {
		t.Errorf("after a refused one that was new, %d sessions: %v", count(), err)
	}
}

// A session that is nearly over is not used any more.
func TestASessionIsRenewedBeforeItsEnd(t *testing.T) {
	t.Parallel()
	for left, want := range map[time.Duration]int{30 * time.Second: 2, 30 * time.Minute: 1} {
		cluster := guardiantest.New(t, 1)
		answered := 0
		cluster.Front(0, func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == api.RouteV2Session {
					answered++
				}
				_ = json.NewEncoder(w).Encode(map[string]any{
					"identity": owned, "expiry_ns": time.Now().Add(left).UnixNano(), "tag": "ab", "secrets": []any{},
				})
			})
		})
		guardian := guardianOf(t, cluster, 0, client.WithRoot(owner))
		for range 2 {
			if _, err := guardian.List(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if answered != want {
			t.Errorf("with %s left %d sessions, want %d", left, answered, want)
		}
	}
}
