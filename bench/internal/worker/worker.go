// Package worker runs the measuring half of a program in children of its own.
// Which kernel the package shamir uses is settled when a process starts, so to
// compare kernels in one run takes one process for each. A child measures only
// when asked, on one processor, and waits otherwise: they take turns.
package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
)

// kernels are the names that the package knows, from slow to fast; no machine
// has all.
var kernels = []string{"portable", "avx2", "gfni", "neon"}

// argument is what tells a child from its parent.
const argument = "worker"

// Worker is a child that answers questions of type Q with answers of type A,
// one at a time. Its methods are not safe for concurrent use.
type Worker[Q, A any] struct {
	kernel  string
	process *exec.Cmd
	stdin   io.Closer
	ask     *json.Encoder
	answers *json.Decoder
}

// reply is one line from a child. The first only greets.
type reply[A any] struct {
	Kernel string
	Answer A
	Error  string
}

var errKernels = errors.New("no child runs the portable kernel, which every machine has")

// Start runs this program again, once for each kernel that this machine has:
// the portable one first, the fastest last.
func Start[Q, A any]() (workers []*Worker[Q, A], err error) {
	for _, kernel := range kernels {
		w, err := start[Q, A](kernel)
		if err != nil {
			return nil, fmt.Errorf("starting a worker for %s: %w", kernel, err)
		}
		if w.kernel == kernel {
			workers = append(workers, w)
		} else if err := w.Stop(); err != nil {
			return nil, err
		}
	}
	if len(workers) == 0 || workers[0].kernel != kernels[0] {
		return nil, errKernels
	}
	return workers, nil
}

func start[Q, A any](kernel string) (*Worker[Q, A], error) {
	w, err := launch[Q, A](kernel)
	if err != nil {
		return nil, err
	}
	var greeting reply[A]
	if err := w.answers.Decode(&greeting); err != nil {
		return nil, errors.Join(err, w.Stop())
	}
	w.kernel = greeting.Kernel
	return w, nil
}

func launch[Q, A any](kernel string) (*Worker[Q, A], error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	process := exec.Command(self, argument) //nolint:gosec,noctx // G204: it is this program; it ends when its stdin does
	process.Env = append(os.Environ(), "GOMAXPROCS=1", "SHAMIR_KERNEL="+kernel)
	process.Stderr = os.Stderr
	stdin, err := process.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := process.Start(); err != nil {
		return nil, err
	}
	return &Worker[Q, A]{
		process: process, stdin: stdin, ask: json.NewEncoder(stdin), answers: json.NewDecoder(stdout),
	}, nil
}

// Kernel names the kernel that this worker runs.
func (w *Worker[Q, A]) Kernel() string { return w.kernel }

// Ask waits for the answer. Errors are those of the child.
func (w *Worker[Q, A]) Ask(question Q) (A, error) {
	var r reply[A]
	if err := errors.Join(w.ask.Encode(question), w.answers.Decode(&r)); err != nil {
		return r.Answer, fmt.Errorf("asking the worker for %s: %w", w.kernel, err)
	}
	if r.Error != "" {
		return r.Answer, fmt.Errorf("%s: %s", w.kernel, r.Error)
	}
	return r.Answer, nil
}

// Stop ends the child and waits for it.
func (w *Worker[Q, A]) Stop() error {
	return errors.Join(w.stdin.Close(), w.process.Wait())
}

// Serve reports whether this process is a child; if so, it has answered until
// its parent stopped it, and there is nothing left to do.
func Serve[Q, A any](answer func(Q) (A, error)) (child bool, err error) {
	if len(os.Args) != 2 || os.Args[1] != argument {
		return false, nil
	}
	runtime.LockOSThread()
	questions, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	err = out.Encode(reply[A]{Kernel: kernelInUse()})
	for err == nil {
		err = serveOne(questions, out, answer)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return true, err
}

func serveOne[Q, A any](questions *json.Decoder, out *json.Encoder, answer func(Q) (A, error)) error {
	var question Q
	if err := questions.Decode(&question); err != nil {
		return err
	}
	a, err := answer(question)
	r := reply[A]{Answer: a}
	if err != nil {
		r.Error = err.Error()
	}
	return out.Encode(r)
}
