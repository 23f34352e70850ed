package cluster_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/backend/fs"
	"github.com/vault-guardian/guardian/backend/s3"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/cluster/clustertest"
)

// bucket is the database of a Bucket: a storage that can be opened again.
type bucket func(t *testing.T) backend.Backend

func (b bucket) Open(t *testing.T, log *slog.Logger) cluster.Registry {
	return cluster.NewBucket(b(t), log)
}

func (b bucket) Claim(t *testing.T, first int, nodes ...string) {
	t.Helper()
	store := b(t)
	defer store.Close()
	for i, node := range nodes {
		put(t, store, fmt.Sprintf("indices/%03d", first+i), node)
	}
}

func (b bucket) Plant(t *testing.T, r clustertest.Record) {
	t.Helper()
	data, err := json.Marshal(map[string]any{
		"node_id": r.NodeID, "share_index": r.Index, "client_url": r.ClientURL, "peer_url": r.PeerURL,
		"public_key": r.PublicKey, "failure_domain": r.FailureDomain, "registered_ns": r.RegisteredNS,
	})
	if err != nil {
		t.Fatal(err)
	}
	store := b(t)
	defer store.Close()
	put(t, store, "guardians/"+r.NodeID, string(data))
}

func (b bucket) Forget(t *testing.T, node string) {
	t.Helper()
	store := b(t)
	defer store.Close()
	if err := store.Delete(t.Context(), "guardians/"+node, backend.AnyRevision); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, store backend.Backend, key, data string) {
	t.Helper()
	if _, err := store.Put(t.Context(), key, []byte(data), backend.AnyRevision); err != nil {
		t.Fatal(err)
	}
}

func TestBucketOnMemory(t *testing.T) {
	clustertest.Run(t, func(*testing.T) clustertest.Database {
		memory := backendtest.NewMemory()
		return bucket(func(*testing.T) backend.Backend { return memory })
	})
}

func TestBucketOnDirectory(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) clustertest.Database {
		t.Parallel()
		dir := t.TempDir()
		return bucket(func(t *testing.T) backend.Backend {
			t.Helper()
			store, err := fs.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			return store
		})
	})
}

func TestBucketOnS3(t *testing.T) {
	server := startS3(t)
	clustertest.Run(t, func(t *testing.T) clustertest.Database {
		t.Parallel()
		name := server.NewBucket(t)
		return bucket(func(t *testing.T) backend.Backend { return openS3(t, name) })
	})
}

// startS3 starts a server that openS3 finds, here and in sub-tests.
func startS3(t *testing.T) *s3test.Server {
	t.Helper()
	server := s3test.Versity(t)
	for _, variable := range server.Environ() {
		key, value, _ := strings.Cut(variable, "=")
		t.Setenv(key, value)
	}
	return server
}

func openS3(t *testing.T, name string) backend.Backend {
	t.Helper()
	store, err := s3.Open(t.Context(), s3.Config{Bucket: name, Prefix: "registry", SkipProbe: true})
	if err != nil {
		t.Fatal(err)
	}
	return store
}
