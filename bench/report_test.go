package main

import "testing"

func TestDigits(t *testing.T) {
	for value, want := range map[float64]string{
		12345: "12345", 10: "10", 9.94: "9.9", 1: "1.0", 0.5: "0.50", 0.0066: "0.0066", 0.000013: "0.000013",
		9.97: "10", 0.0999: "0.10",
	} {
		if got := digits(value); got != want {
			t.Errorf("digits(%v) = %q, want %q", value, got, want)
		}
	}
}

// TestRow divides round by round: a disturbed round moves no ratio.
func TestRow(t *testing.T) {
	who, vault := contestant{"gfni", split}, contestant{others, vaultSplit}
	r := &result{shape: shape{5, 3}, size: 64 << 10, series: map[contestant]*series{
		who:                 {part: 64 << 10, speeds: []float64{200e6, 20e6, 400e6}},
		vault:               {part: 1 << 10, speeds: []float64{1e6, 0.1e6, 2e6}},
		{"portable", split}: {part: 64 << 10, speeds: []float64{1, 1, 1}},
	}}
	got := r.row(who)
	if got.Speed != 200 || len(got.Times) != 1 || got.Times[vaultSplit] != 200 {
		t.Errorf("got %+v", got)
	}
	if got.name() != "gfni     split" || r.row(vault).name() != "vault split, of 1 KiB" {
		t.Errorf("named %q and %q", got.name(), r.row(vault).name())
	}
	if times := r.row(vault).Times; times != nil {
		t.Errorf("a baseline is compared: %v", times)
	}
}
