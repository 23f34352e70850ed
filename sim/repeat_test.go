package sim

import "testing"

// TestSameSeedSameTrace makes runs twice: what happened, in which order and at
// which time, is the same. A seed does not decide which of two goroutines comes
// first that are woken at one moment and make the same call, nor what select
// draws when it has a choice; hardly a run depends on that.
func TestSameSeedSameTrace(t *testing.T) {
	hashes := map[uint64]bool{}
	differ := 0
	for seed := *first; seed < *first+uint64(*repeats); seed++ {
		once, again := simulate(t, seed, plant{}, nil), simulate(t, seed, plant{}, nil)
		if once.hash != again.hash || once.counts != again.counts {
			differ++
			t.Logf("seed %d: %v and then %v", seed, once.counts, again.counts)
		}
		hashes[once.hash] = true
	}
	if mayDiffer := 1 + *repeats/50; differ > mayDiffer {
		t.Errorf("%d of %d seeds gave another trace the second time", differ, *repeats)
	}
	if len(hashes) != *repeats {
		t.Errorf("%d different traces of %d seeds", len(hashes), *repeats)
	}
}
