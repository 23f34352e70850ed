package main

import (
	"context"
	"errors"

	"go.etcd.io/bbolt"
)

// mostTogether bounds the puts of one commit.
const mostTogether = 1024

// entries keeps shares in a bbolt database, and commits all puts that wait at a time
// at once. (bbolt's own Batch waits 10 ms for company.)
type entries struct {
	db    *bbolt.DB
	queue chan entry
}

type entry struct {
	key  string
	data []byte
	done chan error
}

var entriesBucket = []byte("bare")

func newEntries(ctx context.Context, path string) (bare, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, NoFreelistSync: true})
	if err != nil {
		return nil, err
	}
	e := &entries{db, make(chan entry, mostTogether)}
	go e.commit(ctx)
	return e, db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucketIfNotExists(entriesBucket); return err })
}

func (e *entries) commit(ctx context.Context) {
	for {
		var together []entry
		select {
		case <-ctx.Done():
			return
		case first := <-e.queue:
			together = append(together, first)
		}
		for len(e.queue) > 0 && len(together) < mostTogether {
			together = append(together, <-e.queue)
		}
		err := e.db.Update(func(tx *bbolt.Tx) (err error) {
			for _, one := range together {
				err = errors.Join(err, tx.Bucket(entriesBucket).Put([]byte(one.key), one.data))
			}
			return err
		})
		for _, one := range together {
			one.done <- err
		}
	}
}

func (e *entries) put(_ context.Context, identity string, share []byte, _ uint64) error {
	one := entry{identity, share, make(chan error, 1)}
	e.queue <- one
	return <-one.done
}

func (e *entries) get(_ context.Context, identity string) (share []byte, err error) {
	err = e.db.View(func(tx *bbolt.Tx) error {
		share = append(share, tx.Bucket(entriesBucket).Get([]byte(identity))...)
		return nil
	})
	return share, err
}
