package repair

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/guardian"
	"golang.org/x/sync/errgroup"
)

const (
	prefixInbox = "inbox/"
	prefixTaken = "taken/"
	// inboxBatch is how many lines are taken in between two notes of how far.
	inboxBatch = 500
	// inboxShown bounds the files that a status shows.
	inboxShown = 1000
)

var (
	errInboxLarge     = fmt.Errorf("larger than %d MiB: split it", backend.MaxObjectSize>>20)
	errInboxDirectory = errors.New("a directory: only files directly in the inbox are taken in")
)

// inbox takes in the files that operators put into it. An entry is queued before
// the cursor of its file (taken/<name>) moves behind it; so an entry that the
// cursor is behind, and whose slots are not in the queue, has left the queue,
// and nothing else need be kept to know what is done.
//
// take and count are called by one goroutine.
type inbox struct {
	*queue
	// over has the files of which nothing more is to be taken in while they are
	// listed so.
	over map[string]backend.Entry

	mu     sync.Mutex
	status map[string]InboxStatus
}

func newInbox(q *queue) *inbox {
	return &inbox{queue: q, over: map[string]backend.Entry{}, status: map[string]InboxStatus{}}
}

// take queues the entries of all files that are not queued yet. One file that
// cannot be read holds up no other.
func (b *inbox) take(ctx context.Context) error {
	files, err := b.files(ctx)
	if err != nil {
		return err
	}
	for _, file := range files {
		if seen, ok := b.over[file.Key]; ok && seen.Size == file.Size && seen.ModTime.Equal(file.ModTime) {
			continue
		}
		if problem := b.takeFile(ctx, file); problem != nil {
			err = errors.Join(err, fmt.Errorf("taking in %.80q: %w", file.Key, problem))
		}
	}
	return err
}

// files lists the inbox, and forgets what is no longer in it. The cursors are
// listed first: one whose file is not there then outlived it.
func (b *inbox) files(ctx context.Context) ([]backend.Entry, error) {
	cursors, err := b.list(ctx, prefixTaken)
	if err != nil {
		return nil, err
	}
	files, err := b.list(ctx, prefixInbox)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, file := range files {
		names[inboxName(file)] = true
	}
	for _, cursor := range cursors {
		name := strings.TrimPrefix(cursor.Key, prefixTaken)
		if !names[name] && !strings.HasSuffix(name, "/") {
			err = errors.Join(err, b.forget(ctx, name))
		}
	}
	b.mu.Lock()
	maps.DeleteFunc(b.status, func(name string, _ InboxStatus) bool { return !names[name] })
	b.mu.Unlock()
	maps.DeleteFunc(b.over, func(key string, _ backend.Entry) bool { return !names[strings.TrimPrefix(key, prefixInbox)] })
	return files, err
}

// list returns what lies directly behind prefix.
func (b *inbox) list(ctx context.Context, prefix string) ([]backend.Entry, error) {
	var files []backend.Entry
	for entry, err := range b.store.ListSegments(ctx, prefix, "") {
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", prefix, err)
		}
		files = append(files, entry)
	}
	return files, nil
}

// forget removes a cursor whose file is gone.
func (b *inbox) forget(ctx context.Context, name string) error {
	_, rev, err := b.store.Get(ctx, prefixTaken+name)
	if absent(err) {
		return nil
	}
	if err == nil {
		err = b.store.Delete(ctx, prefixTaken+name, rev)
	}
	if err != nil && !errors.Is(err, backend.ErrConflict) {
		return fmt.Errorf("removing the cursor of %.80q: %w", name, err)
	}
	return nil
}

// refusal says why a file is not taken in, by its listing alone.
func refusal(file backend.Entry) error {
	switch {
	case strings.HasSuffix(file.Key, "/"):
		return errInboxDirectory
	case file.Size > backend.MaxObjectSize:
		return errInboxLarge
	}
	return nil
}

// refuse leaves a file where it is, and says so once.
func (b *inbox) refuse(file backend.Entry, problem error) {
	name := inboxName(file)
	b.log.Warn("not taken in from the inbox of the repair queue", "file", name, "size", file.Size, "error", problem)
	b.over[file.Key] = file
	b.setStatus(InboxStatus{File: name, Problem: problem.Error()})
}

// takeFile queues what is new in one file. Where another replica does so at the
// moment, it is left to that.
func (b *inbox) takeFile(ctx context.Context, file backend.Entry) error {
	if problem := refusal(file); problem != nil {
		b.refuse(file, problem)
		return nil
	}
	data, _, err := b.store.Get(ctx, file.Key)
	switch {
	case absent(err):
		return nil
	case errors.Is(err, backend.ErrTooLarge): // it grew behind the listing
		b.refuse(file, errInboxLarge)
		return nil
	case err == nil:
		err = b.takeData(ctx, file, data)
	}
	if errors.Is(err, backend.ErrConflict) {
		return nil
	}
	return err
}

func (b *inbox) takeData(ctx context.Context, file backend.Entry, data []byte) error {
	cursor, err := b.readCursor(ctx, inboxName(file), data)
	if err != nil {
		return err
	}
	if err := b.advance(ctx, &cursor, data); err != nil {
		return err
	}
	b.show(cursor, data, b.doneOf(cursor.name))
	if cursor.over(data, b.now(), b.poll) {
		b.over[file.Key] = file
	}
	return nil
}

// advance queues the entries behind the cursor and moves it, batch by batch. A
// last line without an end is left until the file has stayed as it is.
func (b *inbox) advance(ctx context.Context, c *cursor, data []byte) error {
	if c.see(data, b.now()) {
		if err := b.writeCursor(ctx, c); err != nil {
			return err
		}
	}
	settled := c.settled(data, b.now(), b.poll)
	sum := sha256.New()
	_, _ = sum.Write(data[:c.Offset])
	for {
		lines := c.next(data, settled)
		if len(lines) == 0 {
			return nil
		}
		if err := b.queueLines(ctx, c.name, lines); err != nil {
			return err
		}
		before := *c
		_, _ = sum.Write(data[c.Offset:lines[len(lines)-1].end])
		c.pass(lines, sum.Sum(nil))
		if err := b.writeCursor(ctx, c); err != nil {
			return err
		}
		if before.Bad == 0 && c.Bad > 0 {
			b.log.Warn("file in the inbox of the repair queue has lines that are no entries; they are passed over",
				"file", c.name, "first", c.BadLines[0])
		}
	}
}

// queueLines queues the slots that lines stand for.
func (b *inbox) queueLines(ctx context.Context, name string, lines []inboxLine) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(queueReaders)
	for _, line := range lines {
		if line.kind == lineEntry {
			group.Go(func() error { return b.queueLine(ctx, name, line.slot) })
		}
	}
	return group.Wait()
}

// queueLine queues a named secret, or the share under an identity and all named
// secrets that this node knows of it.
func (b *inbox) queueLine(ctx context.Context, file string, slot guardian.Slot) error {
	slots := []guardian.Slot{slot}
	if slot.Name == "" {
		names, err := b.names(ctx, slot.Identity)
		if err != nil {
			return fmt.Errorf("looking for the secrets of %s: %w", slot.Short(), err)
		}
		for _, name := range names {
			slots = append(slots, guardian.Slot{Identity: slot.Identity, Name: name})
		}
	}
	for _, slot := range slots {
		if err := b.add(ctx, Item{Slot: slot, Reason: ReasonOperator, Good: -1, File: file}); err != nil {
			return err
		}
	}
	return nil
}

func (b *inbox) setStatus(s InboxStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status[s.File] = s
}

// doneOf returns what was counted last.
func (b *inbox) doneOf(name string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status[name].Done
}

// show remembers how far a file is.
func (b *inbox) show(c cursor, data []byte, done int) {
	s := InboxStatus{File: c.name, Taken: c.Entries, Done: min(done, c.Entries), Bad: c.Bad, BadLines: c.BadLines}
	rest := c
	for lines := rest.next(data, true); len(lines) > 0; lines = rest.next(data, true) {
		rest.pass(lines, nil)
	}
	s.Entries = rest.Entries
	b.setStatus(s)
}

// shown returns the files in order of their names.
func (b *inbox) shown() []InboxStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	files := make([]InboxStatus, 0, min(len(b.status), inboxShown))
	for _, name := range slices.Sorted(maps.Keys(b.status)) {
		if len(files) < inboxShown {
			files = append(files, b.status[name])
		}
	}
	return files
}

func inboxName(file backend.Entry) string { return strings.TrimPrefix(file.Key, prefixInbox) }
