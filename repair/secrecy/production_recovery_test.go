package secrecy

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/repair/recovery"
)

// TestContributionsAreTheFormsOfProduction: each helper of a set, or some of a
// large one, is once the code that guardians run, among others played here, who
// know their masks with it. Its answer is the sum that the model has for it.
func TestContributionsAreTheFormsOfProduction(t *testing.T) {
	for _, shape := range []shape{{3, 2}, {5, 3}, {14, 4}, {100, 33}} {
		c := deal(t, shape.n, shape.k, 40)
		const x = 2
		helpers := without(upTo(shape.n), x)[shape.n-1-shape.k:]
		for i := 0; i < len(helpers); i += 1 + len(helpers)/8 {
			one := helpers[i]
			others := c.play(t, x, without(helpers, one)...)
			asked := ask{one, x, helpers}
			got, offers := c.contribution(t, asked, others)
			v := c.recovery(nil, flaw{}, asked)
			if want := c.evaluate(v, c.masks(t, asked, others, offers)); !bytes.Equal(got, want) {
				t.Fatalf("%s: helper %d sends %x, in the model %x", shape, one, got, want)
			}
			if bytes.Equal(got, c.evaluate(c.recovery(nil, flaw{unmasked: true}, asked), nil)) {
				t.Fatalf("%s: helper %d sends no mask", shape, one)
			}
		}
	}
}

// played is a helper whose keys the test has.
type played struct {
	offer   recovery.Offer
	private *ecdh.PrivateKey
}

// play makes the offers of helpers as docs/PROTOCOLS.md has them.
func (c *cluster) play(t *testing.T, toward byte, helpers ...byte) (all []played) {
	t.Helper()
	for _, x := range helpers {
		private := newExchangeKey(t)
		public := private.PublicKey().Bytes()
		message := slices.Concat([]byte("guardian-offer-v1"), c.record.Hash[:], []byte{toward, x}, public)
		offer := recovery.Offer{X: x, Key: public, Signature: ed25519.Sign(c.private(x), message)}
		all = append(all, played{offer, private})
	}
	return all
}

// contribution asks the real helper, and returns all offers in the order of
// their points.
func (c *cluster) contribution(t *testing.T, a ask, others []played) ([]byte, []recovery.Offer) {
	t.Helper()
	helper := recovery.NewHelper(c.nodeKey(t, a.helper), time.Now)
	own, err := helper.Offer(c.public(a.x), c.record, a.x)
	if err != nil {
		t.Fatalf("asking %d for an offer: %v", a.helper, err)
	}
	offers := []recovery.Offer{own}
	for _, other := range others {
		offers = append(offers, other.offer)
	}
	got, err := helper.Contribute(c.public(a.x), c.record, bytes.Clone(c.shares[a.helper]), a.x, offers)
	if err != nil {
		t.Fatalf("asking %d for its part: %v", a.helper, err)
	}
	slices.SortFunc(offers, func(a, b recovery.Offer) int { return int(a.X) - int(b.X) })
	return got, offers
}

// masks are the keystreams of the real helper with each other one, in the order
// of the model's unknowns.
func (c *cluster) masks(t *testing.T, a ask, others []played, offers []recovery.Offer) (all []byte) {
	t.Helper()
	text := slices.Concat([]byte("guardian-recover-v1"), c.record.Hash[:], []byte{a.x})
	for _, o := range offers {
		text = slices.Concat(text, []byte{o.X}, o.Key)
	}
	session := sha256.Sum256(text)
	at := slices.IndexFunc(offers, func(o recovery.Offer) bool { return o.X == a.helper })
	public, err := ecdh.X25519().NewPublicKey(offers[at].Key)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range unknownMasks(nil, flaw{}, []ask{a}) {
		other := others[slices.IndexFunc(others, func(p played) bool { return p.offer.X == m.low^m.high^a.helper })]
		shared, err := other.private.ECDH(public)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, keystream(t, shared, session[:], string([]byte{m.low, m.high}), c.size)...)
	}
	return all
}

func keystream(t *testing.T, shared, salt []byte, info string, size int) []byte {
	t.Helper()
	key, err := hkdf.Key(sha256.New, shared, salt, info, 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	stream := make([]byte, size)
	cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(stream, stream)
	return stream
}

// TestRecoveredShareIsTheRecords: K real helpers together give the share.
func TestRecoveredShareIsTheRecords(t *testing.T) {
	c := deal(t, 14, 9, 100)
	const x = 14
	var helpers []*recovery.Helper
	var offers []recovery.Offer
	for _, i := range upTo(9) {
		helper := recovery.NewHelper(c.nodeKey(t, i), time.Now)
		offer, err := helper.Offer(c.public(x), c.record, x)
		if err != nil {
			t.Fatal(err)
		}
		helpers, offers = append(helpers, helper), append(offers, offer)
	}
	var parts [][]byte
	for i, helper := range helpers {
		part, err := helper.Contribute(c.public(x), c.record, bytes.Clone(c.shares[byte(i+1)]), x, offers)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part)
	}
	share, err := recovery.Rebuild(c.record, x, parts)
	if err != nil || !bytes.Equal(share, c.shares[x]) {
		t.Errorf("the share is %x, %v", share, err)
	}
}
