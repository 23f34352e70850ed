package shamir

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"
)

// The module in bench compares more, and more fairly: these are for work on the
// package itself.

// BenchmarkSplit reports MB of secret per second with each kernel, next to the
// speed of the oracle on the same machine in the same run.
func BenchmarkSplit(b *testing.B) {
	eachKernelAndShape(b, func(b *testing.B, n, k, size int) {
		secret, points := make([]byte, size), upTo(n)
		baseline := baselineSpeed(size, func(part int) {
			random := make([]byte, part*(k-1))
			_, _ = rand.Read(random)
			oracleSplit(secret[:part], k, points, random)
		})
		b.SetBytes(int64(size))
		for b.Loop() {
			mustSplit(b, secret, k, points)
		}
		report(b, size, baseline)
	})
}

// BenchmarkCombine is BenchmarkSplit for combining k shares.
func BenchmarkCombine(b *testing.B) {
	eachKernelAndShape(b, func(b *testing.B, n, k, size int) {
		shares := mustSplit(b, make([]byte, size), k, upTo(n))[n-k:]
		baseline := baselineSpeed(size, func(part int) {
			cut := make([][]byte, k)
			for i, share := range shares {
				cut[i] = share[:1+part]
			}
			oracleCombine(cut)
		})
		b.SetBytes(int64(size))
		for b.Loop() {
			mustCombine(b, shares)
		}
		report(b, size, baseline)
	})
}

func eachKernelAndShape(b *testing.B, run func(b *testing.B, n, k, size int)) {
	before, errBefore := active, errActive
	b.Cleanup(func() { active, errActive = before, errBefore })
	for _, kernel := range kernels() {
		active, errActive = kernel, nil
		b.Run(kernel.name, func(b *testing.B) { eachShape(b, run) })
	}
}

func eachShape(b *testing.B, run func(b *testing.B, n, k, size int)) {
	const size = 64 << 10
	for _, shape := range []struct{ n, k int }{{5, 3}, {14, 4}, {100, 33}} {
		b.Run(fmt.Sprintf("n=%d,k=%d", shape.n, shape.k), func(b *testing.B) { run(b, shape.n, shape.k, size) })
	}
}

// baselineSpeed returns bytes per second. The baseline goes byte by byte, so
// its speed is that of a part of the secret, and no run takes minutes.
func baselineSpeed(size int, work func(part int)) float64 {
	const atLeast = 30 * time.Millisecond
	part, done, start := min(size, 8<<10), 0, time.Now()
	for time.Since(start) < atLeast {
		work(part)
		done += part
	}
	return float64(done) / time.Since(start).Seconds()
}

func report(b *testing.B, size int, baseline float64) {
	speed := float64(size) * float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(baseline/1e6, "baseline-MB/s")
	b.ReportMetric(speed/baseline, "x-baseline")
}
