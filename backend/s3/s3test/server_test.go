package s3test_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/vault-guardian/guardian/backend/s3/s3test"
)

// servers are started once for each test that ranges over them.
var servers = map[string]func(testing.TB) *s3test.Server{
	"versitygw": s3test.Versity,
	"minio":     s3test.MinIO,
	"fake":      s3test.Fake,
}

// bucket is a bucket as one client sees it. Its methods make one attempt.
type bucket struct {
	name   string
	client *s3.Client
}

func newBucket(t *testing.T, server *s3test.Server) bucket {
	t.Helper()
	return bucket{server.NewBucket(t), server.Client(t)}
}

// through returns the same bucket behind another endpoint or account.
func (b bucket) through(t *testing.T, server *s3test.Server) bucket {
	return bucket{b.name, server.Client(t)}
}

func once(o *s3.Options) { o.Retryer = aws.NopRetryer{} }

// put stores data under key; under the condition that the key is absent if
// create says so.
func (b bucket) put(ctx context.Context, key, data string, create bool) error {
	return b.putIf(ctx, key, data, func(in *s3.PutObjectInput) {
		if create {
			in.IfNoneMatch = aws.String("*")
		}
	})
}

func (b bucket) putIf(ctx context.Context, key, data string, condition func(*s3.PutObjectInput)) error {
	in := &s3.PutObjectInput{Bucket: &b.name, Key: &key, Body: strings.NewReader(data)}
	condition(in)
	_, err := b.client.PutObject(ctx, in, once)
	return err
}

func (b bucket) get(ctx context.Context, key string) (string, error) {
	data, _, err := b.read(ctx, key)
	return data, err
}

// read returns the headers of the answer too, and what it could read of a
// broken one.
func (b bucket) read(ctx context.Context, key string, options ...func(*s3.Options)) (string, s3.GetObjectOutput, error) {
	in := &s3.GetObjectInput{Bucket: &b.name, Key: &key}
	out, err := b.client.GetObject(ctx, in, append(options, once)...)
	if err != nil {
		return "", s3.GetObjectOutput{}, err
	}
	defer out.Body.Close()
	data, err := io.ReadAll(out.Body)
	return string(data), *out, err
}

// holds fails the test unless key holds data.
func (b bucket) holds(t *testing.T, key, data string) {
	t.Helper()
	if got, err := b.get(t.Context(), key); err != nil || got != data {
		t.Errorf("%s holds %q, %v, want %q", key, got, err, data)
	}
}

// status returns what the server answered: its status and error code.
func status(err error) string {
	var response *smithyhttp.ResponseError
	var api smithy.APIError
	if err == nil || !errors.As(err, &response) || !errors.As(err, &api) {
		return fmt.Sprint(err)
	}
	return fmt.Sprint(response.HTTPStatusCode(), " ", api.ErrorCode())
}

func TestServers(t *testing.T) {
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t)
			b := newBucket(t, server)
			for _, key := range []string{"a", "b/a c", "b/ü+%"} {
				if err := b.put(t.Context(), key, "data of "+key, false); err != nil {
					t.Fatalf("putting %s: %v", key, err)
				}
				b.holds(t, key, "data of "+key)
				b.through(t, server.ByName()).holds(t, key, "data of "+key)
			}
			server.DeleteBucket(t, b.name)
			// What MinIO answers a HeadBucket comes from its memory, now and then.
			_, err := b.client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &b.name})
			if got := status(err); got != "404 NoSuchBucket" {
				t.Errorf("deleted bucket: %s", got)
			}
		})
	}
}

func TestCreateHasOneWinner(t *testing.T) {
	for _, name := range []string{"versitygw", "minio"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBucket(t, servers[name](t))
			for round := range 20 {
				key := fmt.Sprint("race/", round)
				won, others := race(t, b, key)
				if len(won) != 1 {
					t.Fatalf("%d winners: %v", len(won), won)
				}
				b.holds(t, key, won[0])
				for _, err := range others {
					if got := status(err); got != "412 PreconditionFailed" {
						t.Errorf("loser got %s", got)
					}
				}
			}
		})
	}
}

// race has 16 writers create key. It returns the data of those that did, and
// the errors of the others.
func race(t *testing.T, b bucket, key string) (won []string, lost []error) {
	t.Helper()
	errs := make([]error, 16)
	var writers sync.WaitGroup
	for i := range errs {
		writers.Go(func() { errs[i] = b.put(t.Context(), key, fmt.Sprint("writer ", i), true) })
	}
	writers.Wait()
	for i, err := range errs {
		if err == nil {
			won = append(won, fmt.Sprint("writer ", i))
		} else {
			lost = append(lost, err)
		}
	}
	return won, lost
}

func TestCredentialsAreChecked(t *testing.T) {
	for _, name := range []string{"versitygw", "minio"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := servers[name](t)
			b := newBucket(t, server)
			wrong := *server
			wrong.SecretKey += "x"
			for _, intruder := range []*s3test.Server{&wrong, &s3test.NewProxy(t, &wrong).Server} {
				_, err := b.through(t, intruder).get(t.Context(), "a")
				if got := status(err); got != "403 SignatureDoesNotMatch" {
					t.Errorf("wrong secret: %s", got)
				}
			}
		})
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	server := s3test.Versity(t)
	b := newBucket(t, server)
	if err := b.put(t.Context(), "a", "data", false); err != nil {
		t.Fatal(err)
	}
	reader := b.through(t, s3test.NewProxy(t, server).ReadOnly(t, b.name))
	reader.holds(t, "a", "data")
	if _, err := reader.client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &b.name}); err != nil {
		t.Errorf("listing: %v", err)
	}
	for _, create := range []bool{false, true} {
		if got := status(reader.put(t.Context(), "b", "data", create)); got != "403 AccessDenied" {
			t.Errorf("put: %s", got)
		}
	}
	_, err := reader.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b.name, Key: aws.String("a")})
	if got := status(err); got != "403 AccessDenied" {
		t.Errorf("delete: %s", got)
	}
	b.holds(t, "a", "data")
}

func TestEnvironLeadsToTheServer(t *testing.T) {
	server := s3test.Versity(t)
	name := server.NewBucket(t)
	for _, variable := range server.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	presets, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := s3.NewFromConfig(presets).ListBuckets(t.Context(), &s3.ListBucketsInput{})
	if err != nil || len(out.Buckets) != 1 || *out.Buckets[0].Name != name {
		t.Errorf("ListBuckets() = %v, %v, want %s alone", out, err, name)
	}
}

// TestRestart wants the objects of a server to be there after it was killed, for
// those who knew it before.
func TestRestart(t *testing.T) {
	for _, name := range []string{"versitygw", "minio"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := servers[name](t)
			b := newBucket(t, server).through(t, &s3test.NewProxy(t, server).Server)
			if err := b.put(t.Context(), "key", "data", true); err != nil {
				t.Fatal(err)
			}
			server.Restart(t)
			b.holds(t, "key", "data")
		})
	}
}
