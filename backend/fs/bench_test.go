package fs

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend"
)

var payload = make([]byte, 1024)

// BenchmarkPut creates objects in one directory, next to the least that any
// durable write must do, measured in the same run.
func BenchmarkPut(b *testing.B) {
	beside(b, func(f *FS, n int) error {
		_, err := f.Put(b.Context(), fmt.Sprintf("objects/%d", n), payload, backend.Revision{})
		return err
	})
}

// BenchmarkPush does what a push does: two objects into a fresh directory,
// then one compare-and-swap.
func BenchmarkPush(b *testing.B) {
	beside(b, func(f *FS, n int) error {
		prefix := fmt.Sprintf("shares/%d/", n)
		done := make(chan error, 2)
		for _, name := range []string{"1/share", "1/checksum"} {
			go func() {
				_, err := f.Put(b.Context(), prefix+name, payload, backend.Revision{})
				done <- err
			}()
		}
		for range 2 {
			if err := <-done; err != nil {
				return err
			}
		}
		_, err := f.Put(b.Context(), prefix+"version", payload, backend.Revision{})
		return err
	})
}

// beside reports the time of op as a multiple of one plain durable write, with
// as many side by side.
func beside(b *testing.B, op func(f *FS, n int) error) {
	for _, parallel := range []int{1, 8} {
		b.Run(fmt.Sprintf("parallel=%d", parallel), func(b *testing.B) {
			f, err := Open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			plain := measure(b, parallel, plainWriter(b))
			b.ResetTimer()
			b.ReportMetric(float64(measure(b, parallel, func(n int) error { return op(f, n) }))/float64(plain), "x-plain-write")
		})
	}
}

func measure(b *testing.B, parallel int, op func(n int) error) time.Duration {
	var next atomic.Int64
	done := make(chan error, parallel)
	began := time.Now()
	for range parallel {
		go func() {
			for {
				n := int(next.Add(1))
				if n > b.N {
					done <- nil
					return
				}
				if err := op(n); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range parallel {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(began)
}

// plainWriter writes, fsyncs, renames and fsyncs the directory.
func plainWriter(b *testing.B) func(n int) error {
	dir := b.TempDir()
	return func(n int) error {
		name := filepath.Join(dir, fmt.Sprint(n))
		file, err := os.OpenFile(name+".tmp", os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
		if err != nil {
			return err
		}
		if err := newWriter(new(tree), nil).fill(file, payload); err != nil {
			return err
		}
		if err := os.Rename(name+".tmp", name); err != nil {
			return err
		}
		parent, err := os.Open(dir)
		if err != nil {
			return err
		}
		defer parent.Close()
		return parent.Sync()
	}
}
