package main

import (
	"errors"
	"testing"
)

// TestJudge has the |t| of one attempt after the other.
func TestJudge(t *testing.T) {
	for _, tc := range []struct {
		name     string
		values   []float64
		attempts int
		want     error
	}{
		{checkTag, []float64{0}, 1, nil},
		{checkTag, []float64{bound}, 1, nil},
		{checkTag, []float64{bound + 0.01, 1}, 2, nil},
		{checkTag, []float64{largest, largest, 2}, 3, nil},
		{checkTag, []float64{5, 6, 5}, 3, errLeak},
		{controlBranch, []float64{11}, 1, nil},
		{controlBranch, []float64{9, 11}, 2, nil},
		{controlBranch, []float64{9, 1, 10}, 3, errBlind},
	} {
		asked := 0
		err := judge("portable", task{Case: tc.name}, func(task) (finding, error) {
			asked++
			return finding{T: tc.values[asked-1]}, nil
		})
		if !errors.Is(err, tc.want) || asked != tc.attempts {
			t.Errorf("%s with |t| of %v: %v after %d attempts, want %v after %d",
				tc.name, tc.values, err, asked, tc.want, tc.attempts)
		}
	}
}

func TestJudgeStopsWhenTheWorkerFails(t *testing.T) {
	broken := errors.New("broken")
	err := judge("portable", task{Case: splitZeros}, func(task) (finding, error) { return finding{}, broken })
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
