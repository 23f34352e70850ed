package main

import (
	"errors"
	"strings"
)

// Exit codes, after sysexits(3).
const (
	exitConfig      = 64
	exitUnavailable = 69
	exitInternal    = 70
	exitBind        = 71
	exitKey         = 77
)

// exitError is an error that ends the process with a code of its own, and what
// the operator can do about it.
type exitError struct {
	code   int
	err    error
	advice string
}

func (e *exitError) Error() string {
	if e.advice == "" {
		return e.err.Error()
	}
	return e.err.Error() + ": " + e.advice
}

// Unwrap returns the error without the advice.
func (e *exitError) Unwrap() error { return e.err }

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*exitError](err); ok {
		return exit.code
	}
	return exitInternal
}

// oneLine joins the lines of an error that is made of several.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
