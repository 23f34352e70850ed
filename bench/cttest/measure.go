package main

import (
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/vault-guardian/guardian/bench/internal/stats"
)

type task struct {
	Case         string
	Measurements int
}

// finding is the test with the largest |t|.
type finding struct {
	Measurements int
	T            float64 // its |t|
	Kept         float64 // the part of the measurements that this test looked at
}

const (
	// batch is how many inputs are prepared at once.
	batch = 256
	// enough is how many measurements a test must keep to count.
	enough = 10_000
	// crops is how many tests there are beside the one on everything. Each
	// drops what took longer than a bound of its own, as what is disturbed
	// from outside does.
	crops = 100
	// largest stands for any |t| above it, infinity included.
	largest = 1e6
)

func answer(t task) (finding, error) {
	s, err := newSubject(t.Case)
	if err != nil {
		return finding{}, err
	}
	m := newMeter(s)
	var first []float64
	m.measure(enough, func(_ int, elapsed float64) { first = append(first, elapsed) })
	tests := newTests(first)
	m.measure(t.Measurements, tests.add)
	return tests.worst(), nil
}

// meter times a subject on inputs of both classes.
type meter struct {
	subject *subject
	random  *rand.ChaCha8
	inputs  [batch][]byte
	classes [batch]int
}

func newMeter(s *subject) *meter {
	m := &meter{subject: s, random: rand.NewChaCha8([32]byte(randomBytes(32)))}
	for i := range m.inputs {
		m.inputs[i] = make([]byte, len(s.fixed))
	}
	return m
}

// measure collects garbage only between the batches.
func (m *meter) measure(count int, take func(class int, elapsed float64)) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for left := count; left > 0; left -= batch {
		m.prepare()
		runtime.GC()
		for i := range min(batch, left) {
			m.subject.load(m.inputs[i])
			start := time.Now()
			m.subject.run()
			take(m.classes[i], float64(time.Since(start)))
		}
	}
}

// prepare draws classes and inputs. Both classes draw the same random bytes.
func (m *meter) prepare() {
	for i, input := range m.inputs {
		_, _ = m.random.Read(input) // it cannot fail
		m.classes[i] = int(m.random.Uint64() & 1)
		if m.classes[i] == 0 {
			copy(input, m.subject.fixed)
		}
	}
}

// tests are t-tests side by side, the first of all measurements.
type tests struct {
	bounds  [1 + crops]float64
	classes [1 + crops][2]stats.Moments
}

// newTests sets the bounds by a first look at how long the operation takes:
// close to each other where most of the times are, from 7 % of them to 99.9 %.
func newTests(first []float64) *tests {
	t := &tests{}
	t.bounds[0] = math.Inf(1)
	for i := 1; i <= crops; i++ {
		t.bounds[i] = stats.Quantile(first, 1-math.Exp2(-10*float64(i)/crops))
	}
	return t
}

func (t *tests) add(class int, elapsed float64) {
	for i, bound := range t.bounds {
		if elapsed <= bound {
			t.classes[i][class].Add(elapsed)
		}
	}
}

func (t *tests) worst() finding {
	all := &t.classes[0]
	worst := finding{Measurements: all[0].Count() + all[1].Count()}
	for i := range t.classes {
		fixed, random := &t.classes[i][0], &t.classes[i][1]
		kept := fixed.Count() + random.Count()
		value := min(largest, math.Abs(stats.Welch(fixed, random)))
		if kept >= enough && value >= worst.T {
			worst.T, worst.Kept = value, float64(kept)/float64(worst.Measurements)
		}
	}
	return worst
}
