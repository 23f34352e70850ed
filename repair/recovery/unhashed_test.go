package recovery

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"github.com/vault-guardian/guardian/record"
)

// forget takes from the record the hashes of points whose holders were away when
// it was made.
func (w *world) forget(points ...byte) {
	without := *w.record
	without.Holders = slices.Clone(without.Holders)
	for i, h := range without.Holders {
		if slices.Contains(points, h.X) {
			without.Holders[i].SHA256 = [sha256.Size]byte{}
		}
	}
	w.record = &without
}

// The share comes, and with it that nobody has checked it: a helper that lied is
// found by an audit, and not here.
func TestRebuildWithoutAHash(t *testing.T) {
	w := newWorld(t, randomBytes(40), 3, upTo(5))
	w.forget(5)
	masked := w.contributions(t, 5, w.offers(t, 5, 1, 2, 3))
	share, err := Rebuild(w.record, 5, masked)
	if !errors.Is(err, record.ErrNoHash) || errors.Is(err, ErrMismatch) || !bytes.Equal(share, w.shares[5]) {
		t.Errorf("got %d bytes, %v", len(share), err)
	}
	masked[1][0] ^= 1
	share, err = Rebuild(w.record, 5, masked)
	if !errors.Is(err, record.ErrNoHash) || bytes.Equal(share, w.shares[5]) || len(share) != 41 {
		t.Errorf("of a lie: %d bytes, %v", len(share), err)
	}
	for name, masked := range map[string][][]byte{"too few": masked[:2], "short": {masked[0], masked[1][:39], masked[2]}} {
		if share, err := Rebuild(w.record, 5, masked); share != nil || !errors.Is(err, ErrMismatch) || errors.Is(err, record.ErrNoHash) {
			t.Errorf("%s: %d bytes, %v", name, len(share), err)
		}
	}
	if share, err := Rebuild(w.record, 6, masked); share != nil || !errors.Is(err, ErrMismatch) {
		t.Errorf("a point of nobody: %d bytes, %v", len(share), err)
	}
}

// A helper whose own hash is not known helps with what it has, if that is of the
// right form.
func TestHelperWithoutAHash(t *testing.T) {
	w := newWorld(t, randomBytes(40), 3, upTo(5))
	w.forget(1, 2)
	checkRecovery(t, w, 5, 1, 2, 3)
	for name, share := range map[string][]byte{
		"none": nil, "another's": w.shares[3], "short": w.shares[1][:40], "long": append(slices.Clone(w.shares[1]), 0),
	} {
		offers := w.offers(t, 5, 1, 2, 3)
		part, err := w.helpers[1].Contribute(nodeKey(5).PublicKey(), w.record, share, 5, offers)
		if part != nil || !errors.Is(err, ErrNoShare) {
			t.Errorf("%s: %d bytes, %v", name, len(part), err)
		}
	}
}
