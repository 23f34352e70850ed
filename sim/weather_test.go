package sim

import (
	"math/rand/v2"
	"time"
)

// weather is how likely an event fails, takes long, or is the last of its
// process. The zero weather is calm.
type weather struct {
	storage, network float64 // chance of a fault
	slow             float64 // chance of a delay
	crash            float64 // chance of a crash at a step of a process
}

// storms draws how bad a run is.
func storms(rng *rand.Rand) weather {
	pick := func(chances ...float64) float64 { return chances[rng.IntN(len(chances))] }
	return weather{
		storage: pick(0, 0, 0.005, 0.03),
		network: pick(0, 0.01, 0.05, 0.15),
		slow:    pick(0.02, 0.1, 0.3),
		crash:   pick(0, 0, 0.0005, 0.003),
	}
}

// stormsOfMoves draws how bad a run with rounds is: of the hundreds of steps that
// one takes, few fail, as it otherwise never comes far.
func stormsOfMoves(rng *rand.Rand) weather {
	pick := func(chances ...float64) float64 { return chances[rng.IntN(len(chances))] }
	return weather{
		storage: pick(0, 0, 0, 0.002, 0.01),
		network: pick(0, 0, 0.002, 0.01, 0.05),
		slow:    pick(0.02, 0.1, 0.3),
		crash:   pick(0, 0, 0, 0.0005, 0.002),
	}
}

// longestDelay is that of an answer that fails.
const longestDelay = 12 * time.Second

// decide draws what becomes of an event, and when. What fails may take long to
// do so.
func (w weather) decide(rng *rand.Rand, ev *event) {
	ev.fate = delivered
	chance := w.storage
	if ev.kind >= kindMessage {
		chance = w.network
	}
	failing := rng.Float64() < chance
	if failing {
		ev.fate = [2]fate{notApplied, answerLost}[rng.IntN(2)]
	}
	ev.due = time.Now().Add(w.delay(rng, failing))
}

func (w weather) delay(rng *rand.Rand, failing bool) time.Duration {
	switch {
	case failing && rng.IntN(4) == 0:
		return time.Duration(rng.Int64N(int64(longestDelay)))
	case rng.Float64() < w.slow/20:
		return time.Duration(rng.Int64N(int64(3 * time.Second)))
	case rng.Float64() < w.slow:
		return time.Duration(rng.Int64N(int64(20 * time.Millisecond)))
	}
	return 0
}

func (w weather) crashes(rng *rand.Rand, ev *event) bool {
	return w.crash > 0 && ev.by != nil && !ev.by.dead.Load() && rng.Float64() < w.crash
}
