package client_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/guardiantest"
	"github.com/vault-guardian/guardian/manifest"
)

// sayingKey makes a guardian say that it has a node key.
func sayingKey(i int, key string) func(http.Handler) http.Handler {
	return func(real http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != api.RouteStatus {
				real.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(api.StatusResponse{Status: "ok", NodeID: fmt.Sprintf("node-%d", i), NodeKey: key})
		})
	}
}

// holdersOf are the holders of the current version, as guardian 0 has them.
func holdersOf(t *testing.T, cluster *guardiantest.Cluster) []manifest.Holder {
	t.Helper()
	answer, err := guardianOf(t, cluster, 0, client.WithRoot(owner)).Pull(t.Context(), api.PullRequest{Identity: owned})
	if err != nil {
		t.Fatal(err)
	}
	data, err := base64.StdEncoding.DecodeString(answer.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return m.Holders
}

// A manifest names the node keys that the guardians say they have. What is no
// key is none, and one that another has already named keeps nobody from storing.
func TestManifestsNameNodeKeys(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	a, b := ed25519.PublicKey(slices.Repeat([]byte{0xaa}, 32)), ed25519.PublicKey(slices.Repeat([]byte{0xbb}, 32))
	said := []string{hex.EncodeToString(a), hex.EncodeToString(b), hex.EncodeToString(a), strings.Repeat("z", 64), "aa"}
	for i, key := range said {
		cluster.Front(i, sayingKey(i, key))
	}
	want := []ed25519.PublicKey{a, b, nil, nil, nil}
	check := func() {
		t.Helper()
		for i, holder := range holdersOf(t, cluster) {
			if holder.Node != fmt.Sprintf("node-%d", i) || !slices.Equal(holder.Key, want[i]) {
				t.Errorf("the share of guardian %d is held by %s, key %x", i, holder.Node, holder.Key)
			}
		}
	}
	storeEverywhere(t, ownedVault(t, cluster), longSecret)
	check()

	// One that does not say has the key that it had.
	cluster.Front(1, func(real http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == api.RouteStatus {
				http.Error(w, `{"error":"not found","code":"no_route"}`, http.StatusNotFound)
				return
			}
			real.ServeHTTP(w, r)
		})
	})
	storeEverywhere(t, ownedVault(t, cluster), longSecret)
	check()

	// Unless another was faster.
	cluster.Front(0, sayingKey(0, said[1]))
	want[0], want[1], want[2] = b, nil, a
	storeEverywhere(t, ownedVault(t, cluster), longSecret)
	check()
}
