package guardian

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/integrity"
)

var quiet = slog.New(slog.DiscardHandler)

func testSealer(t testing.TB) *integrity.Sealer {
	t.Helper()
	source := integrity.InlineSource{Text: strings.Repeat("0f", integrity.KeySize)}
	sealer, err := integrity.NewSealer(t.Context(), "local", source, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

// tally is what a pass over all slots has found.
type tally struct{ live, deleted, moved, damaged, unreadable, dropped int }

// pass walks over all slots, as a scrub does.
func (n *Node) pass(ctx context.Context) (found tally, err error) {
	highest := 0
	err = n.Walk(ctx, Slot{}, func(e Examined) error {
		found.dropped += e.Orphans
		switch {
		case e.Unreadable != nil:
			found.unreadable++
		case e.Damaged:
			found.damaged++
		case e.Deleted:
			found.deleted++
		case e.Moved:
			found.moved++
		case e.Known:
			found.live++
			highest = max(highest, e.Held[0].Share.Threshold)
		}
		return nil
	})
	if err == nil {
		n.Counted(int64(found.live), highest, found.unreadable == 0)
	}
	return found, err
}

// clean drops what nothing will name of one slot. What is damaged is left alone.
func (n *Node) clean(ctx context.Context, slot Slot) error {
	there, err := n.look(ctx, slot)
	switch {
	case errors.Is(err, api.ErrIntegrityFailed), errors.Is(err, api.ErrKeyUnavailable):
		return nil
	case err != nil:
		return err
	}
	n.dropObsolete(ctx, slot, there)
	return nil
}
