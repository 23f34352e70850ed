package main

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestEveryCaseRuns on inputs of both classes: a subject panics when what it
// times gives a wrong result.
func TestEveryCaseRuns(t *testing.T) {
	for _, name := range slices.Concat(perKernel, once) {
		s, err := newSubject(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, input := range [][]byte{s.fixed, randomBytes(len(s.fixed))} {
			s.load(input)
			s.run()
		}
	}
	if _, err := newSubject("something else"); err == nil {
		t.Error("a case that does not exist was made")
	}
}

func TestPrepareMakesTwoClasses(t *testing.T) {
	s, err := newSubject(splitOnes)
	if err != nil {
		t.Fatal(err)
	}
	m := newMeter(s)
	m.prepare()
	var seen [2]int
	for i, input := range m.inputs {
		seen[m.classes[i]]++
		if fixed := slices.Equal(input, s.fixed); fixed != (m.classes[i] == 0) {
			t.Errorf("input %d of class %d is fixed: %v", i, m.classes[i], fixed)
		}
	}
	if min(seen[0], seen[1]) < batch/4 {
		t.Errorf("the classes have %v inputs", seen)
	}
}

func TestAnswerCatchesABranch(t *testing.T) {
	found, err := answer(task{Case: controlBranch, Measurements: 2 * enough})
	if err != nil {
		t.Fatal(err)
	}
	if found.T < definite || found.Measurements != 2*enough {
		t.Errorf("got %+v", found)
	}
}

// TestWorst draws times that are disturbed one time in ten, so much that a
// difference shows only where those are dropped.
func TestWorst(t *testing.T) {
	for shift, seen := range map[float64]bool{0: false, 2: true} {
		random := rand.New(rand.NewPCG(3, 4))
		draw := func(class int) float64 {
			elapsed := 1000 + 20*random.NormFloat64() + shift*float64(class)
			if random.IntN(10) == 0 {
				elapsed += 1e6 * random.Float64()
			}
			return elapsed
		}
		var first []float64
		for range enough {
			first = append(first, draw(0))
		}
		tests := newTests(first)
		for i := range 100_000 {
			tests.add(i%2, draw(i%2))
		}
		found := tests.worst()
		if got := found.T > definite; got != seen || seen && found.Kept > 0.95 {
			t.Errorf("shifted by %v: %+v", shift, found)
		}
		if !seen && found.T > bound {
			t.Errorf("not shifted: %+v", found)
		}
	}
}
