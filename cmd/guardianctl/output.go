package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vault-guardian/guardian/client"
)

// printableText reports whether a terminal can show data as it is: no control
// characters, which could also drive the terminal.
func printableText(data []byte) bool {
	if !utf8.Valid(data) {
		return false
	}
	for _, r := range string(data) {
		if !unicode.IsPrint(r) && r != '\n' && r != '\t' && r != '\r' {
			return false
		}
	}
	return true
}

// tamed is text that others may have had a part in, such as the names of a
// certificate in an error: nothing in it drives a terminal.
func tamed(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) || r == '\n' || r == '\t' {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// shown is a file name as a terminal can show it.
func shown(name string) string {
	if quoted := strconv.QuoteToGraphic(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// showProgress says on a terminal what goes on once it has taken a second. The
// function it returns ends that and clears the line.
func showProgress(w io.Writer, doing string) (stop func()) {
	return showLine(w, func(seconds int) string { return fmt.Sprintf("%s ... %d s", doing, seconds) })
}

// counter shows on a terminal how many were done, and how many a second.
type counter struct {
	done atomic.Int64
	end  func()
}

func countProgress(w io.Writer, doing string) *counter {
	var c counter
	c.end = showLine(w, func(seconds int) string {
		done := c.done.Load()
		return fmt.Sprintf("%s %d ... %d/s", doing, done, done/int64(seconds))
	})
	return &c
}

func (c *counter) add() { c.done.Add(1) }

// showLine shows a line on a terminal, anew every second.
func showLine(w io.Writer, line func(seconds int) string) (stop func()) {
	if !isTerminal(w) {
		return func() {}
	}
	done, shown := make(chan struct{}), sync.WaitGroup{}
	shown.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for seconds := 1; ; seconds++ {
			select {
			case <-done:
				fmt.Fprint(w, "\r\x1b[K")
				return
			case <-ticker.C:
				fmt.Fprintf(w, "\r%s", line(seconds))
			}
		}
	})
	return func() { close(done); shown.Wait() }
}

// guardianProblem is one guardian and what is wrong with it, for programs.
type guardianProblem struct {
	Guardian string `json:"guardian"`
	Error    string `json:"error"`
}

func problems(errs []error) []guardianProblem {
	list := make([]guardianProblem, 0, len(errs))
	for _, err := range errs {
		problem := guardianProblem{Error: err.Error()}
		if said, ok := errors.AsType[*client.Error](err); ok {
			problem = guardianProblem{said.Guardian, said.Err.Error()}
		}
		problem.Error = tamed(problem.Error)
		list = append(list, problem)
	}
	return list
}
