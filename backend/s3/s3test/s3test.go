// Package s3test runs S3 servers inside a test, and puts faults between them
// and their clients: [Versity] and [MinIO] are real servers in processes of
// their own, [Fake] is one in memory, and [Proxy] passes requests on to any of
// them, counts them and spoils those that a test chooses.
package s3test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// requestTimeout bounds what one method of Server waits for the server.
const requestTimeout = 30 * time.Second

// Server is an S3 server that ends with its test. Its methods end the test
// when they fail. It is safe for concurrent use.
type Server struct {
	// Endpoint is the URL, without a path: http://127.0.0.1:port.
	Endpoint string
	Region   string
	// AccessKey and SecretKey are those of an account that may do everything.
	AccessKey, SecretKey string

	admin string // the program that makes accounts; "" where none does

	process *process // nil where it is none
}

// ByName returns the same server, called localhost instead of by its address.
// Clients choose the style of their URLs by that.
func (s *Server) ByName() *Server {
	named := *s
	named.Endpoint = strings.Replace(s.Endpoint, "127.0.0.1", "localhost", 1)
	return &named
}

// Environ returns the environment variables, as NAME=value, that lead the SDK
// and a guardian to the server, whatever the machine presets.
func (s *Server) Environ() []string {
	return []string{
		"AWS_ENDPOINT_URL_S3=" + s.Endpoint,
		"AWS_REGION=" + s.Region,
		"AWS_ACCESS_KEY_ID=" + s.AccessKey,
		"AWS_SECRET_ACCESS_KEY=" + s.SecretKey,
		"AWS_SESSION_TOKEN=",
		"AWS_PROFILE=",
		"AWS_S3_FORCE_PATH_STYLE=true",
		"AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=" + os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
	}
}

// Client returns a client of the server, for looking at objects and damaging
// them by hand. It writes and checks checksums and retries, as the SDK does by
// default. Its connections end with the test.
func (s *Server) Client(t testing.TB) *s3.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: maxIdleConns}
	t.Cleanup(transport.CloseIdleConnections)
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(s.Endpoint),
		Region:       s.Region,
		Credentials:  credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
		UsePathStyle: true,

		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,

		HTTPClient: &http.Client{Transport: transport, Timeout: requestTimeout},
	})
}

// NewBucket makes a bucket with a name of its own.
func (s *Server) NewBucket(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	bucket := "test-" + strings.ToLower(rand.Text())
	if _, err := s.Client(t).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatalf("making bucket %s: %v", bucket, err)
	}
	return bucket
}

// DeleteBucket removes a bucket with all its objects. Nobody may write to it
// meanwhile.
func (s *Server) DeleteBucket(t testing.TB, bucket string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	client := s.Client(t)
	err := empty(ctx, client, bucket)
	if err == nil {
		_, err = client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &bucket})
	}
	if err != nil {
		t.Fatalf("deleting bucket %s: %v", bucket, err)
	}
}

func empty(ctx context.Context, client *s3.Client, bucket string) error {
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("listing objects: %w", err)
		}
		for _, object := range page.Contents {
			if _, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: object.Key}); err != nil {
				return fmt.Errorf("deleting object %s: %w", *object.Key, err)
			}
		}
	}
	return nil
}
