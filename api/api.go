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
	RouteRoster    = "/v1/vault/roster"
	RoutePush      = "/v1/vault/push"
	RoutePull      = "/v1/vault/pull"
	RouteHistory   = "/v1/vault/history"
	RouteDelete    = "/v1/vault/delete"
	RouteChallenge = "/v1/vault/auth/challenge"
	RouteSession   = "/v1/vault/auth/session"
	RouteOpenAPI   = "/openapi.yaml"

	RouteV2Challenge = "/v2/vault/auth/challenge"
	RouteV2Session   = "/v2/vault/auth/session"
	RouteSecrets     = "/v2/vault/secrets" //nolint:gosec // a path
	// RouteSecret and RouteVersions have the name of the secret in them.
	RouteSecret   = "/v2/vault/secrets/:name" //nolint:gosec // a path
	RouteVersions = "/v2/vault/secrets/:name/versions"
)

// Headers of a call. V1 carries proofs in the body, V2 in headers.
const (
	HeaderSession   = "X-Session-Token" // <identity>:<expiry_ns>:<tag>
	HeaderPubkey    = "X-Vault-Pubkey"
	HeaderSignature = "X-Vault-Signature"
	HeaderTimestamp = "X-Vault-Timestamp" // seconds since 1970
	HeaderProof     = "X-Vault-Proof"     // 1 (as without it) or 2
	HeaderAudience  = "X-Vault-Audience"  // host:port as dialled, with proof 2
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

// Proof shows that the owner of the identity allows a call: an Ed25519
// signature as package auth describes it. All fields are "" or 0 without one.
type Proof struct {
	// Pubkey and Signature are in hex.
	Pubkey    string `json:"pubkey,omitempty"`
	Signature string `json:"signature,omitempty"`
	// Proof is 2 for a proof that names guardian and content, else 0 or 1.
	Proof int `json:"proof,omitempty"`
	// Audience is host:port as the client dialled it; with proof 2.
	Audience string `json:"audience,omitempty"`
	// Timestamp is in seconds since 1970; signed of all but a push.
	Timestamp int64 `json:"timestamp,omitempty"`
}

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
	// Manifest is base64 of at most MaxManifestSize bytes, or "": what the
	// owner signed about this version. A guardian takes it only if it is about
	// this very push to this very node; Threshold and Split beside it must be
	// what it says, and are that where they are left out.
	Manifest string `json:"manifest,omitempty"`
	Proof
}

// PushResponse acknowledges a push: durable, and never to be overwritten by
// the same or a lower version.
type PushResponse struct {
	Status string `json:"status"` // "stored"
}

// PullRequest asks for the current share, or for an older version that is
// still retained; with an epoch, for the share of that redistribution, which
// need not be the one committed.
type PullRequest struct {
	Identity string  `json:"identity"`
	Version  *uint64 `json:"version,omitempty"`
	Epoch    *uint64 `json:"epoch,omitempty"`
	Proof
}

// HistoryRequest asks for the versions that are retained.
type HistoryRequest struct {
	Identity string `json:"identity"`
	Proof
}

// HistoryResponse lists versions, newest first; of what was deleted the one
// version that may not be written again.
type HistoryResponse struct {
	Versions []VersionInfo `json:"versions"`
}

// VersionInfo is one version in a HistoryResponse.
type VersionInfo struct {
	Version   uint64 `json:"version"`
	Epoch     uint64 `json:"epoch"`
	Size      int    `json:"size"`
	CreatedNS int64  `json:"created_ns"`
	Deleted   bool   `json:"deleted"`
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
	Proof
}

// DeleteResponse acknowledges a delete: pushes at or below Version are
// refused from then on.
type DeleteResponse struct {
	Status  string `json:"status"` // "deleted"
	Version uint64 `json:"version"`
}

// ChallengeRequest begins a session.
type ChallengeRequest struct {
	Identity string `json:"identity"`
}

// ChallengeResponse is to be sent back, with the identity, within a minute.
type ChallengeResponse struct {
	Nonce     string `json:"nonce"` // 64 hex digits
	CreatedNS int64  `json:"created_ns"`
	Tag       string `json:"tag"` // 64 hex digits
}

// SessionRequest sends a challenge back.
type SessionRequest struct {
	Identity  string `json:"identity"`
	Nonce     string `json:"nonce"`
	CreatedNS int64  `json:"created_ns"`
	Tag       string `json:"tag"`
}

// SessionResponse makes the session token: its three fields with colons
// between, for HeaderSession.
type SessionResponse struct {
	Identity string `json:"identity"`
	ExpiryNS int64  `json:"expiry_ns"`
	Tag      string `json:"tag"` // 64 hex digits
}

// PutSecretRequest stores a named secret's share; the fields are those of a
// PushRequest.
type PutSecretRequest struct {
	Share     string  `json:"share"`
	Version   *uint64 `json:"version"`
	Threshold int     `json:"threshold,omitempty"`
	Split     string  `json:"split,omitempty"`
	Manifest  string  `json:"manifest,omitempty"`
}

// PutSecretResponse acknowledges as PushResponse does.
type PutSecretResponse struct {
	Status  string `json:"status"` // "stored"
	Name    string `json:"name"`
	Version uint64 `json:"version"`
}

// SecretResponse is one named secret's share as it was put.
type SecretResponse struct {
	Share     string `json:"share"`
	Name      string `json:"name"`
	Version   uint64 `json:"version"`
	Threshold int    `json:"threshold"`
	Split     string `json:"split,omitempty"`
	Epoch     uint64 `json:"epoch"`
	Manifest  string `json:"manifest,omitempty"`
	CreatedNS int64  `json:"created_ns"`
	UpdatedNS int64  `json:"updated_ns"`
}

// DeleteSecretResponse acknowledges as DeleteResponse does.
type DeleteSecretResponse struct {
	Status string `json:"status"` // "deleted"
	Name   string `json:"name"`
}

// SecretInfo is one line of a SecretsResponse.
type SecretInfo struct {
	Name      string `json:"name"`
	Version   uint64 `json:"version"`
	Epoch     uint64 `json:"epoch"`
	Size      int    `json:"size"`
	CreatedNS int64  `json:"created_ns"`
	UpdatedNS int64  `json:"updated_ns"`
}

// SecretsResponse lists the named secrets of an identity, in order of name.
type SecretsResponse struct {
	Secrets []SecretInfo `json:"secrets"`
}

// HealthResponse is the answer of RouteV1Health, always with HTTP 200.
type HealthResponse struct {
	Status    string `json:"status"` // ok, degraded, unhealthy
	Version   string `json:"version"`
	Shares    int64  `json:"shares"`
	Peers     int    `json:"peers"` // other members of the cluster
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
	PeerPort int    `json:"peer_port"`
	NodeID   string `json:"node_id"`
	// NodeKey is the public node key in hex; "" without a peer plane.
	NodeKey string `json:"node_key"`
	Storage string `json:"storage"` // fs, bolt, s3
	// Index is the share index for life, 1 to 255; 0 while it has none.
	Index int `json:"index"`
	// RosterSerial is that of the roster in force, 0 without one.
	RosterSerial uint64 `json:"roster_serial"`
	// Peers is how many other members are known, Alive how many members are
	// alive, this guardian included.
	Peers        int    `json:"peers"`
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
	NodeID string `json:"node_id"`
	// Address, Port and URL are "", 0 and "" of a member that has not
	// registered.
	Address string `json:"address"`
	Port    int    `json:"port"`
	URL     string `json:"url"`
	State   string `json:"state"` // alive, suspect, dead
	// Index is the share index for life, 1 to 255; 0 while it has none.
	Index int `json:"index"`
	// LastSeenSeconds is the time since the last heartbeat; before the first,
	// since this guardian came to know of it. 0 of the one that answers.
	LastSeenSeconds float64 `json:"last_seen_s"`
	// ShareCount of another guardian is what its last heartbeat said.
	ShareCount       int64  `json:"share_count"`
	ShareCountApprox bool   `json:"share_count_approximate"`
	FailureDomain    string `json:"failure_domain"`
	// NodeKey is the public node key in hex; "" without a peer plane.
	NodeKey string `json:"node_key"`
}

// GuardiansResponse is the answer of RouteGuardians, in order of index.
type GuardiansResponse struct {
	Guardians []GuardianInfo `json:"guardians"`
	// Threshold and WriteQuorum are for as many guardians as are alive.
	Threshold   int `json:"threshold"`
	WriteQuorum int `json:"write_quorum"`
	Total       int `json:"total"`
}

// RosterResponse is the answer of RouteRoster: the roster in force, as the
// admission key signed it, in base64.
type RosterResponse struct {
	Roster string `json:"roster"`
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
