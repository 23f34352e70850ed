package awssecrets

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/integrity"
)

// everyOther is a source that fails on each second fetch.
type everyOther struct{ fetches int }

func (s *everyOther) Keyring(context.Context) (*integrity.Keyring, error) {
	s.fetches++
	if s.fetches%2 == 0 {
		return nil, fmt.Errorf("%w: a bad moment", integrity.ErrSourceUnavailable)
	}
	return integrity.ParseKeyring([]byte(twoKeys))
}

func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &everyOther{}
		sealer := newSealer(t, source)
		ctx, cancel := context.WithCancel(t.Context())
		pauses, failed := map[time.Duration]bool{}, 0
		const polls = 200
		last := time.Now()
		Poll(ctx, PollInterval, func(ctx context.Context) {
			pauses[time.Since(last)] = true
			time.Sleep(time.Second) // a reload takes its time
			if sealer.Reload(ctx) != nil {
				failed++
			}
			last = time.Now()
			if source.fetches == 1+polls {
				cancel()
			}
		})
		if source.fetches != 1+polls || failed != polls/2 {
			t.Errorf("%d fetches, %d failed", source.fetches, failed)
		}
		for pause := range pauses {
			if pause < PollInterval*9/10 || pause > PollInterval*11/10 {
				t.Errorf("a pause of %v", pause)
			}
		}
		if len(pauses) < polls/2 {
			t.Errorf("%d polls after only %d different pauses", polls, len(pauses))
		}
	})
}

func TestPollEndsBetweenReloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			Poll(ctx, PollInterval, func(context.Context) { t.Error("reloaded before the first interval was over") })
		}()
		synctest.Wait()
		cancel()
		<-ended
	})
}
