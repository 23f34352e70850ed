package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/term"
)

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// output is standard output. It remembers that a write failed, for those that
// write without looking, and whether anything was written at all.
type output struct {
	to io.Writer
	// unread is called when nobody reads any more; nil for nothing.
	unread  func()
	written bool
	err     error
}

func (o *output) Write(data []byte) (int, error) {
	n, err := o.to.Write(data)
	o.written = o.written || n > 0
	if errors.Is(err, syscall.EPIPE) && o.unread != nil {
		o.unread()
	}
	if err != nil && o.err == nil {
		o.err = failure(fmt.Errorf("writing to standard output: %w", err), "make room where the output goes, or send it elsewhere")
	}
	return n, o.err
}

// interruptible reads until ctx ends: a terminal or a pipe on which nothing
// comes must not hold up a signal.
type interruptible struct {
	ctx  context.Context //nolint:containedctx // io.Reader has no place for it
	from io.Reader
}

func (r interruptible) Read(data []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	read, buffer := make(chan result, 1), make([]byte, len(data))
	go func() {
		n, err := r.from.Read(buffer)
		read <- result{n, err}
	}()
	select {
	case <-r.ctx.Done():
		return 0, interrupted(r.ctx)
	case got := <-read:
		defer clear(buffer)
		defer clear(buffer) // it may be a secret
		return copy(data, buffer[:got.n]), got.err
	}
}

func isTerminal(stream any) bool {
	if out, ok := stream.(*output); ok {
		stream = out.to
	}
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
