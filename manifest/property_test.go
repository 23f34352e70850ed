package manifest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func drawKey(t *rapid.T, label string) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(rapid.SliceOfN(rapid.Byte(), ed25519.SeedSize, ed25519.SeedSize).Draw(t, label))
}

func drawHash(t *rapid.T, label string) [sha256.Size]byte {
	return [sha256.Size]byte(rapid.SliceOfN(rapid.Byte(), sha256.Size, sha256.Size).Draw(t, label))
}

// drawManifest draws any manifest that can be signed, and its owner's key.
func drawManifest(t *rapid.T) (Manifest, ed25519.PrivateKey) {
	owner := drawKey(t, "owner")
	public := owner.Public().(ed25519.PublicKey)
	split := rapid.SliceOfN(rapid.Byte(), splitSize, splitSize).Draw(t, "split")
	m := Manifest{
		Identity: identityOf(public), Owner: public,
		Name:        rapid.StringMatching(`[A-Za-z0-9_-]{0,128}`).Draw(t, "name"),
		Version:     rapid.Uint64().Draw(t, "version"),
		Split:       hex.EncodeToString(split),
		PayloadSize: rapid.IntRange(1, MaxPayloadSize).Draw(t, "size"), PayloadSHA256: drawHash(t, "payload"),
		Holders: drawHolders(t),
	}
	m.Threshold = rapid.IntRange(2, len(m.Holders)).Draw(t, "threshold")
	m.Policy.Refresh = rapid.Bool().Draw(t, "refresh")
	m.Policy.MinThreshold = rapid.IntRange(2, 255).Draw(t, "least threshold")
	m.Policy.MaxHolders = rapid.IntRange(m.Policy.MinThreshold, 255).Draw(t, "most holders")
	if rapid.Bool().Draw(t, "admission") {
		m.Policy.Admission = drawKey(t, "admission key").Public().(ed25519.PublicKey)
	}
	return m, owner
}

func drawHolders(t *rapid.T) []Holder {
	points := rapid.MapOfN(rapid.ByteRange(1, 255), rapid.Bool(), 2, 40).Draw(t, "points")
	var holders []Holder
	for _, x := range slices.Sorted(maps.Keys(points)) {
		h := Holder{X: x, SHA256: drawHash(t, "share")}
		if points[x] {
			h.Node = rapid.StringMatching(`[a-z0-9-]{1,63}`).Draw(t, "node")
		}
		if rapid.Bool().Draw(t, "known key") {
			h.Key = publicOf(fmt.Sprint(x))
		}
		holders = append(holders, h)
	}
	return holders
}

func TestPropertySignThenParse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, owner := drawManifest(t)
		data, err := m.Sign(owner)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(data)
		if err != nil || !reflect.DeepEqual(*got, m) || len(data) > MaxSize {
			t.Fatalf("%+v became %+v, %v", m, got, err)
		}
	})
}

func TestPropertyChangedBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, owner := drawManifest(t)
		data, err := m.Sign(owner)
		if err != nil {
			t.Fatal(err)
		}
		changed := slices.Clone(data)
		places := rapid.SliceOfNDistinct(rapid.IntRange(0, len(data)-1), 1, 4, rapid.ID).Draw(t, "places")
		for _, i := range places {
			changed[i] ^= rapid.ByteRange(1, 255).Draw(t, "mask")
		}
		if _, err := Parse(changed); !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrSignature) {
			t.Fatalf("got %v", err)
		}
	})
}
