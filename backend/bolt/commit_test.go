package bolt

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/vault-guardian/guardian/backend"
)

// hang lets each commit wait for release.
func (b *Bolt) hang() (entered <-chan struct{}, release chan<- struct{}) {
	entering, released := make(chan struct{}, 10), make(chan struct{})
	b.commitTx = func(tx *bbolt.Tx) error {
		entering <- struct{}{}
		<-released
		return tx.Commit()
	}
	return entering, released
}

func createA(t *testing.T) *write {
	return &write{ctx: t.Context(), change: change{"a", make([]byte, headerSize+1)}}
}

func TestGroupIsJudgedOneByOne(t *testing.T) {
	b := opened(t, newPath(t))
	stale := put(t, b, "b", "one")
	put(t, b, "b", "two")
	first, second, again := createA(t), createA(t), createA(t)
	lost := &write{ctx: t.Context(), change: change{"b", make([]byte, headerSize)}, rev: stale}
	gone := &write{ctx: t.Context(), change: change{key: "a"}, rev: backend.AnyRevision}
	must(t, b.commit([]*write{first, second, lost, gone, again}))
	for w, want := range map[*write]error{first: nil, second: backend.ErrConflict, lost: backend.ErrConflict, gone: nil, again: nil} {
		if !errors.Is(w.outcome.err, want) {
			t.Errorf("%+v", w.outcome)
		}
	}
	if _, rev, err := b.Get(t.Context(), "a"); err != nil || rev != again.outcome.rev {
		t.Errorf("it is at %v, %v", rev, err)
	}
	holds(t, b, "b", "two")
}

// Who lost to a write that then did not come about has not lost.
func TestFailedCommitIsTheOutcomeOfAll(t *testing.T) {
	b := opened(t, newPath(t))
	b.commitTx = func(tx *bbolt.Tx) error { return errors.Join(syscall.EIO, tx.Rollback()) }
	first, second := createA(t), createA(t)
	if err := b.commit([]*write{first, second}); !errors.Is(err, syscall.EIO) {
		t.Errorf("commit = %v", err)
	}
	errs := make(chan error)
	for range 8 {
		go func() {
			_, err := b.Put(t.Context(), "a", nil, backend.Revision{})
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; !errors.Is(err, syscall.EIO) || errors.Is(err, backend.ErrConflict) {
			t.Errorf("Put = %v", err)
		}
	}
}

func TestFailedCommit(t *testing.T) {
	for name, test := range map[string]struct {
		commit  func(tx *bbolt.Tx) error
		applied bool
	}{
		"of which nothing shows goes by": {func(tx *bbolt.Tx) error { return errors.Join(syscall.ENOSPC, tx.Rollback()) }, false},
		"that shows ends all writing":    {func(tx *bbolt.Tx) error { return errors.Join(tx.Commit(), syscall.EIO) }, true},
		"that panics ends all writing":   {func(*bbolt.Tx) error { panic("page 7 already freed") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := opened(t, newPath(t))
			put(t, b, "a", "one")
			b.commitTx = test.commit
			if _, err := b.Put(t.Context(), "b", []byte("two"), backend.Revision{}); err == nil {
				t.Fatal("it succeeded")
			}
			b.commitTx = (*bbolt.Tx).Commit
			holds(t, b, "a", "one")
			if test.applied {
				holds(t, b, "b", "two")
			}
			_, err := b.Put(t.Context(), "c", nil, backend.Revision{})
			if ends := strings.Contains(name, "ends"); ends != (err != nil) || ends != (b.Check(t.Context()) != nil) || ends != (b.takesWrites() == 0) {
				t.Errorf("afterwards Put = %v, Check = %v", err, b.Check(t.Context()))
			}
		})
	}
}

func TestWritersShareCommits(t *testing.T) {
	b := opened(t, newPath(t))
	commits := 0
	b.commitTx = func(tx *bbolt.Tx) error {
		commits++
		return tx.Commit()
	}
	const writers, each = 32, 10
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for n := range each {
				put(t, b, fmt.Sprintf("%d/%d", i, n), "x")
			}
		})
	}
	group.Wait()
	if commits >= writers*each/2 {
		t.Errorf("%d commits for %d writes", commits, writers*each)
	}
	seen := 0
	for _, err := range b.List(t.Context(), "", "") {
		must(t, err)
		seen++
	}
	if seen != writers*each {
		t.Errorf("%d of %d are there", seen, writers*each)
	}
}

func TestGroupIsBounded(t *testing.T) {
	b := &Bolt{queue: make(chan *write, 3*maxGroup)}
	for range cap(b.queue) {
		b.queue <- createA(t)
	}
	if n := len(b.gather(createA(t))); n != maxGroup {
		t.Errorf("a group has %d", n)
	}
	large := &Bolt{queue: make(chan *write, 10)}
	for range cap(large.queue) {
		large.queue <- &write{change: change{value: make([]byte, maxGroupBytes/2)}}
	}
	if n := len(large.gather(createA(t))); n != 3 {
		t.Errorf("a group has %d large ones", n)
	}
}
