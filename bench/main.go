// Bench compares the package shamir with Vault's, with copying the secret and
// with drawing as many random bytes, all in one run and on one processor.
//
// It is a module of its own: what it compares with is no part of the product.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/vault-guardian/guardian/bench/internal/worker"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	if child, err := worker.Serve((&bench{}).answer); child {
		return err
	}
	quickly := flag.Bool("quick", false, "measure for less long: rougher figures")
	asJSON := flag.Bool("json", false, "print JSON instead of tables")
	flag.Parse()
	p := full
	if *quickly {
		p = quick
	}
	if !*asJSON {
		_, err := measure(os.Stdout, p)
		return err
	}
	r, err := measure(io.Discard, p)
	if err != nil {
		return err
	}
	return writeJSON(os.Stdout, r)
}

// measure prints tables as results come in.
func measure(out io.Writer, p pace) (r *report, err error) {
	workers, err := worker.Start[task, sample]()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop(workers)) }()
	r = newReport()
	fmt.Fprintf(out, "%s, one processor, %s, %s\n", r.CPU, r.Go, r.Time.Format("2006-01-02"))
	for _, c := range contests {
		if err := r.hold(out, c, workers, p); err != nil {
			return nil, err
		}
	}
	printTargets(out, r.Targets)
	return r, nil
}

func stop(workers []*benchWorker) error {
	var errs []error
	for _, w := range workers {
		errs = append(errs, w.Stop())
	}
	return errors.Join(errs...)
}

// hold runs a contest at every shape and size.
func (r *report) hold(out io.Writer, c contest, workers []*benchWorker, p pace) error {
	t := table{out: out, columns: c.columns()}
	t.head(c.title())
	for _, s := range shapes {
		for _, size := range sizes {
			found, err := compare(c, workers, s, size, p)
			if err != nil {
				return err
			}
			if err := r.take(t, c, workers, found); err != nil {
				return err
			}
		}
	}
	return nil
}

// take keeps and prints a result.
func (r *report) take(t table, c contest, workers []*benchWorker, found *result) error {
	return eachTurn(c, workers, func(w *benchWorker, who contestant) error {
		sum := found.row(who)
		t.row(sum)
		r.Rows = append(r.Rows, sum)
		return r.judge(w, sum)
	})
}

// judge compares a row with the target for it, if there is one.
func (r *report) judge(w *benchWorker, got row) error {
	for _, t := range targets {
		times, is := got.Times[t.against]
		if got.Operation != t.operation || (shape{got.N, got.K}) != targetShape || got.Size != targetSize || !is {
			continue
		}
		verdict := reached{Operation: got.Operation, Kernel: got.Kernel, Least: t.least(got.Kernel), Got: times}
		verdict.OK = verdict.Got >= verdict.Least
		if !verdict.OK {
			var err error
			if verdict.Profile, err = profile(w, got.Operation); err != nil {
				return err
			}
		}
		r.Targets = append(r.Targets, verdict)
	}
	return nil
}
