package main

import (
	"fmt"
	"strings"
	"time"
)

// What is measured. The first three are of the package under test, the others
// are what it is compared with.
const (
	split   = "split"
	combine = "combine"
	// robustRight combines all n shares, robustWrong does so when as many as
	// can be found are garbage.
	robustRight = "robust, all right"
	robustWrong = "robust, most wrong"

	vaultSplit   = "vault split"
	vaultCombine = "vault combine"
	copying      = "copy"
	random       = "crypto/rand"
)

// shape is n shares of which k rebuild the secret.
type shape struct{ N, K int }

func (s shape) String() string { return fmt.Sprintf("(%d,%d)", s.N, s.K) }

var (
	shapes = []shape{{5, 3}, {14, 4}, {100, 33}}
	sizes  = []int{1 << 10, 64 << 10, 512 << 10}
)

// contest is what takes turns: each of ours with every kernel, the others once.
type contest struct {
	ours, others []string
}

var contests = []contest{
	{ours: []string{split}, others: []string{vaultSplit, copying, random}},
	{ours: []string{combine}, others: []string{vaultCombine, copying, random}},
	{ours: []string{combine, robustRight, robustWrong}, others: []string{copying}},
}

// pace is how long to measure.
type pace struct {
	rounds int
	// turn is what each gets per round. Vault's may take vaultTurn: it is cut
	// down to a part of the secret that it handles in that time.
	turn, vaultTurn time.Duration
}

var (
	full  = pace{rounds: 15, turn: 20 * time.Millisecond, vaultTurn: 60 * time.Millisecond}
	quick = pace{rounds: 7, turn: 5 * time.Millisecond, vaultTurn: 30 * time.Millisecond}
)

// target is what a kernel shall reach at (5,3) and 64 KiB, as a multiple of
// the speed of Vault's package.
type target struct {
	operation, against string
	portable, vector   float64
}

var (
	targets = []target{
		{operation: split, against: vaultSplit, portable: 40, vector: 200},
		{operation: combine, against: vaultCombine, portable: 400, vector: 5000},
	}
	targetShape = shape{5, 3}
	targetSize  = 64 << 10
)

func (t target) least(kernel string) float64 {
	if kernel == "portable" {
		return t.portable
	}
	return t.vector
}

func (c contest) title() string { return strings.Join(c.ours, " / ") }

// columns are what the speeds of ours are divided by.
func (c contest) columns() []string {
	if len(c.ours) > 1 {
		return append([]string{c.ours[0]}, c.others...)
	}
	return c.others
}
