package api

import (
	"errors"
	"net/http"
	"time"
)

// The errors of the protocol. A guardian's layers return them (wrapped), the
// table below gives each its stable code and HTTP status, and the client turns
// a code back into the very same value, so errors.Is holds on both sides.
var (
	ErrEmptyBody            = errors.New("empty body")
	ErrInvalidJSON          = errors.New("invalid JSON")
	ErrInvalidIdentity      = errors.New("invalid identity")
	ErrInvalidShare         = errors.New("invalid share")
	ErrInvalidVersion       = errors.New("invalid version")
	ErrInvalidThreshold     = errors.New("invalid threshold")
	ErrInvalidSplit         = errors.New("invalid split")
	ErrInvalidManifest      = errors.New("invalid manifest")
	ErrVersionConflict      = errors.New("version must be greater than current stored version")
	ErrInvalidName          = errors.New("invalid secret name")
	ErrQuotaExceeded        = errors.New("quota exceeded")
	ErrOwnershipRequired    = errors.New("ownership proof required")
	ErrOwnershipInvalid     = errors.New("invalid ownership signature")
	ErrRateLimited          = errors.New("rate limit exceeded")
	ErrTokenRequired        = errors.New("missing bearer token")
	ErrTokenInvalid         = errors.New("invalid bearer token")
	ErrNotFound             = errors.New("share not found")
	ErrNoRoute              = errors.New("not found")
	ErrMethodNotAllowed     = errors.New("method not allowed")
	ErrBodyTooLarge         = errors.New("request body too large")
	ErrUnsupportedMediaType = errors.New("unsupported media type: send application/json")
	ErrIntegrityFailed      = errors.New("integrity check failed")
	ErrInternal             = errors.New("internal server error")
	ErrStorageUnavailable   = errors.New("storage unavailable: nothing was acknowledged, try again")
	ErrOverloaded           = errors.New("too many requests at once: try again")
	ErrFrozen               = errors.New("writes are frozen by the operator: nothing was stored or deleted, try again later")
	ErrKeyUnavailable       = errors.New("integrity key not yet known here: try again")
)

// ErrorRow is one row of the error table.
type ErrorRow struct {
	Err    error
	Code   string
	Status int
}

// ErrorTable relates sentinel, code and HTTP status, one row each. A
// version_conflict is 400 for a bare push (the operator guide of existing
// deployments documents it so); see [StatusOf].
var ErrorTable = []ErrorRow{
	{ErrEmptyBody, "empty_body", http.StatusBadRequest},
	{ErrInvalidJSON, "invalid_json", http.StatusBadRequest},
	{ErrInvalidIdentity, "invalid_identity", http.StatusBadRequest},
	{ErrInvalidShare, "invalid_share", http.StatusBadRequest},
	{ErrInvalidVersion, "invalid_version", http.StatusBadRequest},
	{ErrInvalidThreshold, "invalid_threshold", http.StatusBadRequest},
	{ErrInvalidSplit, "invalid_split", http.StatusBadRequest},
	{ErrInvalidManifest, "invalid_manifest", http.StatusBadRequest},
	{ErrInvalidName, "invalid_name", http.StatusBadRequest},
	{ErrVersionConflict, "version_conflict", http.StatusBadRequest},
	{ErrQuotaExceeded, "quota_exceeded", http.StatusBadRequest},
	{ErrTokenRequired, "token_required", http.StatusUnauthorized},
	{ErrTokenInvalid, "token_invalid", http.StatusUnauthorized},
	{ErrOwnershipRequired, "ownership_required", http.StatusUnauthorized},
	{ErrOwnershipInvalid, "ownership_invalid", http.StatusUnauthorized},
	{ErrNotFound, "not_found", http.StatusNotFound},
	{ErrNoRoute, "no_route", http.StatusNotFound},
	{ErrMethodNotAllowed, "method_not_allowed", http.StatusMethodNotAllowed},
	{ErrBodyTooLarge, "body_too_large", http.StatusRequestEntityTooLarge},
	{ErrUnsupportedMediaType, "unsupported_media_type", http.StatusUnsupportedMediaType},
	{ErrRateLimited, "rate_limited", http.StatusTooManyRequests},
	{ErrIntegrityFailed, "integrity_failed", http.StatusInternalServerError},
	{ErrStorageUnavailable, "storage_unavailable", http.StatusServiceUnavailable},
	{ErrOverloaded, "overloaded", http.StatusServiceUnavailable},
	{ErrFrozen, "frozen", http.StatusServiceUnavailable},
	{ErrKeyUnavailable, "key_unavailable", http.StatusServiceUnavailable},
	{ErrInternal, "internal", http.StatusInternalServerError},
}

// RowOf returns the row of the first sentinel that err wraps, and that of
// ErrInternal for an error that is none of the protocol's.
func RowOf(err error) ErrorRow {
	for _, row := range ErrorTable {
		if errors.Is(err, row.Err) {
			return row
		}
	}
	return ErrorTable[len(ErrorTable)-1]
}

// SentinelOf returns the sentinel of a code, or ErrInternal for one that this
// build does not know.
func SentinelOf(code string) error {
	for _, row := range ErrorTable {
		if row.Code == code {
			return row.Err
		}
	}
	return ErrInternal
}

// FieldError says what is wrong with a request. Its text is the answer's
// `error`; it unwraps to the sentinel that gives the code.
type FieldError struct {
	Sentinel error
	Text     string
}

func (e *FieldError) Error() string { return e.Text }

// Unwrap returns the sentinel.
func (e *FieldError) Unwrap() error { return e.Sentinel }

// Errors that share a code with another but say something else.
var (
	ErrSessionRequired = &FieldError{ErrTokenRequired, "session token required"}
	ErrSessionInvalid  = &FieldError{ErrTokenInvalid, "invalid session token"}
	ErrSecretNotFound  = &FieldError{ErrNotFound, "secret not found"}
	ErrNoRoster        = &FieldError{ErrNotFound, "no roster is in force here"}
)

// RateLimitedError refuses a call that comes too soon. It is ErrRateLimited to
// errors.Is.
type RateLimitedError struct {
	// RetryAfter is when one more call would be taken.
	RetryAfter time.Duration
}

func (e *RateLimitedError) Error() string { return ErrRateLimited.Error() }

// Is makes the error an ErrRateLimited.
func (e *RateLimitedError) Is(target error) bool { return target == ErrRateLimited }

// VersionConflictError refuses a push or a delete because of the version that
// is stored. It is ErrVersionConflict to errors.Is.
type VersionConflictError struct {
	// Current is the version stored, deleted ones included.
	Current uint64
	// Stored is true when what is stored at the version pushed is just what
	// was pushed: version, share, threshold, split and manifest. The caller
	// may count it as an acknowledgement.
	Stored bool
}

func (e *VersionConflictError) Error() string { return ErrVersionConflict.Error() }

// Is makes the error an ErrVersionConflict.
func (e *VersionConflictError) Is(target error) bool { return target == ErrVersionConflict }
