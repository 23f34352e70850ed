package client_test

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/guardiantest"
)

// Whoever has prepared a share when its owner deletes the secret never comes to
// hold it, whatever certificate it is shown later.
func TestDeleteReachesThePrepared(t *testing.T) {
	t.Parallel()
	r := roundsOn(t, 4, 7)
	r.prepare(4, 1, 2, 3, 4, 5)
	// The seventh has nothing, and is no part of the round.
	report, err := r.vault.Delete(inTime(t), owned)
	if err != nil || report.Got != 7 || len(report.Lacking) > 0 {
		t.Fatalf("Delete: %+v, %v", report, err)
	}
	r.wantNeverHeld(4, 5)
	if _, _, err := r.vault.Pull(inTime(t), owned); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("Pull: %v", err)
	}
	if _, err := r.vault.Delete(inTime(t), owned); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("Delete again: %v", err)
	}
}

// wantNeverHeld: guardians that have prepared refuse the certificate.
func (r *round) wantNeverHeld(prepared ...int) {
	r.t.Helper()
	slot := guardian.Slot{Identity: owned}
	for _, i := range prepared {
		if err := r.cluster.Node(i).Mend(r.t.Context(), slot, r.share(i, r.sealed)); !errors.Is(err, guardian.ErrNotMended) {
			r.t.Errorf("guardian %d takes the share: %v", i, err)
		}
		if _, err := r.cluster.Node(i).Pull(r.t.Context(), slot, nil, nil, guardian.Caller{Proof: 2}); !errors.Is(err, api.ErrNotFound) {
			r.t.Errorf("guardian %d: %v", i, err)
		}
	}
}

// A guardian that has missed the last push and prepared a share of it shows the
// version before: that is not the one to delete there.
func TestDeleteReachesThePreparedBehindAnOlderVersion(t *testing.T) {
	t.Parallel()
	r := roundsOn(t, 5, 5)
	r.cluster.Stop(4)
	if stored := mustStore(inTime(t), t, r.vaultOver(5), longSecret); stored.Version != 2 {
		t.Fatalf("Store: %+v", stored)
	}
	r.cluster.Start(4)
	r.read([]client.Option{client.WithRoot(owner)})
	r.chain = decoded(t, r.stored.Manifest)
	r.prepare(3, 0, 1, 2, 3, 4)
	report, err := r.vault.Delete(inTime(t), owned)
	if err != nil || report.Got != 5 {
		t.Fatalf("Delete: %+v, %v", report, err)
	}
	r.wantNeverHeld(0, 4)
}

// Stale guardians that have prepared nothing are rid of what they show.
func TestDeleteOfStaleShares(t *testing.T) {
	t.Parallel()
	r := roundsOn(t, 5, 6)
	r.cluster.Stop(4)
	mustStore(inTime(t), t, r.vaultOver(5), longSecret)
	r.cluster.Start(4)
	report, err := r.vault.Delete(inTime(t), owned)
	if err != nil || report.Got != 6 || len(report.Lacking) > 0 {
		t.Fatalf("Delete: %+v, %v", report, err)
	}
	for i := range 6 {
		if count, _ := r.cluster.Node(i).ShareCount(); count != 0 {
			t.Errorf("guardian %d still has a share", i)
		}
	}
}

// Who shows nothing is asked where shares may move, and nowhere else.
func TestWhomDeleteAsks(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		policy client.Policy
		asked  int32
	}{
		"shares may move": {client.Policy{MaxHolders: 6}, 1},
		"shares stay":     {client.Policy{MaxHolders: 6, Refresh: new(false)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &line{t: t, cluster: guardiantest.New(t, 6)}
			storeEverywhere(t, l.vaultOver(5, client.WithPolicy(test.policy)), longSecret)
			var asked atomic.Int32
			l.cluster.Front(5, on(api.RouteDelete, func(real http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if version := peek[api.DeleteRequest](r).Version; version == nil || *version != 1 {
						t.Error("it is asked for another version")
					}
					asked.Add(1)
					real.ServeHTTP(w, r)
				})
			}))
			report, err := l.vaultOver(6).Delete(inTime(t), owned)
			if err != nil || report.Got != 6 || asked.Load() != test.asked {
				t.Errorf("asked %d times, want %d: %+v, %v", asked.Load(), test.asked, report, err)
			}
		})
	}
}

// What is pushed to one that had nothing, in the midst of a delete, is not what
// was to be deleted.
func TestDeleteLeavesWhatItHasNotSeen(t *testing.T) {
	t.Parallel()
	r := roundsOn(t, 5, 6)
	r.cluster.Front(5, on(api.RouteDelete, func(real http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			pushed := guardian.Share{Data: []byte("\x06newer"), Version: 7}
			if err := r.cluster.Node(5).Push(t.Context(), guardian.Slot{Identity: owned}, pushed, guardian.Caller{}); err != nil {
				t.Error(err)
			}
			real.ServeHTTP(w, q)
		})
	}))
	report, err := r.vault.Delete(inTime(t), owned)
	if err != nil || report.Got != 5 || len(report.Lacking) != 1 || !errors.Is(report.Lacking[0], api.ErrVersionConflict) {
		t.Errorf("Delete: %+v, %v", report, err)
	}
	if count, _ := r.cluster.Node(5).ShareCount(); count != 1 {
		t.Error("it is gone")
	}
}
