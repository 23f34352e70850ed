package sim

import (
	"context"
	"fmt"
	"hash/fnv"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
)

// disk is the storage of one guardian, which outlives its processes. It is the
// scheduler's alone.
type disk struct {
	of  *host
	mem *backendtest.Memory
	// versions is what the version object of each slot said last, to see it
	// never go back; damage that is dealt forgets it.
	versions map[string]stored
}

func newDisk(of *host) *disk {
	return &disk{of: of, mem: backendtest.NewMemory(), versions: map[string]stored{}}
}

// broken tells of what is wrong.
func (d *disk) broken(format string, args ...any) {
	d.of.world.broken(d.of.id+": "+format, args...)
}

func (d *disk) get(key string) ([]byte, backend.Revision, error) {
	return d.mem.Get(context.Background(), key)
}

func (d *disk) has(key string) bool {
	_, _, err := d.get(key)
	return err == nil
}

func (d *disk) keys(prefix string) (all []string) {
	for entry, err := range d.mem.List(context.Background(), prefix, "") {
		if err == nil { // the memory has no other
			all = append(all, entry.Key)
		}
	}
	return all
}

func (d *disk) put(key string, data []byte, rev backend.Revision) (backend.Revision, error) {
	if d.of.world.plant.ignoresRevisions {
		rev = backend.AnyRevision
	}
	data, lost := d.of.world.plant.planted(d.of, key, data)
	if lost {
		return backend.NewRevision("lost"), nil
	}
	now, err := d.mem.Put(context.Background(), key, data, rev)
	if err == nil {
		d.watch(key, data)
		if moves := d.of.world.moves; moves != nil {
			moves.lines.watch(d.of, key)
		}
	}
	return now, err
}

func (d *disk) remove(key string, rev backend.Revision) error {
	before, _, errGet := d.get(key)
	err := d.mem.Delete(context.Background(), key, rev)
	if err == nil && errGet == nil && strings.HasSuffix(key, "/version") {
		d.broken("%s is deleted, which said %q", key, before)
	}
	return err
}

// watch wants what version objects say never to go back: neither to a lower
// version, nor from a tombstone to a share at its version.
func (d *disk) watch(key string, data []byte) {
	place, is := strings.CutSuffix(key, "/version")
	if !is || strings.HasPrefix(key, "quarantine/") {
		return
	}
	now, ok := parseStored(data)
	if !ok {
		d.broken("%s was written malformed", key)
		return
	}
	before, known := d.versions[place]
	d.versions[place] = now
	for _, generation := range now.named {
		if strings.Contains(generation, "-m") && !slices.Contains(before.named, generation) {
			d.of.world.count.Recoveries++ // as Mend marks its own
		}
	}
	if known && (now.current < before.current || now.current == before.current && (before.deleted && !now.deleted || !now.deleted && now.epoch() < before.epoch())) {
		d.broken("%s went back from %v to %v", place, before, now)
	}
}

// wreck changes an object behind the back of its guardian; nil removes it.
func (d *disk) wreck(key string, data []byte) {
	ctx := context.Background()
	if data == nil {
		_ = d.mem.Delete(ctx, key, backend.AnyRevision)
	} else if _, err := d.mem.Put(ctx, key, data, backend.AnyRevision); err != nil {
		d.broken("wrecking %s: %v", key, err)
	}
	if place, is := strings.CutSuffix(key, "/version"); is {
		delete(d.versions, place)
	}
}

// replace has the disk hold other objects, none for a new one.
func (d *disk) replace(objects map[string][]byte) {
	d.mem = backendtest.NewMemory()
	clear(d.versions)
	for key, data := range objects {
		d.wreck(key, data)
		if place, is := strings.CutSuffix(key, "/version"); is {
			if says, ok := parseStored(data); ok && !d.of.wrecked[key+" "+string(data)] {
				d.versions[place] = says
			}
		}
	}
}

// stored is what a version object says.
type stored struct {
	current uint64
	deleted bool
	// moved: the current version has gone to other guardians, at an epoch.
	moved uint64
	// named are the directories of the generations, newest first.
	named []string
}

// epoch is that of the current version, here or as it left.
func (s stored) epoch() uint64 {
	if s.moved > 0 || len(s.named) == 0 {
		return s.moved
	}
	return epochOf(s.named[0])
}

// epochOf is the epoch of a generation.
func epochOf(generation string) uint64 {
	fields := strings.Split(generation, "-")
	if len(fields) < 3 {
		return 0
	}
	epoch, _ := strconv.ParseUint(strings.TrimPrefix(fields[1], "e"), 10, 64)
	return epoch
}

// parseStored reads the text of a version object without checking its HMAC,
// see docs/FORMATS.md.
func parseStored(data []byte) (stored, bool) {
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	var s stored
	if len(lines) < 3 || !strings.HasPrefix(lines[len(lines)-1], "hmac ") {
		return s, false
	}
	if _, err := fmt.Sscanf(lines[0], "%d", &s.current); err != nil {
		return s, false
	}
	lines[1], _, _ = strings.Cut(lines[1], " ")
	s.deleted = lines[1] == "deleted"
	if _, err := fmt.Sscanf(lines[1], "moved-e%d-", &s.moved); err == nil {
		s.named = lines[2 : len(lines)-1]
	} else if !s.deleted {
		s.named = lines[1 : len(lines)-1]
	}
	return s, true
}

// store is a process's way to its disk.
type store struct{ p *process }

var _ backend.Backend = (*store)(nil)

func (s *store) step(ctx context.Context, kind kind, what string, apply func(d *disk)) error {
	return s.p.world.sched.step(ctx, &event{
		key: s.p.label + " " + what, kind: kind, by: s.p,
		apply: func(bool) { apply(s.p.on.disk) },
	})
}

// Get implements [backend.Backend].
func (s *store) Get(ctx context.Context, key string) ([]byte, backend.Revision, error) {
	var got struct {
		data []byte
		rev  backend.Revision
		err  error
	}
	if err := admissible(ctx, key); err != nil {
		return nil, backend.Revision{}, err
	}
	if err := s.step(ctx, kindRead, "get "+key, func(d *disk) { got.data, got.rev, got.err = d.get(key) }); err != nil {
		return nil, backend.Revision{}, err
	}
	return got.data, got.rev, got.err
}

// Put implements [backend.Backend].
func (s *store) Put(ctx context.Context, key string, data []byte, rev backend.Revision) (backend.Revision, error) {
	if err := admissible(ctx, key); err != nil {
		return backend.Revision{}, err
	}
	if len(data) > backend.MaxObjectSize {
		return backend.Revision{}, backend.ErrTooLarge
	}
	var put struct {
		rev backend.Revision
		err error
	}
	data = slices.Clone(data) // it may be written after the caller has given up
	if err := s.step(ctx, kindWrite, "put "+key+" "+digest(data), func(d *disk) { put.rev, put.err = d.put(key, data, rev) }); err != nil {
		return backend.Revision{}, err
	}
	return put.rev, put.err
}

// Delete implements [backend.Backend].
func (s *store) Delete(ctx context.Context, key string, rev backend.Revision) error {
	if err := admissible(ctx, key); err != nil {
		return err
	}
	var removed error
	if err := s.step(ctx, kindWrite, "delete "+key, func(d *disk) { removed = d.remove(key, rev) }); err != nil {
		return err
	}
	return removed
}

// List implements [backend.Backend]. It yields what is there at one moment.
func (s *store) List(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return s.list(ctx, "list "+prefix, func(d *disk) iter.Seq2[backend.Entry, error] {
		return d.mem.List(context.Background(), prefix, after)
	})
}

// ListSegments implements [backend.Backend].
func (s *store) ListSegments(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return s.list(ctx, "segments "+prefix, func(d *disk) iter.Seq2[backend.Entry, error] {
		return d.mem.ListSegments(context.Background(), prefix, after)
	})
}

func (s *store) list(ctx context.Context, what string, all func(*disk) iter.Seq2[backend.Entry, error]) iter.Seq2[backend.Entry, error] {
	return func(yield func(backend.Entry, error) bool) {
		var found []backend.Entry
		err := s.step(ctx, kindRead, what, func(d *disk) {
			for entry, err := range all(d) {
				if err == nil { // the memory has no other
					found = append(found, entry)
				}
			}
		})
		if ctx.Err() != nil { // the listing may go on beside us
			yield(backend.Entry{}, ctx.Err())
			return
		}
		for _, entry := range found {
			if !yield(entry, nil) {
				return
			}
		}
		if err != nil {
			yield(backend.Entry{}, err)
		}
	}
}

// Check implements [backend.Backend].
func (s *store) Check(ctx context.Context) error { return ctx.Err() }

// Close implements [backend.Backend].
func (s *store) Close() error { return nil }

func (s *store) String() string { return "the simulated disk of " + s.p.on.id }

func admissible(ctx context.Context, key string) error {
	if !backend.ValidKey(key) {
		return backend.ErrInvalidKey
	}
	return ctx.Err()
}

// digest tells contents apart in a trace.
func digest(data []byte) string {
	h := fnv.New32a()
	_, _ = h.Write(data)
	return fmt.Sprintf("%08x", h.Sum32())
}
