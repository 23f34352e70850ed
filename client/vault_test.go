package client_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/guardiantest"
	"github.com/vault-guardian/guardian/shamir"
)

var identity = strings.Repeat("a", api.IdentityDigits)

func newVault(t *testing.T, urls []string, threshold int) *client.Vault {
	t.Helper()
	vault, err := client.NewVault(urls, nil, threshold)
	if err != nil {
		t.Fatalf("NewVault: %v", err)
	}
	return vault
}

func mustPush(t *testing.T, vault *client.Vault, secret string) client.PushReport {
	t.Helper()
	report, err := vault.Push(t.Context(), identity, 1, []byte(secret))
	if err != nil {
		t.Fatalf("Push: %v", err)
	}
	return report
}

func mustPull(t *testing.T, vault *client.Vault, want string) client.PullReport {
	t.Helper()
	secret, report, err := vault.Pull(t.Context(), identity)
	if err != nil {
		t.Fatalf("Pull: %v", err)
	}
	if string(secret) != want {
		t.Fatalf("Pull returned %q, want %q", secret, want)
	}
	return report
}

// soon bounds what is bound to fail, and leaves time for the rest of it.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func wantQuorumError(t *testing.T, err error, need, got int, named ...string) {
	t.Helper()
	failure, ok := errors.AsType[*client.QuorumError](err)
	if !ok {
		t.Fatalf("got %v, want a QuorumError", err)
	}
	if failure.Need != need || failure.Got != got {
		t.Fatalf("needed %d, got %d; want needed %d, got %d: %v", failure.Need, failure.Got, need, got, err)
	}
	for _, url := range named {
		if !strings.Contains(err.Error(), url) {
			t.Errorf("%q does not name %s", err, url)
		}
	}
	if len(failure.Errs) < len(named) {
		t.Errorf("%d errors for %d guardians", len(failure.Errs), len(named))
	}
}

func TestPushAndPull(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	vault := newVault(t, cluster.URLs(), 0)
	report := mustPush(t, vault, "the secret")
	if report.Need != 4 || report.Got < 4 || report.Threshold != 3 || report.Warning != "" {
		t.Fatalf("report %+v", report)
	}
	pulled := mustPull(t, vault, "the secret")
	if pulled.Version != 1 || pulled.Threshold != 3 || pulled.Fallback {
		t.Fatalf("report %+v", pulled)
	}
	for i, guardian := range pulled.Guardians {
		if guardian.State != client.StateGood || guardian.X != i+1 || *guardian.Version != 1 {
			t.Errorf("guardian %d: %+v", i, guardian)
		}
	}
}

func TestPushWithTwoOfFiveStopped(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	vault := newVault(t, cluster.URLs(), 0)
	mustPush(t, vault, "before")
	cluster.Stop(1)
	cluster.Stop(3)
	urls := cluster.URLs()

	_, err := vault.Push(soon(t), identity, 2, []byte("after"))
	wantQuorumError(t, err, 4, 3, urls[1], urls[3])
	if !strings.Contains(err.Error(), "needed 4, got 3") || strings.Contains(err.Error(), urls[0]) {
		t.Fatalf("error %q", err)
	}

	// Version 2 has three shares, and so is what a pull finds.
	mustPull(t, vault, "after")

	cluster.Start(1)
	_, err = vault.Push(t.Context(), identity, 3, []byte("with one stopped"))
	if err != nil {
		t.Fatalf("Push with one stopped: %v", err)
	}
	mustPull(t, vault, "with one stopped")
}

func TestPushThatReachedTwoLeavesThePreviousVersion(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	vault := newVault(t, cluster.URLs(), 0)
	mustPush(t, vault, "before")
	for _, i := range []int{0, 2, 4} {
		cluster.Stop(i)
	}
	_, err := vault.Push(soon(t), identity, 2, []byte("after"))
	wantQuorumError(t, err, 4, 2)
	for _, i := range []int{0, 2, 4} {
		cluster.Start(i)
	}
	report := mustPull(t, vault, "before")
	if !report.Fallback || report.Newest != 2 || report.Version != 1 || report.Used != 5 || !report.Checked {
		t.Fatalf("report %+v", report)
	}
	if report.Guardians[1].State != client.StateAhead || report.Guardians[0].State != client.StateGood {
		t.Fatalf("states %+v", report.Guardians)
	}
}

// Version 2 reached two guardians; of the three others only one is there.
// What the two retain is needed to rebuild version 1.
func TestPullAsksForRetainedVersions(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	vault := newVault(t, cluster.URLs(), 0)
	mustPush(t, vault, "before")
	for _, i := range []int{0, 2, 4} {
		cluster.Stop(i)
	}
	if _, err := vault.Push(soon(t), identity, 2, []byte("after")); err == nil {
		t.Fatal("a push to two of five was acknowledged")
	}
	cluster.Start(0)
	report := mustPull(t, vault, "before")
	if !report.Fallback || report.Used != 3 || report.Checked {
		t.Fatalf("report %+v", report)
	}
}

func TestStoreWritesNothingThatIsKnownToFail(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	vault := newVault(t, cluster.URLs(), 0)
	mustPush(t, vault, "before")
	cluster.Stop(0)
	cluster.Stop(1)
	_, err := vault.Store(t.Context(), identity, []byte("after"))
	wantQuorumError(t, err, 4, 3, cluster.URLs()[:2]...)
	cluster.Start(0)
	cluster.Start(1)
	if report := mustPull(t, vault, "before"); report.Newest != 1 {
		t.Fatalf("a guardian holds version %d", report.Newest)
	}
}

func TestStoreCountsUpAndGoesPastATombstone(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	vault := newVault(t, cluster.URLs(), 0)
	for want := range uint64(3) {
		report, err := vault.Store(t.Context(), identity, []byte("secret"))
		if err != nil || report.Version != want+1 {
			t.Fatalf("Store: version %d, error %v; want version %d", report.Version, err, want+1)
		}
	}
	if _, err := vault.Delete(t.Context(), identity); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	report, err := vault.Store(t.Context(), identity, []byte("again"))
	if err != nil || report.Version != 4 {
		t.Fatalf("Store after a delete: version %d, error %v; want version 4", report.Version, err)
	}
	mustPull(t, vault, "again")
}

func TestDelete(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	vault := newVault(t, cluster.URLs(), 0)
	if _, err := vault.Delete(t.Context(), identity); !errors.Is(err, api.ErrNotFound) {
		t.Fatalf("Delete of nothing: %v", err)
	}
	mustPush(t, vault, "secret")
	cluster.Front(0, refusingDeletes)
	cluster.Front(1, refusingDeletes)
	_, err := vault.Delete(t.Context(), identity)
	wantQuorumError(t, err, 4, 3, cluster.URLs()[:2]...)
	cluster.Start(0)
	report, err := vault.Delete(t.Context(), identity)
	if err != nil || report.Got != 4 {
		t.Fatalf("second Delete: %+v, %v", report, err)
	}
	cluster.Start(1)
	_, _, err = vault.Pull(t.Context(), identity)
	wantQuorumError(t, err, 3, 1)
	if _, err := vault.Delete(t.Context(), identity); err != nil {
		t.Fatalf("Delete of what is left: %v", err)
	}
	if _, _, err := vault.Pull(t.Context(), identity); !errors.Is(err, api.ErrNotFound) {
		t.Fatalf("Pull after the delete: %v", err)
	}
	_, err = vault.Push(t.Context(), identity, 1, []byte("secret"))
	if !errors.Is(err, api.ErrVersionConflict) {
		t.Fatalf("replayed push: %v", err)
	}
}

func refusingDeletes(real http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != api.RouteDelete {
			real.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"invalid bearer token","code":"token_invalid"}`))
	})
}

func TestAStoredConflictIsAnAcknowledgement(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	for i := range 5 {
		var calls atomic.Int32
		cluster.Front(i, func(real http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if calls.Add(1) > 1 {
					real.ServeHTTP(w, r)
					return
				}
				real.ServeHTTP(discard{http.Header{}}, r)
				panic(http.ErrAbortHandler) // stored, and the answer lost
			})
		})
	}
	vault := newVault(t, cluster.URLs(), 0)
	if report := mustPush(t, vault, "secret"); report.Got != 5 {
		t.Fatalf("report %+v", report)
	}
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header            { return d.header }
func (d discard) Write(data []byte) (int, error) { return len(data), nil }
func (d discard) WriteHeader(int)                {}

func TestALoneLiarChangesNothing(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]func(*api.PullResponse){
		"threshold 1":        func(a *api.PullResponse) { a.Threshold, a.Version = 1, 1<<63 },
		"other threshold":    func(a *api.PullResponse) { a.Threshold = 2 },
		"other length":       func(a *api.PullResponse) { a.Share = base64.StdEncoding.EncodeToString([]byte{3, 1}) },
		"other split":        func(a *api.PullResponse) { a.Split = strings.Repeat("0", 32) },
		"point zero":         func(a *api.PullResponse) { a.Share = base64.StdEncoding.EncodeToString(make([]byte, 7)) },
		"no share":           func(a *api.PullResponse) { a.Share = "" },
		"no base64":          func(a *api.PullResponse) { a.Share = "%%%" },
		"higher version":     func(a *api.PullResponse) { a.Version = 18446744073709551615 },
		"higher epoch":       func(a *api.PullResponse) { a.Epoch = 7 },
		"lower version":      func(a *api.PullResponse) { a.Version = 0 },
		"threshold too high": func(a *api.PullResponse) { a.Threshold = 256 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := guardiantest.New(t, 5)
			vault := newVault(t, cluster.URLs(), 0)
			mustPush(t, vault, "secret")
			cluster.Front(2, changingAnswers(lie))
			report := mustPull(t, vault, "secret")
			if report.Guardians[2].State == client.StateGood {
				t.Errorf("the liar counts as good: %+v", report.Guardians[2])
			}
			stored, err := vault.Store(t.Context(), identity, []byte("next"))
			if err != nil || stored.Version != 2 {
				t.Fatalf("Store: version %d, error %v; want version 2", stored.Version, err)
			}
		})
	}
}

// TestFewerThanKMakeUpNothing: guardians that agree on a split of their own are
// not believed because their shares say that so few are enough.
func TestFewerThanKMakeUpNothing(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	vault := newVault(t, cluster.URLs(), 0)
	mustPush(t, vault, "secret")
	forged, err := shamir.Split([]byte("forged"), 2, []byte{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	for i, share := range forged {
		cluster.Front(i, changingAnswers(func(a *api.PullResponse) {
			a.Version, a.Threshold, a.Split, a.Share = 9, 2, strings.Repeat("9", 32), base64.StdEncoding.EncodeToString(share)
		}))
	}
	if report := mustPull(t, vault, "secret"); report.Version != 1 || !report.Fallback {
		t.Errorf("%+v", report)
	}
	cluster.Stop(4)
	short, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	secret, _, err := vault.Pull(short, identity)
	failed, ok := errors.AsType[*client.QuorumError](err)
	if !ok || secret != nil || failed.Need != 3 {
		t.Errorf("with two liars and two others: %q, %v", secret, err)
	}
}

// changingAnswers lies in every successful answer to a pull.
func changingAnswers(lie func(*api.PullResponse)) func(http.Handler) http.Handler {
	return func(real http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			recorded := &recorder{header: http.Header{}}
			real.ServeHTTP(recorded, r)
			var answer api.PullResponse
			if r.URL.Path == api.RoutePull && recorded.status == http.StatusOK && json.Unmarshal(recorded.body.Bytes(), &answer) == nil {
				lie(&answer)
				recorded.body.Reset()
				_ = json.NewEncoder(&recorded.body).Encode(answer)
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(recorded.status)
			_, _ = w.Write(recorded.body.Bytes())
		})
	}
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header            { return r.header }
func (r *recorder) Write(data []byte) (int, error) { return r.body.Write(data) }
func (r *recorder) WriteHeader(status int)         { r.status = status }

func TestDamagedShareIsNamedAndRecoveryGoesOn(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	vault := newVault(t, cluster.URLs(), 0)
	mustPush(t, vault, "secret")
	cluster.Corrupt(3, identity)
	report := mustPull(t, vault, "secret")
	if got := report.Guardians[3]; got.State != client.StateWrong || !errors.Is(got.Err, api.ErrIntegrityFailed) {
		t.Fatalf("damaged guardian: %+v", got)
	}
}

func TestStragglersGetAGrace(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	cluster.Front(4, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		})
	})
	vault := newVault(t, cluster.URLs(), 0)
	report := mustPush(t, vault, "secret")
	if report.Got != 4 || len(report.Lacking) != 1 || !strings.Contains(report.Lacking[0].Error(), cluster.URLs()[4]) {
		t.Fatalf("report %+v", report)
	}
	pulled := mustPull(t, vault, "secret")
	if pulled.Guardians[4].State != client.StateUnreachable {
		t.Fatalf("straggler: %+v", pulled.Guardians[4])
	}
}

func TestNothingIsSentForASecretThatCannotBeStored(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	var calls atomic.Int32
	for i := range 5 {
		cluster.Front(i, func(http.Handler) http.Handler {
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) })
		})
	}
	vault := newVault(t, cluster.URLs(), 0)
	for _, secret := range [][]byte{nil, make([]byte, api.MaxShareSize)} {
		_, err := vault.Push(t.Context(), identity, 1, secret)
		if !errors.Is(err, client.ErrSecretSize) {
			t.Errorf("Push of %d bytes: %v", len(secret), err)
		}
		if len(secret) > 0 && !strings.Contains(err.Error(), "524287") {
			t.Errorf("%q does not name the limit", err)
		}
		if _, err := vault.Store(t.Context(), identity, secret); !errors.Is(err, client.ErrSecretSize) {
			t.Errorf("Store of %d bytes: %v", len(secret), err)
		}
	}
	if _, err := vault.Push(t.Context(), "abc", 1, []byte("x")); !errors.Is(err, api.ErrInvalidIdentity) {
		t.Errorf("Push for a bad identity: %v", err)
	}
	if calls.Load() != 0 {
		t.Errorf("%d requests were sent", calls.Load())
	}
}

func TestLargestSecret(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 3)
	vault := newVault(t, cluster.URLs(), 0)
	mustPush(t, vault, strings.Repeat("x", api.MaxShareSize-1))
	mustPull(t, vault, strings.Repeat("x", api.MaxShareSize-1))
}

func TestThresholds(t *testing.T) {
	t.Parallel()
	urls := []string{"http://a:1", "http://b:1", "http://c:1", "http://d:1", "http://e:1"}
	for _, test := range []struct {
		n, threshold int
		refused      bool
		warning      string
	}{
		{5, 0, false, ""},
		{5, 5, false, "no guardian may be lost"},
		{5, 2, false, "any 2 guardians together can read"},
		{3, 0, false, "no guardian may be lost"},
		{2, 0, true, ""},
		{2, 2, false, "no guardian may be lost"},
		{2, 3, true, ""},
		{1, 0, true, ""},
		{1, 2, true, ""},
	} {
		vault := newVault(t, urls[:test.n], test.threshold)
		if !strings.Contains(vault.Warning(), test.warning) || test.warning == "" && !test.refused && vault.Warning() != "" {
			t.Errorf("N %d, threshold %d: warning %q", test.n, test.threshold, vault.Warning())
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := vault.Push(ended, identity, 1, []byte("x"))
		if errors.Is(err, client.ErrThreshold) != test.refused {
			t.Errorf("N %d, threshold %d: %v", test.n, test.threshold, err)
		}
	}
}

func TestNewVaultRefuses(t *testing.T) {
	t.Parallel()
	for name, urls := range map[string][]string{
		"none":      nil,
		"too many":  slices.Repeat([]string{"http://a"}, 256),
		"twice":     {"http://a:1", "HTTP://A:1/"},
		"bad":       {"http://a:1", "ftp://a"},
		"same bare": {"localhost:1", "http://localhost:1"},
		"same port": {"http://a:80", "http://a"},
		"same TLS":  {"https://a", "https://A:443/"},
	} {
		if _, err := client.NewVault(urls, nil, 0); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, threshold := range []int{-1, 1, 256} {
		if _, err := client.NewVault([]string{"http://a"}, nil, threshold); !errors.Is(err, client.ErrThreshold) {
			t.Errorf("threshold %d: %v", threshold, err)
		}
	}
}
