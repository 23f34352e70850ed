package main

import (
	"github.com/vault-guardian/guardian/bench/internal/stats"
	"github.com/vault-guardian/guardian/bench/internal/worker"
)

type benchWorker = worker.Worker[task, sample]

// others stands for the kernel of what has none.
const others = ""

// contestant is one that takes turns with others.
type contestant struct{ kernel, operation string }

// series is a contestant's speeds, one per round, in bytes per second.
type series struct {
	part   int
	speeds []float64
}

func (s *series) median() float64 { return stats.Median(s.speeds) }

// result is a contest at one shape and size.
type result struct {
	shape  shape
	size   int
	series map[contestant]*series
}

// times is how many times faster a is than b: the median over the rounds, as
// what else the machine does meets both in the same round.
func (r *result) times(a, b contestant) float64 {
	ratios := make([]float64, len(r.series[a].speeds))
	for i, speed := range r.series[a].speeds {
		ratios[i] = speed / r.series[b].speeds[i]
	}
	return stats.Median(ratios)
}

// compare lets the contestants take turns. A first round is thrown away: in it
// they prepare and warm up.
func compare(c contest, workers []*benchWorker, s shape, size int, p pace) (*result, error) {
	r := &result{shape: s, size: size, series: map[contestant]*series{}}
	for round := range 1 + p.rounds {
		err := eachTurn(c, workers, func(w *benchWorker, who contestant) error {
			got, err := w.Ask(task{Operation: who.operation, Shape: s, Size: size, Turn: p.turn, VaultTurn: p.vaultTurn})
			if err != nil {
				return err
			}
			if round == 0 {
				r.series[who] = &series{part: got.Part}
			} else {
				r.series[who].speeds = append(r.series[who].speeds, got.Speed)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return r, nil
}

// eachTurn has the others first and then, one kernel after the other, ours.
// What the others do depends on no kernel, so one of the workers does it.
func eachTurn(c contest, workers []*benchWorker, take func(*benchWorker, contestant) error) error {
	for _, operation := range c.others {
		if err := take(workers[len(workers)-1], contestant{others, operation}); err != nil {
			return err
		}
	}
	for _, w := range workers {
		for _, operation := range c.ours {
			if err := take(w, contestant{w.Kernel(), operation}); err != nil {
				return err
			}
		}
	}
	return nil
}
