package recovery

import (
	"bytes"
	"crypto/aes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
)

type digits []byte

func (d *digits) UnmarshalText(text []byte) (err error) {
	*d, err = hex.DecodeString(string(text))
	return err
}

// vector is a recovery with all that is secret in it.
type vector struct {
	About     string
	Record    digits
	Threshold int
	Toward    byte
	NodeSeed  digits `json:"node_seed"`
	Share     digits
	Session   digits
	Helpers   []vectorHelper
	Masks     []vectorMask
}

type vectorHelper struct {
	X            byte
	NodeSeed     digits `json:"node_seed"`
	NodeKey      digits `json:"node_key"`
	Share        digits
	Private, Key digits
	Message      digits
	Signature    digits
	Weight       byte
	Contribution digits
}

type vectorMask struct {
	Points    [2]int
	Shared    digits
	Key       digits
	Keystream digits
}

func readVector(t *testing.T) (v vector) {
	t.Helper()
	text, err := os.ReadFile("testdata/recovery.json")
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if len(v.Helpers) != v.Threshold || len(v.Masks) != v.Threshold*(v.Threshold-1)/2 {
		t.Fatalf("%d helpers and %d masks", len(v.Helpers), len(v.Masks))
	}
	return v
}

func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n got %x\nwant %x", what, got, want)
	}
}

// TestVectorByThePage computes the vector as the package comment says, with none
// of the code of the package or of those it uses for X25519, HKDF and CTR.
func TestVectorByThePage(t *testing.T) {
	v := readVector(t)
	text := slices.Concat([]byte("guardian-recover-v1"), v.Record, []byte{v.Toward})
	for _, h := range v.Helpers {
		message := slices.Concat([]byte("guardian-offer-v1"), v.Record, []byte{v.Toward, h.X}, h.Key)
		same(t, "message", message, h.Message)
		private := ed25519.NewKeyFromSeed(h.NodeSeed)
		same(t, "node key", private.Public().(ed25519.PublicKey), h.NodeKey)
		same(t, "signature", ed25519.Sign(private, message), h.Signature)
		same(t, "key", ladder(h.Private, big.NewInt(9)), h.Key)
		text = slices.Concat(text, []byte{h.X}, h.Key)
	}
	session := sha256.Sum256(text)
	same(t, "session", session[:], v.Session)
	checkMasks(t, v)
	checkParts(t, v)
}

func checkMasks(t *testing.T, v vector) {
	t.Helper()
	size := len(v.Share) - 1
	for _, m := range v.Masks {
		lower, higher := v.helper(m.Points[0]), v.helper(m.Points[1])
		same(t, "shared", ladder(lower.Private, littleEndian(higher.Key)), m.Shared)
		same(t, "shared", ladder(higher.Private, littleEndian(lower.Key)), m.Shared)
		extracted := hmacOf(v.Session, m.Shared)
		same(t, "mask key", hmacOf(extracted, []byte{lower.X, higher.X, 1}), m.Key)
		block, err := aes.NewCipher(m.Key)
		if err != nil {
			t.Fatal(err)
		}
		var stream []byte
		for counter := byte(0); len(stream) < size; counter++ {
			out := make([]byte, 16)
			block.Encrypt(out, append(make([]byte, 15), counter))
			stream = append(stream, out...)
		}
		same(t, "keystream", stream[:size], m.Keystream)
	}
}

func checkParts(t *testing.T, v vector) {
	t.Helper()
	total := make([]byte, len(v.Share)-1)
	for _, h := range v.Helpers {
		weight := byte(1)
		for _, other := range v.Helpers {
			if other.X != h.X {
				weight = multiply(weight, multiply(v.Toward^other.X, inverse(h.X^other.X)))
			}
		}
		if weight != h.Weight {
			t.Errorf("weight of %d is %d, want %d", h.X, weight, h.Weight)
		}
		part := scaled(h.Share[1:], weight)
		for _, m := range v.Masks {
			if slices.Contains(m.Points[:], int(h.X)) {
				part = sum(part, m.Keystream)
			}
		}
		same(t, "contribution", part, h.Contribution)
		total = sum(total, part)
	}
	same(t, "share", append([]byte{v.Toward}, total...), v.Share)
}

// TestVectorByThePackage has the package make the offers and contributions.
func TestVectorByThePackage(t *testing.T) {
	v := readVector(t)
	r := v.record()
	caller := ed25519.NewKeyFromSeed(v.NodeSeed).Public().(ed25519.PublicKey)
	var offers []Offer
	var masked [][]byte
	var helpers []*Helper
	for _, vh := range v.Helpers {
		h := vh.helper(t)
		o, err := h.Offer(caller, r, v.Toward)
		if err != nil || CheckOffer(r, v.Toward, vh.X, o) != nil {
			t.Fatal(err, CheckOffer(r, v.Toward, vh.X, o))
		}
		same(t, "key", o.Key, vh.Key)
		same(t, "signature", o.Signature, vh.Signature)
		offers, helpers = append(offers, o), append(helpers, h)
	}
	for i, vh := range v.Helpers {
		part, err := helpers[i].Contribute(caller, r, vh.Share, v.Toward, offers)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "contribution", part, vh.Contribution)
		masked = append(masked, part)
	}
	share, err := Rebuild(r, v.Toward, masked)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "share", share, v.Share)
}

func (v vector) helper(x int) vectorHelper {
	return v.Helpers[slices.IndexFunc(v.Helpers, func(h vectorHelper) bool { return int(h.X) == x })]
}

func (v vector) record() *record.Record {
	holder := func(x byte, seed, share []byte) manifest.Holder {
		key := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
		return manifest.Holder{X: x, Key: key, SHA256: sha256.Sum256(share)}
	}
	r := &record.Record{
		Hash: [sha256.Size]byte(v.Record), Threshold: v.Threshold, ShareSize: len(v.Share),
		Holders: []manifest.Holder{holder(v.Toward, v.NodeSeed, v.Share)},
	}
	for _, h := range v.Helpers {
		r.Holders = append(r.Holders, holder(h.X, h.NodeSeed, h.Share))
	}
	return r
}

func (vh vectorHelper) helper(t *testing.T) *Helper {
	t.Helper()
	key, err := integrity.ParseNodeKey([]byte(hex.EncodeToString(vh.NodeSeed)))
	if err != nil {
		t.Fatal(err)
	}
	h := NewHelper(key, time.Now)
	h.draw = func() (*ecdh.PrivateKey, error) { return ecdh.X25519().NewPrivateKey(vh.Private) }
	return h
}

func hmacOf(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}

// ladder is X25519 as RFC 7748 section 5 writes it down, on big integers.
func ladder(scalar []byte, u *big.Int) []byte {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	mod := func(n *big.Int) *big.Int { return n.Mod(n, p) }
	add := func(a, b *big.Int) *big.Int { return mod(new(big.Int).Add(a, b)) }
	sub := func(a, b *big.Int) *big.Int { return mod(new(big.Int).Sub(a, b)) }
	mul := func(a, b *big.Int) *big.Int { return mod(new(big.Int).Mul(a, b)) }

	k := littleEndian(clamped(scalar))
	x2, z2, x3, z3 := big.NewInt(1), big.NewInt(0), u, big.NewInt(1)
	for bit := 254; bit >= 0; bit-- {
		if k.Bit(bit) == 1 {
			x2, z2, x3, z3 = x3, z3, x2, z2
		}
		a, b, c, d := add(x2, z2), sub(x2, z2), add(x3, z3), sub(x3, z3)
		aa, bb, da, cb := mul(a, a), mul(b, b), mul(d, a), mul(c, b)
		e := sub(aa, bb)
		x3, z3 = mul(add(da, cb), add(da, cb)), mul(u, mul(sub(da, cb), sub(da, cb)))
		x2, z2 = mul(aa, bb), mul(e, add(aa, mul(big.NewInt(121665), e)))
		if k.Bit(bit) == 1 {
			x2, z2, x3, z3 = x3, z3, x2, z2
		}
	}
	out := mul(x2, new(big.Int).ModInverse(z2, p)).FillBytes(make([]byte, 32))
	slices.Reverse(out)
	return out
}

func clamped(scalar []byte) []byte {
	k := bytes.Clone(scalar)
	k[0] &= 248
	k[31] = k[31]&127 | 64
	return k
}

func littleEndian(b []byte) *big.Int {
	b = bytes.Clone(b)
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}
