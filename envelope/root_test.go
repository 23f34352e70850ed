package envelope

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func keyFile(t testing.TB, fill byte) *Root {
	t.Helper()
	return must(FromKeyFile(bytes.Repeat([]byte{fill}, keySize)))(t)
}

func TestKeyFileSizes(t *testing.T) {
	for _, size := range []int{0, 1, 31, 33, 64, 1 << 20} {
		if root, err := FromKeyFile(make([]byte, size)); !errors.Is(err, ErrKeySize) || root != nil {
			t.Errorf("%d bytes: %v, %v", size, root, err)
		}
	}
	key := bytes.Repeat([]byte{7}, keySize)
	root := must(FromKeyFile(key))(t)
	if root.Wipe(); !bytes.Equal(key, bytes.Repeat([]byte{7}, keySize)) {
		t.Error("the caller's key was changed")
	}
}

func TestIdentity(t *testing.T) {
	root := keyFile(t, 1)
	digest := sha256.Sum256(root.Owner()[32:])
	if root.Identity() != hex.EncodeToString(digest[:]) {
		t.Errorf("identity %s, want %x", root.Identity(), digest)
	}
}

// TestWaysAreApart: one input keying material gives other keys on each way.
func TestWaysAreApart(t *testing.T) {
	seen := map[string]string{}
	for _, salt := range []string{saltMnemonic, saltPassphrase, saltKeyFile} {
		root := must(newRoot(kindKeyFile, salt, make([]byte, 64)))(t)
		for _, key := range []string{string(root.wrap), string(root.Owner().Seed())} {
			if other := seen[key]; other != "" {
				t.Errorf("%s and %s give one key", salt, other)
			}
			seen[key] = salt
		}
	}
}

func TestWipe(t *testing.T) {
	root := keyFile(t, 1)
	identity, owner, wrap := root.Identity(), root.Owner(), root.wrap
	payload := must(Seal([]byte("secret"), Place{Identity: identity}, root))(t)
	root.Wipe()
	if !bytes.Equal(owner, make([]byte, len(owner))) || !bytes.Equal(wrap, make([]byte, len(wrap))) {
		t.Error("keys are still in memory")
	}
	if root.Owner() != nil || root.Identity() != identity {
		t.Errorf("owner %x, identity %s", root.Owner(), root.Identity())
	}
	for name, unusable := range map[string]*Root{"wiped": root, "zero": {}, "nil": nil} {
		if _, err := Seal([]byte("secret"), Place{Identity: identity}, keyFile(t, 1), unusable); !errors.Is(err, ErrRoots) {
			t.Errorf("sealing with a %s root: %v", name, err)
		}
		if secret, err := Open(payload, Place{Identity: identity}, unusable); !errors.Is(err, ErrRoots) || secret != nil {
			t.Errorf("opening with a %s root: %q, %v", name, secret, err)
		}
	}
	root.Wipe()
}

// TestPrinting: no verb and no logger prints a key, in any base.
func TestPrinting(t *testing.T) {
	root := keyFile(t, 1)
	var printed strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c"} {
		fmt.Fprintf(&printed, verb+"\n", root)
		fmt.Fprintf(&printed, verb+"\n", *root)
	}
	slog.New(slog.NewTextHandler(&printed, nil)).Info("", "root", root, "value", *root)
	slog.New(slog.NewJSONHandler(&printed, nil)).Info("", "root", root, "value", *root)
	text := strings.ToLower(printed.String())
	for _, key := range [][]byte{root.wrap, root.Owner()} {
		for _, shown := range []string{"%x", "%d", "%o", "%b", "%s"} {
			start := strings.Trim(fmt.Sprintf(shown, key[:4]), "[]")
			if strings.Contains(text, start) {
				t.Errorf("%q is in %s", start, text)
			}
		}
	}
}
