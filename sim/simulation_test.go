package sim

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

var (
	runs    = flag.Int("sim.runs", 60, "how many runs TestSimulation makes")
	first   = flag.Uint64("sim.seed", 1, "the seed of the first; the others follow")
	repeats = flag.Int("sim.repeats", 20, "how many seeds TestSameSeedSameTrace runs twice")
	procs   = flag.Int("sim.procs", runtime.NumCPU(), "how many processes share many runs")
	figures = flag.String("sim.figures", "", "write what the runs were made of to this file")
	full    = flag.Bool("sim.trace", false, "print everything that happens")
)

// TestMain keeps goroutines from running at the same time, which a run does not
// gain from and its repeatability does.
func TestMain(m *testing.M) {
	flag.Parse()
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

// TestSimulation makes runs from consecutive seeds. Many are made by processes
// beside each other.
func TestSimulation(t *testing.T) { runAll(t, newWorld) }

func runAll(t *testing.T, world func(uint64, plant) *world) {
	if *procs > 1 && *runs > chunk {
		runChunks(t)
		return
	}
	var total counts
	failed := 0
	for seed := *first; seed < *first+uint64(*runs) && failed < maxFailures; seed++ {
		r := simulateIn(t, world, seed, plant{}, printer())
		total.add(r.counts)
		if len(r.failures) > 0 {
			failed++
			t.Errorf("seed %d:\n  %s\nreplay it with: go test ./sim -run '^%s$' -sim.runs=1 -sim.seed=%d -sim.trace -v\nthe end of its trace:\n%s",
				seed, strings.Join(r.failures, "\n  "), t.Name(), seed, r.tail)
		}
	}
	t.Log(total)
	if *figures != "" {
		total.write(t, *figures)
	}
}

// maxFailures bounds how many seeds are shown to fail.
const maxFailures = 3

func printer() func(string) {
	if !*full {
		return nil
	}
	return func(line string) { fmt.Fprintln(os.Stderr, line) }
}
