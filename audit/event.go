package audit

import (
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"
)

// Action is what a request asked for. Calls of the admin plane are named by
// method and path: "POST /admin/reload".
type Action string

// The actions of the client plane.
const (
	Push         Action = "push"
	Pull         Action = "pull"
	History      Action = "history"
	Delete       Action = "delete"
	Put          Action = "put"
	Get          Action = "get"
	Versions     Action = "versions"
	DeleteSecret Action = "delete_secret"
	List         Action = "list"
	Challenge    Action = "challenge"
	Session      Action = "session"
)

// Event is one decision. What does not apply is left zero. Its strings are cut
// at 256 bytes.
type Event struct {
	RequestID string
	// Actor is whose bearer token was sent.
	Actor  string
	Action Action
	// Identity is whose share the request was about. Only a digest of it goes
	// into the line, and equal ones have equal digests: fold it before.
	Identity string
	// Name is that of a secret of Identity, likewise.
	Name string
	// Version is nil where there is none, for 0 is one.
	Version *uint64
	// Status is the HTTP status, Code the code of the error table or a word
	// for success.
	Status int
	Code   string
	// Remote is the caller's address.
	Remote string
}

const (
	labelIdentity = "audit-identity"
	labelName     = "audit-name"
	// digestSize is the part of an HMAC that stands for an identity or name.
	digestSize = 8
	// maxFieldSize keeps one line small, whatever a caller sent.
	maxFieldSize = 256
)

// IdentityDigest is how lines name an identity while the key named is in use:
// 16 hex digits. Errors are those of Seal.
func IdentityDigest(sealer Sealer, identity string) (keyID, digest string, err error) {
	return digestOf(sealer, labelIdentity, []byte(identity))
}

func digestOf(sealer Sealer, label string, parts ...[]byte) (keyID, digest string, err error) {
	keyID, tag, err := sealer.Seal(label, parts...)
	if err != nil {
		return "", "", fmt.Errorf("making digest: %w", err)
	}
	return keyID, hex.EncodeToString(tag[:digestSize]), nil
}

// newEntry is the line of an event.
func newEntry(sealer Sealer, event Event) (Entry, error) {
	entry := Entry{
		Time: time.Now().UTC(), Kind: Decision,
		RequestID: clip(event.RequestID), Actor: clip(event.Actor), Action: Action(clip(string(event.Action))),
		Version: event.Version, Status: event.Status, Code: clip(event.Code), Remote: clip(event.Remote),
	}
	var err error
	if event.Identity != "" {
		err = entry.digest(sealer, event.Identity, event.Name)
	}
	return entry, err
}

// digest fills in who and what the line is about. The digest of a name covers
// its identity, so that lines do not tell who else has a secret of that name.
func (e *Entry) digest(sealer Sealer, identity, name string) (err error) {
	e.DigestKey, e.Identity, err = IdentityDigest(sealer, identity)
	if err != nil || name == "" {
		return err
	}
	var nameKey string
	nameKey, e.Name, err = digestOf(sealer, labelName, []byte(identity), []byte(name))
	if err == nil && nameKey != e.DigestKey { // rotated in between
		return e.digest(sealer, identity, name)
	}
	return err
}

func clip(s string) string { return s[:min(len(s), maxFieldSize)] }

// attrs are the fields of an event's line for a log record, which has a time
// of its own.
func (e *Entry) attrs() []slog.Attr {
	attrs := make([]slog.Attr, 0, 10)
	for _, field := range []struct{ name, value string }{
		{"request_id", e.RequestID},
		{"actor", e.Actor},
		{"action", string(e.Action)},
		{"identity", e.Identity},
		{"name", e.Name},
		{"digest_key", e.DigestKey},
		{"code", e.Code},
		{"remote", e.Remote},
	} {
		if field.value != "" {
			attrs = append(attrs, slog.String(field.name, field.value))
		}
	}
	if e.Version != nil {
		attrs = append(attrs, slog.Uint64("version", *e.Version))
	}
	return append(attrs, slog.Int("status", e.Status))
}
