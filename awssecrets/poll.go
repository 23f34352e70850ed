package awssecrets

import (
	"context"
	"math/rand/v2"
	"time"
)

// PollInterval is how often a secret is looked at for a rotation.
const PollInterval = time.Minute

// Poll calls reload again and again until ctx ends, and returns then. Each call
// comes interval after the one before it ended, give or take a tenth that is
// drawn anew each time, so that replicas do not all ask at one moment. A reload
// that fails is to leave what there is as it is; the next one comes all the same.
func Poll(ctx context.Context, interval time.Duration, reload func(context.Context)) {
	for {
		pause := time.NewTimer(interval - interval/10 + rand.N(interval/5+1)) //nolint:gosec // spreads polls, keeps no secret
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
			reload(ctx)
		}
	}
}
