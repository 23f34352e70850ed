package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestQuantile(t *testing.T) {
	for _, tc := range []struct {
		values     []float64
		part, want float64
	}{
		{[]float64{7}, 0.25, 7},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 1, 3, 2}, 0.5, 2.5},
		{[]float64{5, 1, 4, 2, 3}, 0.25, 2},
		{[]float64{5, 1, 4, 2, 3}, 0, 1},
		{[]float64{5, 1, 4, 2, 3}, 1, 5},
	} {
		if got := Quantile(tc.values, tc.part); got != tc.want {
			t.Errorf("Quantile(%v, %v) = %v, want %v", tc.values, tc.part, got, tc.want)
		}
	}
	if got := Median(nil); !math.IsNaN(got) {
		t.Errorf("the median of nothing is %v", got)
	}
	if got := Spread([]float64{90, 100, 110}); got != 0.05 {
		t.Errorf("Spread = %v, want 0.05", got)
	}
}

// TestWelch has an example worked by hand: means 3 and 6, variances 2.5 and 4,
// five and three values, so t = -3/sqrt(0.5+4/3).
func TestWelch(t *testing.T) {
	var a, b, none, still Moments
	for _, value := range []float64{1, 2, 3, 4, 5} {
		a.Add(value)
	}
	for _, value := range []float64{4, 6, 8} {
		b.Add(value)
	}
	still.Add(7)
	still.Add(7)
	want := -3 / math.Sqrt(0.5+4.0/3)
	if got := Welch(&a, &b); math.Abs(got-want) > 1e-12 {
		t.Errorf("got %v, want %v", got, want)
	}
	if a.Count() != 5 || a.Mean() != 3 {
		t.Errorf("count %d, mean %v", a.Count(), a.Mean())
	}
	if got := Welch(&a, &none); got != 0 {
		t.Errorf("against nothing: %v", got)
	}
	if got := Welch(&still, &still); got != 0 {
		t.Errorf("against itself: %v", got)
	}
}

// TestWelchTellsDistributionsApart draws 50,000 values a side: a shift by a
// twentieth of the deviation shows as |t| near 8, none as |t| near 1.
func TestWelchTellsDistributionsApart(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for shift, within := range map[float64][2]float64{0: {0, 4}, 0.05: {5, 11}} {
		var a, b Moments
		for range 50_000 {
			a.Add(random.NormFloat64())
			b.Add(random.NormFloat64() + shift)
		}
		if got := math.Abs(Welch(&a, &b)); got < within[0] || got > within[1] {
			t.Errorf("shifted by %v: |t| = %v", shift, got)
		}
	}
}
