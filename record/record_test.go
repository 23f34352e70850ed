package record

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"github.com/vault-guardian/guardian/manifest"
)

func TestManifestIsTheRecordOfEpoch0(t *testing.T) {
	m := sample(3, 5)
	data := signed0(t, m)
	r := mustParse(t, data)
	if r.Epoch != 0 || r.Hash != sha256.Sum256(data) || r.Base != [32]byte{} || r.Lineage != [32]byte{} ||
		r.Identity != m.Identity || r.Name != m.Name || r.Version != 7 || r.Threshold != 3 ||
		r.Split != m.Split || r.ShareSize != 11 || len(r.Holders) != 5 || r.Manifest.Identity != m.Identity {
		t.Errorf("got %+v", r)
	}
	if !r.Follows(r.Hash) || r.Follows([32]byte{}) || !r.Vouched(r) {
		t.Error("it does not follow itself, or follows nothing")
	}
	if err := r.Check(4, shareOf(4, 0)); err != nil {
		t.Error(err)
	}
}

func TestParseWithAnotherParser(t *testing.T) {
	chain := round(t, signed0(t, sample(3, 5)), among(3, upTo(5)...))
	asked := 0
	r, err := ParseWith(func(data []byte) (*manifest.Manifest, error) {
		asked++
		return manifest.Parse(data)
	}, chain)
	if err != nil || r.Epoch != 1 || asked != 1 {
		t.Errorf("%+v, %v after %d", r, err, asked)
	}
	failing := errors.New("not today")
	if r, err := ParseWith(func([]byte) (*manifest.Manifest, error) { return nil, failing }, chain); r != nil || !errors.Is(err, failing) {
		t.Errorf("%v, %v", r, err)
	}
}

func TestCheckOfShares(t *testing.T) {
	first := signed0(t, sample(3, 5))
	base := mustParse(t, first)
	seed := seedOf(0)
	r, body, err := Next(base, among(3, upTo(6)...), seed)
	if err != nil {
		t.Fatal(err)
	}
	c := votes(t, base, r, seed, points(base)...)
	c.Prepared = c.Prepared[:4] // 5 and 6 were away
	chain, err := Extend(first, body, c)
	if err != nil {
		t.Fatal(err)
	}
	r = mustParse(t, chain)
	for name, c := range map[string]struct {
		x     byte
		share []byte
		want  error
	}{
		"the share":            {2, shareOf(2, 1), nil},
		"that of before":       {2, shareOf(2, 0), ErrShare},
		"another's":            {2, shareOf(3, 1), ErrShare},
		"none":                 {2, nil, ErrShare},
		"too long":             {2, append(shareOf(2, 1), 0), ErrShare},
		"of nobody":            {9, shareOf(9, 1), ErrShare},
		"of no point":          {0, shareOf(0, 1), ErrShare},
		"no hash":              {6, shareOf(6, 1), ErrNoHash},
		"no hash, too short":   {6, shareOf(6, 1)[:10], ErrShare},
		"no hash, other point": {6, shareOf(5, 1), ErrShare},
		"no hash, empty":       {6, []byte{}, ErrShare},
	} {
		if err := r.Check(c.x, c.share); !errors.Is(err, c.want) || errors.Is(err, ErrShare) && errors.Is(err, ErrNoHash) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Nobody has the nil key, which a manifest has for who was not known.
func TestNobodyHasNoKey(t *testing.T) {
	m := sample(3, 5)
	m.Holders[4].Key, m.Holders[4].Node = nil, ""
	r := mustParse(t, signed0(t, m))
	if _, known := r.Of(nil); known || r.Named(nil) || r.Named([]byte{}) {
		t.Error("somebody has the nil key")
	}
	if h, known := r.Of(publicOf(2)); !known || h.X != 2 || !r.Named(publicOf(2)) || r.Named(publicOf(5)) {
		t.Errorf("the second is %+v", h)
	}
}

func TestNext(t *testing.T) {
	base := mustParse(t, signed0(t, sample(3, 5)))
	p := among(4, 2, 3, 4, 5, 9, 200)
	r, body, err := Next(base, p, seedOf(1))
	if err != nil {
		t.Fatal(err)
	}
	again, same, err := Next(base, p, seedOf(1))
	if err != nil || !bytes.Equal(body, same) || again.Hash != r.Hash {
		t.Errorf("made again it is another: %v", err)
	}
	if r.Epoch != 1 || r.Threshold != 4 || r.Base != base.Hash || r.Hash != sha256.Sum256(body) ||
		r.Split == base.Split || len(r.Split) != 32 || !slices.Equal(points(r), []byte{2, 3, 4, 5, 9, 200}) {
		t.Errorf("got %+v", r)
	}
	if !r.Follows(base.Hash) || !r.Follows(r.Hash) || !r.Named(publicOf(1)) || !r.Named(publicOf(200)) || r.Named(publicOf(6)) {
		t.Error("it forgets its base, or names others")
	}
	other, otherBody, err := Next(base, p, seedOf(2))
	if err != nil || bytes.Equal(body, otherBody) || other.Split == r.Split {
		t.Errorf("another seed makes no other record: %v", err)
	}
	if base.Epoch != 0 || base.Follows(r.Hash) || base.Named(publicOf(200)) {
		t.Error("the base was changed")
	}
}

func TestQuorum(t *testing.T) {
	for _, c := range []struct{ k, n, want int }{
		{2, 3, 3}, {3, 4, 4}, {3, 5, 4}, {3, 14, 10}, {12, 14, 13}, {85, 255, 170}, {254, 255, 255}, {33, 100, 67},
	} {
		if got := Quorum(among(c.k, upTo(c.n)...)); got != c.want {
			t.Errorf("%d of %d: %d in place of %d", c.k, c.n, got, c.want)
		}
	}
}
