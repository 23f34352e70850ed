package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/s3"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
)

const (
	bucketPrefix = "root"
	bucketNodeID = "n1"
)

// bucketNode is one node in a bucket, which any number of processes may serve.
type bucketNode struct {
	binary string
	bucket string
	proxy  *s3test.Proxy // between the processes and the store
	dir    string        // of everything on disk that is offered to them
}

func newBucketNode(t *testing.T) *bucketNode {
	t.Helper()
	binary, err := exec.LookPath("guardian")
	if err != nil {
		t.Fatal(err)
	}
	server := s3test.Versity(t)
	b := &bucketNode{binary: binary, bucket: server.NewBucket(t), proxy: s3test.NewProxy(t, server), dir: t.TempDir()}
	for _, name := range []string{"work", "home", "tmp"} {
		if err := os.Mkdir(b.path(name), 0o555); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func (b *bucketNode) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bucketNode) environ(extra ...string) []string {
	return bareEnvironment(slices.Concat(bucketEnviron(b.proxy, b.bucket), []string{
		"GUARDIAN_UNAUTHENTICATED=true",
		"GUARDIAN_BIND=127.0.0.1:0",
		"GUARDIAN_ADMIN_BIND=127.0.0.1:0",
		"GUARDIAN_LOG_LEVEL=error",
		"HOME=" + b.path("home"),
		"TMPDIR=" + b.path("tmp"),
	}, extra)...)
}

func (b *bucketNode) launch(extra ...string) (*process, error) {
	return launch(b.binary, b.path("work"), b.environ(extra...))
}

// wantNothingWritten looks for files. Root may write into the directories
// although they are read-only.
func (b *bucketNode) wantNothingWritten(t *testing.T) {
	t.Helper()
	var found []string
	err := filepath.WalkDir(b.dir, func(path string, _ fs.DirEntry, err error) error {
		found = append(found, strings.TrimPrefix(path, b.dir))
		return err
	})
	if want := []string{"", "/home", "/tmp", "/work"}; err != nil || !slices.Equal(found, want) {
		t.Errorf("on disk are %q, %v; want nothing but %q", found, err, want)
	}
}

// wantNoMarkers looks for quarantine markers in the bucket.
func (b *bucketNode) wantNoMarkers(t *testing.T) {
	t.Helper()
	for _, variable := range b.proxy.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	store, err := s3.Open(t.Context(), s3.Config{
		Bucket: b.bucket, Prefix: bucketPrefix + "/nodes/" + bucketNodeID, SkipProbe: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	shares := 0
	for entry, err := range store.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(entry.Key, "quarantine/") {
			t.Errorf("a share was marked as damaged: %s", entry.Key)
		}
		if strings.HasPrefix(entry.Key, "shares/") {
			shares++
		}
	}
	if shares == 0 {
		t.Error("no share is stored where markers were looked for")
	}
}

// fleet is the running replicas of a node.
type fleet struct {
	node     *bucketNode
	extra    []string
	replicas []atomic.Pointer[replica]
	// failedStarts counts those that the store was too faulty for.
	failedStarts int
}

type replica struct {
	*process
	*crashClient
}

func newFleet(t *testing.T, node *bucketNode, replicas int, extra ...string) *fleet {
	t.Helper()
	f := &fleet{node: node, extra: extra, replicas: make([]atomic.Pointer[replica], replicas)}
	for i := range f.replicas {
		f.start(t, i)
	}
	return f
}

// start launches a replica, again when the store was too faulty to boot from;
// but for that it must call neither the store unsafe nor a share damaged.
func (f *fleet) start(t *testing.T, i int) {
	t.Helper()
	const attempts = 5
	var err error
	for range attempts {
		var p *process
		if p, err = f.node.launch(f.extra...); err == nil {
			t.Cleanup(p.kill)
			f.replicas[i].Store(&replica{p, newCrashClient(p)})
			return
		}
		if text := err.Error(); !strings.Contains(text, "exit code 69") ||
			strings.Contains(text, s3.ErrUnsafe.Error()) || strings.Contains(text, api.ErrIntegrityFailed.Error()) {
			t.Fatalf("starting a replica: %v", err)
		}
		f.failedStarts++
	}
	t.Fatalf("no replica starts in %d attempts: %v", attempts, err)
}

// stop kills a replica. Clients may find that out by themselves.
func (f *fleet) stop(t *testing.T, i int) {
	t.Helper()
	r := f.replicas[i].Load()
	r.kill()
	r.close()
	if log := r.stderr.String(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic") {
		t.Errorf("a replica wrote:\n%s", log)
	}
}

func (f *fleet) stopAll(t *testing.T) {
	t.Helper()
	for i := range f.replicas {
		f.stop(t, i)
	}
}

// ask sends a request to the replica whose turn it is; to the next one if
// nobody listens there, as then nothing was sent.
func (f *fleet) ask(turn int, route string, body any) (status int, answer []byte, err error) {
	for i := range f.replicas {
		r := f.replicas[(turn+i)%len(f.replicas)].Load()
		if status, answer, err = r.post(route, body); !errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
	}
	return status, answer, err
}
