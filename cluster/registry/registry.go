// Package registry reads where the guardians of a cluster find each other, as
// GUARDIAN_REGISTRY names it, and opens what is there.
package registry

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strings"

	"github.com/vault-guardian/guardian/backend/location"
	"github.com/vault-guardian/guardian/cluster"
)

// Location is where a registry is: in rqlite, in a bucket or in a directory. It
// may hold a password, which String leaves out. The zero Location is not valid.
type Location struct {
	rqlite string            // "" where it is shared
	shared location.Location // a bucket or a directory
}

var (
	rqliteScheme = regexp.MustCompile(`^(?i:rqlite\+https?)://`)
	s3Scheme     = regexp.MustCompile(`^(?i:s3)://`)
	directory    = regexp.MustCompile(`^(/|\.\.?/|[A-Za-z0-9._/-]*$)`)
	misspelt     = regexp.MustCompile(`^(?i:rqlite)|@`)
)

// Parse reads an rqlite+http://, rqlite+https:// or s3:// URL, or a directory's
// path. A URL with a mistake in it is no directory: each guardian would be alone
// with one of its own, whose name may hold a password. Errors say what to write
// instead, and quote nothing.
func Parse(text string) (Location, error) {
	switch {
	case rqliteScheme.MatchString(text):
		_, err := cluster.OpenRqlite(text, nil) // it calls nobody
		return Location{rqlite: text}, err
	case !s3Scheme.MatchString(text) && (!directory.MatchString(text) || misspelt.MatchString(text)):
		return Location{}, errors.New("use rqlite+http://name:password@host:4001, rqlite+https://..., s3://bucket/prefix or a directory, without quotes around it; " +
			"a directory has no @ in its path, and begins with / or ./ unless it is made of letters, digits, dots and hyphens")
	}
	shared, err := location.Parse(text)
	return Location{shared: shared}, err
}

// String is the location without user and password.
func (l Location) String() string {
	if l.rqlite == "" {
		return l.shared.String()
	}
	scheme := rqliteScheme.FindString(l.rqlite)
	return scheme + l.rqlite[max(len(scheme), strings.LastIndexByte(l.rqlite, '@')+1):]
}

// Confidential reports a location with a user or password in it.
func (l Location) Confidential() bool { return strings.Contains(l.rqlite, "@") }

// Overlaps reports a registry that would lie among the objects of guardians
// whose storage is given, as [location.Location.Overlaps].
func (l Location) Overlaps(storage location.Location) bool {
	return l.rqlite == "" && l.shared.Overlaps(storage)
}

// Exists reports false for a directory that no guardian has used as a registry
// yet. Of others it says nothing.
func (l Location) Exists() bool { return l.rqlite != "" || l.shared.Exists() }

// Options say how to open a registry.
type Options struct {
	// SkipProbe opens one in a bucket without proving that the store is safe.
	SkipProbe bool
	// Logger is told of records that are not believed; nil discards that.
	Logger *slog.Logger
}

// Open opens the registry. Over rqlite it calls nobody yet. It makes a directory
// that is not there. Errors are those of [location.Location.OpenShared].
func (l Location) Open(ctx context.Context, o Options) (cluster.Registry, error) {
	if l.rqlite != "" {
		opened, err := cluster.OpenRqlite(l.rqlite, o.Logger)
		if err != nil {
			return nil, err // not a nil *Rqlite in a Registry
		}
		return opened, nil
	}
	store, err := l.shared.OpenShared(ctx, location.Options{SkipProbe: o.SkipProbe})
	if err != nil {
		return nil, err
	}
	return cluster.NewBucket(store, o.Logger), nil
}
