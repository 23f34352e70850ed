package s3_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/vault-guardian/guardian/awsconfig"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/s3"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
)

// A store that ignores conditions is refused, and the promise it broke named.
func TestProbeRefusesUnsafeStores(t *testing.T) {
	server := s3test.Versity(t)
	proxy := s3test.NewProxy(t, server)
	setenv(t, &proxy.Server)
	for _, test := range []struct {
		name   string
		strip  func(http.Header) bool
		broken string
	}{
		{"all conditions ignored", func(http.Header) bool { return true }, "a create (If-None-Match: *) of what exists is refused"},
		{"updates never judged", func(h http.Header) bool { return h.Get("If-Match") != "" }, "an update (If-Match) at an old ETag is refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := s3.Config{Bucket: server.NewBucket(t), Prefix: "p"}
			proxy.Inject(func(r s3test.Request) s3test.Fault { return s3test.Fault{StripConditions: test.strip(r.Header)} })
			_, err := s3.Open(t.Context(), cfg)
			if !errors.Is(err, s3.ErrUnsafe) || !strings.Contains(err.Error(), test.broken) {
				t.Fatalf("Open = %v, want %q named", err, test.broken)
			}
			cfg.SkipProbe = true
			store := open(t, cfg)
			for entry, err := range store.List(t.Context(), "", "") {
				t.Errorf("the probe left %v, %v", entry, err)
			}
		})
	}
}

func TestProbePassesAndLeavesNothing(t *testing.T) {
	server := s3test.Versity(t)
	setenv(t, server)
	bucket := server.NewBucket(t)
	open(t, s3.Config{Bucket: bucket, Prefix: "p"})
	left, err := server.Client(t).ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil || len(left.Contents) != 0 {
		t.Errorf("the probe left %d objects, %v", len(left.Contents), err)
	}
}

// Lost answers tell nothing about the store's safety, and keep nobody from it.
func TestProbeThroughFaults(t *testing.T) {
	server := s3test.Versity(t)
	proxy := s3test.NewProxy(t, server)
	setenv(t, &proxy.Server)
	for _, fault := range []s3test.Fault{lostRequest, lostAnswer, failedAfter, slowDown} {
		proxy.Inject(func(r s3test.Request) s3test.Fault {
			if r.N%7 == 0 {
				return fault
			}
			return s3test.Fault{}
		})
		open(t, s3.Config{Bucket: server.NewBucket(t), Prefix: "p"})
		proxy.Inject(func(r s3test.Request) s3test.Fault {
			fault := fault
			fault.StripConditions = true
			if r.N%5 != 0 {
				fault = s3test.Fault{StripConditions: true}
			}
			return fault
		})
		if _, err := s3.Open(t.Context(), s3.Config{Bucket: server.NewBucket(t), Prefix: "p"}); !errors.Is(err, s3.ErrUnsafe) {
			t.Errorf("an unsafe store between faults: %v", err)
		}
	}
}

// Everything that keeps a store from being opened says what to do.
func TestOpenSaysWhatToDo(t *testing.T) {
	server := s3test.Versity(t)
	bucket := server.NewBucket(t)
	proxy := s3test.NewProxy(t, server)
	refuse := func(method string) {
		proxy.Inject(func(r s3test.Request) s3test.Fault {
			if r.Method == method {
				return s3test.Fault{Answer: http.StatusForbidden, Code: "AccessDenied"}
			}
			return s3test.Fault{}
		})
	}
	for _, test := range []struct {
		name         string
		bucket       string
		environ      string
		refuse       string
		what, advice string
		config       bool
	}{
		{name: "no region", environ: "AWS_REGION=", what: "no AWS region", advice: "set AWS_REGION", config: true},
		{name: "missing bucket", bucket: "missing-bucket", what: `bucket "missing-bucket" does not exist`, advice: "aws s3 mb s3://missing-bucket"},
		{name: "unknown access key", environ: "AWS_ACCESS_KEY_ID=nobody", what: "credentials are refused", advice: "AWS_ACCESS_KEY_ID"},
		{name: "wrong secret key", environ: "AWS_SECRET_ACCESS_KEY=wrong", what: "credentials are refused", advice: "AWS_SECRET_ACCESS_KEY"},
		{name: "no credentials", environ: "AWS_ACCESS_KEY_ID=", what: "no AWS credentials could be had", advice: "set AWS_ACCESS_KEY_ID"},
		{name: "no deleting", refuse: http.MethodDelete, what: "not allowed s3:DeleteObject", advice: "grant"},
		{name: "no reading", refuse: http.MethodHead, what: "not allowed", advice: "grant"},
		{name: "plain http", environ: "AWS_ENDPOINT_URL_S3=http://s3.example.com", what: "in the clear", advice: "AWS_ALLOW_HTTP=true", config: true},
		{name: "bad boolean", environ: "AWS_ALLOW_HTTP=maybe", what: "AWS_ALLOW_HTTP is not a boolean", advice: "true or false", config: true},
		{name: "nobody listens", environ: "AWS_ENDPOINT_URL_S3=http://127.0.0.1:1", what: "cannot be reached", advice: "AWS_ENDPOINT_URL_S3"},
		{name: "unknown host", environ: "AWS_ENDPOINT_URL_S3=https://no-such-host.invalid", what: "does not resolve", advice: "AWS_S3_FORCE_PATH_STYLE"},
	} {
		t.Run(test.name, func(t *testing.T) {
			setenv(t, &proxy.Server)
			refuse(test.refuse)
			if name, value, ok := strings.Cut(test.environ, "="); ok {
				t.Setenv(name, value)
			}
			if test.bucket == "" {
				test.bucket = bucket
			}
			_, err := s3.Open(t.Context(), s3.Config{Bucket: test.bucket, Prefix: "p"})
			problem, ok := errors.AsType[*awsconfig.Problem](err)
			if !ok {
				t.Fatalf("Open = %v, which says nothing of what to do", err)
			}
			if !strings.Contains(err.Error(), test.what) || !strings.Contains(problem.Advice, test.advice) || problem.Config != test.config {
				t.Errorf("Open = %q, advice %q, configuration %v", err, problem.Advice, problem.Config)
			}
		})
	}
}

func TestReadOnlyCredentials(t *testing.T) {
	server := s3test.Versity(t)
	bucket := server.NewBucket(t)
	setenv(t, server.ReadOnly(t, bucket))
	_, err := s3.Open(t.Context(), s3.Config{Bucket: bucket, Prefix: "p"})
	problem, ok := errors.AsType[*awsconfig.Problem](err)
	if !ok || !strings.Contains(err.Error(), "not allowed s3:PutObject") || !strings.Contains(problem.Advice, "grant s3:GetObject, s3:PutObject") {
		t.Errorf("Open = %v", err)
	}
}

func TestBucketDisappears(t *testing.T) {
	server := s3test.Versity(t)
	setenv(t, server)
	bucket := server.NewBucket(t)
	store := open(t, s3.Config{Bucket: bucket, Prefix: "p"})
	if err := store.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.DeleteBucket(t, bucket)
	_, _, errGet := store.Get(t.Context(), "a")
	_, errCreate := store.Put(t.Context(), "a", []byte("one"), backend.Revision{})
	_, errUpdate := store.Put(t.Context(), "a", []byte("one"), backend.NewRevision(`"0123"`))
	for doing, err := range map[string]error{
		"checking": store.Check(t.Context()), "reading": errGet, "creating": errCreate, "updating": errUpdate,
		"deleting": store.Delete(t.Context(), "a", backend.AnyRevision),
	} {
		if err == nil || !strings.Contains(err.Error(), "does not exist") {
			t.Errorf("%s without a bucket: %v", doing, err)
		}
		if errors.Is(err, backend.ErrNotFound) || errors.Is(err, backend.ErrConflict) {
			t.Errorf("%s without a bucket is taken for an answer: %v", doing, err)
		}
	}
}
