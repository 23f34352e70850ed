package integrity

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	quiet = slog.New(slog.DiscardHandler)
	key1  = bytes.Repeat([]byte{1}, KeySize)
	key2  = bytes.Repeat([]byte{2}, KeySize)
)

func ringText(primary string, keys map[string][]byte) string {
	var parts []string
	for id, key := range keys {
		parts = append(parts, fmt.Sprintf("%q:%q", id, base64.StdEncoding.EncodeToString(key)))
	}
	return fmt.Sprintf(`{"primary":%q,"keys":{%s}}`, primary, strings.Join(parts, ","))
}

func newSealer(t *testing.T, nodeID, text string) *Sealer {
	t.Helper()
	s, err := NewSealer(t.Context(), nodeID, InlineSource{text}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParseKeyring(t *testing.T) {
	for name, tc := range map[string]struct{ text, primary string }{
		"bare hex":       {hex.EncodeToString(key1), "default"},
		"bare base64":    {base64.StdEncoding.EncodeToString(key1), "default"},
		"space around":   {" \n" + hex.EncodeToString(key1) + "\r\n", "default"},
		"one key":        {ringText("k1", map[string][]byte{"k1": key1}), "k1"},
		"two keys":       {ringText("k2", map[string][]byte{"k1": key1, "k2": key2}), "k2"},
		"something else": {`{"node_key":"x","primary":"k1","keys":{"k1":"` + hex.EncodeToString(key1) + `"}}`, "k1"},
	} {
		ring, err := ParseKeyring([]byte(tc.text))
		if err != nil || ring.Primary() != tc.primary {
			t.Errorf("%s: %v, %v", name, ring, err)
		}
	}
	secret := strings.Repeat("5ec2e7", 12)
	for name, text := range map[string]string{
		"empty":            " ",
		"short":            secret[:62],
		"long":             secret[:66],
		"not a key":        strings.Repeat("z!", 32),
		"zeros":            strings.Repeat("0", 64),
		"array":            `["` + secret[:64] + `"]`,
		"cut off":          `{"primary":"k1","keys":{"k1":"` + secret[:64],
		"no primary":       `{"keys":{"k1":"` + secret[:64] + `"}}`,
		"unknown primary":  ringText("k2", map[string][]byte{"k1": key1}),
		"no keys":          `{"primary":"k1"}`,
		"short key":        ringText("k1", map[string][]byte{"k1": key1[:31]}),
		"empty id":         ringText("", map[string][]byte{"": key1}),
		"id with space":    ringText("k 1", map[string][]byte{"k 1": key1}),
		"id far too long":  ringText(strings.Repeat("k", 33), map[string][]byte{strings.Repeat("k", 33): key1}),
		"key as id":        `{"primary":"k1","keys":{"` + secret[:64] + `":"k1"}}`,
		"base64 not ended": base64.StdEncoding.EncodeToString(key1)[:43],
	} {
		_, err := ParseKeyring([]byte(text))
		if !errors.Is(err, ErrKeyRefused) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), secret[:16]) {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
	}
}

func TestFileSource(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "integrity.key")
	if _, err := (FileSource{Path: path}).Keyring(t.Context()); !errors.Is(err, ErrKeyRefused) {
		t.Fatalf("missing file: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Fatal("a key was invented")
	}
	// Processes that start at once over an empty storage agree on one key.
	var wg sync.WaitGroup
	rings := make([]*Keyring, 16)
	for i := range rings {
		wg.Go(func() {
			ring, err := FileSource{Path: path, Create: true}.Keyring(t.Context())
			if err != nil {
				t.Error(err)
			}
			rings[i] = ring
		})
	}
	wg.Wait()
	for _, ring := range rings {
		if ring == nil || !bytes.Equal(ring.keys["k1"], rings[0].keys["k1"]) {
			t.Fatal("two keys were made")
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Fatalf("%d files are left", len(entries))
	}
	left := filepath.Join(dir, ".integrity.key.1")
	if err := os.WriteFile(left, []byte("a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (FileSource{Path: path}).Keyring(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); err == nil {
		t.Fatal("a key that a killed process left is still there")
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := (FileSource{Path: path, Create: true}).Keyring(t.Context()); !errors.Is(err, ErrKeyRefused) {
		t.Fatalf("an emptied key file: %v", err)
	}
	if err := os.Truncate(path, maxKeyringSize+1); err != nil {
		t.Fatal(err)
	}
	for _, odd := range []string{path, dir} {
		if _, err := (FileSource{Path: odd}).Keyring(t.Context()); !errors.Is(err, ErrSourceUnavailable) {
			t.Fatalf("%s: %v", odd, err)
		}
	}
}

func TestSealOpen(t *testing.T) {
	s := newSealer(t, "a", ringText("k1", map[string][]byte{"k1": key1, "k2": key2}))
	id, tag, err := s.Seal("label", []byte("ab"), []byte("c"))
	if err != nil || id != "k1" {
		t.Fatal(id, err)
	}
	open := func(s *Sealer, label, id string, tag []byte, parts ...string) error {
		var all [][]byte
		for _, part := range parts {
			all = append(all, []byte(part))
		}
		return s.Open(t.Context(), label, id, tag, all...)
	}
	if err := open(s, "label", id, tag, "ab", "c"); err != nil {
		t.Fatal(err)
	}
	other := newSealer(t, "b", ringText("k1", map[string][]byte{"k1": key1}))
	for name, err := range map[string]error{
		"another node":      open(other, "label", id, tag, "ab", "c"),
		"another label":     open(s, "lebal", id, tag, "ab", "c"),
		"another key":       open(s, "label", "k2", tag, "ab", "c"),
		"moved border":      open(s, "label", id, tag, "a", "bc"),
		"one part less":     open(s, "label", id, tag, "ab"),
		"one part more":     open(s, "label", id, tag, "ab", "c", ""),
		"cut tag":           open(s, "label", id, tag[:31], "ab", "c"),
		"no tag":            open(s, "label", id, nil, "ab", "c"),
		"malformed key id":  open(s, "label", "k 1", tag, "ab", "c"),
		"damaged key id":    open(s, "label", "k3", tag, "ab", "c"),
		"another node's id": open(other, "label", "", tag, "ab", "c"),
	} {
		if !errors.Is(err, ErrMismatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := open(s, "label", "k3", tag, "ab", "d"); !errors.Is(err, ErrKeyUnknown) {
		t.Errorf("a key id that nothing explains: %v", err)
	}
}

func TestStatement(t *testing.T) {
	s := newSealer(t, "a", hex.EncodeToString(key1))
	st := Statement{Kind: KindShare, Identity: "i", Version: 1<<64 - 1, Attempt: "x", Threshold: 3, Manifest: []byte{0, 255}}
	sealed, err := s.SealStatement(st, []byte("share"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.OpenStatement(t.Context(), sealed, []byte("share"))
	if err != nil || got.Version != st.Version || got.Size != 5 || got.NodeID != "a" || !bytes.Equal(got.Manifest, st.Manifest) {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, damaged := range map[string][]byte{"empty": nil, "only a tag": sealed[:32], "cut": sealed[:len(sealed)-1], "longer": append(bytes.Clone(sealed), ' ')} {
		if _, err := s.OpenStatement(t.Context(), damaged, []byte("share")); !errors.Is(err, ErrMismatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.OpenStatement(t.Context(), sealed, []byte("Share")); !errors.Is(err, ErrMismatch) {
		t.Errorf("another share: %v", err)
	}
}

func FuzzOpenStatement(f *testing.F) {
	s, err := NewSealer(context.Background(), "a", InlineSource{hex.EncodeToString(key1)}, quiet)
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := s.SealStatement(Statement{Kind: KindShare}, []byte("share"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed, []byte("share"))
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, data, share []byte) {
		_, err := s.OpenStatement(t.Context(), data, share)
		if same := bytes.Equal(data, sealed) && string(share) == "share"; same != (err == nil) {
			t.Errorf("opens: %v", err)
		}
	})
}

func FuzzParseKeyring(f *testing.F) {
	f.Add([]byte(hex.EncodeToString(key1)))
	f.Add([]byte(ringText("k1", map[string][]byte{"k1": key1})))
	f.Fuzz(func(t *testing.T, text []byte) {
		ring, err := ParseKeyring(text)
		if err == nil && len(ring.keys[ring.primary]) != KeySize {
			t.Error("a keyring without a primary key")
		}
	})
}

// turning is a source that others rotate.
type turning struct {
	mu      sync.Mutex
	text    string
	err     error
	fetches int
}

func (s *turning) Keyring(context.Context) (*Keyring, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetches++
	if s.err != nil {
		return nil, s.err
	}
	return ParseKeyring([]byte(s.text))
}

// TestRotation: an unknown key id is fetched, not mistaken for damage; failed
// fetches keep the last good keyring; a flood of unknown ids is no flood of
// fetches.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rotated := ringText("k2", map[string][]byte{"k1": key1, "k2": key2})
		source := &turning{text: ringText("k1", map[string][]byte{"k1": key1})}
		s, err := NewSealer(t.Context(), "a", source, quiet)
		if err != nil {
			t.Fatal(err)
		}
		id, tag, _ := newSealer(t, "a", rotated).Seal("label")
		open := func() error { return s.Open(t.Context(), "label", id, tag) }
		for range 100 {
			if err := open(); !errors.Is(err, ErrKeyUnknown) {
				t.Fatal(err)
			}
		}
		if source.fetches != 1 {
			t.Errorf("%d fetches", source.fetches)
		}
		time.Sleep(2 * refetchInterval)
		source.err = ErrSourceUnavailable
		if err := open(); !errors.Is(err, ErrKeyUnknown) || s.PrimaryKeyID() != "k1" {
			t.Fatal(err, s.PrimaryKeyID())
		}
		if err := s.Reload(t.Context()); !errors.Is(err, ErrSourceUnavailable) || s.PrimaryKeyID() != "k1" {
			t.Fatal(err, s.PrimaryKeyID())
		}
		for name, text := range map[string]string{
			"other bytes under a known id": ringText("k1", map[string][]byte{"k1": key2}),
			"the primary key missing":      ringText("k2", map[string][]byte{"k2": key2}),
		} {
			source.err, source.text = nil, text
			if err := s.Reload(t.Context()); !errors.Is(err, ErrKeyRefused) || s.PrimaryKeyID() != "k1" {
				t.Fatalf("%s: %v, primary %s", name, err, s.PrimaryKeyID())
			}
		}
		time.Sleep(2 * refetchInterval)
		source.err, source.text = nil, rotated
		if err := open(); err != nil || s.PrimaryKeyID() != "k2" {
			t.Fatal(err, s.PrimaryKeyID())
		}
	})
}
