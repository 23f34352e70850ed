package metered

import (
	"context"
	"errors"
	"net"

	"github.com/vault-guardian/guardian/backend"
)

// kind is what came of a call. All but answered and conflict are values of a
// label.
type kind string

const (
	answered   kind = "" // "absent" is an answer too
	conflict   kind = "conflict"
	timeout    kind = "timeout"
	cancelled  kind = "cancelled"
	tooLarge   kind = "too_large"
	invalidKey kind = "invalid_key"
	failed     kind = "failed"
)

// kindOf names an error. What the contract defines comes first: a conflict
// stays one, whatever else its error wraps.
func kindOf(err error) kind {
	switch {
	case err == nil, errors.Is(err, backend.ErrNotFound):
		return answered
	case errors.Is(err, backend.ErrConflict):
		return conflict
	case errors.Is(err, backend.ErrTooLarge):
		return tooLarge
	case errors.Is(err, backend.ErrInvalidKey):
		return invalidKey
	case errors.Is(err, context.DeadlineExceeded):
		return timeout
	case errors.Is(err, context.Canceled):
		return cancelled
	}
	// The network's own timeouts, such as one of dialling, wrap no context's.
	if network, ok := errors.AsType[net.Error](err); ok && network.Timeout() {
		return timeout
	}
	return failed
}
