package guardian

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/manifest"
)

var (
	manifestOwner = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	testSplit     = strings.Repeat("5", 2*api.SplitSize)
)

// ownedSlot is where manifestOwner keeps the secret of a name.
func ownedSlot(name string) Slot {
	sum := sha256.Sum256(manifestOwner.Public().(ed25519.PublicKey))
	return Slot{hex.EncodeToString(sum[:]), name}
}

// withManifest gives a share the manifest that its owner signs for the node
// "local" and another, any two of them enough unless the share says otherwise.
func withManifest(t testing.TB, slot Slot, share Share, changes ...func(*manifest.Manifest)) Share {
	t.Helper()
	m := manifest.Manifest{
		Identity: slot.Identity, Name: slot.Name, Version: share.Version,
		Threshold: cmp.Or(share.Threshold, 2), Split: cmp.Or(share.Split, testSplit),
		PayloadSize: len(share.Data) - 1,
		Policy:      manifest.Policy{MinThreshold: 2, MaxHolders: 2},
		Holders:     []manifest.Holder{{X: share.Data[0], Node: "local", SHA256: sha256.Sum256(share.Data)}},
	}
	for i := 1; i < m.Threshold; i++ {
		m.Holders = append(m.Holders, manifest.Holder{X: share.Data[0] + byte(i), Node: fmt.Sprintf("g%d", i)})
	}
	for _, change := range changes {
		change(&m)
	}
	signed, err := m.Sign(manifestOwner)
	if err != nil {
		t.Fatal(err)
	}
	share.Manifest = signed
	return share
}

// crowd makes a manifest as large as one can be.
func crowd(m *manifest.Manifest) {
	m.Holders = m.Holders[:1]
	for x := m.Holders[0].X; x < 255; x++ {
		key := sha256.Sum256([]byte{x})
		m.Holders = append(m.Holders, manifest.Holder{X: x + 1, Node: fmt.Sprintf("%063d", x), Key: key[:]})
	}
}

func TestManifests(t *testing.T) {
	slot := ownedSlot("name")
	plain := Share{Data: []byte("\x03share"), Version: 9}
	for name, test := range map[string]struct {
		change func(*manifest.Manifest)
		push   func(*Share)
		slot   Slot
		want   string
	}{
		"fits":                      {},
		"fits, and so do the rest":  {push: func(s *Share) { s.Threshold, s.Split = 2, testSplit }},
		"fits, with a large crowd":  {change: crowd},
		"two of one id":             {change: func(m *manifest.Manifest) { m.Holders[1].Node = "local" }},
		"another identity":          {slot: Slot{strings.Repeat("ab", 32), "name"}, want: "manifest is for another identity"},
		"identity in another case":  {slot: Slot{strings.ToUpper(slot.Identity), "name"}, want: "manifest is for another identity"},
		"another name":              {slot: ownedSlot("other"), want: `manifest is for the name "name", the push for "other"`},
		"of a name, to none":        {slot: ownedSlot(""), want: `manifest is for the name "name", the push for ""`},
		"of none, to a name":        {change: func(m *manifest.Manifest) { m.Name = "" }, want: `manifest is for the name "", the push for "name"`},
		"an older version":          {change: func(m *manifest.Manifest) { m.Version = 8 }, want: "manifest is for version 8, the push for 9"},
		"a newer version":           {change: func(m *manifest.Manifest) { m.Version = 10 }, want: "manifest is for version 10, the push for 9"},
		"another threshold":         {push: func(s *Share) { s.Threshold = 3 }, want: "manifest has threshold 2, the push 3"},
		"another split":             {push: func(s *Share) { s.Split = strings.Repeat("6", 32) }, want: "manifest is for another split"},
		"another node":              {change: func(m *manifest.Manifest) { m.Holders[0].Node = "other" }, want: `manifest gives the share at point 3 to node "other", this is "local"`},
		"node not known":            {change: func(m *manifest.Manifest) { m.Holders[0].Node = "" }, want: `manifest gives the share at point 3 to node "", this is "local"`},
		"the other's share":         {push: func(s *Share) { s.Data = []byte("\x04share") }, want: "share is not the manifest's: the hash at point 4 is another"},
		"share at a point of none":  {push: func(s *Share) { s.Data = []byte("\x05share") }, want: "share is not the manifest's: it names no holder of point 5"},
		"share at point 0":          {push: func(s *Share) { s.Data = []byte("\x00share") }, want: "share is not the manifest's: it names no holder of point 0"},
		"share of other bytes":      {push: func(s *Share) { s.Data = []byte("\x03sharf") }, want: "share is not the manifest's: the hash at point 3 is another"},
		"share cut off":             {push: func(s *Share) { s.Data = s.Data[:5] }, want: "share is not the manifest's: it has 5 bytes in place of 6"},
		"share of a byte":           {push: func(s *Share) { s.Data = s.Data[:1] }, want: "share is not the manifest's: it has 1 bytes in place of 6"},
		"share of nothing":          {push: func(s *Share) { s.Data = nil }, want: "share is not the manifest's: it has 0 bytes in place of 6"},
		"manifest of another form":  {push: func(s *Share) { s.Manifest = []byte("manifest") }, want: "invalid manifest: it is cut off"},
		"manifest cut off":          {push: func(s *Share) { s.Manifest = s.Manifest[:len(s.Manifest)-1] }, want: "invalid manifest: it is cut off, goes on, or has a field of the wrong form"},
		"manifest with a byte more": {push: func(s *Share) { s.Manifest = append(s.Manifest, 0) }, want: "invalid manifest: it is cut off, goes on, or has a field of the wrong form"},
		"manifest not signed":       {push: func(s *Share) { clear(s.Manifest[len(s.Manifest)-64:]) }, want: "manifest not signed by its owner"},
	} {
		t.Run(name, func(t *testing.T) {
			store := &backendtest.Faulty{Backend: backendtest.NewMemory()}
			n := openNode(t, store)
			var changes []func(*manifest.Manifest)
			if test.change != nil {
				changes = append(changes, test.change)
			}
			share := withManifest(t, slot, plain, changes...)
			if test.push != nil {
				test.push(&share)
			}
			before := store.Calls()
			err := n.Push(t.Context(), cmp.Or(test.slot, slot), share, Caller{Proof: 2})
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if field, ok := errors.AsType[*api.FieldError](err); !ok || !errors.Is(err, api.ErrInvalidManifest) || field.Text != test.want {
				t.Errorf("refused with %v, want %s", err, test.want)
			}
			settle(t, n)
			if calls := store.Calls()[len(before):]; len(calls) != 0 {
				t.Errorf("the storage saw %v", calls)
			}
		})
	}
}

// A node without a name is nobody's holder, whatever its manifest leaves out.
func TestManifestForNobody(t *testing.T) {
	source := integrity.InlineSource{Text: strings.Repeat("0f", integrity.KeySize)}
	sealer, err := integrity.NewSealer(t.Context(), "", source, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	n, err := Open(t.Context(), backendtest.NewMemory(), sealer, Config{Retain: 2, RequestTimeout: time.Minute, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	share := withManifest(t, ownedSlot(""), Share{Data: []byte("\x03share"), Version: 1}, func(m *manifest.Manifest) { m.Holders[0].Node = "" })
	if err := n.Push(t.Context(), ownedSlot(""), share, Caller{}); !errors.Is(err, api.ErrInvalidManifest) {
		t.Errorf("got %v", err)
	}
}

// Threshold and split are the manifest's, pushed or not.
func TestManifestSaysTheRest(t *testing.T) {
	n := openNode(t, backendtest.NewMemory())
	slot := ownedSlot("")
	share := withManifest(t, slot, Share{Data: []byte("\x03share"), Version: 1})
	if err := n.Push(t.Context(), slot, share, Caller{}); err != nil {
		t.Fatal(err)
	}
	got, err := n.Pull(t.Context(), slot, nil, nil, Caller{})
	if err != nil || got.Threshold != 2 || got.Split != testSplit || !bytes.Equal(got.Manifest, share.Manifest) {
		t.Errorf("pulled %+v, %v", got, err)
	}
	wantConflict(t, n.Push(t.Context(), slot, share, Caller{}), 1, true)
	share.Threshold, share.Split = 2, testSplit
	wantConflict(t, n.Push(t.Context(), slot, share, Caller{}), 1, true)
	share = withManifest(t, slot, share, func(m *manifest.Manifest) { m.Policy.Refresh = true })
	wantConflict(t, n.Push(t.Context(), slot, share, Caller{}), 1, false)
}
