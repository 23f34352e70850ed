// Cttest looks for a dependence of running time on secrets, after O. Reparaz,
// J. Balasch, I. Verbauwhede, Dude, is my code constant time?, DATE 2017: an
// operation is timed many times, at random on one fixed input or on a random
// one, and Welch's t-test says whether the two classes differ.
//
// A |t| above 4.5 fails the run if it comes back whenever the case is measured
// again. A small |t| proves nothing; but controls that do depend on their input,
// one of them on a single byte only, must be told apart, or the run could not
// have seen anything.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"

	"github.com/vault-guardian/guardian/bench/internal/worker"
)

const (
	// bound is what |t| exceeds in less than one of 100,000 tests of classes
	// that do not differ.
	bound = 4.5
	// definite is what it must exceed for a control: a run that only just sees
	// what is meant to be seen could miss a leak.
	definite = 10
	// attempts is how often in a row a difference must show, as the machine
	// does other things too.
	attempts = 3
)

var (
	errLeak  = errors.New("the time depends on the secret")
	errBlind = errors.New("a control was not told apart: this run could not have seen a leak")
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "cttest:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	if child, err := worker.Serve(answer); child {
		return err
	}
	measurements := flag.Int("n", 300_000, "measurements of each case")
	flag.Parse()
	workers, err := worker.Start[task, finding]()
	if err != nil {
		return err
	}
	fmt.Printf("%-9s %-34s %12s %8s %9s\n", "kernel", "case", "measurements", "|t|", "kept")
	for i, w := range workers {
		names := perKernel
		if i == len(workers)-1 {
			names = slices.Concat(perKernel, once)
		}
		for _, name := range names {
			err = errors.Join(err, judge(w.Kernel(), task{Case: name, Measurements: *measurements}, w.Ask))
		}
		err = errors.Join(err, w.Stop())
	}
	return err
}

// judge measures again as long as the result is not what it should be.
func judge(kernel string, t task, ask func(task) (finding, error)) error {
	for range attempts {
		found, err := ask(t)
		if err != nil {
			return err
		}
		verdict, fine := verdictOn(t.Case, found)
		fmt.Printf("%-9s %-34s %12d %8.2f %8.3g%%  %s\n", kernel, t.Case, found.Measurements, found.T, 100*found.Kept, verdict)
		if fine {
			return nil
		}
	}
	if isControl(t.Case) {
		return fmt.Errorf("%w: %s", errBlind, t.Case)
	}
	return fmt.Errorf("%w: %s %s", errLeak, kernel, t.Case)
}

func verdictOn(name string, found finding) (verdict string, fine bool) {
	switch {
	case isControl(name) && found.T > definite:
		return "caught, as it must be", true
	case isControl(name):
		return "NOT CAUGHT", false
	case found.T > bound:
		return "DIFFERENCE", false
	}
	return "no difference seen", true
}
