package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/internal/disk"
)

const (
	// defaultWindow bounds the names of one directory held at a time.
	defaultWindow = 16 << 10
	// readChunk and statChunk bound what is done between two looks at ctx.
	readChunk = 1024
	statChunk = 256
)

// List implements [backend.Backend].
func (f *FS) List(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return f.list(ctx, listing{prefix: prefix, after: after})
}

// ListSegments implements [backend.Backend].
func (f *FS) ListSegments(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return f.list(ctx, listing{prefix: prefix, after: after, segments: true})
}

func (f *FS) list(ctx context.Context, l listing) iter.Seq2[backend.Entry, error] {
	return func(yield func(backend.Entry, error) bool) {
		w := walk{FS: f, ctx: ctx, listing: l, yield: yield}
		if err := w.directory(l.base()); err != nil && !errors.Is(err, errBreak) {
			yield(backend.Entry{}, fmt.Errorf("listing %.80q: %w", l.prefix, err))
		}
	}
}

// listing says which keys are wanted. In it and in walk, the name of a
// directory ends in a slash, which puts it where its keys belong in byte
// order: `a-b`, `a.b`, `a/`, `a0`.
type listing struct {
	prefix, after string
	segments      bool
}

// base is the lowest directory that holds all keys with the prefix; "" is the
// root.
func (l listing) base() string { return l.prefix[:strings.LastIndexByte(l.prefix, '/')+1] }

// wants reports whether an object, or something in a directory, may be part of
// the listing.
func (l listing) wants(name string) bool {
	if !backend.ValidKey(strings.TrimSuffix(name, "/")) || !strings.HasPrefix(name, l.prefix) {
		return false
	}
	inside := strings.HasSuffix(name, "/") && !l.segments && strings.HasPrefix(l.after, name)
	return name > l.after || inside
}

// errBreak says that the consumer wants no more.
var errBreak = errors.New("listing broken off")

// walk is one pass of a consumer over a listing.
type walk struct {
	*FS
	listing
	ctx   context.Context
	yield func(backend.Entry, error) bool
}

// directory yields what is wanted of dir, window by window. A window is a pass
// over the whole directory that keeps the smallest names behind the last one,
// so memory is bounded, and a directory within one window is read once.
func (w *walk) directory(dir string) error {
	for last := ""; ; {
		names, err := disk.Do(w.ctx, w.busy, func() ([]string, error) { return w.smallest(dir, last) })
		if err != nil {
			return err
		}
		for chunk := range slices.Chunk(names, statChunk) {
			if err := w.emit(chunk); err != nil {
				return err
			}
		}
		if len(names) < w.window {
			return nil
		}
		last = names[len(names)-1]
	}
}

func (w *walk) emit(names []string) error {
	entries, err := disk.Do(w.ctx, w.busy, func() ([]backend.Entry, error) { return w.entries(names) })
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if !w.segments && strings.HasSuffix(entry.Key, "/") {
			err = w.directory(entry.Key)
		} else if !w.yield(entry, nil) {
			err = errBreak
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// smallest returns, in order, the first w.window wanted names in dir that are
// greater than last.
func (w *walk) smallest(dir, last string) ([]string, error) {
	var names []string
	err := w.scan(dir, func(name string) bool {
		if name > last && w.wants(name) {
			names = append(names, name)
		}
		if len(names) >= 2*w.window {
			names = w.trim(names)
		}
		return true
	})
	return w.trim(names), err
}

func (w *walk) trim(names []string) []string {
	slices.Sort(names)
	names = slices.Compact(names)
	return names[:min(len(names), w.window)]
}

// entries looks the names up and leaves out those that are gone.
func (w *walk) entries(names []string) ([]backend.Entry, error) {
	var entries []backend.Entry
	for _, name := range names {
		entry, found, err := w.entry(name)
		if err != nil {
			return nil, err
		}
		if found {
			entries = append(entries, entry)
		}
	}
	return entries, nil
}

func (w *walk) entry(name string) (backend.Entry, bool, error) {
	if strings.HasSuffix(name, "/") {
		found, err := !w.segments, error(nil)
		if w.segments {
			found, err = w.holdsObject(name)
		}
		return backend.Entry{Key: name}, found, err
	}
	info, err := w.root.Lstat(name)
	if absent(err) {
		return backend.Entry{}, false, nil
	}
	if err != nil {
		return backend.Entry{}, false, err
	}
	return backend.Entry{Key: name, Size: info.Size(), ModTime: info.ModTime()}, info.Mode().IsRegular(), nil
}

// holdsObject tells a group from a directory that a crash left empty.
func (w *walk) holdsObject(dir string) (bool, error) {
	var found bool
	var deeper error
	err := w.scan(dir, func(name string) bool {
		if strings.HasSuffix(name, "/") {
			found, deeper = w.holdsObject(name)
		} else {
			found = backend.ValidKey(name)
		}
		return !found && deeper == nil
	})
	return found, errors.Join(err, deeper)
}

// scan calls visit with the full name of each file and directory in dir until
// it returns false. A directory that is not there is empty.
func (w *walk) scan(dir string, visit func(name string) bool) error {
	if dir != "" && !backend.ValidKey(strings.TrimSuffix(dir, "/")) {
		return nil
	}
	file, err := w.root.Open(path.Clean(dir))
	if absent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	for w.ctx.Err() == nil {
		chunk, err := file.ReadDir(readChunk)
		for _, found := range chunk {
			if name, ok := nameOf(dir, found); ok && !visit(name) {
				return nil
			}
		}
		if errors.Is(err, io.EOF) || absent(err) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return w.ctx.Err()
}

// nameOf leaves out what is neither a file nor a directory, links among them.
func nameOf(dir string, found os.DirEntry) (string, bool) {
	if found.IsDir() {
		return dir + found.Name() + "/", true
	}
	return dir + found.Name(), found.Type().IsRegular()
}
