package envelope

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tyler-smith/go-bip39"
)

// FuzzOpen: only what was sealed opens, whatever is sent.
func FuzzOpen(f *testing.F) {
	all := readVectors(f)
	sealed := map[string]payloadVector{}
	for _, v := range all.Payloads {
		sealed[string(v.Payload)] = v
		f.Add([]byte(v.Payload), v.Name, v.Version)
		f.Add([]byte(v.Payload[:len(v.Payload)-1]), v.Name, v.Version)
	}
	f.Add([]byte(format), "", uint64(0))
	var roots []*Root
	for _, r := range all.Roots {
		roots = append(roots, all.root(f, r.Name))
	}
	f.Fuzz(func(t *testing.T, payload []byte, name string, version uint64) {
		for i, root := range roots {
			at := Place{all.Roots[i].Identity, name, version}
			secret, err := Open(payload, at, root)
			if err == nil {
				v, known := sealed[string(payload)]
				if !known || v.place() != at || !bytes.Equal(secret, v.Secret) {
					t.Fatalf("%x opens at %v as %x", payload, at, secret)
				}
			} else if secret != nil || !errors.Is(err, ErrOpen) && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrPlace) {
				t.Fatalf("%x with %v", secret, err)
			}
		}
	})
}

// FuzzEntropyOf: what is taken is what the oracle takes once it is written
// plainly, and errors quote nothing.
func FuzzEntropyOf(f *testing.F) {
	for _, v := range readVectors(f).BIP39 {
		f.Add(v.Words)
		f.Add(strings.ToUpper(v.Words))
		f.Add(wide(v.Words))
		f.Add(strings.Replace(v.Words, " ", "\r\n", 3))
	}
	f.Add("")
	f.Add(strings.Repeat("abandon ", 24))
	f.Fuzz(func(t *testing.T, words string) {
		entropy, err := EntropyOf(words)
		if err != nil {
			if !errors.Is(err, ErrMnemonic) || entropy != nil || !utf8.ValidString(err.Error()) || len(err.Error()) > 200 {
				t.Fatalf("%x, %v", entropy, err)
			}
			return
		}
		plain, err := MnemonicOf(entropy)
		if err != nil {
			t.Fatal(err)
		}
		want, err := bip39.EntropyFromMnemonic(plain)
		if err != nil || !bytes.Equal(entropy, want) {
			t.Fatalf("%q stands for %x, the oracle says %x, %v", plain, entropy, want, err)
		}
	})
}
