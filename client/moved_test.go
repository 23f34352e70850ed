package client_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/guardiantest"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/shamir"
)

// line is a version that was stored, and what guardians make of its shares.
type line struct {
	t       *testing.T
	cluster *guardiantest.Cluster
	vault   *client.Vault
	stored  api.PullResponse // of the first guardian
	payload []byte
}

// storedOn stores longSecret with n guardians.
func storedOn(t *testing.T, n int, with ...client.Option) *line {
	t.Helper()
	cluster := guardiantest.New(t, n)
	vault, err := client.NewVault(cluster.URLs(), nil, 0, append(with, client.WithRoot(owner))...)
	if err != nil {
		t.Fatal(err)
	}
	storeEverywhere(t, vault, longSecret)
	l := &line{t: t, cluster: cluster, vault: vault}
	l.read(append(with, client.WithRoot(owner)))
	return l
}

// read takes what the guardians hold for what is to be redistributed.
func (l *line) read(with []client.Option) {
	l.t.Helper()
	var shares [][]byte
	for i := range l.vault.Threshold() {
		response, err := guardianOf(l.t, l.cluster, i, with...).Pull(l.t.Context(), api.PullRequest{Identity: owned})
		if err != nil {
			l.t.Fatal(err)
		}
		if i == 0 {
			l.stored = response
		}
		shares = append(shares, decoded(l.t, response.Share))
	}
	payload, err := shamir.Combine(shares)
	if err != nil {
		l.t.Fatal(err)
	}
	l.payload = payload
}

func decoded(t *testing.T, text string) []byte {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (l *line) manifest() *manifest.Manifest {
	l.t.Helper()
	m, err := manifest.Parse(decoded(l.t, l.stored.Manifest))
	if err != nil {
		l.t.Fatal(err)
	}
	return m
}

// upTo are the points 1 to n.
func upTo(n int) (points []byte) {
	for x := range n {
		points = append(points, byte(x+1))
	}
	return points
}

// deal makes the shares of an epoch, in the order of their points.
func (l *line) deal(epoch uint64, k int, points []byte) []api.PullResponse {
	l.t.Helper()
	shares, err := shamir.Split(l.payload, k, points)
	if err != nil {
		l.t.Fatal(err)
	}
	split := make([]byte, api.SplitSize)
	split[0], split[1] = byte(epoch), byte(k)
	var dealt []api.PullResponse
	for _, share := range shares {
		answer := l.stored
		answer.Epoch, answer.Threshold, answer.Split = epoch, k, hex.EncodeToString(split)
		answer.Share = base64.StdEncoding.EncodeToString(share)
		dealt = append(dealt, answer)
	}
	return dealt
}

// serving is a guardian that holds one share of the version, nil for none, and has
// prepared others, which it shows to those who ask for their epoch.
//
// It stands for what a guardian answers in the midst of a commit, in states that
// last for a moment only.
func serving(current *api.PullResponse, prepared ...api.PullResponse) front {
	return on(api.RoutePull, func(real http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked, shown := peek[api.PullRequest](r), current
			if asked.Epoch != nil {
				held := slices.Clone(prepared)
				if current != nil {
					held = append(held, *current)
				}
				shown = nil
				if i := slices.IndexFunc(held, func(p api.PullResponse) bool { return p.Epoch == *asked.Epoch }); i >= 0 {
					shown = &held[i]
				}
			}
			switch {
			case shown == nil && current != nil && asked.Version != nil && *asked.Version != current.Version:
				real.ServeHTTP(w, r)
			case shown == nil || asked.Version != nil && *asked.Version != shown.Version:
				refusing(api.ErrNotFound)(real).ServeHTTP(w, r)
			default:
				_ = json.NewEncoder(w).Encode(shown)
			}
		})
	})
}

// serve puts shares in the place of those that guardians hold, from the first on.
func (l *line) serve(shares []api.PullResponse) {
	for i := range shares {
		l.cluster.Front(i, serving(&shares[i]))
	}
}

// moving puts guardians in the midst of a commit: the first have the new share,
// the others still show the old one and have prepared the new.
func (l *line) moving(old, next []api.PullResponse, committed int) {
	for i := range next {
		switch {
		case i < committed:
			l.cluster.Front(i, serving(&next[i]))
		case i < len(old):
			l.cluster.Front(i, serving(&old[i], next[i]))
		default: // joins
			l.cluster.Front(i, serving(nil, next[i]))
		}
	}
}
