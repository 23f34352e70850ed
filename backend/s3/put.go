package s3

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/vault-guardian/guardian/awsconfig"
	"github.com/vault-guardian/guardian/backend"
)

// Metadata of an object: x-amz-meta-guardian-write and -deleted.
const (
	metaWrite   = "guardian-write"
	metaDeleted = "guardian-deleted"
)

const codeNoSuchKey = "NoSuchKey"

var errUnknownOutcome = errors.New("the answer was lost and another writer has been there since")

// object is what one PutObject stores.
type object struct {
	data   []byte
	marker bool
}

// newMarker is the object that stands for an absent key. Its bytes are unique,
// so that no two markers share an ETag.
func newMarker() object { return object{data: []byte("deleted " + newWriteID()), marker: true} }

var markerSize = int64(len(newMarker().data))

func isMarker(metadata map[string]string) bool { return metadata[metaDeleted] != "" }

// Put implements [backend.Backend].
func (s *S3) Put(ctx context.Context, key string, data []byte, rev backend.Revision) (backend.Revision, error) {
	err := admit(ctx, key)
	if len(data) > backend.MaxObjectSize {
		err = backend.ErrTooLarge
	}
	if err != nil {
		return backend.Revision{}, fmt.Errorf("putting %q: %w", key, err)
	}
	now, err := s.write(ctx, key, object{data: data}, rev)
	if err != nil {
		return backend.Revision{}, s.failed("putting", key, err)
	}
	return now, nil
}

// write is one conditional PutObject, repeated by the SDK where its failures
// allow it, and what is to be made of its answer.
func (s *S3) write(ctx context.Context, key string, o object, rev backend.Revision) (backend.Revision, error) {
	id := newWriteID()
	ctx, attempts := withTrail(ctx)
	out, err := s.client.PutObject(ctx, s.putInput(key, id, o, rev))
	if err == nil {
		return revisionOf(out.ETag)
	}
	lost, doubt := !rev.IsAny() && isLostRace(err), attempts.inDoubt()
	if !lost && !doubt {
		return backend.Revision{}, err
	}
	there, errHead := s.head(ctx, key)
	switch {
	case errHead != nil:
		return backend.Revision{}, errors.Join(err, fmt.Errorf("reading back: %w", errHead))
	case there.writeID == id:
		return there.rev, nil
	case !lost:
		return backend.Revision{}, err
	case doubt:
		return backend.Revision{}, errUnknownOutcome
	case rev.IsZero() && there.marker:
		return s.write(ctx, key, o, there.rev)
	}
	return backend.Revision{}, backend.ErrConflict
}

func (s *S3) putInput(key, id string, o object, rev backend.Revision) *s3.PutObjectInput {
	input := &s3.PutObjectInput{
		Bucket: &s.bucket, Key: s.key(key),
		Body: body(o.data), ContentLength: aws.Int64(int64(len(o.data))),
		Metadata: map[string]string{metaWrite: id},
	}
	if o.marker {
		input.Metadata[metaDeleted] = "true"
	}
	switch {
	case rev.IsAny():
	case rev.IsZero():
		input.IfNoneMatch = aws.String("*")
	default:
		input.IfMatch = aws.String(rev.Token())
	}
	return input
}

// isLostRace reports that a condition was not met: 412; 404 for If-Match on an
// absent key (412 on some servers); 409 when Amazon gave up between racing
// writers, after the retries.
func isLostRace(err error) bool {
	return awsconfig.Status(err) == http.StatusPreconditionFailed ||
		awsconfig.Code(err) == codeNoSuchKey || isConflict(err)
}

func newWriteID() string {
	var id [8]byte
	rand.Read(id[:]) // never fails: it aborts the process instead
	return hex.EncodeToString(id[:])
}
