// Package stats has the few statistics that the measurements need. Nothing in
// it is safe for concurrent use.
package stats

import (
	"math"
	"slices"
)

// Quantile returns the value below which the given part (0 to 1) of the values
// lies, interpolated between neighbours; NaN for no values.
func Quantile(values []float64, part float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	position := part * float64(len(sorted)-1)
	below := int(position)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (position-float64(below))*(sorted[above]-sorted[below])
}

// Median is the middle value, which a few disturbed measurements do not move.
func Median(values []float64) float64 { return Quantile(values, 0.5) }

// Spread is half the distance between the quartiles as a part of the median:
// half of the values are about that close to it.
func Spread(values []float64) float64 {
	return (Quantile(values, 0.75) - Quantile(values, 0.25)) / 2 / Median(values)
}

// Moments accumulates mean and variance in one pass (B. P. Welford, Note on a
// Method for Calculating Corrected Sums of Squares and Products, 1962). The
// zero value has seen nothing.
type Moments struct {
	count, mean, squares float64
}

// Add takes one more value in.
func (m *Moments) Add(value float64) {
	m.count++
	delta := value - m.mean
	m.mean += delta / m.count
	m.squares += delta * (value - m.mean)
}

// Count is how many values were added.
func (m *Moments) Count() int { return int(m.count) }

// Mean is the average of the values, 0 before the first.
func (m *Moments) Mean() float64 { return m.mean }

func (m *Moments) variance() float64 { return m.squares / (m.count - 1) }

// Welch returns the statistic of Welch's t-test (B. L. Welch, Biometrika
// 34(1-2), 1947) for the hypothesis that both come from distributions of one
// mean: 0 for equal means, infinite for different means without any variance.
// With fewer than two values on a side there is nothing to compare: 0.
func Welch(a, b *Moments) float64 {
	if a.count < 2 || b.count < 2 || a.mean == b.mean {
		return 0
	}
	return (a.mean - b.mean) / math.Sqrt(a.variance()/a.count+b.variance()/b.count)
}
