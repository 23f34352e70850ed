package recovery

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/shamir"
)

// tester is what testing.TB and rapid.T share.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

// world is one secret and the nodes that hold its shares.
type world struct {
	clock   *clock
	secret  []byte
	shares  map[byte][]byte
	record  *record.Record
	helpers map[byte]*Helper
}

func newWorld(t tester, secret []byte, k int, points []byte) *world {
	t.Helper()
	w := &world{
		clock:  &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
		secret: secret, helpers: make(map[byte]*Helper),
	}
	w.record, w.shares = deal(t, secret, k, points, 1)
	for _, x := range points {
		w.helpers[x] = NewHelper(nodeKey(x), w.clock.Now)
	}
	return w
}

// deal splits a secret among the nodes of the same numbers as the points.
func deal(t tester, secret []byte, k int, points []byte, version uint64) (*record.Record, map[byte][]byte) {
	t.Helper()
	points = slices.Sorted(slices.Values(points))
	list, err := shamir.Split(secret, k, points)
	if err != nil {
		t.Fatal(err)
	}
	owner := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	identity := sha256.Sum256(owner.Public().(ed25519.PublicKey))
	m := manifest.Manifest{
		Identity: hex.EncodeToString(identity[:]), Version: version, Threshold: k,
		Split: fmt.Sprintf("%032x", version), PayloadSize: len(secret), PayloadSHA256: sha256.Sum256(secret),
		Policy: manifest.Policy{MinThreshold: k, MaxHolders: 255},
	}
	shares := make(map[byte][]byte)
	for i, x := range points {
		shares[x] = list[i]
		m.Holders = append(m.Holders, manifest.Holder{
			X: x, Node: fmt.Sprintf("node-%d", x), Key: nodeKey(x).PublicKey(), SHA256: sha256.Sum256(list[i]),
		})
	}
	signed, err := m.Sign(owner)
	if err != nil {
		t.Fatal(err)
	}
	r, err := record.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	return r, shares
}

// nodeKey is the key of the node of that number; number 0 is an outsider.
func nodeKey(number byte) *integrity.NodeKey {
	nodeKeysMade.Lock()
	defer nodeKeysMade.Unlock()
	key := nodeKeysMade.keys[number]
	if key == nil {
		seed := sha256.Sum256([]byte{'n', number})
		var err error
		if key, err = integrity.ParseNodeKey([]byte(hex.EncodeToString(seed[:]))); err != nil {
			panic(err)
		}
		nodeKeysMade.keys[number] = key
	}
	return key
}

var nodeKeysMade = struct {
	sync.Mutex
	keys map[byte]*integrity.NodeKey
}{keys: make(map[byte]*integrity.NodeKey)}

// offers asks the helpers for offers toward x, in the name of its holder.
func (w *world) offers(t tester, x byte, from ...byte) []Offer {
	t.Helper()
	var offers []Offer
	for _, i := range from {
		o, err := w.helpers[i].Offer(nodeKey(x).PublicKey(), w.record, x)
		if err != nil {
			t.Fatalf("offer of %d to %d: %v", i, x, err)
		}
		if err := CheckOffer(w.record, x, i, o); err != nil {
			t.Fatalf("checking the offer of %d to %d: %v", i, x, err)
		}
		offers = append(offers, o)
	}
	return offers
}

func (w *world) contribute(i, x byte, offers []Offer) ([]byte, error) {
	return w.helpers[i].Contribute(nodeKey(x).PublicKey(), w.record, w.shares[i], x, offers)
}

// contributions are those of all who made an offer.
func (w *world) contributions(t tester, x byte, offers []Offer) [][]byte {
	t.Helper()
	var masked [][]byte
	for _, o := range offers {
		part, err := w.contribute(o.X, x, offers)
		if err != nil {
			t.Fatalf("contribution of %d to %d: %v", o.X, x, err)
		}
		masked = append(masked, part)
	}
	return masked
}

func (w *world) points() []byte { return slices.Sorted(maps.Keys(w.shares)) }

// others are all points but the given ones.
func (w *world) others(but ...byte) []byte {
	return slices.DeleteFunc(w.points(), func(x byte) bool { return slices.Contains(but, x) })
}

// open counts the offers that a helper has in memory.
func (w *world) open(i byte) int { return len(w.helpers[i].offers.open) }

func upTo(n int) []byte {
	points := make([]byte, n)
	for i := range points {
		points[i] = byte(i + 1)
	}
	return points
}

func randomBytes(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.Read(b)
	return b
}

// sign makes an offer of node i with any key, as its dishonest operator can.
func (w *world) sign(i, x byte, key []byte) Offer {
	return signOffer(pageRules, i, i, w.record, x, key)
}

// signOffer makes an offer of a point with the node key of that number.
func signOffer(rules rules, number, point byte, r *record.Record, x byte, key []byte) Offer {
	o := Offer{X: point, Key: key}
	signature, err := nodeKey(number).Sign(nil, rules.message(r.Hash, x, o), crypto.Hash(0))
	if err != nil {
		panic(err)
	}
	o.Signature = signature
	return o
}

func newKey() []byte {
	key, err := drawKey()
	if err != nil {
		panic(err)
	}
	return key.PublicKey().Bytes()
}

// lowOrder are points of order 1, 2, 4 and 8, two of them in a second encoding.
var lowOrder = map[string][]byte{
	"0":     make([]byte, 32),
	"1":     append([]byte{1}, make([]byte, 31)...),
	"p-1":   fieldBytes(0xec),
	"p":     fieldBytes(0xed),
	"p+1":   fieldBytes(0xee),
	"of 8":  fromHex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
	"of 8'": fromHex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
}

func fieldBytes(lowest byte) []byte {
	key := bytes.Repeat([]byte{0xff}, 32)
	key[0], key[31] = lowest, 0x7f
	return key
}

func fromHex(digits string) []byte {
	b, err := hex.DecodeString(digits)
	if err != nil {
		panic(err)
	}
	return b
}

// quotes finds any 8 bytes of a secret in a text, as they are, in hex, base64 or
// as numbers.
func quotes(text string, secret []byte) bool {
	for from := 0; from+8 <= len(secret); from++ {
		window := secret[from : from+8]
		for _, form := range []string{
			string(window), hex.EncodeToString(window), base64.RawStdEncoding.EncodeToString(window[:6]),
			strings.Trim(fmt.Sprintf("%d", window), "[]"),
		} {
			if strings.Contains(text, form) {
				return true
			}
		}
	}
	return false
}
