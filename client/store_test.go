package client_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/guardiantest"
	"github.com/vault-guardian/guardian/shamir"
)

func TestOneHangingGuardianBlocksNothing(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	vault := newVault(t, cluster.URLs(), 0)
	mustPush(t, vault, "before")
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	cluster.Front(0, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release })
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	report, err := vault.Store(ctx, identity, []byte("after"))
	if err != nil || report.Version != 2 || report.Got != 4 {
		t.Fatalf("Store: %+v, %v", report, err)
	}
	mustPull(t, vault, "after")
	deleted, err := vault.Delete(ctx, identity)
	if err != nil || deleted.Got != 4 || ctx.Err() != nil {
		t.Fatalf("Delete: %+v, %v", deleted, err)
	}
}

// TestDeleteLeavesFewerThanK: with K far below W more must be done than for a
// push.
func TestDeleteLeavesFewerThanK(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 10)
	vault := newVault(t, cluster.URLs(), 2)
	mustPush(t, vault, "secret")
	cluster.Front(0, refusingDeletes)
	cluster.Front(1, refusingDeletes)
	_, err := vault.Delete(t.Context(), identity)
	wantQuorumError(t, err, 9, 8, cluster.URLs()[:2]...)
	cluster.Start(0)
	if report, err := vault.Delete(t.Context(), identity); err != nil || report.Need != 9 {
		t.Fatalf("Delete with one left: %+v, %v", report, err)
	}
}

// land puts shares of a split of its own on some guardians, as a push that was
// cut short does.
func land(t *testing.T, cluster *guardiantest.Cluster, version uint64, positions ...int) {
	t.Helper()
	shares, err := shamir.Split([]byte("cut short"), 3, []byte{1, 2, 3, 4, 5})
	if err != nil {
		t.Fatal(err)
	}
	split := hex.EncodeToString([]byte{15: byte(positions[0])})
	for _, i := range positions {
		guardian, err := client.New(cluster.URLs()[i], "")
		if err != nil {
			t.Fatal(err)
		}
		err = guardian.Push(t.Context(), api.PushRequest{
			Identity: identity, Share: base64.StdEncoding.EncodeToString(shares[i]), Version: &version, Threshold: 3, Split: split,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestFallbackLooksIntoTheGap: all have moved past what can be rebuilt, by as
// much as Store may go at once.
func TestFallbackLooksIntoTheGap(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	vault := newVault(t, cluster.URLs(), 0)
	mustPush(t, vault, "before")
	land(t, cluster, 18, 0, 1)
	land(t, cluster, 18, 2, 3)
	land(t, cluster, 18, 4)
	if report := mustPull(t, vault, "before"); report.Newest != 18 || !report.Fallback || !report.Checked {
		t.Fatalf("report %+v", report)
	}
}

// TestStoreGoesPastPushesThatWereGivenUp: two that each landed in part block
// nobody for good.
func TestStoreGoesPastPushesThatWereGivenUp(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	vault := newVault(t, cluster.URLs(), 0)
	mustPush(t, vault, "before")
	land(t, cluster, 2, 0, 1)
	land(t, cluster, 2, 2, 3)
	// Neither does the guardian that is asked first, and takes nothing.
	cluster.Front(1, func(real http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == api.RoutePush {
				_, _ = w.Write([]byte("{}"))
				return
			}
			real.ServeHTTP(w, r)
		})
	})
	report, err := vault.Store(t.Context(), identity, []byte("after"))
	if err != nil || report.Version != 3 {
		t.Fatalf("Store: version %d, %v", report.Version, err)
	}
	mustPull(t, vault, "after")
}

// TestStoresAtOnceLoseNothing: three clients that have all seen version 1 push
// version 2, so that two guardians take that of the first, two that of the
// second and one that of the third. However they go on, one secret is there.
func TestStoresAtOnceLoseNothing(t *testing.T) {
	t.Parallel()
	const clients = 3
	cluster := guardiantest.New(t, 5)
	vault := newVault(t, cluster.URLs(), 0)
	mustPush(t, vault, "before")
	collide(t, cluster, clients)
	secrets := map[string]bool{"before": true}
	var group sync.WaitGroup
	for c := range clients {
		name := strconv.Itoa(c)
		secrets[name] = true
		own, err := client.NewVault(cluster.URLs(), []string{name}, 0)
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() { _, _ = own.Store(t.Context(), identity, []byte(name)) })
	}
	group.Wait()
	secret, report, err := vault.Pull(t.Context(), identity)
	if err != nil || !secrets[string(secret)] || report.Newest < 3 {
		t.Fatalf("Pull: %q, version %d of %d, %v", secret, report.Version, report.Newest, err)
	}
}

// collide holds every client's first survey until all have theirs, and makes
// guardian i take the first push of client i modulo their number first.
// Clients tell who they are by their token.
func collide(t *testing.T, cluster *guardiantest.Cluster, clients int) {
	t.Helper()
	var surveys sync.WaitGroup
	surveys.Add(5 * clients)
	for i := range 5 {
		var surveyed sync.Map
		var once sync.Once
		taken := make(chan struct{})
		favourite := "Bearer " + strconv.Itoa(i%clients)
		cluster.Front(i, func(real http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				who := r.Header.Get("Authorization")
				_, again := surveyed.LoadOrStore(who, true)
				switch {
				case !again && who != "" && strings.HasPrefix(r.URL.Path, api.RoutePull):
					held := &recorder{header: http.Header{}}
					real.ServeHTTP(held, r)
					surveys.Done()
					surveys.Wait()
					w.WriteHeader(held.status)
					_, _ = w.Write(held.body.Bytes())
				case r.URL.Path == api.RoutePush && who == favourite:
					real.ServeHTTP(w, r)
					once.Do(func() { close(taken) })
				case r.URL.Path == api.RoutePush:
					<-taken
					real.ServeHTTP(w, r)
				default:
					real.ServeHTTP(w, r)
				}
			})
		})
	}
}
