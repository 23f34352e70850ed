package bolt

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/vault-guardian/guardian/backend"
)

const benchWriters = 16

// BenchmarkPut creates objects of 1 KiB from 16 goroutines, turn by turn with the
// least that a group commit on bbolt must do, and with bbolt's own Batch.
func BenchmarkPut(b *testing.B) {
	data := make([]byte, 1024)
	store := opened(b, newPath(b))
	ours := func(n int) error {
		_, err := store.Put(b.Context(), benchKey(n), data, backend.Revision{})
		return err
	}
	bare, batch := bareGroupCommit(b, data), batchPut(b, data)
	var took [3]time.Duration
	const turn = 500
	for n := 0; n < b.N; n += turn {
		for i, op := range []func(n int) error{ours, bare, batch} {
			took[i] += measure(b, n, min(n+turn, b.N), op)
		}
	}
	b.ReportMetric(float64(b.N)/took[0].Seconds(), "puts/s")
	b.ReportMetric(float64(took[1])/float64(took[0]), "of-bare-group-commit")
	b.ReportMetric(float64(took[2])/float64(took[0]), "of-bbolt-Batch")
}

// BenchmarkGet reads objects of 1 KiB from 16 goroutines.
func BenchmarkGet(b *testing.B) {
	store := opened(b, newPath(b))
	const objects = 1000
	var group sync.WaitGroup
	for n := range objects {
		group.Go(func() { put(b, store, benchKey(n), string(make([]byte, 1024))) })
	}
	group.Wait()
	b.ResetTimer()
	took := measure(b, 0, b.N, func(n int) error {
		_, _, err := store.Get(b.Context(), benchKey(n%objects))
		return err
	})
	b.ReportMetric(float64(b.N)/took.Seconds(), "gets/s")
}

// benchKey spreads the keys as identities are spread.
func benchKey(n int) string { return fmt.Sprintf("shares/%016x/version", uint64(n)*0x9e3779b97f4a7c15) }

// measure runs op from one number to below another and returns how long that took.
func measure(b *testing.B, from, below int, op func(n int) error) time.Duration {
	b.Helper()
	var next atomic.Int64
	next.Store(int64(from))
	var group sync.WaitGroup
	began := time.Now()
	for range benchWriters {
		group.Go(func() {
			for n := int(next.Add(1)) - 1; n < below; n = int(next.Add(1)) - 1 {
				if err := op(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	return time.Since(began)
}

func bareDatabase(b *testing.B) *bbolt.DB {
	b.Helper()
	db, err := bbolt.Open(newPath(b), fileMode, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	must(b, err)
	must(b, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucketName)
		return err
	}))
	b.Cleanup(func() { must(b, db.Close()) })
	return db
}

func batchPut(b *testing.B, data []byte) func(n int) error {
	b.Helper()
	db := bareDatabase(b)
	return func(n int) error {
		return db.Batch(func(tx *bbolt.Tx) error { return tx.Bucket(bucketName).Put([]byte(benchKey(n)), data) })
	}
}

// bareGroupCommit puts whatever waits into one transaction, and does no more.
func bareGroupCommit(b *testing.B, data []byte) func(n int) error {
	b.Helper()
	type put struct {
		key  string
		done chan error
	}
	db, queue := bareDatabase(b), make(chan put)
	b.Cleanup(func() { close(queue) })
	commit := func(group []put) {
		err := db.Update(func(tx *bbolt.Tx) error {
			bucket := tx.Bucket(bucketName)
			for _, p := range group {
				if err := bucket.Put([]byte(p.key), data); err != nil {
					return err
				}
			}
			return nil
		})
		for _, p := range group {
			p.done <- err
		}
	}
	go func() {
		for first := range queue {
			group := []put{first}
			for more := true; more; {
				select {
				case p := <-queue:
					group = append(group, p)
				default:
					more = false
				}
			}
			commit(group)
		}
	}()
	return func(n int) error {
		p := put{benchKey(n), make(chan error, 1)}
		queue <- p
		return <-p.done
	}
}
