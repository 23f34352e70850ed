package awssecrets

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/integrity"
)

var (
	oneKey  = `{"primary":"k1","keys":{"k1":"` + keyText + `"}}`
	twoKeys = `{"primary":"k2","keys":{"k1":"` + keyText + `","k2":"` + strings.Repeat("2", 64) + `"}}`
)

func newSealer(t *testing.T, source integrity.KeySource) *integrity.Sealer {
	t.Helper()
	sealer, err := integrity.NewSealer(t.Context(), "node", source, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

// Two replicas, of which one polls first: what it seals, the other opens.
func TestRotation(t *testing.T) {
	server := newServer(t)
	server.Put("ring", oneKey)
	first, second := newSealer(t, newKeyring(t, "ring")), newSealer(t, newKeyring(t, "ring"))
	oldID, oldTag, err := second.Seal("label", []byte("old"))
	if err != nil || oldID != "k1" {
		t.Fatal(oldID, err)
	}

	server.Put("ring", twoKeys)
	if err := first.Reload(t.Context()); err != nil || first.PrimaryKeyID() != "k2" {
		t.Fatal(first.PrimaryKeyID(), err)
	}
	id, tag, err := first.Seal("label", []byte("new"))
	if err != nil || id != "k2" {
		t.Fatal(id, err)
	}
	openWhenFetched(t, second, id, tag)
	if second.PrimaryKeyID() != "k2" {
		t.Errorf("the replica that has not polled seals under %s", second.PrimaryKeyID())
	}
	for _, sealer := range []*integrity.Sealer{first, second} {
		if err := sealer.Open(t.Context(), "label", oldID, oldTag, []byte("old")); err != nil {
			t.Errorf("what was sealed before: %v", err)
		}
	}
}

// openWhenFetched waits until a fetch is allowed again after the last one; in
// between, the key id must be called unknown and nothing worse.
func openWhenFetched(t *testing.T, sealer *integrity.Sealer, id string, tag []byte) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := sealer.Open(t.Context(), "label", id, tag, []byte("new"))
		if err == nil {
			return
		}
		if !errors.Is(err, integrity.ErrKeyUnknown) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestFailingFetchKeepsLastGood(t *testing.T) {
	server := newServer(t)
	server.Put("ring", twoKeys)
	sealer := newSealer(t, newKeyring(t, "ring"))
	id, tag, err := sealer.Seal("label", []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		fail func()
		want error
	}{
		"removed":   {func() { server.Remove("ring") }, integrity.ErrSourceUnavailable},
		"binary":    {func() { server.PutBinary("ring", []byte{1}) }, integrity.ErrKeyRefused},
		"malformed": {func() { server.Put("ring", "soon") }, integrity.ErrKeyRefused},
		"rolled back": {
			func() { server.Put("ring", oneKey) }, // without the key that sealed
			integrity.ErrKeyRefused,
		},
		"denied": {func() { server.Fail("AccessDeniedException", 400) }, integrity.ErrSourceUnavailable},
	} {
		tc.fail()
		if err := sealer.Reload(t.Context()); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
		server.Fail("", 0)
		if err := sealer.Open(t.Context(), "label", id, tag, []byte("data")); err != nil || sealer.PrimaryKeyID() != "k2" {
			t.Errorf("%s: %v, sealing under %s", name, err, sealer.PrimaryKeyID())
		}
	}
	server.Put("ring", twoKeys)
	if err := sealer.Reload(t.Context()); err != nil {
		t.Errorf("mended: %v", err)
	}
}
