package envelope

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	vectorsFile = "testdata/vectors.json"
	// labelMLDSA is reserved: nothing signs with what follows from it yet.
	labelMLDSA = "guardian/v1/owner-mldsa65"
)

var update = flag.Bool("update", false, "compute "+vectorsFile+" again from the inputs in it")

// vectors is what testdata/vectors.json holds, and docs/FORMATS.md refers to.
type vectors struct {
	BIP39       []bip39Vector   `json:"bip39"`
	Users       []mappedVector  `json:"users"`
	Passphrases []mappedVector  `json:"passphrases"`
	Roots       []rootVector    `json:"roots"`
	Payloads    []payloadVector `json:"payloads"`
}

type bip39Vector struct {
	Entropy hexBytes `json:"entropy"`
	Words   string   `json:"words"`
	Seed    hexBytes `json:"seed"` // without the optional passphrase of BIP-39
}

type mappedVector struct {
	Typed  string `json:"typed"`
	Mapped string `json:"mapped"`
}

type rootVector struct {
	Name string `json:"name"`
	Kind kind   `json:"kind"`

	Words      string   `json:"words,omitempty"`
	Realm      string   `json:"realm,omitempty"`
	User       string   `json:"user,omitempty"`
	Passphrase string   `json:"passphrase,omitempty"`
	Key        hexBytes `json:"key,omitempty"`

	MappedUser       string   `json:"mapped_user,omitempty"`
	MappedPassphrase string   `json:"mapped_passphrase,omitempty"`
	Argon2Salt       hexBytes `json:"argon2_salt,omitempty"`
	IKM              hexBytes `json:"ikm"`
	PRK              hexBytes `json:"prk"`
	OwnerSeed        hexBytes `json:"owner_ed25519_seed"`
	OwnerPublic      hexBytes `json:"owner_ed25519_public"`
	Identity         string   `json:"identity"`
	MLDSASeed        hexBytes `json:"owner_mldsa65_seed"`
	Wrap             hexBytes `json:"wrap"`
}

type payloadVector struct {
	About    string   `json:"about"`
	Roots    []string `json:"roots"`
	Identity string   `json:"identity"`
	Name     string   `json:"name"`
	Version  uint64   `json:"version,string"`
	Secret   hexBytes `json:"secret"`
	Salt     hexBytes `json:"salt"`
	DataKey  hexBytes `json:"data_key"`
	Pad      hexBytes `json:"pad"`
	Payload  hexBytes `json:"payload"`
}

type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	text, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var v vectors
	if err := decoder.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if len(v.BIP39) < 8 || len(v.Users) < 4 || len(v.Passphrases) < 4 || len(v.Roots) < 5 || len(v.Payloads) < 5 {
		t.Fatalf("vectors are missing: %d, %d, %d, %d, %d", len(v.BIP39), len(v.Users), len(v.Passphrases), len(v.Roots), len(v.Payloads))
	}
	return v
}

// root is what the vector's way in leads to, without Argon2id.
func (v vectors) root(t testing.TB, name string) *Root {
	t.Helper()
	i := slices.IndexFunc(v.Roots, func(r rootVector) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("no root %q", name)
	}
	r, err := newRoot(v.Roots[i].Kind, v.Roots[i].salt(), v.Roots[i].IKM)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (v vectors) roots(t testing.TB, names []string) (roots []*Root) {
	t.Helper()
	for _, name := range names {
		roots = append(roots, v.root(t, name))
	}
	return roots
}

func (v rootVector) salt() string {
	return map[kind]string{kindMnemonic: saltMnemonic, kindPassphrase: saltPassphrase, kindKeyFile: saltKeyFile}[v.Kind]
}

// TestVectors computes what follows from the inputs, but for Argon2id, and
// compares it with what the file says.
func TestVectors(t *testing.T) {
	want := readVectors(t)
	got := want.computed(t)
	if *update {
		write(t, got)
		return
	}
	if !reflect.DeepEqual(got, want) {
		gotText, _ := json.MarshalIndent(got, "", " ")
		wantText, _ := json.MarshalIndent(want, "", " ")
		t.Errorf("computed %s\nin the file %s", gotText, wantText)
	}
}

func (v vectors) computed(t *testing.T) vectors {
	t.Helper()
	v.BIP39, v.Users, v.Passphrases = slices.Clone(v.BIP39), slices.Clone(v.Users), slices.Clone(v.Passphrases)
	v.Roots, v.Payloads = slices.Clone(v.Roots), slices.Clone(v.Payloads)
	for i, b := range v.BIP39 {
		v.BIP39[i].Words = must(MnemonicOf(b.Entropy))(t)
		v.BIP39[i].Seed = must(seedOf(v.BIP39[i].Words))(t)
	}
	for i, u := range v.Users {
		v.Users[i].Mapped = must(mapUser(u.Typed))(t)
	}
	for i, p := range v.Passphrases {
		v.Passphrases[i].Mapped = must(mapPassphrase(p.Typed))(t)
	}
	for i, r := range v.Roots {
		v.Roots[i] = r.computed(t)
	}
	for i, p := range v.Payloads {
		v.Payloads[i].Payload = must(seal(p.Secret, p.place(), v.roots(t, p.Roots), p.draw()))(t)
	}
	return v
}

func (v rootVector) computed(t *testing.T) rootVector {
	t.Helper()
	switch v.Kind {
	case kindMnemonic:
		v.IKM = must(seedOf(must(MnemonicOf(must(EntropyOf(v.Words))(t)))(t)))(t)
	case kindPassphrase:
		v.MappedUser, v.MappedPassphrase = must(mapUser(v.User))(t), must(mapPassphrase(v.Passphrase))(t)
		v.Argon2Salt = stretchSalt(v.Realm, v.MappedUser)
		if *update {
			v.IKM = stretch(v.MappedPassphrase, v.Argon2Salt)
		}
	case kindKeyFile:
		v.IKM = v.Key
	}
	root := must(newRoot(v.Kind, v.salt(), v.IKM))(t)
	v.PRK = must(hkdf.Extract(sha256.New, v.IKM, []byte(v.salt())))(t)
	v.OwnerSeed = root.Owner().Seed()
	v.OwnerPublic = hexBytes(root.Owner().Public().(ed25519.PublicKey))
	v.Identity = root.Identity()
	v.MLDSASeed = must(expand(v.PRK, labelMLDSA))(t)
	v.Wrap = root.wrap
	return v
}

func (v payloadVector) place() Place {
	return Place{Identity: v.Identity, Name: v.Name, Version: v.Version}
}

func (v payloadVector) draw() *draw {
	return &draw{salt: [saltSize]byte(v.Salt), dataKey: [keySize]byte(v.DataKey), pad: [padSize]byte(v.Pad)}
}

func write(t *testing.T, v vectors) {
	t.Helper()
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorsFile, escape(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// escape makes JSON ASCII, so that nothing normalizes it or hides a space.
func escape(text string) (escaped []byte) {
	for _, r := range text {
		if r < utf8.RuneSelf {
			escaped = append(escaped, byte(r))
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			escaped = fmt.Appendf(escaped, `\u%04x`, unit)
		}
	}
	return escaped
}

// TestRootVectors goes every way in as a caller does. Argon2id takes seconds,
// so the short tests run it once.
func TestRootVectors(t *testing.T) {
	stretched := 0
	for _, v := range readVectors(t).Roots {
		var root *Root
		var err error
		switch v.Kind {
		case kindMnemonic:
			root, err = FromMnemonic(v.Words)
		case kindPassphrase:
			if stretched++; testing.Short() && stretched > 1 {
				continue
			}
			root, err = FromPassphrase(v.Realm, v.User, v.Passphrase)
		case kindKeyFile:
			root, err = FromKeyFile(v.Key)
		}
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		if root.Identity() != v.Identity || !root.Owner().Equal(ed25519.NewKeyFromSeed(v.OwnerSeed)) || !bytes.Equal(root.wrap, v.Wrap) {
			t.Errorf("%s leads to identity %s, not %s, or to other keys", v.Name, root.Identity(), v.Identity)
		}
	}
}

func TestPayloadVectors(t *testing.T) {
	all := readVectors(t)
	for _, v := range all.Payloads {
		for _, name := range v.Roots {
			secret, err := Open(v.Payload, v.place(), all.root(t, name))
			if err != nil || !bytes.Equal(secret, v.Secret) {
				t.Errorf("%s, opened by %s: %x, %v", v.About, name, secret, err)
			}
		}
	}
}

// must passes on the value of a call that cannot fail here.
func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}
