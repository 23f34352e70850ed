package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/s3"
)

const bucket = "bench"

var errNoServer = errors.New("no versitygw: run make tools, name one in GUARDIAN_TEST_VERSITYGW, or leave it out with -s3-slots 0")

// findServer returns the path of versitygw.
func findServer() (string, error) {
	if path := os.Getenv("GUARDIAN_TEST_VERSITYGW"); path != "" {
		return path, nil
	}
	for _, up := range []string{"..", "../.."} { // run from bench, tested in its directory
		if found, _ := filepath.Glob(filepath.Join(up, ".tools", "versitygw-*", "versitygw")); len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", errNoServer
}

// scrubS3 fills a bucket of a server of its own, and scrubs it.
func scrubS3(ctx context.Context, out io.Writer, slots int) error {
	if slots == 0 {
		return nil
	}
	dir, err := os.MkdirTemp("", "bench-repair-s3-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	server, err := startServer(ctx, dir)
	if err != nil {
		return err
	}
	defer server.stop()
	requests := new(tally)
	s := storage{
		what: "S3 (versitygw)", requests: requests,
		serverTime: func() time.Duration { return processorTimeOf(server.Process.Pid) },
		open: func(ctx context.Context) (backend.Backend, error) {
			return s3.Open(ctx, s3.Config{Bucket: bucket, SkipProbe: true, OnRequest: requests.one})
		},
	}
	return s.scrub(ctx, out, slots)
}

type server struct{ *exec.Cmd }

// startServer has the environment lead to a server that keeps its bucket in dir.
func startServer(ctx context.Context, dir string) (*server, error) {
	program, err := findServer()
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"root/" + bucket, "iam"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return nil, err
		}
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	account, secret := rand.Text()[:20], rand.Text()
	cmd := exec.CommandContext(ctx, program, "--port", address, "--quiet", "--keep-alive", //nolint:gosec // the program that the user named
		"--iam-dir", filepath.Join(dir, "iam"), "posix", filepath.Join(dir, "root"))
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+account, "ROOT_SECRET_KEY="+secret)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := setEnvironment(address, account, secret); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the S3 server: %w", err)
	}
	s := &server{cmd}
	if err := s.await(ctx); err != nil {
		s.stop()
		return nil, fmt.Errorf("the S3 server does not serve: %w: %s", err, said.String())
	}
	return s, nil
}

// setEnvironment is what leads a guardian there, whatever the machine presets.
func setEnvironment(address, account, secret string) error {
	var errs []error
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_S3":         "http://" + address,
		"AWS_REGION":                  "us-east-1",
		"AWS_ACCESS_KEY_ID":           account,
		"AWS_SECRET_ACCESS_KEY":       secret,
		"AWS_SESSION_TOKEN":           "",
		"AWS_PROFILE":                 "",
		"AWS_S3_FORCE_PATH_STYLE":     "true",
		"AWS_EC2_METADATA_DISABLED":   "true",
		"AWS_CONFIG_FILE":             os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		errs = append(errs, os.Setenv(name, value))
	}
	return errors.Join(errs...)
}

// await returns once the bucket answers.
func (s *server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	store, err := s3.Open(ctx, s3.Config{Bucket: bucket, SkipProbe: true})
	if err != nil {
		return err
	}
	for {
		if err = store.Check(ctx); err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

func (s *server) stop() {
	_ = s.Process.Kill() // it may have exited already
	_ = s.Wait()
}

func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
