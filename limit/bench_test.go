package limit_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/vault-guardian/guardian/limit"
)

// BenchmarkAddress reports the time of one call when all processors call at
// once, next to that of a bare rate.Limiter behind a mutex, which knows no
// addresses.
func BenchmarkAddress(b *testing.B) {
	for _, load := range []struct {
		name             string
		hosts, perMinute int
	}{
		{"refused", 1, 120},
		{"charged", 10_000, 10_000},
		{"evicting", 400_000, 120}, // each comes back after it was forgotten
	} {
		b.Run(load.name, func(b *testing.B) {
			callers := make([]limit.Caller, load.hosts)
			for i := range callers {
				callers[i], _ = host(i)
			}
			bare := baseline(b)
			l := limit.New(limit.Config{PerAddress: load.perMinute})
			b.ResetTimer()
			parallel(b, func(i int) { l.Address(callers[i%len(callers)]) })
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/bare, "x-bare")
		})
	}
}

// baseline returns nanoseconds per charge.
func baseline(b *testing.B) float64 {
	const plenty = 1e9
	var mu sync.Mutex
	bare := rate.NewLimiter(plenty, plenty)
	began := time.Now()
	parallel(b, func(int) {
		mu.Lock()
		bare.Allow()
		mu.Unlock()
	})
	return float64(time.Since(began)) / float64(b.N)
}

func parallel(b *testing.B, work func(i int)) {
	var workers atomic.Int64
	b.RunParallel(func(p *testing.PB) {
		// Each worker starts far from the others.
		for i := int(workers.Add(1)) * 104_729; p.Next(); i++ {
			work(i)
		}
	})
}
