package cluster

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// Rqlite is a [Registry] in an rqlite cluster, by its HTTP API.
//
// It sends conditional statements only, each of which may be sent again: rqlite
// itself does so when a follower forwards to a leader that goes away meanwhile,
// and then says of a statement that took effect that it did not (the repetition
// breaks a UNIQUE constraint, or finds no row at its revision). So whatever
// says "lost" here was read back.
//
// There is a client for Go, github.com/rqlite/gorqlite. It cannot be used: it
// does not open while the cluster is down, asks the nodes for addresses and
// sends the password there, follows redirects, hands errors on as text in which
// an answer and none look alike, and reads answers of any length.
type Rqlite struct {
	client   *rqliteClient
	sieve    *sieve
	prepared atomic.Bool // the tables exist
}

var _ Registry = (*Rqlite)(nil)

// RqliteOption changes how OpenRqlite's registry talks to rqlite.
type RqliteOption func(*rqliteClient) error

// WithPatience bounds one call, repetitions of its requests included; 10 s
// without it. A new leader is elected in less.
func WithPatience(d time.Duration) RqliteOption {
	return func(c *rqliteClient) error {
		c.patience = d
		return nil
	}
}

// WithCAFile has the certificates in the PEM file at path, and no others, vouch
// for the nodes of rqlite+https.
func WithCAFile(path string) RqliteOption {
	return func(c *rqliteClient) error { return c.trust(path) }
}

// OpenRqlite returns the registry at rawURL:
//
//	rqlite+http://user:password@host:port,host:port,...
//	rqlite+https://...
//
// Several hosts are nodes of one cluster; any that answers will do, and no other
// hosts are ever spoken to. The port is 4001 if there is none; user and password
// are optional, and percent-encoded where they hold a character with a meaning
// in URLs. rqlite need not be up. Tables are created when they are first
// needed: guardians, guardian_indices (whose index is whose; rows are never
// removed) and guardian_records.
//
// Errors, here and later, hold no part of user or password. What is wrong with
// records is logged, without a repetition for every List; a nil log discards it.
func OpenRqlite(rawURL string, log *slog.Logger, options ...RqliteOption) (*Rqlite, error) {
	client, err := newRqliteClient(rawURL)
	if err != nil {
		return nil, err
	}
	for _, option := range options {
		if err := option(client); err != nil {
			return nil, err
		}
	}
	return &Rqlite{client: client, sieve: newSieve(log)}, nil
}

// Register implements [Registry].
func (r *Rqlite) Register(ctx context.Context, m Member) (Member, error) {
	if readsAsBlob(m.FailureDomain) {
		return Member{}, fmt.Errorf("%w: rqlite takes a failure domain of the form x'...' for bytes", ErrInvalidMember)
	}
	return register(ctx, r, m)
}

// List implements [Registry], at level linearizable.
func (r *Rqlite) List(ctx context.Context) ([]Member, error) {
	// The claims come second, so that they cover all records.
	tables, err := r.query(ctx, levelLinearizable,
		statement{"SELECT " + memberColumns + " FROM guardians ORDER BY share_index LIMIT 1000"},
		statement{selectIndices})
	if err != nil {
		return nil, fmt.Errorf("listing the registry: %w", err)
	}
	return r.sieve.sift(candidatesOf(tables[0]), ownersOf(tables[1])), nil
}

// Load implements [Registry], at level strong.
func (r *Rqlite) Load(ctx context.Context, key string) ([]byte, Revision, error) {
	if !ValidRecordKey(key) {
		return nil, Revision{}, ErrInvalidKey
	}
	past, text, err := r.record(ctx, key)
	if err != nil {
		return nil, Revision{}, fmt.Errorf("loading record %s: %w", key, err)
	}
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	switch {
	case err != nil:
		return nil, Revision{}, fmt.Errorf("loading record %s: %w", key, errNotRecord)
	case len(data) > MaxRecordSize:
		return nil, Revision{}, fmt.Errorf("loading record %s: %w", key, ErrTooLarge)
	}
	return data, Revision{string(past)}, nil
}

// record returns a record as it is stored: its history, and the data in base64.
func (r *Rqlite) record(ctx context.Context, key string) (history, string, error) {
	tables, err := r.query(ctx, levelStrong,
		statement{"SELECT history, data FROM guardian_records WHERE record_key = ?", key})
	if err != nil {
		return "", "", err
	}
	if len(tables[0]) == 0 {
		return "", "", ErrNoRecord
	}
	var past, text string
	if err := tables[0][0].scan(&past, &text); err != nil || !history(past).valid() {
		return "", "", errNotRecord
	}
	return history(past), text, nil
}

// Swap implements [Registry].
func (r *Rqlite) Swap(ctx context.Context, key string, data []byte, rev Revision) (Revision, error) {
	switch {
	case !ValidRecordKey(key):
		return Revision{}, ErrInvalidKey
	case len(data) > MaxRecordSize:
		return Revision{}, ErrTooLarge
	}
	past := history(rev.token)
	now := past.next()
	err := r.execute(ctx, swapStatement(key, base64.StdEncoding.EncodeToString(data), past, now))
	if errors.Is(err, errMoved) {
		err = r.judge(ctx, key, now, err)
	}
	if err != nil {
		return Revision{}, fmt.Errorf("swapping record %s: %w", key, err)
	}
	return Revision{string(now)}, nil
}

func swapStatement(key, data string, past, now history) statement {
	if past == "" {
		return statement{"INSERT INTO guardian_records (record_key, history, data) VALUES (?, ?, ?)", key, now, data}
	}
	return statement{"UPDATE guardian_records SET history = ?, data = ? WHERE record_key = ? AND history = ?", now, data, key, past}
}

// judge tells a refused write that lost from one of which an earlier repetition
// took effect.
func (r *Rqlite) judge(ctx context.Context, key string, written history, refused error) error {
	past, _, err := r.record(ctx, key)
	switch {
	case errors.Is(err, ErrNoRecord):
		return ErrLost
	case err != nil:
		return err
	}
	return past.judge(written, refused)
}

// Close closes idle connections.
func (r *Rqlite) Close() error {
	r.client.http.CloseIdleConnections()
	return nil
}
