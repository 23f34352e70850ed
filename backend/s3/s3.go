// Package s3 keeps objects in a bucket of Amazon S3 or of a server that speaks
// its protocol and keeps conditional writes: If-None-Match and If-Match on
// PutObject, judged in one step with the write. Open proves that it does.
//
// Every Put is one PutObject, which carries a random id in its metadata. A
// request that was repeated can meet its own success as 412 Precondition
// Failed; the id tells whose write is there. A Put that was in doubt and then
// replaced by another writer is reported as of unknown outcome, never as a
// conflict.
//
// Servers differ in whether they judge conditions of DeleteObject, so a
// conditional Delete writes a small marker over the object, by a conditional
// PutObject: the key is then absent, and the marker stays until the key is
// written or unconditionally deleted again. A group of ListSegments that holds
// nothing but markers is still listed.
//
// An unconditional Put is repeated after a lost answer like any other, and the
// first request may land late: use it for keys that one writer writes once.
package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/vault-guardian/guardian/awsconfig"
	"github.com/vault-guardian/guardian/backend"
)

// Config says which objects of which bucket are the storage's.
type Config struct {
	Bucket string
	// Prefix is put before every key with a slash between; "" for none.
	Prefix string
	// SkipProbe opens a store without proving that it is safe.
	SkipProbe bool
	// OnRequest, when set, is told of every HTTP request: the operation, such
	// as PutObject, once per attempt. It is called by many goroutines.
	OnRequest func(op string)
}

// S3 is a [backend.Backend] on a bucket. A revision is the object's ETag. It
// keeps nothing in the process and writes no local file.
type S3 struct {
	client *s3.Client
	bucket string
	root   string // prefix with its trailing slash, or ""
}

var _ backend.Backend = (*S3)(nil)

// ErrUnsafe reports a store that does not keep conditional writes, so that a
// version could go back on it.
var ErrUnsafe = errors.New("this store is not safe to keep shares on")

// Open connects to the bucket, by the environment (see package awsconfig, and
// AWS_S3_FORCE_PATH_STYLE), and proves the store unless told not to. Errors
// wrap ErrUnsafe or an *awsconfig.Problem where there is something to do.
func Open(ctx context.Context, cfg Config) (*S3, error) {
	shared, err := awsconfig.Load(ctx)
	if err != nil {
		return nil, err
	}
	if err := awsconfig.RequireRegion(shared); err != nil {
		return nil, err
	}
	pathStyle, err := awsconfig.Flag("AWS_S3_FORCE_PATH_STYLE")
	if err != nil {
		return nil, err
	}
	s := &S3{bucket: cfg.Bucket}
	if cfg.Prefix != "" {
		s.root = cfg.Prefix + "/"
	}
	s.client = s3.NewFromConfig(shared, func(o *s3.Options) {
		// A bucket is no host below a name such as localhost or rustfs.
		o.UsePathStyle = pathStyle || awsconfig.SingleLabel(aws.ToString(o.BaseEndpoint))
		o.Retryer = newRetryer()
		o.HTTPClient = &recorder{next: o.HTTPClient, onRequest: cfg.OnRequest}
	})
	if !cfg.SkipProbe {
		err = s.probe(ctx)
	}
	return s, err
}

// Get implements [backend.Backend].
func (s *S3) Get(ctx context.Context, key string) ([]byte, backend.Revision, error) {
	if err := admit(ctx, key); err != nil {
		return nil, backend.Revision{}, fmt.Errorf("getting %q: %w", key, err)
	}
	data, rev, err := s.get(ctx, key)
	if errors.Is(err, errChecksum) { // on the way?
		data, rev, err = s.get(ctx, key)
	}
	if errors.Is(err, errChecksum) { // in the store: as it is, for the caller to judge
		data, rev, err = s.get(ctx, key, func(o *s3.Options) {
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		})
	}
	if err != nil {
		return nil, backend.Revision{}, s.failed("getting", key, err)
	}
	return data, rev, nil
}

// errChecksum reports bytes that do not fit the checksum which the store keeps.
var errChecksum = errors.New("checksum mismatch")

func (s *S3) get(ctx context.Context, key string, options ...func(*s3.Options)) ([]byte, backend.Revision, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: s.key(key)}, options...)
	if awsconfig.Code(err) == codeNoSuchKey {
		return nil, backend.Revision{}, backend.ErrNotFound
	}
	if err != nil {
		return nil, backend.Revision{}, err
	}
	defer func() { _ = out.Body.Close() }()
	if isMarker(out.Metadata) {
		return nil, backend.Revision{}, backend.ErrNotFound
	}
	if aws.ToInt64(out.ContentLength) > backend.MaxObjectSize {
		return nil, backend.Revision{}, backend.ErrTooLarge
	}
	data, err := io.ReadAll(io.LimitReader(out.Body, backend.MaxObjectSize+1))
	if err != nil { // the answer itself is in memory by now
		return nil, backend.Revision{}, fmt.Errorf("%w: %w", errChecksum, err)
	}
	if len(data) > backend.MaxObjectSize {
		return nil, backend.Revision{}, backend.ErrTooLarge
	}
	rev, err := revisionOf(out.ETag)
	return data, rev, err
}

// Delete implements [backend.Backend].
func (s *S3) Delete(ctx context.Context, key string, rev backend.Revision) error {
	if err := admit(ctx, key); err != nil {
		return fmt.Errorf("deleting %q: %w", key, err)
	}
	if rev.IsAny() {
		_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: s.key(key)})
		if err != nil && awsconfig.Code(err) != codeNoSuchKey {
			return s.failed("deleting", key, err)
		}
		return nil
	}
	err := backend.ErrConflict // there is nothing at the zero revision to delete
	if !rev.IsZero() {
		_, err = s.write(ctx, key, newMarker(), rev)
	}
	if errors.Is(err, backend.ErrConflict) {
		if found, errHead := s.head(ctx, key); errHead != nil {
			err = errHead
		} else if found.absent() {
			return nil
		}
	}
	if err != nil {
		return s.failed("deleting", key, err)
	}
	return nil
}

// Check implements [backend.Backend]. It proves that the bucket is there and
// may be listed; that it may be written, Open has proved.
func (s *S3) Check(ctx context.Context) error {
	// Not HeadBucket, which a policy that grants listing below a prefix refuses.
	_, err := s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: &s.bucket, Prefix: &s.root, MaxKeys: aws.Int32(1),
	})
	if err != nil {
		return fmt.Errorf("checking bucket: %w", s.explain("list", err))
	}
	return nil
}

// Close implements [backend.Backend]. Connections end by themselves.
func (s *S3) Close() error { return nil }

// String implements [backend.Backend].
func (s *S3) String() string {
	if s.root == "" {
		return "s3://" + s.bucket
	}
	return "s3://" + s.bucket + "/" + s.root[:len(s.root)-1]
}

func (s *S3) key(key string) *string { return aws.String(s.root + key) }

func admit(ctx context.Context, key string) error {
	if !backend.ValidKey(key) {
		return backend.ErrInvalidKey
	}
	return ctx.Err()
}

func revisionOf(etag *string) (backend.Revision, error) {
	if aws.ToString(etag) == "" {
		return backend.Revision{}, fmt.Errorf("%w: it answers without ETag", ErrUnsafe)
	}
	return backend.NewRevision(*etag), nil
}

// found is what a HEAD says of a key.
type found struct {
	rev     backend.Revision // zero when there is no object
	writeID string
	marker  bool
}

// absent reports that the key is absent for the callers of this package.
func (f found) absent() bool { return f.rev.IsZero() || f.marker }

func (s *S3) head(ctx context.Context, key string) (found, error) {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.key(key)})
	if _, absent := errors.AsType[*types.NotFound](err); absent && awsconfig.Status(err) == http.StatusNotFound {
		return found{}, nil
	}
	if err != nil {
		return found{}, err
	}
	rev, err := revisionOf(out.ETag)
	return found{rev, out.Metadata[metaWrite], isMarker(out.Metadata)}, err
}

func body(data []byte) io.ReadSeeker { return bytes.NewReader(data) }
