package integrity

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// nodeSeed is a seed that no error and no print may show.
var nodeSeed = bytes.Repeat([]byte{0x5e, 0xc2}, ed25519.SeedSize/2)

// besideKeyring is a keyring with the text as its node_key.
func besideKeyring(nodeKey string) string {
	return fmt.Sprintf(`{"node_key":%s,"other":[1],"primary":"k1","keys":{"k1":%q}}`, nodeKey, hex.EncodeToString(key1))
}

func TestParseNodeKey(t *testing.T) {
	want := ed25519.NewKeyFromSeed(nodeSeed).Public().(ed25519.PublicKey)
	inHex, inBase64 := hex.EncodeToString(nodeSeed), base64.StdEncoding.EncodeToString(nodeSeed)
	for name, text := range map[string]string{
		"hex":          inHex,
		"HEX":          strings.ToUpper(inHex),
		"base64":       inBase64,
		"space around": " \n" + inBase64 + "\r\n",
		"JSON":         `{"node_key":"` + inHex + `"}`,
		"in a keyring": besideKeyring(`"` + inBase64 + `"`),
	} {
		key, err := ParseNodeKey([]byte(text))
		if err != nil || !key.PublicKey().Equal(want) {
			t.Errorf("%s: %v, %v", name, key, err)
		}
	}
	for name, text := range map[string]string{
		"empty":              " ",
		"short":              inHex[:62],
		"long":               inHex + "5e",
		"a private key":      base64.StdEncoding.EncodeToString(ed25519.NewKeyFromSeed(nodeSeed)),
		"zeros":              strings.Repeat("0", 64),
		"array":              `["` + inHex + `"]`,
		"cut off":            `{"node_key":"` + inHex,
		"none":               besideKeyring("null"),
		"empty in a keyring": besideKeyring(`""`),
		"short in a keyring": besideKeyring(`"` + inHex[:62] + `"`),
		"a number":           besideKeyring("5"),
		"an object":          besideKeyring(`{"` + inHex + `":1}`),
		"an integrity key":   besideKeyring(`"` + base64.StdEncoding.EncodeToString(key1) + `"`),
	} {
		key, err := ParseNodeKey([]byte(text))
		if !errors.Is(err, ErrNodeKeyRefused) || key != nil {
			t.Errorf("%s: %v, %v", name, key, err)
		} else if strings.Contains(err.Error(), inHex[:8]) || strings.Contains(err.Error(), inBase64[:8]) {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
	}
}

// One bare key is a keyring, so it is no node key: the node would show a
// signature of it to everybody.
func TestNodeKeyBeside(t *testing.T) {
	key, err := NodeKeyBeside([]byte(besideKeyring(`"` + hex.EncodeToString(nodeSeed) + `"`)))
	if err != nil || key == nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"a bare key": hex.EncodeToString(key1), "empty": "", "a keyring alone": ringText("k1", map[string][]byte{"k1": key1}), "null": besideKeyring("null"),
	} {
		if key, err := NodeKeyBeside([]byte(text)); !errors.Is(err, ErrNoNodeKey) || !errors.Is(err, ErrNodeKeyRefused) || key != nil {
			t.Errorf("%s: %v, %v", name, key, err)
		}
	}
	if _, err := NodeKeyBeside([]byte(besideKeyring(`"x"`))); errors.Is(err, ErrNoNodeKey) {
		t.Errorf("a malformed one: %v", err)
	}
}

// A node key that comes into a keyring's secret, or leaves it, is no change of
// the keyring.
func TestNodeKeyDoesNotDisturbRotation(t *testing.T) {
	source := &turning{text: ringText("k1", map[string][]byte{"k1": key1})}
	s, err := NewSealer(t.Context(), "a", source, quiet)
	if err != nil {
		t.Fatal(err)
	}
	id, tag, _ := s.Seal("label")
	rotated := strings.Replace(besideKeyring(`"`+hex.EncodeToString(nodeSeed)+`"`), `"primary":"k1","keys":{`, `"primary":"k2","keys":{"k2":"`+hex.EncodeToString(key2)+`",`, 1)
	for _, text := range []string{
		besideKeyring(`"` + hex.EncodeToString(nodeSeed) + `"`), besideKeyring(`"damaged"`), besideKeyring("7"), source.text, rotated,
	} {
		source.text = text
		if err := s.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Open(t.Context(), "label", id, tag); err != nil {
			t.Fatal(err)
		}
	}
	if s.PrimaryKeyID() != "k2" {
		t.Errorf("sealing under %s", s.PrimaryKeyID())
	}
}

func TestNodeKeySigns(t *testing.T) {
	key, err := ParseNodeKey([]byte(hex.EncodeToString(nodeSeed)))
	if err != nil {
		t.Fatal(err)
	}
	signature, err := key.Sign(nil, []byte("message"), &ed25519.Options{})
	if err != nil || !ed25519.Verify(key.PublicKey(), []byte("message"), signature) {
		t.Errorf("%v", err)
	}
	clear(key.PublicKey()) // the caller's
	if !key.PublicKey().Equal(key.Public()) || bytes.Equal(key.PublicKey(), make([]byte, ed25519.PublicKeySize)) {
		t.Error("a caller changed the key")
	}
}

func TestNodeKeyIsNotPrinted(t *testing.T) {
	key, err := ParseNodeKey([]byte(hex.EncodeToString(nodeSeed)))
	if err != nil {
		t.Fatal(err)
	}
	type holder struct{ Key, key *NodeKey }
	var printed strings.Builder
	for _, v := range []any{key, *key, holder{key, key}, &holder{key, key}, []*NodeKey{key}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&printed, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&printed, nil)).Info("key", "key", v)
		slog.New(slog.NewJSONHandler(&printed, nil)).Info("key", "key", v)
		text, _ := json.Marshal(v)
		printed.Write(text)
	}
	text := strings.ToLower(printed.String())
	for _, hidden := range []string{"5ec25ec2", "94 194 94 194", "94, 194", "0x5e, 0xc2", base64.StdEncoding.EncodeToString(nodeSeed)[:8]} {
		if strings.Contains(text, strings.ToLower(hidden)) {
			t.Errorf("%s is printed:\n%s", hidden, text)
		}
	}
	if want := "node key " + hex.EncodeToString(key.PublicKey()); fmt.Sprint(key) != want {
		t.Errorf("prints as %v", key)
	}
}

func TestNodeKeyFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "node.key")
	if _, err := (NodeKeyFile{Path: path}).NodeKey(t.Context()); !errors.Is(err, ErrNodeKeyRefused) {
		t.Fatalf("missing file: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Fatal("a key was invented")
	}
	// Processes that start at once, each of which makes both keys, agree.
	var wg sync.WaitGroup
	keys := make([]*NodeKey, 16)
	for i := range keys {
		wg.Go(func() {
			if _, err := (FileSource{Path: filepath.Join(dir, "integrity.key"), Create: true}).Keyring(t.Context()); err != nil {
				t.Error(err)
			}
			key, err := NodeKeyFile{Path: path, Create: true}.NodeKey(t.Context())
			if err != nil {
				t.Error(err)
			}
			keys[i] = key
		})
	}
	wg.Wait()
	for _, key := range keys {
		if key == nil || !key.PublicKey().Equal(keys[0].PublicKey()) {
			t.Fatal("two keys were made")
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Fatalf("%d files are left", len(entries))
	}
}

// Nodes whose keys are in one directory may start for the first time at one
// moment.
func TestNodeKeyFilesOfSeveralNodes(t *testing.T) {
	for range 50 {
		dir := t.TempDir()
		var starts sync.WaitGroup
		for node := range 4 {
			starts.Go(func() {
				name := filepath.Join(dir, fmt.Sprintf("g%d", node))
				_, err := NodeKeyFile{Path: name + ".node", Create: true}.NodeKey(t.Context())
				_, errRing := FileSource{Path: name + ".keys", Create: true}.Keyring(t.Context())
				if err != nil || errRing != nil {
					t.Errorf("g%d: %v, %v", node, err, errRing)
				}
			})
		}
		starts.Wait()
	}
}

func TestNodeKeyFileOdd(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "node.key")
	first, err := NodeKeyFile{Path: path, Create: true}.NodeKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// What is to become another file is not ours to remove.
	left := filepath.Join(dir, ".node.key.1")
	foreign := []string{filepath.Join(dir, ".integrity.key.1"), filepath.Join(dir, ".node.key.2.1"), filepath.Join(dir, ".node.key1")}
	for _, name := range append(foreign, left) {
		if err := os.WriteFile(name, []byte("a key"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again, err := NodeKeyFile{Path: path, Create: true}.NodeKey(t.Context())
	if err != nil || !again.PublicKey().Equal(first.PublicKey()) {
		t.Fatal("another key", err)
	}
	if _, err := os.Stat(left); err == nil {
		t.Error("a key that a killed process left is still there")
	}
	for _, name := range foreign {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (NodeKeyFile{Path: path}).NodeKey(ended); !errors.Is(err, ErrSourceUnavailable) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := (NodeKeyFile{Path: path, Create: true}).NodeKey(t.Context()); !errors.Is(err, ErrNodeKeyRefused) {
		t.Errorf("an emptied file: %v", err)
	}
	if err := os.Truncate(path, maxKeyringSize+1); err != nil {
		t.Fatal(err)
	}
	for _, odd := range []string{path, dir} {
		if _, err := (NodeKeyFile{Path: odd}).NodeKey(t.Context()); !errors.Is(err, ErrSourceUnavailable) {
			t.Errorf("%s: %v", odd, err)
		}
	}
	if _, err := (NodeKeyFile{Path: filepath.Join(dir, "missing", "node.key"), Create: true}).NodeKey(t.Context()); !errors.Is(err, ErrSourceUnavailable) {
		t.Errorf("in a directory that is not there: %v", err)
	}
}

func FuzzParseNodeKey(f *testing.F) {
	f.Add([]byte(hex.EncodeToString(nodeSeed)))
	f.Add([]byte(besideKeyring(`"` + base64.StdEncoding.EncodeToString(nodeSeed) + `"`)))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := ParseNodeKey(text)
		switch {
		case (err == nil) != (key != nil), err != nil && !errors.Is(err, ErrNodeKeyRefused):
			t.Errorf("%v, %v", key, err)
		case err == nil && len(key.PublicKey()) != ed25519.PublicKeySize:
			t.Error("a key of another length")
		}
	})
}
