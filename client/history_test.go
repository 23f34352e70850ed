package client_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/guardiantest"
)

// wantHistory checks what each guardian that told retains, and that enough did.
func wantHistory(t *testing.T, all []client.GuardianHistory, size int, deleted bool, want ...uint64) {
	t.Helper()
	told := 0
	for _, guardian := range all {
		if guardian.Err != nil {
			continue
		}
		told++
		var versions []uint64
		for _, v := range guardian.Versions {
			versions = append(versions, v.Version)
			if v.Deleted != deleted || !deleted && v.Size != size {
				t.Errorf("%s: %+v", guardian.Guardian, v)
			}
		}
		if !slices.Equal(versions, want) {
			t.Errorf("%s retains %d, want %d", guardian.Guardian, versions, want)
		}
	}
	if told < 3 {
		t.Errorf("%d guardians told", told)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 3)
	vault := newVault(t, cluster.URLs(), 0)
	if all, err := vault.History(t.Context(), identity); !errors.Is(err, api.ErrNotFound) || len(all) != 3 {
		t.Fatalf("History of nothing: %+v, %v", all, err)
	}
	for range 2 {
		if _, err := vault.Store(t.Context(), identity, []byte("a secret")); err != nil {
			t.Fatal(err)
		}
	}
	all, err := vault.History(t.Context(), identity)
	if err != nil {
		t.Fatal(err)
	}
	wantHistory(t, all, len("\x01a secret"), false, 2, 1)
	if _, err := vault.Delete(t.Context(), identity); err != nil {
		t.Fatal(err)
	}
	if all, err = vault.History(t.Context(), identity); err != nil {
		t.Fatal(err)
	}
	wantHistory(t, all, 0, true, 2)
}

func TestHistoryWithGuardiansGone(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	vault := newVault(t, cluster.URLs(), 0)
	mustPush(t, vault, "a secret")
	cluster.Stop(1)
	if all, err := vault.History(t.Context(), identity); err != nil || all[1].Err == nil || all[0].Guardian != cluster.URLs()[0] {
		t.Errorf("with one gone: %+v, %v", all, err)
	}
	cluster.Stop(3)
	all, err := vault.History(t.Context(), identity)
	wantQuorumError(t, err, 4, 3, cluster.URLs()[1], cluster.URLs()[3])
	if len(all) != 5 || all[3].Err == nil || all[0].Guardian == "" {
		t.Errorf("with two gone: %+v", all)
	}
}
