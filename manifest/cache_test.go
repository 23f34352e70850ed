package manifest

import (
	"bytes"
	"reflect"
	"testing"
)

// What a cache knows is what Parse says, before and after, and nothing that
// differs in a byte.
func TestCache(t *testing.T) {
	signed := readVectors(t).Valid[0].Manifest
	cache, err := NewCache(2)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		m, err := cache.Parse(signed)
		if err != nil || !reflect.DeepEqual(m, mustParse(t, signed)) {
			t.Fatalf("parsed %+v, %v", m, err)
		}
		for i := range signed {
			bent := bytes.Clone(signed)
			bent[i] ^= 1
			if _, err := cache.Parse(bent); err == nil {
				t.Fatalf("a manifest with another byte %d is taken", i)
			}
		}
		for _, bad := range [][]byte{nil, {}, make([]byte, MaxSize+1)} {
			if _, err := cache.Parse(bad); err == nil {
				t.Errorf("%d bytes are taken", len(bad))
			}
		}
	}
	if _, err := NewCache(0); err == nil {
		t.Error("a cache of nothing")
	}
}
