package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vault-guardian/guardian/backend"
)

// recordMagic begins every small record. What follows is its history, an end of
// line, and the data.
const recordMagic = "guardian-record-v1 "

// maxRecordObject is the length of the largest record as it is stored.
const maxRecordObject = len(recordMagic) + maxHistory + len("\n") + MaxRecordSize

var errNotRecord = errors.New("what is stored is no record of a guardian")

// bucketRevision is the token of a Revision: the history up to the write, and
// the storage's own revision.
func bucketRevision(past history, rev backend.Revision) Revision {
	return Revision{string(past) + "/" + rev.Token()}
}

// splitRevision is the reverse; ok is false for a revision of another registry.
func splitRevision(r Revision) (past history, rev backend.Revision, ok bool) {
	if r == (Revision{}) {
		return "", backend.Revision{}, true
	}
	text, token, _ := strings.Cut(r.token, "/")
	past = history(text)
	return past, revisionOf(token), past.valid() && token != ""
}

// Load implements [Registry].
func (b *Bucket) Load(ctx context.Context, key string) ([]byte, Revision, error) {
	if !ValidRecordKey(key) {
		return nil, Revision{}, ErrInvalidKey
	}
	past, data, rev, err := b.record(ctx, key)
	if err != nil {
		return nil, Revision{}, fmt.Errorf("loading record %s: %w", key, err)
	}
	return data, bucketRevision(past, rev), nil
}

func (b *Bucket) record(ctx context.Context, key string) (history, []byte, backend.Revision, error) {
	object, rev, err := b.store.Get(ctx, recordsPrefix+key)
	switch {
	case errors.Is(err, backend.ErrNotFound):
		err = ErrNoRecord
	case errors.Is(err, backend.ErrTooLarge), len(object) > maxRecordObject:
		err = ErrTooLarge
	}
	if err != nil {
		return "", nil, backend.Revision{}, err
	}
	head, data, cut := bytes.Cut(object, []byte("\n"))
	text, begins := bytes.CutPrefix(head, []byte(recordMagic))
	past := history(text)
	if !cut || !begins || !past.valid() {
		return "", nil, backend.Revision{}, errNotRecord
	}
	return past, data, rev, nil
}

// Swap implements [Registry]. A write whose outcome is unknown is sent again,
// up to three times in all.
func (b *Bucket) Swap(ctx context.Context, key string, data []byte, rev Revision) (Revision, error) {
	past, at, ok := splitRevision(rev)
	switch {
	case !ValidRecordKey(key):
		return Revision{}, ErrInvalidKey
	case len(data) > MaxRecordSize:
		return Revision{}, ErrTooLarge
	case !ok:
		return Revision{}, ErrLost
	}
	past = past.next()
	object := append([]byte(recordMagic+string(past)+"\n"), data...)
	now, err := b.put(ctx, recordsPrefix+key, object, at)
	if errors.Is(err, errMoved) {
		now, err = b.judge(ctx, key, past, err)
	}
	if err != nil {
		return Revision{}, fmt.Errorf("swapping record %s: %w", key, err)
	}
	return bucketRevision(past, now), nil
}

// superseded is the revision of a write that others have followed: no record is
// at it.
var superseded = backend.NewRevision("superseded")

// judge tells a refused write that lost from one of which an earlier repetition
// took effect, and returns the revision that one is at.
func (b *Bucket) judge(ctx context.Context, key string, written history, refused error) (backend.Revision, error) {
	past, _, now, err := b.record(ctx, key)
	if errors.Is(err, ErrNoRecord) {
		err = ErrLost
	} else if err == nil {
		err = past.judge(written, refused)
	}
	switch {
	case err != nil:
		return backend.Revision{}, err
	case past != written:
		return superseded, nil
	}
	return now, nil
}
