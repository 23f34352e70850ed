package worker

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/shamir"
)

func TestMain(m *testing.M) {
	if child, err := Serve(describe); child {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func describe(question string) (string, error) {
	if question == "fail" {
		return "", errors.New("as you like")
	}
	return fmt.Sprint(question, " ", shamir.Kernel(), " ", runtime.GOMAXPROCS(0)), nil
}

func TestWorkers(t *testing.T) {
	workers, err := Start[string, string]()
	if err != nil {
		t.Fatal(err)
	}
	if last := workers[len(workers)-1].Kernel(); os.Getenv("SHAMIR_KERNEL") == "" && last != shamir.Kernel() {
		t.Errorf("the last is %s, the fastest %s", last, shamir.Kernel())
	}
	for _, w := range workers {
		if _, err := w.Ask("fail"); err == nil || !strings.Contains(err.Error(), "as you like") {
			t.Errorf("%s: the error of the child came as %v", w.Kernel(), err)
		}
		got, err := w.Ask("hello")
		if want := "hello " + w.Kernel() + " 1"; got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
		if err := w.Stop(); err != nil {
			t.Errorf("stopping %s: %v", w.Kernel(), err)
		}
		if _, err := w.Ask("hello"); err == nil {
			t.Errorf("%s answers after its end", w.Kernel())
		}
	}
}
