package recovery

import (
	"fmt"
	"testing"
)

// BenchmarkRecover is the work of all: K offers, checked, K contributions, and
// putting together a share of 1 KiB.
func BenchmarkRecover(b *testing.B) {
	for _, shape := range []struct{ n, k int }{{5, 3}, {14, 4}, {100, 33}} {
		b.Run(fmt.Sprintf("n=%d,k=%d", shape.n, shape.k), func(b *testing.B) {
			w := newWorld(b, randomBytes(1<<10), shape.k, upTo(shape.n))
			x := byte(shape.n)
			for b.Loop() {
				offers := w.offers(b, x, upTo(shape.k)...)
				if _, err := Rebuild(w.record, x, w.contributions(b, x, offers)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkContribute is the part of one helper.
func BenchmarkContribute(b *testing.B) {
	for _, k := range []int{3, 4, 33} {
		for _, size := range []int{1 << 10, 64 << 10} {
			b.Run(fmt.Sprintf("k=%d,%dKiB", k, size>>10), func(b *testing.B) {
				w := newWorld(b, randomBytes(size), k, upTo(k+1))
				x := byte(k + 1)
				others := w.offers(b, x, upTo(k)[1:]...)
				b.SetBytes(int64(size))
				for b.Loop() {
					if _, err := w.contribute(1, x, append(w.offers(b, x, 1), others...)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
