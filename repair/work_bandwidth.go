package repair

import (
	"cmp"
	"context"
	"fmt"

	"golang.org/x/time/rate"
)

const (
	defaultBytesPerSecond = 4 << 20
	// largestShare is the most that one share takes, its point included.
	largestShare = 512<<10 + 1
)

// bandwidth bounds the bytes that all repairs of a process send and receive. It
// is safe for concurrent use.
type bandwidth struct{ limiter *rate.Limiter }

// newBandwidth allows so many bytes a second, and one share at once; 0 is 4 MiB.
func newBandwidth(bytesPerSecond int) *bandwidth {
	perSecond := cmp.Or(max(bytesPerSecond, 0), defaultBytesPerSecond)
	return &bandwidth{rate.NewLimiter(rate.Limit(perSecond), max(perSecond, largestShare))}
}

// spend waits until n bytes may go, and fails when ctx ends or would end before.
func (b *bandwidth) spend(ctx context.Context, n int) error {
	for n > 0 {
		part := min(n, b.limiter.Burst())
		if err := b.limiter.WaitN(ctx, part); err != nil {
			return fmt.Errorf("waiting for bandwidth: %w", err)
		}
		n -= part
	}
	return nil
}
