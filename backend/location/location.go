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
	"github.com/vault-guardian/guardian/backend/bolt"
	"github.com/vault-guardian/guardian/backend/fs"
	"github.com/vault-guardian/guardian/backend/s3"
)

// Kinds of storage.
const (
	KindDirectory = "fs"
	KindBolt      = "bolt"
	KindS3        = "s3"
)

// Location is where one or more guardians keep their objects: a directory, the
// file of bolt:///path/guardian.db, or s3://bucket/prefix. The zero Location is
// not valid.
type Location struct {
	dir            string
	file           string
	bucket, prefix string
}

var (
	schemes = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*):(//)?`)
	buckets = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
)

// Parse reads a directory's path, or a bolt:// or s3:// URL. Errors say what to
// write instead.
func Parse(text string) (Location, error) {
	scheme := schemes.FindStringSubmatch(text)
	switch {
	case text == "":
		return Location{}, errors.New("empty: give a directory, bolt:///path/guardian.db or s3://bucket/prefix")
	case strings.ContainsRune(text, 0):
		return Location{}, errors.New("not a path")
	case strings.ContainsRune("\"'`", rune(text[0])): // or each guardian has an empty directory of that name
		return Location{}, errors.New("starts with a quote: give it without quotes, or write ./ before a directory of such a name")
	case scheme == nil:
		return Location{dir: text}, nil
	case scheme[2] == "": // s3:/bucket would be kept in a directory of that name
		return Location{}, fmt.Errorf("neither a directory nor bolt:///path/guardian.db nor s3://bucket/prefix: write ./%s if it is a directory", text)
	}
	rest := strings.TrimPrefix(text, scheme[0])
	switch strings.ToLower(scheme[1]) {
	case KindBolt:
		return parseBolt(rest)
	case KindS3:
		return parseS3(rest)
	}
	return Location{}, fmt.Errorf("shares cannot be kept on %s://: give a directory, bolt:///path/guardian.db or s3://bucket/prefix", scheme[1])
}

// parseBolt wants to be told where a path begins: what follows the two slashes
// of a URL is else the name of a host.
func parseBolt(rest string) (Location, error) {
	switch {
	case strings.Trim(rest, "./") == "", strings.HasSuffix(rest, "/"):
		return Location{}, errors.New("not bolt:///path/guardian.db: name a file")
	case !filepath.IsAbs(rest) && !strings.HasPrefix(rest, "./") && !strings.HasPrefix(rest, "../"):
		return Location{}, fmt.Errorf("not bolt:///path/guardian.db: write bolt:///%[1]s, or bolt://./%[1]s for a path from the working directory", rest)
	}
	return Location{file: rest}, nil
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

// Kind is KindDirectory, KindBolt or KindS3.
func (l Location) Kind() string {
	switch {
	case l.bucket != "":
		return KindS3
	case l.file != "":
		return KindBolt
	}
	return KindDirectory
}

// Path is the directory or the file; "" for a bucket.
func (l Location) Path() string { return l.dir + l.file }

// String is the location without credentials, as Parse takes it.
func (l Location) String() string {
	switch {
	case l.file != "":
		return "bolt://" + l.file
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
	switch l.Kind() {
	case KindS3:
		return ""
	case KindBolt:
		return filepath.Join(filepath.Dir(l.file), name)
	}
	return filepath.Join(l.dir, name)
}

// Overlaps reports whether what all guardians share at l, see OpenShared, lies
// among what those with the given storage keep of their own, or the other way
// round: one directory, file or prefix is or holds the other.
func (l Location) Overlaps(storage Location) bool {
	if l.bucket != storage.bucket {
		return false
	}
	shared, own := l.Path(), storage.Path()
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

// Exists reports false for a directory that no guardian has opened yet, and for
// a file that is not there. A bucket is not looked at.
func (l Location) Exists() bool {
	switch l.Kind() {
	case KindS3:
		return true
	case KindBolt:
		return bolt.Exists(l.file)
	}
	return fs.Exists(l.dir)
}

// Options say how to open a location.
type Options struct {
	// NodeID is the guardian whose objects are meant. In a bucket they lie
	// under nodes/<node id>/; a directory or a file holds one guardian.
	NodeID string
	// SkipProbe opens an S3 store without proving that it is safe.
	SkipProbe bool
	// OnRequest is told of every request to S3, see s3.Config.
	OnRequest func(op string)
}

// Open opens the storage of one guardian. Errors are those of fs.Open, bolt.Open
// and s3.Open.
func (l Location) Open(ctx context.Context, o Options) (backend.Backend, error) {
	return l.open(ctx, path.Join(l.prefix, nodesPrefix, o.NodeID), o)
}

// OpenShared opens what all guardians that are given the location have in
// common, whatever NodeID is. Errors are those of Open.
func (l Location) OpenShared(ctx context.Context, o Options) (backend.Backend, error) {
	return l.open(ctx, l.prefix, o)
}

func (l Location) open(ctx context.Context, prefix string, o Options) (backend.Backend, error) {
	switch l.Kind() {
	case KindDirectory:
		return opened(fs.Open(l.dir))
	case KindBolt:
		return opened(bolt.Open(l.file))
	}
	return opened(s3.Open(ctx, s3.Config{
		Bucket: l.bucket, Prefix: prefix, SkipProbe: o.SkipProbe, OnRequest: o.OnRequest,
	}))
}

// opened makes no backend of a nil pointer.
func opened[B backend.Backend](store B, err error) (backend.Backend, error) {
	if err != nil {
		return nil, err
	}
	return store, nil
}
