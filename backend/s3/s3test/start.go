package s3test

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

const (
	startTimeout  = time.Minute // on a machine that does much else
	startAttempts = 5
	startPoll     = 25 * time.Millisecond
)

// Versity starts a Versity S3 Gateway over an empty directory. It is the
// binary that GUARDIAN_TEST_VERSITYGW names, or what `make tools` installed.
func Versity(t testing.TB) *Server {
	t.Helper()
	notInQuickLoop(t)
	server := newServer()
	server.admin = findProgram(t, "versitygw", "GUARDIAN_TEST_VERSITYGW")
	server.start(t, server.admin, versityCommand)
	return server
}

// notInQuickLoop keeps `go test -short` free of servers.
func notInQuickLoop(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes a server")
	}
}

func versityCommand(t testing.TB, binary string, s *Server, address string) *exec.Cmd {
	cmd := exec.Command(binary, "--port", address, "--quiet", "--keep-alive", //nolint:gosec,noctx // stopped by the process's cleanup
		"--iam-dir", t.TempDir(), "posix", t.TempDir())
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey)
	return cmd
}

// MinIO starts a MinIO over an empty directory. It is the binary that
// GUARDIAN_TEST_MINIO names, or what `make tools` installed.
func MinIO(t testing.TB) *Server {
	t.Helper()
	notInQuickLoop(t)
	server := newServer()
	server.start(t, findProgram(t, "minio", "GUARDIAN_TEST_MINIO"), minioCommand)
	return server
}

func minioCommand(t testing.TB, binary string, s *Server, address string) *exec.Cmd {
	cmd := exec.Command(binary, "server", "--address", address, "--quiet", t.TempDir()) //nolint:gosec,noctx // likewise
	cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+s.AccessKey, "MINIO_ROOT_PASSWORD="+s.SecretKey,
		"MINIO_BROWSER=off", "MINIO_UPDATE=off", "HOME="+t.TempDir())
	return cmd
}

// Fake starts a server in memory. It asks for no credentials, and knows
// nothing of Versity's and MinIO's finer points.
func Fake(t testing.TB) *Server {
	t.Helper()
	fake := gofakes3.New(s3mem.New(), gofakes3.WithLogger(gofakes3.DiscardLog()))
	listener := httptest.NewServer(fake.Server())
	t.Cleanup(func() {
		listener.CloseClientConnections()
		listener.Close()
	})
	server := newServer()
	server.Endpoint = listener.URL
	return server
}

func newServer() *Server {
	return &Server{Region: "us-east-1", AccessKey: rand.Text()[:20], SecretKey: rand.Text()}
}

type serverCommand func(t testing.TB, binary string, s *Server, address string) *exec.Cmd

// start runs command on a free port, and returns once it answers. Somebody
// else may take the port before the process has it, hence several attempts.
func (s *Server) start(t testing.TB, binary string, command serverCommand) {
	t.Helper()
	var failed *process
	for range startAttempts {
		address := freeAddress(t)
		s.Endpoint = "http://" + address
		started := startProcess(t, command(t, binary, s, address))
		if s.answers(t, started) {
			s.process = started
			return
		}
		started.stop()
		failed = started
	}
	t.Fatalf("%s does not serve: %v\n%s", binary, failed.err, failed.output.String())
}

// Restart kills the process of the server and starts it again, as it was and
// where it was. It returns once the server answers. Not for a Fake.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.process.stop()
	before := s.process.cmd
	s.process = startProcess(t, &exec.Cmd{Path: before.Path, Args: before.Args, Env: before.Env})
	if !s.answers(t, s.process) {
		s.process.stop()
		t.Fatalf("%s does not serve again: %v\n%s", before.Path, s.process.err, s.process.output.String())
	}
}

// answers waits until the server lists its buckets, and reports false when
// the process exits or takes too long.
func (s *Server) answers(t testing.TB, process *process) bool {
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	go func() {
		select {
		case <-process.done:
			cancel() // whoever has the port instead may not answer at all
		case <-ctx.Done():
		}
	}()
	client := s.Client(t)
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	for {
		_, err := client.ListBuckets(ctx, &s3.ListBucketsInput{}, func(o *s3.Options) { o.Retryer = aws.NopRetryer{} })
		if err == nil {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

// freeAddress returns a loopback address that was free a moment ago, and that nobody
// is given who takes any: servers in memory ask for no credentials, and would answer
// in the place of one that found its port taken.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 20_000+mathrand.IntN(10_000)) //nolint:gosec // no secret
		if listener, err := net.Listen("tcp", address); err == nil {         //nolint:noctx // returns at once
			listener.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}
