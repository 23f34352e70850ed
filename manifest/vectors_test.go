package manifest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

type digits []byte

func (d *digits) UnmarshalText(text []byte) (err error) {
	*d, err = hex.DecodeString(string(text))
	if len(*d) == 0 {
		*d = nil
	}
	return err
}

type vectors struct {
	Valid []struct {
		About    string
		Seed     digits
		Fields   fields
		Payload  digits
		Shares   []digits
		Manifest digits
	}
	Invalid []struct {
		About    string
		Manifest digits
		Error    string
	}
}

type fields struct {
	Identity, Name string
	Owner          digits
	Version        uint64
	Threshold      int
	Split          string
	PayloadSize    int    `json:"payload_size"`
	PayloadSHA256  digits `json:"payload_sha256"`
	Holders        []struct {
		X           byte
		Node        string
		Key, SHA256 digits
	}
	Policy struct {
		Refresh      bool
		MinThreshold int `json:"min_threshold"`
		MaxHolders   int `json:"max_holders"`
		Admission    digits
	}
}

func (f fields) manifest() Manifest {
	m := Manifest{
		Identity: f.Identity, Name: f.Name, Version: f.Version, Owner: ed25519.PublicKey(f.Owner),
		Threshold: f.Threshold, Split: f.Split,
		PayloadSize: f.PayloadSize, PayloadSHA256: [sha256.Size]byte(f.PayloadSHA256),
		Policy: Policy{f.Policy.Refresh, f.Policy.MinThreshold, f.Policy.MaxHolders, ed25519.PublicKey(f.Policy.Admission)},
	}
	for _, h := range f.Holders {
		m.Holders = append(m.Holders, Holder{h.X, h.Node, ed25519.PublicKey(h.Key), [sha256.Size]byte(h.SHA256)})
	}
	return m
}

func readVectors(t testing.TB) (v vectors) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if len(v.Valid) < 3 || len(v.Invalid) < 30 {
		t.Fatalf("%d and %d vectors", len(v.Valid), len(v.Invalid))
	}
	return v
}

// The vectors were made by another implementation, with OpenSSL's Ed25519.
func TestVectors(t *testing.T) {
	for _, v := range readVectors(t).Valid {
		t.Run(v.About, func(t *testing.T) {
			want := v.Fields.manifest()
			m := mustParse(t, v.Manifest)
			if !reflect.DeepEqual(*m, want) {
				t.Errorf("parsed as %+v, want %+v", *m, want)
			}
			data, err := want.Sign(ed25519.NewKeyFromSeed(v.Seed))
			if err != nil || !bytes.Equal(data, v.Manifest) {
				t.Errorf("signed as %x, %v", data, err)
			}
			if err := m.CheckPayload(v.Payload); err != nil {
				t.Error(err)
			}
			for i, share := range v.Shares {
				if h, err := m.CheckShare(share); err != nil || !reflect.DeepEqual(h, want.Holders[i]) {
					t.Errorf("share %d: %+v, %v", i, h, err)
				}
			}
		})
	}
}

// The worked example of docs/FORMATS.md is taken as it stands there.
func TestWorkedExample(t *testing.T) {
	document, err := os.ReadFile("../docs/FORMATS.md")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)## Manifest\n.*?```text\n(.*?)```").FindSubmatch(document)
	if example == nil {
		t.Fatal("there is no example")
	}
	explanations := regexp.MustCompile("(?m)  +[a-z ]+$")
	shown, err := hex.DecodeString(strings.Join(strings.Fields(explanations.ReplaceAllString(string(example[1]), "")), ""))
	if err != nil {
		t.Fatal(err)
	}
	if want := readVectors(t).Valid[0].Manifest; !bytes.Equal(shown, want) {
		t.Errorf("it is %x, want %x", shown, want)
	}
}

func TestInvalidVectors(t *testing.T) {
	errorOf := map[string]error{"invalid": ErrInvalid, "signature": ErrSignature}
	for _, v := range readVectors(t).Invalid {
		if m, err := Parse(v.Manifest); m != nil || errorOf[v.Error] == nil || !errors.Is(err, errorOf[v.Error]) {
			t.Errorf("%s: %v, %v; want %s", v.About, m, err, v.Error)
		}
	}
}
