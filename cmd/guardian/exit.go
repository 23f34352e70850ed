package main

import (
	"errors"
	"strings"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/awsconfig"
	"github.com/vault-guardian/guardian/backend/s3"
	"github.com/vault-guardian/guardian/integrity"
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

// bootError gives an error of the boot its exit code and advice.
func bootError(err error) error {
	if _, known := errors.AsType[*exitError](err); known {
		return err
	}
	problem, ok := errors.AsType[*awsconfig.Problem](err)
	if ok {
		return &exitError{bootCode(err, problem.Config), err, problem.Advice}
	}
	return &exitError{bootCode(err, false), err, bootAdvice(err)}
}

func bootCode(err error, configuration bool) int {
	switch {
	case configuration:
		return exitConfig
	case errors.Is(err, integrity.ErrKeyRefused), errors.Is(err, integrity.ErrNodeKeyRefused), errors.Is(err, api.ErrKeyUnavailable):
		return exitKey
	}
	return exitUnavailable
}

func bootAdvice(err error) string {
	switch {
	case errors.Is(err, s3.ErrUnsafe):
		return "use Amazon S3 or a server that keeps conditional writes, in a version that does"
	case errors.Is(err, integrity.ErrKeyRefused), errors.Is(err, api.ErrKeyUnavailable):
		return "start with the key and the GUARDIAN_NODE_ID that this storage was written with"
	case errors.Is(err, integrity.ErrNodeKeyRefused):
		return "start with the node key that this node had before; for a new node make one: openssl rand -base64 32"
	case errors.Is(err, api.ErrIntegrityFailed):
		return "look at them with guardianctl quarantine list, or start without GUARDIAN_REQUIRE_ALL_SHARES"
	case errors.Is(err, integrity.ErrSourceUnavailable):
		return "make the key file readable for this user"
	}
	return "check that the storage is there and that this user can read and write it"
}
