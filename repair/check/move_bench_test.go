package check

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// BenchmarkRedistribute is a whole redistribution, all its nodes on this machine:
// each does its part for itself, one after the other.
func BenchmarkRedistribute(b *testing.B) {
	for _, shape := range []struct{ n, k, count int }{{5, 3, 256}, {14, 4, 256}, {100, 33, 1}} {
		b.Run(fmt.Sprintf("n=%d,k=%d,generations=%d", shape.n, shape.k, shape.count), func(b *testing.B) {
			for b.Loop() {
				f, _ := costOf(b, shape.n, shape.k, shape.count)
				b.ReportMetric(float64(f.relayed[StepShare]+f.relayed[StepTake]), "share-B")
				b.ReportMetric(float64(f.total()), "all-B")
			}
		})
	}
}

// What a batch costs: time, and the bytes of JSON that its coordinator sends and
// receives.
func TestMoveCosts(t *testing.T) {
	for _, shape := range []struct{ n, k int }{{5, 3}, {14, 4}} {
		f, took := costOf(t, shape.n, shape.k, 256)
		t.Logf("256 generations of 300 bytes, (%d,%d): %v, %d bytes of shares, %d in all: %v",
			shape.n, shape.k, took, f.relayed[StepShare]+f.relayed[StepTake], f.total(), f.relayed)
		// Each of K dealers' N' dealings passes twice, as base64.
		raw := shape.k * shape.n * (256*300 + rows + tagSize)
		if shares := f.relayed[StepShare] + f.relayed[StepTake]; shares < 8*raw/3 || shares > 3*raw {
			t.Errorf("%d bytes of shares for %d dealt", shares, raw)
		}
	}
}

func costOf(t tester, n, k, count int) (*fleet, time.Duration) {
	f := newFleet(t, upTo(n), k, slices.Repeat([]int{300}, count)...).propose(k, upTo(n)...)
	start := time.Now()
	result, err := f.redistribute()
	must(t, err)
	if !slices.Equal(result.New.Sound, upTo(n)) {
		t.Fatalf("(%d,%d): %v", n, k, result.New.Sound)
	}
	return f, time.Since(start).Round(time.Millisecond)
}

func (f *fleet) total() (total int) {
	for _, size := range f.relayed {
		total += size
	}
	return total
}
