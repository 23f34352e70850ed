package s3_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/backend/s3"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
)

func TestConformanceVersity(t *testing.T) {
	server := s3test.Versity(t)
	t.Run("by IP", func(t *testing.T) { conform(t, server) })
	t.Run("by host name", func(t *testing.T) { conform(t, server.ByName()) })
}

func TestConformanceMinIO(t *testing.T) {
	server := s3test.MinIO(t)
	t.Run("by IP", func(t *testing.T) { conform(t, server) })
	t.Run("by host name", func(t *testing.T) { conform(t, server.ByName()) })
}

// conform runs the suite on one bucket, each storage under a prefix of its own
// and beside others.
func conform(t *testing.T, server *s3test.Server) {
	bucket := server.NewBucket(t)
	setenv(t, server)
	var storages atomic.Int64
	backendtest.Run(t, func(t *testing.T) backendtest.Opener {
		prefix := fmt.Sprintf("root/nodes/n%d", storages.Add(1))
		return func(t *testing.T) backend.Backend {
			return open(t, s3.Config{Bucket: bucket, Prefix: prefix, SkipProbe: true})
		}
	})
}

func setenv(t *testing.T, server *s3test.Server) {
	t.Helper()
	for _, variable := range server.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
}

func open(t *testing.T, cfg s3.Config) *s3.S3 {
	t.Helper()
	store, err := s3.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return store
}
