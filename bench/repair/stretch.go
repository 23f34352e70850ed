package main

import (
	"context"
	"errors"
)

// stretch is what some work of a fleet took.
type stretch struct {
	usage
	// wire and clients are bytes over TCP between guardians and with clients.
	wire, clients int64
	// number and json are the calls between guardians and their JSON, by route.
	number, json map[string]int64
	// registry are its calls, records the bytes of these, and requests what its
	// bucket gets for them.
	registry, records, requests map[string]int64
	// stored are the calls of all storages, and grown the bytes that came to
	// them, which are in the heap.
	stored map[string]int64
	grown  int64
}

// during measures what is done.
func (f *fleet) during(ctx context.Context, do func(context.Context) error) (s stretch, err error) {
	before, err := f.size(ctx)
	if err != nil {
		return s, err
	}
	f.take()
	m, err := start()
	if err != nil {
		return s, err
	}
	err = do(ctx)
	used, failed := m.stop()
	if err = errors.Join(err, failed); err != nil {
		return s, err
	}
	s = f.take()
	s.usage = used
	after, err := f.size(ctx)
	s.grown = after - before
	return s, err
}

// take returns what was counted since it was called before.
func (f *fleet) take() (s stretch) {
	s.wire, _ = f.peers.take()
	s.clients, _ = f.clients.take()
	s.number, s.json = f.calls.number.take(), f.calls.bytes.take()
	s.registry, s.records, s.requests = f.registry.calls.take(), f.registry.bytes.take(), f.registry.requests.take()
	s.stored = f.stored.take()
	return s
}

func (f *fleet) size(ctx context.Context) (total int64, err error) {
	for _, m := range f.all {
		size, err := m.store.size(ctx)
		if err != nil {
			return 0, err
		}
		total += size
	}
	return total, nil
}
