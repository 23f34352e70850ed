package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/vault-guardian/guardian/api"
)

var (
	// ErrSecretSize reports a secret that is empty or does not fit into a
	// share. Nothing was sent.
	ErrSecretSize = errors.New("secret size")
	// ErrThreshold reports a threshold that the guardians given cannot carry.
	// Nothing was sent.
	ErrThreshold = errors.New("threshold")
	// ErrInconsistent reports shares of one split that do not lie on one
	// polynomial: at least one is wrong. Nothing is output.
	ErrInconsistent = errors.New("the shares do not agree with each other: at least one is wrong")
	// ErrAuthentication reports that what was rebuilt is not what the owner
	// stored: it does not open with the owner's root, or is not what the manifest
	// says. Nothing is output.
	ErrAuthentication = errors.New("what was rebuilt is not authentic")
	// ErrNoManifest reports shares that bear no manifest of their owner, so that
	// nobody can tell whether they are right without rebuilding the secret.
	ErrNoManifest = errors.New("the shares bear no manifest of their owner")
	// ErrKept reports a guardian that was not sent its share, because it keeps
	// below its current version what can still be rebuilt, and would drop that.
	ErrKept = errors.New("it was sent nothing, because it would drop what can still be rebuilt")
	// ErrVersionSpent reports that no version is left above the current one.
	ErrVersionSpent = errors.New("no version is left above the current one")

	errNoKey       = errors.New("that takes the key of its owner")
	errName        = &api.FieldError{Sentinel: api.ErrInvalidName, Text: "the name of a secret is 1 to 128 of A-Z a-z 0-9 _ -"}
	errNotSession  = errors.New("the answer is no session of ours: is there a guardian behind this URL?")
	errNotList     = errors.New("the answer is no list of secrets: is there a guardian behind this URL?")
	errNotHTTP     = errors.New("the answer is not a guardian's HTTP: is there a guardian behind this URL?")
	errCertificate = errors.New("the certificate is not one for this host")
	errNotDone     = errors.New("the answer does not say that it was done: is there a guardian behind this URL?")
	errDisagrees   = errors.New("its share does not agree with those of the others")
	errStraggler   = errors.New("no answer soon after the others had settled it")
)

// Error is what one guardian said, or why it said nothing.
type Error struct {
	// Guardian is its URL.
	Guardian string
	// Status is the HTTP status, 0 when no whole answer came.
	Status int
	// Err is one of package api when a guardian refused.
	Err error
}

func (e *Error) Error() string { return e.Guardian + ": " + e.Err.Error() }

// Unwrap returns what the guardian said.
func (e *Error) Unwrap() error { return e.Err }

// QuorumError reports that too few guardians did what was asked.
type QuorumError struct {
	// Action is what was asked: push, pull, verify, delete, history, list.
	Action string
	// Need and Got count guardians, for a pull shares.
	Need, Got int
	// Claimed is the K that the shares themselves name where it is below Need,
	// else 0: with a vault of that threshold they may be enough.
	Claimed int
	// Errs says what each of the others said, one [*Error] each.
	Errs []error
}

func (e *QuorumError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "quorum of the %s not met: needed %d, got %d", e.Action, e.Need, e.Got)
	for _, err := range e.Errs {
		text.WriteString("\n  " + err.Error())
	}
	return text.String()
}

// Unwrap returns what the guardians said, but for those that hold nothing:
// that one of them does not is no answer for the vault, so the error is not
// api.ErrNotFound.
func (e *QuorumError) Unwrap() []error {
	return slices.DeleteFunc(slices.Clone(e.Errs), func(err error) bool { return errors.Is(err, api.ErrNotFound) })
}

// retriable reports whether the same request may fare better later.
func retriable(err error) bool {
	if _, badCertificate := errors.AsType[*tls.CertificateVerificationError](err); badCertificate {
		return false
	}
	if errors.Is(err, api.ErrIntegrityFailed) {
		return false
	}
	failure, ok := errors.AsType[*Error](err)
	return ok && (failure.Status == 0 || failure.Status == http.StatusTooManyRequests || failure.Status >= 500)
}
