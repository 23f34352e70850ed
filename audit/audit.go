// Package audit keeps the audit log of a guardian: one JSON line for each
// decision about a request, refusals included.
//
// Each process writes one chain of lines. A line has a sequence number, the
// tag of the line before it, and a tag of its own: an HMAC under a key of the
// node. So whoever can write to the storage but has no key cannot change,
// move, add or remove a line without [Verify] finding it, with two exceptions
// that no chain can close: lines removed at the end, the closing line with
// them, look like a process that was killed, and a chain of which every
// segment was removed was never there. The name of each chain is logged as it
// starts, and its length as it is closed.
//
// No line holds an identity or the name of a secret, only digests under a key.
package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

var (
	// ErrNotKept reports an event whose line is not known to be stored. It
	// may be stored later all the same.
	ErrNotKept = errors.New("audit line not kept")
	// ErrClosed reports an event that came after Close.
	ErrClosed = errors.New("audit log closed")
)

// Mode says where the lines go.
type Mode string

const (
	// Off keeps no lines.
	Off Mode = "off"
	// ToLog gives each line to the logger as one record, and keeps it nowhere
	// else.
	ToLog Mode = "log"
	// ToStore keeps the lines as a chain in the store.
	ToStore Mode = "store"
)

// Sealer is the keys of a node.
type Sealer interface {
	// Seal returns the id of the key in use now and the HMAC of parts under
	// it, for the label.
	Seal(label string, parts ...[]byte) (keyID string, tag []byte, err error)
	// Open returns nil if the tag is what Seal made of the same label and
	// parts under the key named.
	Open(ctx context.Context, label, keyID string, tag []byte, parts ...[]byte) error
}

// Store keeps segments. It is called by one goroutine at a time.
type Store interface {
	// PutSegment creates a segment; one that exists is never changed. A nil
	// error: it is stored and durable. To put the same bytes under the same
	// name again is a success, for that is how a lost answer is made up for:
	// an implementation whose storage says that the name is taken reads back
	// and compares. Other bytes under the name are an error. The name is two
	// segments of [A-Za-z0-9._-] with a slash between; the data is below 4 MiB
	// and must not be changed or kept. PutSegment returns soon after ctx ends.
	PutSegment(ctx context.Context, name string, data []byte) error
}

// Config is what a Log needs to know.
type Config struct {
	Mode Mode
	// Required makes Record wait until the line is stored. It needs ToStore.
	Required bool
	// NodeID and Program, a name and version, stand in the chain's first line.
	NodeID, Program string
	// Sealer is needed unless the mode is Off.
	Sealer Sealer
	// Store is needed for ToStore.
	Store  Store
	Logger *slog.Logger
}

// Log is the audit log of one process. It is safe for concurrent use.
type Log struct {
	cfg    Config
	keeper *keeper // nil unless the mode is ToStore
}

// Open begins a log, and with ToStore a chain, whose first line is stored at
// once in the background. It fails on a configuration that makes no sense. The
// log must be closed.
func Open(cfg Config) (*Log, error) {
	l := &Log{cfg: cfg}
	switch cfg.Mode {
	case Off, ToLog:
		if cfg.Required {
			return nil, fmt.Errorf("required audit lines must be stored: the mode is %q and must be %q", cfg.Mode, ToStore)
		}
	case ToStore:
		l.keeper = newKeeper(cfg)
		go l.keeper.run()
	default:
		return nil, fmt.Errorf("audit mode %q: use %s, %s or %s", cfg.Mode, Off, ToLog, ToStore)
	}
	return l, nil
}

// Record takes the line of one event.
//
// Where lines are required, nil means that the line is stored, and every other
// outcome is ErrNotKept with the reason: storing failed, ctx ended first, or
// too many lines wait already. Of those, the last is a lost line that the
// chain tells of; the others wait on and are tried again.
//
// Where they are not required, Record never waits for the store and returns
// nil: a line that finds too many waiting is lost, counted, and told of by the
// chain.
//
// With ToStore, it fails with ErrClosed, and ErrNotKept, after Close.
func (l *Log) Record(ctx context.Context, event Event) error {
	if l.cfg.Mode == Off {
		return nil
	}
	entry, err := newEntry(l.cfg.Sealer, event)
	switch {
	case l.keeper == nil && err != nil:
		l.cfg.Logger.ErrorContext(ctx, "audit line lost", "error", err)
	case l.keeper == nil:
		l.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "audit", entry.attrs()...)
	case err != nil:
		return l.keeper.lose(err)
	default:
		return l.keeper.keep(ctx, entry)
	}
	return nil
}

// Required reports whether Record waits until a line is stored.
func (l *Log) Required() bool { return l.cfg.Required }

// Close takes no more events, stores the lines that wait and the closing line,
// and tries again where that fails, until ctx ends. It returns ErrNotKept with
// the reason if lines are left that are not known to be stored. Closing again
// gives the same answer.
func (l *Log) Close(ctx context.Context) error {
	if l.keeper == nil {
		return nil
	}
	return l.keeper.close(ctx)
}

// Stats are the numbers of a log, for metrics.
type Stats struct {
	// BacklogBytes is the size of the lines that wait to be stored.
	BacklogBytes int
	// Lost counts the lines that were dropped.
	Lost uint64
	// Failures counts the attempts at storing that failed.
	Failures uint64
}

// Stats returns the numbers now; all are 0 unless the mode is ToStore.
func (l *Log) Stats() Stats {
	if l.keeper == nil {
		return Stats{}
	}
	return l.keeper.stats()
}
