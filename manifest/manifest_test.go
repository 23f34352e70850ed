package manifest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func keyOf(text string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(text))
	return ed25519.NewKeyFromSeed(seed[:])
}

func publicOf(text string) ed25519.PublicKey {
	return keyOf(text).Public().(ed25519.PublicKey)
}

var owner = keyOf("owner")

// sample is a manifest with a secret of holders, any threshold of which rebuild
// it. The shares are no polynomial's, which makes no difference here.
func sample(threshold, holders int) (m Manifest, payload []byte, shares [][]byte) {
	payload = []byte("a payload of 24 bytes...")
	public := owner.Public().(ed25519.PublicKey)
	m = Manifest{
		Identity: identityOf(public), Name: "my_secret-1", Version: 7,
		Threshold: threshold, Split: "000102030405060708090a0b0c0d0e0f",
		PayloadSize: len(payload), PayloadSHA256: sha256.Sum256(payload),
		Policy: Policy{Refresh: true, MinThreshold: threshold, MaxHolders: holders, Admission: publicOf("admission")},
		Owner:  public,
	}
	for i := range holders {
		share := append([]byte{byte(i + 1)}, bytes.Repeat([]byte{byte(i * 3)}, len(payload))...)
		node := fmt.Sprintf("g%d", i+1)
		m.Holders = append(m.Holders, Holder{X: share[0], Node: node, Key: publicOf(node), SHA256: sha256.Sum256(share)})
		shares = append(shares, share)
	}
	return m, payload, shares
}

func mustSign(t testing.TB, m Manifest) []byte {
	t.Helper()
	data, err := m.Sign(owner)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func mustParse(t testing.TB, data []byte) *Manifest {
	t.Helper()
	m, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSignThenParse(t *testing.T) {
	for name, change := range map[string]func(*Manifest){
		"all of it":       func(*Manifest) {},
		"without name":    func(m *Manifest) { m.Name = "" },
		"longest name":    func(m *Manifest) { m.Name = strings.Repeat("n", 128) },
		"version 0":       func(m *Manifest) { m.Version = 0 },
		"last version":    func(m *Manifest) { m.Version = math.MaxUint64 },
		"threshold 2":     func(m *Manifest) { m.Threshold = 2 },
		"all needed":      func(m *Manifest) { m.Threshold = 5 },
		"last points":     func(m *Manifest) { m.Holders[3].X, m.Holders[4].X = 254, 255 },
		"nobody known":    func(m *Manifest) { forget(m.Holders) },
		"one known":       func(m *Manifest) { forget(m.Holders[1:]) },
		"longest node id": func(m *Manifest) { m.Holders[0].Node = strings.Repeat("n", 63) },
		"one id twice":    func(m *Manifest) { m.Holders[4].Node = "g1" },
		"no refresh":      func(m *Manifest) { m.Policy.Refresh = false },
		"no admission":    func(m *Manifest) { m.Policy.Admission = nil },
		"loosest policy":  func(m *Manifest) { m.Policy.MinThreshold, m.Policy.MaxHolders = 2, 255 },
		"other policy":    func(m *Manifest) { m.Policy.MinThreshold, m.Policy.MaxHolders = 255, 255 },
		"smallest":        func(m *Manifest) { m.PayloadSize = 1 },
		"largest":         func(m *Manifest) { m.PayloadSize = MaxPayloadSize },
	} {
		t.Run(name, func(t *testing.T) {
			m, _, _ := sample(3, 5)
			change(&m)
			data := mustSign(t, m)
			if got := mustParse(t, data); !reflect.DeepEqual(*got, m) {
				t.Errorf("%+v became %+v", m, *got)
			}
			if !bytes.Equal(mustSign(t, m), data) {
				t.Error("signed twice, it is not the same")
			}
		})
	}
}

func forget(holders []Holder) {
	for i := range holders {
		holders[i].Node, holders[i].Key = "", nil
	}
}

func TestOwnerFromTheKey(t *testing.T) {
	m, _, _ := sample(3, 5)
	m.Owner = nil
	if got := mustParse(t, mustSign(t, m)); !got.Owner.Equal(owner.Public()) {
		t.Errorf("owner is %x", got.Owner)
	}
	if m.Owner != nil {
		t.Error("Sign changed its argument")
	}
}

// The most that a manifest can hold is well below what guardians take.
func TestLargest(t *testing.T) {
	m, _, _ := sample(255, 255)
	m.Name = strings.Repeat("n", 128)
	for i := range m.Holders {
		m.Holders[i].Node = fmt.Sprintf("%063d", i)
	}
	data := mustSign(t, m)
	if len(data) > MaxSize || len(data) != 33_494 {
		t.Errorf("it has %d bytes", len(data))
	}
	mustParse(t, data)
}

func TestOutOfBounds(t *testing.T) {
	key := publicOf("g1")
	for name, change := range map[string]func(*Manifest){
		"identity of another":        func(m *Manifest) { m.Identity = identityOf(key) },
		"identity in upper case":     func(m *Manifest) { m.Identity = strings.ToUpper(m.Identity) },
		"no identity":                func(m *Manifest) { m.Identity = "" },
		"owner another":              func(m *Manifest) { m.Owner = key },
		"owner empty":                func(m *Manifest) { m.Owner = ed25519.PublicKey{} },
		"name too long":              func(m *Manifest) { m.Name = strings.Repeat("n", 129) },
		"name far too long":          func(m *Manifest) { m.Name = strings.Repeat("n", 256) },
		"name a path":                func(m *Manifest) { m.Name = "../x" },
		"name with NUL":              func(m *Manifest) { m.Name = "a\x00" },
		"name of other letters":      func(m *Manifest) { m.Name = "naïve" },
		"name ends a line":           func(m *Manifest) { m.Name = "name\n" },
		"split short":                func(m *Manifest) { m.Split = m.Split[2:] },
		"split long":                 func(m *Manifest) { m.Split += "00" },
		"split in upper case":        func(m *Manifest) { m.Split = strings.ToUpper(m.Split) },
		"split not hex":              func(m *Manifest) { m.Split = strings.Repeat("g", 32) },
		"split missing":              func(m *Manifest) { m.Split = "" },
		"threshold -1":               func(m *Manifest) { m.Threshold = -1 },
		"threshold 0":                func(m *Manifest) { m.Threshold = 0 },
		"threshold 1":                func(m *Manifest) { m.Threshold = 1 },
		"threshold 256":              func(m *Manifest) { m.Threshold = 256 },
		"threshold 256 + 3":          func(m *Manifest) { m.Threshold = 259 },
		"threshold above holders":    func(m *Manifest) { m.Threshold = 6 },
		"payload of nothing":         func(m *Manifest) { m.PayloadSize = 0 },
		"payload of less":            func(m *Manifest) { m.PayloadSize = -1 },
		"payload too large":          func(m *Manifest) { m.PayloadSize = MaxPayloadSize + 1 },
		"payload beyond 32 bits":     func(m *Manifest) { m.PayloadSize = math.MaxInt },
		"no holders":                 func(m *Manifest) { m.Holders = nil },
		"256 holders":                func(m *Manifest) { m.Holders = slices.Repeat(m.Holders, 52)[:256] },
		"point 0":                    func(m *Manifest) { m.Holders[0].X = 0 },
		"a point twice":              func(m *Manifest) { m.Holders[1].X = 1 },
		"points out of order":        func(m *Manifest) { slices.Reverse(m.Holders) },
		"node id in upper case":      func(m *Manifest) { m.Holders[0].Node = "G1" },
		"node id with a dot":         func(m *Manifest) { m.Holders[0].Node = "g.1" },
		"node id ends a line":        func(m *Manifest) { m.Holders[0].Node = "g1\n" },
		"node id too long":           func(m *Manifest) { m.Holders[0].Node = strings.Repeat("n", 64) },
		"node key short":             func(m *Manifest) { m.Holders[0].Key = key[1:] },
		"node key empty":             func(m *Manifest) { m.Holders[0].Key = ed25519.PublicKey{} },
		"a node key twice":           func(m *Manifest) { m.Holders[4].Key = key },
		"least threshold 0":          func(m *Manifest) { m.Policy.MinThreshold = 0 },
		"least threshold 1":          func(m *Manifest) { m.Policy.MinThreshold = 1 },
		"least threshold 256":        func(m *Manifest) { m.Policy.MinThreshold, m.Policy.MaxHolders = 256, 256 },
		"most holders 0":             func(m *Manifest) { m.Policy.MaxHolders = 0 },
		"most holders 256":           func(m *Manifest) { m.Policy.MaxHolders = 256 },
		"most holders below least K": func(m *Manifest) { m.Policy.MaxHolders = 2 },
		"admission key short":        func(m *Manifest) { m.Policy.Admission = key[1:] },
		"admission key empty":        func(m *Manifest) { m.Policy.Admission = ed25519.PublicKey{} },
		"admission key long":         func(m *Manifest) { m.Policy.Admission = append(slices.Clone(key), 0) },
	} {
		m, _, _ := sample(3, 5)
		change(&m)
		if data, err := m.Sign(owner); !errors.Is(err, ErrInvalid) || data != nil {
			t.Errorf("%s: signed as %x, %v", name, data, err)
		}
	}
}

func TestSignWithAnotherKey(t *testing.T) {
	m, _, _ := sample(3, 5)
	for name, key := range map[string]ed25519.PrivateKey{
		"another": keyOf("another"),
		"none":    nil,
		"seed":    owner.Seed(),
		"longer":  append(slices.Clone(owner), 0),
	} {
		if _, err := m.Sign(key); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidNode(t *testing.T) {
	for id, want := range map[string]bool{
		"g1": true, "-": true, "0": true, strings.Repeat("n", 63): true,
		"": false, "G1": false, "g_1": false, "g1\n": false, "g 1": false, "gé": false, strings.Repeat("n", 64): false,
	} {
		if got := ValidNode(id); got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
}

func TestParseKeepsNothing(t *testing.T) {
	m, _, _ := sample(3, 5)
	data := mustSign(t, m)
	got := mustParse(t, data)
	clear(data)
	if !reflect.DeepEqual(*got, m) {
		t.Error("what Parse returned changed with its argument")
	}
}

func TestCheckShare(t *testing.T) {
	m, _, shares := sample(3, 5)
	for i, share := range shares {
		if h, err := m.CheckShare(share); err != nil || !reflect.DeepEqual(h, m.Holders[i]) {
			t.Errorf("share %d: %+v, %v", i, h, err)
		}
	}
	for name, share := range map[string][]byte{
		"nothing":          nil,
		"a point":          shares[0][:1],
		"cut off":          shares[0][:len(shares[0])-1],
		"a byte more":      append(slices.Clone(shares[0]), 0),
		"point 0":          moved(shares[0], 0),
		"a point of none":  moved(shares[0], 6),
		"another's point":  moved(shares[0], 2),
		"the other's self": moved(shares[1], 1),
		"without point":    append(slices.Clone(shares[0][1:]), 0),
	} {
		if h, err := m.CheckShare(share); !errors.Is(err, ErrShare) || !reflect.DeepEqual(h, Holder{}) {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
	m.PayloadSize++
	if _, err := m.CheckShare(shares[0]); !errors.Is(err, ErrShare) {
		t.Errorf("of the right hash and another length: %v", err)
	}
	m.PayloadSize--
	for i := range shares[0] {
		if _, err := m.CheckShare(flipped(shares[0], i, 0x80)); !errors.Is(err, ErrShare) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
}

func moved(share []byte, x byte) []byte { return append([]byte{x}, share[1:]...) }

func flipped(data []byte, i int, mask byte) []byte {
	changed := slices.Clone(data)
	changed[i] ^= mask
	return changed
}

func TestCheckPayload(t *testing.T) {
	m, payload, shares := sample(3, 5)
	if err := m.CheckPayload(payload); err != nil {
		t.Error(err)
	}
	for name, other := range map[string][]byte{
		"nothing":     nil,
		"cut off":     payload[1:],
		"a byte more": append(slices.Clone(payload), 0),
		"a share":     shares[0][1:],
	} {
		if err := m.CheckPayload(other); !errors.Is(err, ErrPayload) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m.PayloadSize++
	if err := m.CheckPayload(payload); !errors.Is(err, ErrPayload) {
		t.Errorf("of the right hash and another length: %v", err)
	}
	m.PayloadSize--
	for i := range payload {
		if err := m.CheckPayload(flipped(payload, i, 1)); !errors.Is(err, ErrPayload) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
}

// What is printed of a refused share or payload tells nothing of its bytes.
func TestErrorsTellNoBytes(t *testing.T) {
	m, _, shares := sample(3, 5)
	secret := append([]byte{1}, bytes.Repeat([]byte("S"), len(shares[0])-1)...)
	_, errShare := m.CheckShare(secret)
	errPayload := m.CheckPayload(secret[1:])
	for _, err := range []error{errShare, errPayload} {
		text := err.Error()
		if strings.Contains(text, "SS") || strings.Contains(text, "5353") || strings.Contains(text, "83 83") {
			t.Errorf("it says %q", text)
		}
	}
}
