package record

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// digits are bytes in hex.
type digits []byte

func (d *digits) UnmarshalText(text []byte) (err error) {
	*d, err = hex.DecodeString(string(text))
	return err
}

type vector struct {
	About    string
	Manifest digits
	Epochs   []struct {
		Seed      digits
		Threshold int
		Holders   []struct {
			X    byte
			Node string
			Key  digits
		}
		Hash, Lineage digits
		Split         string
		Body, Draft   digits
		Agreed        []int
		Prepared      []struct {
			X     byte
			Share digits
		}
		Chain digits
	}
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ Chains []vector }
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if len(v.Chains) < 3 {
		t.Fatalf("%d vectors", len(v.Chains))
	}
	return v.Chains
}

// vectorKey is the private key of a node of the vectors: the hash of its id.
func vectorKey(node string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(node))
	return ed25519.NewKeyFromSeed(seed[:])
}

// The vectors were made by another implementation, with OpenSSL's Ed25519.
func TestVectors(t *testing.T) {
	for _, v := range readVectors(t) {
		t.Run(v.About, func(t *testing.T) {
			chain := []byte(v.Manifest)
			for i, e := range v.Epochs {
				base := mustParse(t, chain)
				seed := [32]byte(e.Seed)
				p := Proposal{Threshold: e.Threshold}
				for _, h := range e.Holders {
					p.Holders = append(p.Holders, Target{h.X, h.Node, ed25519.PublicKey(h.Key)})
				}
				r, body, err := Next(base, p, seed)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(body, e.Body) || !bytes.Equal(r.Hash[:], e.Hash) || !bytes.Equal(r.Lineage[:], e.Lineage) || r.Split != e.Split {
					t.Errorf("epoch %d: body %x, lineage %x, split %s", i+1, body, r.Lineage, r.Split)
				}
				if draft, err := Draft(chain, body, seed); err != nil || !bytes.Equal(draft, e.Draft) {
					t.Errorf("epoch %d: draft %x, %v", i+1, draft, err)
				}
				c := Certificate{Seed: seed}
				for _, x := range e.Agreed {
					h, _ := base.At(byte(x))
					signature := ed25519.Sign(vectorKey(h.Node), AgreedMessage(r.Hash, seed, h.X))
					c.Agreed = append(c.Agreed, Vote{X: h.X, Signature: signature})
				}
				for _, had := range e.Prepared {
					h, _ := r.At(had.X)
					share := sha256.Sum256(had.Share)
					signature := ed25519.Sign(vectorKey(h.Node), PreparedMessage(r.Hash, seed, h.X, share))
					c.Prepared = append(c.Prepared, Vote{h.X, share, signature})
				}
				if chain, err = Extend(chain, body, c); err != nil || !bytes.Equal(chain, e.Chain) {
					t.Fatalf("epoch %d: chain %x, %v", i+1, chain, err)
				}
				last := mustParse(t, chain)
				for _, had := range e.Prepared {
					if err := last.Check(had.X, had.Share); err != nil {
						t.Errorf("epoch %d: %v", i+1, err)
					}
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
	example := regexp.MustCompile("(?s)## Records of later epochs\n.*?Worked example.*?```text\n(.*?)```").FindSubmatch(document)
	if example == nil {
		t.Fatal("there is no example")
	}
	explanations := regexp.MustCompile("(?m)  +[a-z ]+$")
	shown, err := hex.DecodeString(strings.Join(strings.Fields(explanations.ReplaceAllString(string(example[1]), "")), ""))
	if err != nil {
		t.Fatal(err)
	}
	if want := readVectors(t)[0].Epochs[0].Chain; !bytes.Equal(shown, want) {
		t.Errorf("it is %x, want %x", shown, want)
	}
}
