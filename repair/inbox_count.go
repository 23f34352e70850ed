package repair

import (
	"context"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/guardian"
)

// removeTries is how often the removal of a file is tried before it is begun
// anew.
const removeTries = 3

// count finds out how many entries of each file are done, and removes those
// files of which all are.
func (b *inbox) count(ctx context.Context) error {
	files, err := b.files(ctx)
	if err != nil {
		return err
	}
	for _, file := range files {
		if refusal(file) != nil {
			continue
		}
		if problem := b.countFile(ctx, file); problem != nil {
			err = errors.Join(err, fmt.Errorf("counting what is done of %.80q: %w", file.Key, problem))
		}
	}
	return err
}

func (b *inbox) countFile(ctx context.Context, file backend.Entry) error {
	data, rev, err := b.store.Get(ctx, file.Key)
	if absent(err) || errors.Is(err, backend.ErrTooLarge) {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := b.readCursor(ctx, inboxName(file), data)
	if err != nil {
		return err
	}
	if !c.sees(data) {
		delete(b.over, file.Key) // whatever its listing says, there is something to take in
	}
	waiting, err := b.waiting(ctx, c, data)
	if err != nil {
		return err
	}
	b.show(c, data, c.Entries-waiting)
	if waiting > 0 || !c.over(data, b.now(), b.poll) {
		return nil
	}
	// A listing may pass over what is just being written.
	if waiting, err = b.waiting(ctx, c, data); err != nil || waiting > 0 {
		return err
	}
	return b.remove(ctx, file, rev, c)
}

// waiting counts the entries before the cursor of which something is in the
// queue. The listing begins after the cursor was read.
func (b *inbox) waiting(ctx context.Context, c cursor, data []byte) (int, error) {
	open := make(map[guardian.Slot]int, c.Entries)
	before := cursor{}
	for before.Offset < c.Offset {
		lines := before.next(data[:c.Offset], true)
		for _, line := range lines {
			if line.kind == lineEntry {
				open[line.slot]++
			}
		}
		before.pass(lines, nil)
	}
	waiting := 0
	for entry, err := range b.store.List(ctx, prefixItems, "") {
		if err != nil {
			return 0, fmt.Errorf("listing the repair queue: %w", err)
		}
		if slot, ok := itemSlot(entry.Key); ok {
			waiting += claim(open, slot)
		}
	}
	return waiting, nil
}

// claim returns how many entries wait for a slot and were not counted yet. One
// with an identity alone waits for all that is queued of it.
func claim(open map[guardian.Slot]int, slot guardian.Slot) int {
	whole := guardian.Slot{Identity: slot.Identity}
	n := open[whole]
	delete(open, whole)
	if slot != whole {
		n += open[slot]
		delete(open, slot)
	}
	return n
}

// remove ends a file: first its cursor, then itself. A file whose cursor is gone
// is taken in once more, which costs work; a cursor that outlived its file could
// pass over the entries of the next of its name.
func (b *inbox) remove(ctx context.Context, file backend.Entry, rev backend.Revision, c cursor) error {
	err := b.store.Delete(ctx, prefixTaken+c.name, c.rev)
	if errors.Is(err, backend.ErrConflict) {
		return nil // another replica is at it
	}
	if err != nil {
		return err
	}
	for range removeTries {
		if err = b.store.Delete(ctx, file.Key, rev); err == nil || errors.Is(err, backend.ErrConflict) {
			break
		}
	}
	if errors.Is(err, backend.ErrConflict) {
		c.rev = backend.Revision{} // it grew meanwhile: what is new is to be taken in
		return b.writeCursor(ctx, &c)
	}
	if err != nil {
		return err
	}
	b.log.Info("all entries of a file in the inbox of the repair queue are done", "file", c.name, "entries", c.Entries, "bad", c.Bad)
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.status, c.name)
	return nil
}
