package client_test

import (
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/guardiantest"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	good, wrong, stale := client.StateGood, client.StateWrong, client.StateStale
	for name, test := range map[string]struct {
		spoil func(*testing.T, *guardiantest.Cluster, *client.Vault)
		wrong bool // the error is ErrAuthentication
		few   bool // the error is a QuorumError
		good  int
		want  map[int]client.State
	}{
		"all": {spoil: func(*testing.T, *guardiantest.Cluster, *client.Vault) {}, good: 5},
		"damaged": {
			spoil: func(_ *testing.T, c *guardiantest.Cluster, _ *client.Vault) { c.Corrupt(3, owned) },
			wrong: true, good: 4, want: map[int]client.State{3: wrong},
		},
		"garbage and a false threshold": {
			spoil: func(_ *testing.T, c *guardiantest.Cluster, _ *client.Vault) {
				c.Front(0, changingAnswers(garbage))
				c.Front(4, changingAnswers(func(answer *api.PullResponse) { answer.Threshold = 4 }))
			},
			wrong: true, good: 3, want: map[int]client.State{0: wrong, 4: wrong},
		},
		"stale, and one that is gone": {
			spoil: func(t *testing.T, c *guardiantest.Cluster, v *client.Vault) {
				old := captured(t, c, 2)
				storeEverywhere(t, v, longSecret)
				c.Front(2, old)
				c.Stop(1)
			},
			good: 3, want: map[int]client.State{1: client.StateUnreachable, 2: stale},
		},
		"another's share": {
			spoil: func(t *testing.T, c *guardiantest.Cluster, _ *client.Vault) {
				c.Front(3, captured(t, c, 1))
			},
			wrong: true, good: 4, want: map[int]client.State{3: wrong},
		},
		"missing": {
			spoil: func(t *testing.T, c *guardiantest.Cluster, _ *client.Vault) {
				version := uint64(1)
				err := guardianOf(t, c, 4, client.WithRoot(owner)).Delete(t.Context(), api.DeleteRequest{Identity: owned, Version: &version})
				if err != nil {
					t.Fatal(err)
				}
			},
			good: 4, want: map[int]client.State{4: client.StateMissing},
		},
		"too few": {
			spoil: func(_ *testing.T, c *guardiantest.Cluster, _ *client.Vault) {
				for i := range 3 {
					c.Front(i, changingAnswers(garbage))
				}
			},
			few: true, good: 2, want: map[int]client.State{0: wrong, 1: wrong, 2: wrong},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := guardiantest.New(t, 5)
			vault := ownedVault(t, cluster)
			storeEverywhere(t, vault, longSecret)
			test.spoil(t, cluster, vault)
			report, err := vault.Verify(within(t, 4*time.Second), owned)
			if report.Good != test.good || report.Threshold != 3 || report.Holders != 5 || report.Version == 0 {
				t.Errorf("report: %+v", report)
			}
			for i, g := range report.Guardians {
				state, special := test.want[i]
				if !special {
					state = good
				}
				if g.State != state {
					t.Errorf("guardian %d is %s (%v), want %s", i, g.State, g.Err, state)
				}
			}
			if test.few {
				wantQuorumError(t, err, 3, test.good)
			} else if errors.Is(err, client.ErrAuthentication) != test.wrong || !test.wrong && err != nil {
				t.Errorf("Verify: %v", err)
			}
		})
	}
}

// Whoever knows the identity can verify what guardians show to everybody, and
// needs no root for it; a bare vault sees the same.
func TestVerifyNeedsNoRoot(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	storeEverywhere(t, ownedVault(t, cluster), longSecret)
	answers := map[int]api.PullResponse{}
	for i := range 5 {
		shown, err := guardianOf(t, cluster, i, client.WithRoot(owner)).Pull(t.Context(), api.PullRequest{Identity: owned})
		if err != nil {
			t.Fatal(err)
		}
		answers[i] = shown
		cluster.Front(i, showing(shown))
	}
	report, err := newVault(t, cluster.URLs(), 0).Verify(t.Context(), owned)
	if err != nil || report.Good != 5 {
		t.Errorf("Verify: %+v, %v", report, err)
	}
	// Shares that are swapped are still the owner's, each at its own point.
	cluster.Front(0, showing(answers[1]))
	cluster.Front(1, showing(answers[0]))
	if report, err = newVault(t, cluster.URLs(), 0).Verify(t.Context(), owned); err != nil || report.Good != 5 {
		t.Errorf("Verify of swapped shares: %+v, %v", report, err)
	}
}

func TestVerifyWhatCannotBeVerified(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 3)
	bare := newVault(t, cluster.URLs(), 0)
	if _, err := bare.Verify(t.Context(), identity); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("Verify of nothing: %v", err)
	}
	mustPush(t, bare, "secret")
	if report, err := bare.Verify(t.Context(), identity); !errors.Is(err, client.ErrNoManifest) || len(report.Guardians) != 3 {
		t.Errorf("Verify of bare shares: %+v, %v", report, err)
	}
	for i := range 3 {
		cluster.Stop(i)
	}
	_, err := bare.Verify(soon(t), identity)
	wantQuorumError(t, err, 3, 0, cluster.URLs()...)
	if _, err := bare.Verify(t.Context(), "xyz"); !errors.Is(err, api.ErrInvalidIdentity) {
		t.Errorf("Verify of no identity: %v", err)
	}
}

// Every byte of a share that is changed on its way is noticed by the manifest.
func TestEveryByteOfAShareIsJudged(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 3)
	vault := ownedVault(t, cluster)
	storeEverywhere(t, vault, "s")
	real, err := guardianOf(t, cluster, 1, client.WithRoot(owner)).Pull(t.Context(), api.PullRequest{Identity: owned})
	if err != nil {
		t.Fatal(err)
	}
	share, err := base64.StdEncoding.DecodeString(real.Share)
	if err != nil {
		t.Fatal(err)
	}
	for i := range share {
		share[i] ^= 0x10
		shown := real
		shown.Share = base64.StdEncoding.EncodeToString(share)
		cluster.Front(1, showing(shown))
		share[i] ^= 0x10
		if _, report, err := vault.Pull(soon(t), owned); err == nil || report.Guardians[1].State != client.StateWrong {
			t.Fatalf("byte %d of a share was changed: %+v, %v", i, report, err)
		}
	}
}
