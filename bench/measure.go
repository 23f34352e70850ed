package main

import (
	"fmt"
	"os"
	"runtime/pprof"
	"time"
)

// task asks a worker for one turn.
type task struct {
	Operation string
	Shape     shape
	Size      int
	Turn      time.Duration
	VaultTurn time.Duration
	Profile   string // where to write a CPU profile of the turn, if anywhere
}

// sample is what one turn came to.
type sample struct {
	Part  int     // bytes of the secret that each run handled
	Speed float64 // bytes of the secret per second
}

// bench answers tasks. It keeps what it prepared for the task before.
type bench struct {
	prepared map[string]*operation
	shape    shape
	size     int
}

func (b *bench) answer(t task) (sample, error) {
	op, err := b.prepare(t)
	if err != nil {
		return sample{}, fmt.Errorf("%s %v: %w", t.Operation, t.Shape, err)
	}
	elapsed, runs, err := op.turn(t)
	if err != nil {
		return sample{}, fmt.Errorf("%s %v: %w", t.Operation, t.Shape, err)
	}
	return sample{Part: op.bytes, Speed: float64(op.bytes) * float64(runs) / elapsed.Seconds()}, nil
}

func (b *bench) prepare(t task) (*operation, error) {
	if t.Shape != b.shape || t.Size != b.size {
		b.prepared, b.shape, b.size = map[string]*operation{}, t.Shape, t.Size
	}
	if b.prepared[t.Operation] == nil {
		op, err := newOperation(t.Operation, t.Shape, t.Size, t.VaultTurn)
		if err != nil {
			return nil, err
		}
		b.prepared[t.Operation] = op
	}
	return b.prepared[t.Operation], nil
}

func (op *operation) turn(t task) (time.Duration, int, error) {
	if t.Profile != "" {
		return op.profiled(t)
	}
	return op.timed(t.Turn, op.verify)
}

// profiled verifies nothing, as the profile would show that.
func (op *operation) profiled(t task) (time.Duration, int, error) {
	file, err := os.Create(t.Profile)
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	if err := pprof.StartCPUProfile(file); err != nil {
		return 0, 0, err
	}
	defer pprof.StopCPUProfile()
	return op.timed(t.Turn, func(int) error { return nil })
}

// timed runs the operation, a slot after the other and then all anew, until
// the runs have taken the time given, and verifies between the rounds.
func (op *operation) timed(turn time.Duration, verify func(slot int) error) (elapsed time.Duration, runs int, err error) {
	for elapsed < turn {
		took, err := op.round()
		if err != nil {
			return 0, 0, err
		}
		elapsed += took
		runs += op.slots
		for slot := range op.slots {
			if err := verify(slot); err != nil {
				return 0, 0, err
			}
		}
	}
	return elapsed, runs, nil
}

func (op *operation) round() (time.Duration, error) {
	start, err := processorTime()
	if err != nil {
		return 0, err
	}
	for slot := range op.slots {
		if err := op.run(slot); err != nil {
			return 0, err
		}
	}
	end, err := processorTime()
	return end - start, err
}
