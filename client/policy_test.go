package client_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/guardiantest"
	"github.com/vault-guardian/guardian/manifest"
)

// policyVault is a vault over the first n guardians.
func policyVault(t *testing.T, cluster *guardiantest.Cluster, n, k int, policy client.Policy) *client.Vault {
	t.Helper()
	vault, err := client.NewVault(cluster.URLs()[:n], nil, k, client.WithRoot(owner), client.WithPolicy(policy))
	if err != nil {
		t.Fatal(err)
	}
	return vault
}

func samePolicy(a, b manifest.Policy) bool {
	return a.Refresh == b.Refresh && a.MinThreshold == b.MinThreshold && a.MaxHolders == b.MaxHolders && bytes.Equal(a.Admission, b.Admission) &&
		(a.Admission == nil) == (b.Admission == nil)
}

// What is stored keeps its policy, but for what is changed; where least K and most
// holders were those of the split they go on being that.
func TestPolicyIsKept(t *testing.T) {
	t.Parallel()
	key, other := memberKey(1), memberKey(2)
	cluster := guardiantest.New(t, 7)
	for i, step := range []struct {
		n, k int
		says client.Policy
		want manifest.Policy
	}{
		{5, 0, client.Policy{}, manifest.Policy{Refresh: true, MinThreshold: 3, MaxHolders: 5}},
		{7, 4, client.Policy{}, manifest.Policy{Refresh: true, MinThreshold: 4, MaxHolders: 7}},
		{5, 3, client.Policy{FirstAdmission: key}, manifest.Policy{Refresh: true, MinThreshold: 3, MaxHolders: 5}},
		{5, 3, client.Policy{MinThreshold: 2, MaxHolders: 6}, manifest.Policy{Refresh: true, MinThreshold: 2, MaxHolders: 6}},
		{5, 4, client.Policy{Admission: key}, manifest.Policy{Refresh: true, MinThreshold: 2, MaxHolders: 6, Admission: key}},
		{7, 4, client.Policy{FirstAdmission: other}, manifest.Policy{Refresh: true, MinThreshold: 2, MaxHolders: 7, Admission: key}},
		{7, 4, client.Policy{MinThreshold: 3, Refresh: new(false)}, manifest.Policy{MinThreshold: 3, MaxHolders: 7, Admission: key}},
		{7, 2, client.Policy{Admission: other}, manifest.Policy{MinThreshold: 2, MaxHolders: 7, Admission: other}},
		{7, 3, client.Policy{Admission: []byte{}}, manifest.Policy{MinThreshold: 3, MaxHolders: 7}},
		{7, 3, client.Policy{Refresh: new(true), MaxHolders: 255}, manifest.Policy{Refresh: true, MinThreshold: 3, MaxHolders: 255}},
	} {
		vault := policyVault(t, cluster, step.n, step.k, step.says)
		stored := mustStore(inTime(t), t, vault, longSecret)
		report, err := vault.Verify(inTime(t), owned)
		if !samePolicy(stored.Policy, step.want) || err != nil || !samePolicy(report.Policy, step.want) {
			t.Errorf("step %d: stored with %+v, Verify says %+v (%v), want %+v", i, stored.Policy, report.Policy, err, step.want)
		}
	}
}

func TestFirstPolicy(t *testing.T) {
	t.Parallel()
	key := memberKey(1)
	cluster := guardiantest.New(t, 5)
	report := mustStore(inTime(t), t, policyVault(t, cluster, 5, 0, client.Policy{FirstAdmission: key}), "first")
	if want := (manifest.Policy{Refresh: true, MinThreshold: 3, MaxHolders: 5, Admission: key}); !samePolicy(report.Policy, want) {
		t.Errorf("stored with %+v", report.Policy)
	}
	report, err := policyVault(t, cluster, 5, 0, client.Policy{}).Push(t.Context(), owned, 9, []byte("pushed"))
	if err != nil || report.Policy.Admission != nil {
		t.Errorf("a push, which looks at nothing, has %+v, %v", report.Policy, err)
	}
}

// What the guardians given cannot have is refused before anything is sent.
func TestPoliciesThatCannotBe(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	for _, policy := range []client.Policy{
		{MinThreshold: 1},
		{MinThreshold: 4},
		{MinThreshold: -3},
		{MaxHolders: 4},
		{MaxHolders: 256},
		{MaxHolders: -1},
		{Admission: make([]byte, 31)},
		{FirstAdmission: make([]byte, 33)},
	} {
		sent := record(cluster)
		vault := policyVault(t, cluster, 5, 0, policy)
		if err := vault.CheckSecret([]byte("x")); !errors.Is(err, client.ErrPolicy) {
			t.Errorf("%+v: CheckSecret: %v", policy, err)
		}
		if _, err := vault.Store(t.Context(), owned, []byte("x")); !errors.Is(err, client.ErrPolicy) {
			t.Errorf("%+v: Store: %v", policy, err)
		}
		if _, err := vault.Push(t.Context(), owned, 1, []byte("x")); !errors.Is(err, client.ErrPolicy) {
			t.Errorf("%+v: Push: %v", policy, err)
		}
		if requests := sent(); len(requests) > 0 {
			t.Errorf("%+v: %d requests were sent", policy, len(requests))
		}
	}
	if _, err := client.NewVault(cluster.URLs(), nil, 0, client.WithPolicy(client.Policy{MinThreshold: 3})); err == nil {
		t.Error("a policy that nobody can sign made a vault")
	}
	if _, err := client.NewVault(cluster.URLs(), nil, 0, client.WithPolicy(client.Policy{})); err != nil {
		t.Errorf("no policy: %v", err)
	}
}

// Guardians check what they are sent by the manifest; a policy is no matter of
// theirs, and one that lets shares be redistributed to a K below that of the push
// is taken.
func TestLowerThresholdByPolicy(t *testing.T) {
	t.Parallel()
	l := storedOn(t, 5, client.WithPolicy(client.Policy{MinThreshold: 2}))
	l.serve(l.deal(1, 2, upTo(5)))
	l.wantPulled("K lowered", pulled{1, 2, 5, false, nil})
	shares := l.deal(2, 2, upTo(5))
	forged := l.deal(9, 2, upTo(5))
	for i := range 2 { // as many as would do
		garbage(&forged[i])
		shares[i] = forged[i]
	}
	l.serve(shares)
	l.wantPulled("made up at that K", pulled{2, 2, 3, false, map[int]client.State{0: client.StateAhead, 1: client.StateAhead}})
	for i := 2; i < 5; i++ {
		l.cluster.Front(i, refusing(api.ErrNotFound))
	}
	if secret, _, err := l.vault.Pull(inTime(t), owned); err == nil || secret != nil {
		t.Errorf("two liars made up %q", secret)
	}
}
