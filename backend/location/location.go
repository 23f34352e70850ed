// Package location reads where a guardian keeps its objects, as
// GUARDIAN_STORAGE names it, and opens the backend that serves it.
package location

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/fs"
	"github.com/vault-guardian/guardian/backend/s3"
)

// Kinds of storage.
const (
	KindDirectory = "fs"
	KindS3        = "s3"
)

// Location is where one or more guardians keep their objects: a directory, or
// s3://bucket/prefix. The zero Location is not valid.
type Location struct {
	dir            string
	bucket, prefix string
}

var (
	schemes = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*):(//)?`)
	buckets = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
)

// Parse reads a directory's path or an s3:// URL. Errors say what to write
// instead.
func Parse(text string) (Location, error) {
	scheme := schemes.FindStringSubmatch(text)
	switch {
	case text == "":
		return Location{}, errors.New("empty: give a directory or s3://bucket/prefix")
	case scheme == nil && strings.ContainsRune(text, 0):
		return Location{}, errors.New("not a path")
	case strings.ContainsRune("\"'`", rune(text[0])): // or each guardian has an empty directory of that name
		return Location{}, errors.New("starts with a quote: give it without quotes, or write ./ before a directory of such a name")
	case scheme == nil:
		return Location{dir: text}, nil
	case scheme[2] == "": // s3:/bucket would be kept in a directory of that name
		return Location{}, fmt.Errorf("neither a directory nor s3://bucket/prefix: write ./%s if it is a directory", text)
	case !strings.EqualFold(scheme[1], KindS3):
		return Location{}, fmt.Errorf("this build cannot keep shares on %s:// yet: give a directory or s3://bucket/prefix", scheme[1])
	}
	return parseS3(strings.TrimPrefix(text, scheme[0]))
}

func parseS3(rest string) (Location, error) {
	bucket, prefix, _ := strings.Cut(rest, "/")
	switch {
	case strings.Contains(bucket, "@"):
		return Location{}, errors.New("credentials do not belong into the URL: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	case !buckets.MatchString(bucket):
		return Location{}, errors.New("not s3://bucket/prefix: a bucket is 3 to 63 of a-z, 0-9, dot and hyphen")
	case strings.HasSuffix(rest, "/"):
		return Location{}, fmt.Errorf("ends in a slash: write s3://%s", strings.TrimRight(rest, "/"))
	case prefix != "" && !backend.ValidKey(prefix), len(prefix) > maxPrefix:
		return Location{}, fmt.Errorf("not s3://bucket/prefix: a prefix is at most %d of A-Z, a-z, 0-9, dot, underscore and hyphen, in segments with single slashes between", maxPrefix)
	}
	return Location{bucket: bucket, prefix: prefix}, nil
}

// maxPrefix leaves room for the longest key in the 1,024 bytes of S3.
const maxPrefix = 256

// Kind is KindDirectory or KindS3.
func (l Location) Kind() string {
	if l.bucket != "" {
		return KindS3
	}
	return KindDirectory
}

// String is the location without credentials, as Parse takes it.
func (l Location) String() string {
	switch {
	case l.bucket == "":
		return l.dir
	case l.prefix == "":
		return "s3://" + l.bucket
	}
	return "s3://" + l.bucket + "/" + l.prefix
}

// KeyFile is the file of the integrity key that lies beside the data; "" where
// there can be none.
func (l Location) KeyFile() string { return l.beside("integrity.key") }

// NodeKeyFile is likewise that of the node key.
func (l Location) NodeKeyFile() string { return l.beside("node.key") }

func (l Location) beside(name string) string {
	if l.Kind() == KindS3 {
		return ""
	}
	return filepath.Join(l.dir, name)
}

// Overlaps reports whether what all guardians share at l, see OpenShared, lies
// among what those with the given storage keep of their own, or the other way
// round: one directory or prefix is or holds the other.
func (l Location) Overlaps(storage Location) bool {
	if l.Kind() != storage.Kind() || l.bucket != storage.bucket {
		return false
	}
	shared, own := l.dir, storage.dir
	if l.Kind() == KindS3 {
		shared, own = "/"+l.prefix, "/"+path.Join(storage.prefix, nodesPrefix)
	}
	return holds(shared, own) || holds(own, shared)
}

func holds(outer, inner string) bool {
	outer, errOuter := filepath.Abs(outer)
	inner, errInner := filepath.Abs(inner)
	if errOuter != nil || errInner != nil {
		return false
	}
	way, err := filepath.Rel(outer, inner)
	return err == nil && filepath.IsLocal(way)
}

// nodesPrefix holds a prefix for each guardian in a bucket.
const nodesPrefix = "nodes"

// Exists reports false for a directory that no guardian has opened yet. A
// bucket is not looked at.
func (l Location) Exists() bool { return l.Kind() == KindS3 || fs.Exists(l.dir) }

// Options say how to open a location.
type Options struct {
	// NodeID is the guardian whose objects are meant. In a bucket they lie
	// under nodes/<node id>/; a directory holds one guardian.
	NodeID string
	// SkipProbe opens an S3 store without proving that it is safe.
	SkipProbe bool
	// OnRequest is told of every request to S3, see s3.Config.
	OnRequest func(op string)
}

// Open opens the storage of one guardian. Errors are those of fs.Open and
// s3.Open.
func (l Location) Open(ctx context.Context, o Options) (backend.Backend, error) {
	return l.open(ctx, path.Join(l.prefix, nodesPrefix, o.NodeID), o)
}

// OpenShared opens what all guardians that are given the location have in
// common, whatever NodeID is. Errors are those of Open.
func (l Location) OpenShared(ctx context.Context, o Options) (backend.Backend, error) {
	return l.open(ctx, l.prefix, o)
}

func (l Location) open(ctx context.Context, prefix string, o Options) (backend.Backend, error) {
	if l.Kind() == KindDirectory {
		store, err := fs.Open(l.dir)
		if err != nil {
			return nil, err
		}
		return store, nil
	}
	store, err := s3.Open(ctx, s3.Config{
		Bucket: l.bucket, Prefix: prefix, SkipProbe: o.SkipProbe, OnRequest: o.OnRequest,
	})
	if err != nil {
		return nil, err
	}
	return store, nil
}
