package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/guardiantest"
)

// front is what stands before a guardian.
type front = func(http.Handler) http.Handler

// chain puts fronts one behind the other.
func chain(fronts ...front) front {
	return func(real http.Handler) http.Handler {
		for _, next := range slices.Backward(fronts) {
			real = next(real)
		}
		return real
	}
}

// on puts a front before one route.
func on(route string, lie front) front {
	return func(real http.Handler) http.Handler {
		lying := lie(real)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == route {
				lying.ServeHTTP(w, r)
			} else {
				real.ServeHTTP(w, r)
			}
		})
	}
}

// peek reads a request that somebody else is to read again.
func peek[Request any](r *http.Request) (request Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	_ = json.Unmarshal(body, &request)
	return request
}

// onOlder puts a front before pulls of a version by its number.
func onOlder(lie front) front {
	return on(api.RoutePull, func(real http.Handler) http.Handler {
		lying := lie(real)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if peek[api.PullRequest](r).Version != nil {
				lying.ServeHTTP(w, r)
			} else {
				real.ServeHTTP(w, r)
			}
		})
	})
}

// refusing answers with a row of the error table.
func refusing(err error) front {
	row := api.RowOf(err)
	body, _ := json.Marshal(api.ErrorResponse{Error: row.Err.Error(), Code: row.Code})
	return answering(row.Status, string(body))
}

// conflicting refuses every push over a version that it makes of the pushed one.
func conflicting(claim func(pushed uint64) uint64) front {
	return on(api.RoutePush, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			row, current := api.RowOf(api.ErrVersionConflict), claim(*peek[api.PushRequest](r).Version)
			w.WriteHeader(row.Status)
			_ = json.NewEncoder(w).Encode(api.ErrorResponse{Error: row.Err.Error(), Code: row.Code, CurrentVersion: &current})
		})
	})
}

// claiming shows the current share as that of another version, and without the
// manifest, which would be about the true one.
func claiming(claim func(version uint64) uint64) front {
	return changingAnswers(func(answer *api.PullResponse) { answer.Version, answer.Manifest = claim(answer.Version), "" })
}

func oneAhead(version uint64) uint64 { return version + 1 }

// telling answers the question for the history.
func telling(versions ...uint64) front {
	response := api.HistoryResponse{}
	for _, version := range versions {
		response.Versions = append(response.Versions, api.VersionInfo{Version: version})
	}
	body, _ := json.Marshal(response)
	return on(api.RouteHistory, answering(http.StatusOK, string(body)))
}

// frontAll puts one front before some guardians.
func frontAll(cluster *guardiantest.Cluster, lie front, positions ...int) {
	for _, i := range positions {
		cluster.Front(i, lie)
	}
}

// reach pushes a version that no more than these guardians take, and leaves
// all without a front.
func reach(t *testing.T, cluster *guardiantest.Cluster, version uint64, secret string, positions ...int) {
	t.Helper()
	for i := range cluster.URLs() {
		cluster.Start(i)
		if !slices.Contains(positions, i) {
			cluster.Front(i, on(api.RoutePush, refusing(api.ErrQuotaExceeded)))
		}
	}
	report, err := ownedVault(t, cluster).Push(t.Context(), owned, version, []byte(secret))
	if report.Got != len(positions) || (err == nil) != (report.Got >= report.Need) {
		t.Fatalf("pushing version %d to %d: %+v, %v", version, positions, report, err)
	}
	for i := range cluster.URLs() {
		cluster.Start(i)
	}
}

// wantPulled wants a secret before ctx ends.
func wantPulled(ctx context.Context, t *testing.T, vault *client.Vault, secret string, version uint64) client.PullReport {
	t.Helper()
	got, report, err := vault.Pull(ctx, owned)
	if err != nil || string(got) != secret || report.Version != version || ctx.Err() != nil {
		t.Fatalf("Pull: %q of version %d, %v, in time: %v; want %q of version %d", got, report.Version, err, ctx.Err() == nil, secret, version)
	}
	return report
}

// mustStore stores before ctx ends.
func mustStore(ctx context.Context, t *testing.T, vault *client.Vault, secret string) client.PushReport {
	t.Helper()
	report, err := vault.Store(ctx, owned, []byte(secret))
	if err != nil || ctx.Err() != nil {
		t.Fatalf("Store: %+v, %v, in time: %v", report, err, ctx.Err() == nil)
	}
	return report
}

// wantKept wants these guardians to be among those that were spared.
func wantKept(t *testing.T, cluster *guardiantest.Cluster, err error, positions ...int) {
	t.Helper()
	failure, ok := errors.AsType[*client.QuorumError](err)
	if !ok {
		t.Fatalf("got %v, want a QuorumError", err)
	}
	var kept []string
	for _, each := range failure.Errs {
		if said, ok := errors.AsType[*client.Error](each); ok && errors.Is(said, client.ErrKept) {
			kept = append(kept, said.Guardian)
		}
	}
	for _, i := range positions {
		if !slices.Contains(kept, cluster.URLs()[i]) {
			t.Errorf("guardian %d was not spared: %v", i, err)
		}
	}
}

// inTime is a deadline for what is to end well before it.
func inTime(t *testing.T) context.Context {
	t.Helper()
	return within(t, 30*time.Second)
}

// untilTried returns a context and what a guardian needs before it for that to
// end when Store asks it a third time what it holds: it looks twice before it
// goes over what is not settled, and only once has gone by then.
func untilTried(t *testing.T) (context.Context, front) {
	t.Helper()
	ctx, cancel := context.WithCancel(inTime(t))
	t.Cleanup(cancel)
	var asked atomic.Int32
	return ctx, on(api.RoutePull, func(real http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if peek[api.PullRequest](r).Version == nil && asked.Add(1) == 3 {
				cancel()
			}
			real.ServeHTTP(w, r)
		})
	})
}

// hurried wants a call to wait for a guardian that hangs only as long as the
// graces of its steps together, which is less than it takes to give one up.
func hurried(t *testing.T, what string, limit time.Duration, call func()) {
	t.Helper()
	start := time.Now()
	call()
	if took := time.Since(start); took > limit {
		t.Errorf("%s took %v", what, took)
	}
}
