package round

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/integrity"
)

const (
	keyBallots = "rounds/ballots"
	// labelBallots seals them. Without a seal, whoever can write to the storage
	// could have the node forget one ballot of many.
	labelBallots = "ballots"
)

type ballotsObject struct {
	Ballots []Ballot `json:"ballots"`
	// Nonce makes two writes differ, and with them their revisions.
	Nonce string `json:"nonce"`
}

// kept is what was read of the ballots, and the id of the key that seals them.
type kept struct {
	ballots []Ballot
	keyID   string
	rev     backend.Revision
}

func (b *Ballots) load(ctx context.Context) (kept, error) {
	object, rev, err := b.store.Get(ctx, keyBallots)
	switch {
	case errors.Is(err, backend.ErrNotFound):
		return kept{}, nil
	case errors.Is(err, backend.ErrTooLarge):
		return kept{}, b.damaged("it is too large")
	case err != nil:
		return kept{}, fmt.Errorf("reading the ballots: %w", err)
	}
	ballots, keyID, err := b.open(ctx, object)
	return kept{ballots, keyID, rev}, err
}

func (b *Ballots) save(ctx context.Context, ballots []Ballot, rev backend.Revision) error {
	data, err := json.Marshal(ballotsObject{ballots, rand.Text()})
	if err != nil {
		return fmt.Errorf("encoding the ballots: %w", err)
	}
	keyID, tag, err := b.sealer.Seal(labelBallots, []byte(keyBallots), data)
	if err != nil {
		return fmt.Errorf("sealing the ballots: %w", err)
	}
	object := append(fmt.Appendf(nil, "hmac %s %x\n", keyID, tag), data...)
	if len(object) > MaxBallotBytes {
		return fmt.Errorf("%w: %d of them, of %d bytes", ErrFull, len(ballots), len(object))
	}
	_, err = b.store.Put(ctx, keyBallots, object, rev)
	return err
}

// open reads what save has put. A key that is not known says nothing about the
// object, and comes as the error that it is.
func (b *Ballots) open(ctx context.Context, object []byte) (ballots []Ballot, keyID string, err error) {
	seal, data, found := bytes.Cut(object, []byte("\n"))
	fields := strings.Split(string(seal), " ")
	if !found || len(fields) != 3 || fields[0] != "hmac" {
		return nil, "", b.damaged("it is not sealed")
	}
	tag, err := hex.DecodeString(fields[2])
	if err != nil {
		return nil, "", b.damaged("it is not sealed")
	}
	err = b.sealer.Open(ctx, labelBallots, fields[1], tag, []byte(keyBallots), data)
	if errors.Is(err, integrity.ErrMismatch) {
		return nil, "", b.damaged("it is not sealed by this node")
	}
	if err != nil {
		return nil, "", fmt.Errorf("opening the ballots: %w", err)
	}
	read := ballotsObject{}
	if json.Unmarshal(data, &read) != nil || checkBallots(read.Ballots) != nil {
		return nil, "", b.damaged("it is of another kind")
	}
	return read.Ballots, fields[1], nil
}

// damaged says what to do, which nobody but an operator can decide.
func (b *Ballots) damaged(why string) error {
	return fmt.Errorf("%w: %s in %s: %s; this node votes in no round until the object is removed, "+
		"which is safe when none of its rounds is being voted on and every committed one has reached it",
		ErrDamaged, keyBallots, b.store, why)
}
