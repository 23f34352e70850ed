package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
)

// Exit codes.
const (
	exitOK = iota
	exitFailure
	exitUsage
	exitNotFound
	exitQuorum
	exitVerification
)

// advisedError is an error with its exit code and what to do next.
type advisedError struct {
	code   int
	err    error
	advice string
}

func (e *advisedError) Error() string { return e.err.Error() }
func (e *advisedError) Unwrap() error { return e.err }

// usageError reports a command line that cannot be carried out.
func usageError(advice, format string, args ...any) error {
	return &advisedError{exitUsage, fmt.Errorf(format, args...), advice}
}

// failure is an error of the machine we run on, with what to do about it,
// unless err says that already.
func failure(err error, advice string) error {
	if _, ok := errors.AsType[*advisedError](err); ok {
		return err
	}
	return &advisedError{exitFailure, err, advice}
}

// interrupted says that a signal ended the command, whatever failed for it.
func interrupted(ctx context.Context) error {
	return failure(fmt.Errorf("ending: %w", context.Cause(ctx)), adviceInterrupted)
}

const adviceInterrupted = "interrupted: run the command again"

// advised gives every error an exit code and an advice. A QuorumError wraps
// what single guardians said, so it is looked at first.
func advised(err error) *advisedError {
	if known, ok := errors.AsType[*advisedError](err); ok {
		return &advisedError{known.code, err, known.advice}
	}
	if failed, ok := errors.AsType[*client.QuorumError](err); ok {
		return &advisedError{exitQuorum, err, quorumAdvice(failed)}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return &advisedError{exitFailure, err, adviceInterrupted}
	case errors.Is(err, api.ErrNotFound):
		return &advisedError{exitNotFound, err, "check the key, --name and the list of guardians: nothing is kept there, or it was deleted"}
	case errors.Is(err, client.ErrInconsistent), errors.Is(err, client.ErrAuthentication), errors.Is(err, api.ErrIntegrityFailed):
		return &advisedError{exitVerification, err, "nothing was written; bring more guardians up, or leave the one you trust least out of --guardians, and recover again; then store the file anew"}
	case errors.Is(err, client.ErrThreshold):
		return &advisedError{exitUsage, err, "change --guardians or --threshold"}
	case errors.Is(err, client.ErrSecretSize):
		return &advisedError{exitFailure, err, "store a smaller file, or split it into parts with a --name each"}
	case errors.Is(err, client.ErrVersionSpent):
		return &advisedError{exitFailure, err, "store it with another key, or under another --name"}
	}
	return &advisedError{exitFailure, err, "run the command with --help for what it needs"}
}

// refusals are what a single guardian may have said, and what to do about it.
var refusals = []struct {
	said   error
	advice string
}{
	{api.ErrTokenRequired, adviceToken},
	{api.ErrTokenInvalid, adviceToken},
	{api.ErrOwnershipRequired, "pass the owner's key with --key-file, --mnemonic or --user"},
	{api.ErrOwnershipInvalid, "pass the owner's key with --key-file, --mnemonic or --user, set this machine's clock, and name each guardian in --guardians as its operator does: a proof holds for that host and port, and for two minutes"},
	{api.ErrQuotaExceeded, "store a smaller file, or ask the operators of the guardians named above for more room"},
	{api.ErrFrozen, "wait until their operators take writes again: what is stored can be recovered meanwhile"},
	{api.ErrRateLimited, "wait a while and run the command again: the guardians named above bound how often they are asked"},
	{api.ErrNoRoute, "give the guardians' URLs without a path such as /v1"},
}

const adviceToken = "give the guardians' bearer token with --token-file"

func quorumAdvice(failed *client.QuorumError) string {
	for _, refusal := range refusals {
		if errors.Is(failed, refusal.said) {
			return refusal.advice
		}
	}
	if errors.Is(failed, client.ErrKept) {
		return "too few guardians take a new version for the old one to be safe meanwhile: bring those named above back; or recover the old one, guardianctl delete, and store again"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](failed); ok {
		return "name the authority that signed the guardians' certificates with --ca-file, and each guardian as its certificate does"
	}
	if failed.Claimed > 0 && failed.Got >= failed.Claimed {
		return fmt.Sprintf("if you stored it with --threshold %d, pass that again: otherwise these shares are made up", failed.Claimed)
	}
	return "bring the guardians named above back, or correct --guardians, and run the command again"
}
