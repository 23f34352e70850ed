// Package api is the wire protocol of a guardian: routes, bodies, limits,
// and the one table of errors. Server and client import it; it imports
// nothing of the project.
//
// Integers are exact 64-bit JSON numbers; byte strings are RFC 4648 standard
// base64 with padding.
package api

import (
	"errors"
	"strings"
)

// Version is the release this build belongs to.
const Version = "0.1.0"

// Routes of the client plane.
const (
	RouteHealthz   = "/healthz"
	RouteHealth    = "/health"
	RouteReadyz    = "/readyz"
	RouteReady     = "/ready"
	RouteV1Health  = "/v1/vault/health"
	RouteStatus    = "/v1/vault/status"
	RouteGuardians = "/v1/vault/guardians"
	RoutePush      = "/v1/vault/push"
	RoutePull      = "/v1/vault/pull"
	RouteDelete    = "/v1/vault/delete"
	RouteOpenAPI   = "/openapi.yaml"
)

// Limits of requests, in bytes unless said otherwise.
const (
	IdentityDigits  = 64
	MaxShareSize    = 512 << 10
	MaxManifestSize = 64 << 10
	// MaxPushBody bounds the body of a push, MaxBody that of any other call.
	MaxPushBody = 1 << 20
	MaxBody     = 4 << 10
	// SplitSize is the length of a split id before hex.
	SplitSize = 16
	// MaxThreshold is the most shares that GF(2^8) can ask for; MinThreshold
	// the least for which one share alone tells nothing.
	MinThreshold = 2
	MaxThreshold = 255
)

// PushRequest stores one share. Version is a pointer because an absent
// version is an error and 0 is a legal first version.
type PushRequest struct {
	Identity string  `json:"identity"`
	Share    string  `json:"share"`
	Version  *uint64 `json:"version"`
	// Threshold is K of the split; 0 when unknown.
	Threshold int `json:"threshold,omitempty"`
	// Split is 16 bytes in hex that name the run of the sharing polynomial,
	// or "".
	Split string `json:"split,omitempty"`
	// Manifest is base64 of at most MaxManifestSize bytes, or "".
	Manifest string `json:"manifest,omitempty"`
}

// PushResponse acknowledges a push: durable, and never to be overwritten by
// the same or a lower version.
type PushResponse struct {
	Status string `json:"status"` // "stored"
}

// PullRequest asks for the current share, or for an older version that is
// still retained.
type PullRequest struct {
	Identity string  `json:"identity"`
	Version  *uint64 `json:"version,omitempty"`
}

// PullResponse is one share as it was pushed.
type PullResponse struct {
	Share     string `json:"share"`
	Version   uint64 `json:"version"`
	Threshold int    `json:"threshold"`
	Split     string `json:"split,omitempty"`
	Epoch     uint64 `json:"epoch"`
	Manifest  string `json:"manifest,omitempty"`
}

// DeleteRequest deletes the share if the current version is the one named.
type DeleteRequest struct {
	Identity string  `json:"identity"`
	Version  *uint64 `json:"version"`
}

// DeleteResponse acknowledges a delete: pushes at or below Version are
// refused from then on.
type DeleteResponse struct {
	Status  string `json:"status"` // "deleted"
	Version uint64 `json:"version"`
}

// HealthResponse is the answer of RouteV1Health, always with HTTP 200.
type HealthResponse struct {
	Status    string `json:"status"` // ok, degraded, unhealthy
	Version   string `json:"version"`
	Shares    int64  `json:"shares"`
	Peers     int    `json:"peers"`
	StorageOK bool   `json:"storage_ok"`
	// DataDirOK is StorageOK under the name that older monitors read.
	DataDirOK bool `json:"data_dir_ok"`
	// SharesApproximate is true until the count has been checked against the
	// storage. What other processes on it have done since the last check is
	// not in the count either way.
	SharesApproximate bool `json:"shares_approximate"`
}

// StatusResponse is the answer of RouteStatus.
type StatusResponse struct {
	Status     string `json:"status"` // as HealthResponse
	Version    string `json:"version"`
	DataDir    string `json:"data_dir"` // storage location, no credentials
	ClientPort int    `json:"client_port"`
	// PeerPort is 0 while this guardian has no peer plane.
	PeerPort     int    `json:"peer_port"`
	NodeID       string `json:"node_id"`
	Storage      string `json:"storage"` // fs
	Alive        int    `json:"alive"`
	Threshold    int    `json:"threshold"`
	WriteQuorum  int    `json:"write_quorum"`
	PrimaryKeyID string `json:"primary_key_id"`
	// Quarantined counts the identities that this process found damaged, or
	// found marked at its last walk.
	Quarantined       int64   `json:"quarantined"`
	Shares            int64   `json:"shares"`
	SharesApproximate bool    `json:"shares_approximate"`
	RepairQueue       int64   `json:"repair_queue"`
	UptimeSeconds     float64 `json:"uptime_s"`
}

// GuardianInfo describes one guardian of a GuardiansResponse.
type GuardianInfo struct {
	NodeID  string `json:"node_id"`
	Address string `json:"address"`
	Port    int    `json:"port"`
	URL     string `json:"url"`
	State   string `json:"state"` // alive, suspect, dead
	// Index is the share index for life, 1 to 255; 0 without a registry.
	Index            int     `json:"index"`
	LastSeenSeconds  float64 `json:"last_seen_s"`
	ShareCount       int64   `json:"share_count"`
	ShareCountApprox bool    `json:"share_count_approximate"`
}

// GuardiansResponse is the answer of RouteGuardians.
type GuardiansResponse struct {
	Guardians   []GuardianInfo `json:"guardians"`
	Threshold   int            `json:"threshold"`
	WriteQuorum int            `json:"write_quorum"`
	Total       int            `json:"total"`
}

// ErrorResponse is the body of every answer that is not a success.
type ErrorResponse struct {
	Error string `json:"error"`
	Code  string `json:"code"`
	// RequestID names the answer in the guardian's log; only with an internal
	// error.
	RequestID string `json:"request_id,omitempty"`
	// CurrentVersion and Stored come with version_conflict only.
	CurrentVersion *uint64 `json:"current_version,omitempty"`
	Stored         *bool   `json:"stored,omitempty"`
	// Reason comes with a refusal of RouteReadyz only.
	Reason string `json:"reason,omitempty"`
}

// NewErrorResponse describes err in the form of the wire.
func NewErrorResponse(err error) (ErrorResponse, int) {
	row := RowOf(err)
	body := ErrorResponse{Error: row.Err.Error(), Code: row.Code}
	if field, ok := errors.AsType[*FieldError](err); ok {
		body.Error = field.Text
	}
	if conflict, ok := errors.AsType[*VersionConflictError](err); ok {
		body.CurrentVersion, body.Stored = &conflict.Current, &conflict.Stored
	}
	return body, row.Status
}

// Err turns an answer back into the error that caused it: the sentinel of
// its code, as a FieldError or VersionConflictError where it carries data.
func (r ErrorResponse) Err() error {
	sentinel := SentinelOf(r.Code)
	if errors.Is(sentinel, ErrVersionConflict) && r.CurrentVersion != nil {
		return &VersionConflictError{Current: *r.CurrentVersion, Stored: r.Stored != nil && *r.Stored}
	}
	if r.Error == "" || r.Error == sentinel.Error() {
		return sentinel
	}
	return &FieldError{Sentinel: sentinel, Text: r.Error}
}

// ParseIdentity folds an identity to lower case, or says what is wrong.
func ParseIdentity(s string) (string, error) {
	if len(s) != IdentityDigits {
		return "", &FieldError{ErrInvalidIdentity, "identity must be exactly 64 hex characters"}
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return "", &FieldError{ErrInvalidIdentity, "identity must be hex"}
		}
	}
	return strings.ToLower(s), nil
}
