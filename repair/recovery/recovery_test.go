package recovery

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/shamir"
)

// checkRecovery has the share at x computed by the helpers given.
func checkRecovery(t tester, w *world, x byte, helpers ...byte) {
	t.Helper()
	offers := w.offers(t, x, helpers...)
	share, err := Rebuild(w.record, x, w.contributions(t, x, offers))
	if err != nil {
		t.Fatalf("rebuilding %d from %v: %v", x, helpers, err)
	}
	if !bytes.Equal(share, w.shares[x]) {
		t.Fatalf("rebuilt another share at %d from %v", x, helpers)
	}
	for _, i := range helpers {
		if w.open(i) != 0 {
			t.Fatalf("%d keeps %d offers", i, w.open(i))
		}
	}
}

func TestEverySubsetRecoversEveryShare(t *testing.T) {
	for n := 3; n <= 6; n++ {
		for k := 2; k < n; k++ {
			w := newWorld(t, randomBytes(1+n*k), k, upTo(n))
			for _, x := range w.points() {
				others := w.others(x)
				for set := range shamir.Subsets(len(others), k) {
					var helpers []byte
					for _, i := range set {
						helpers = append(helpers, others[i])
					}
					checkRecovery(t, w, x, helpers...)
				}
			}
		}
	}
}

func TestAnyClusterRecovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(3, 14), rapid.IntRange(3, 255)).Draw(t, "N")
		k := rapid.IntRange(2, min(n-1, 40)).Draw(t, "K")
		size := rapid.OneOf(rapid.IntRange(1, 100), rapid.IntRange(1, 64<<10)).Draw(t, "size")
		points := rapid.Permutation(upTo(255)).Draw(t, "points")[:n]
		w := newWorld(t, randomBytes(size), k, points)
		checkRecovery(t, w, points[0], points[1:1+k]...)
	})
}

func TestLargestCluster(t *testing.T) {
	w := newWorld(t, randomBytes(64<<10-1), 40, upTo(255))
	checkRecovery(t, w, 255, upTo(40)...)
	checkRecovery(t, w, 1, w.points()[215:]...)
}

// TestOrderOfOffers: helpers may get the offers in any order, each in another.
func TestOrderOfOffers(t *testing.T) {
	w := newWorld(t, randomBytes(40), 3, upTo(5))
	offers := w.offers(t, 5, 3, 1, 4)
	var masked [][]byte
	for _, o := range slices.Clone(offers) {
		slices.Reverse(offers[1:])
		before := slices.Clone(offers)
		part, err := w.contribute(o.X, 5, offers)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(before, offers, func(a, b Offer) bool { return a.X == b.X }) {
			t.Fatal("the caller's offers were put in another order")
		}
		masked = append(masked, part)
	}
	share, err := Rebuild(w.record, 5, masked)
	if err != nil || !bytes.Equal(share, w.shares[5]) {
		t.Fatal("not the share", err)
	}
}

func TestRebuildRefuses(t *testing.T) {
	w := newWorld(t, randomBytes(40), 3, upTo(5))
	masked := w.contributions(t, 5, w.offers(t, 5, 1, 2, 3))
	again := w.contributions(t, 5, w.offers(t, 5, 1, 2, 3))
	flipped := bytes.Clone(masked[1])
	flipped[39] ^= 1
	for name, c := range map[string]struct {
		x      byte
		masked [][]byte
	}{
		"none":               {5, nil},
		"too few":            {5, masked[:2]},
		"too many":           {5, append(slices.Clone(masked), make([]byte, 40))},
		"one bit":            {5, [][]byte{masked[0], flipped, masked[2]}},
		"one twice":          {5, [][]byte{masked[0], masked[0], masked[2]}},
		"of another session": {5, [][]byte{masked[0], again[1], masked[2]}},
		"short":              {5, [][]byte{masked[0], masked[1][:39], masked[2]}},
		"long":               {5, [][]byte{masked[0], append(bytes.Clone(masked[1]), 0), masked[2]}},
		"empty":              {5, [][]byte{masked[0], {}, masked[2]}},
		"another point":      {4, masked},
		"point 0":            {0, masked},
		"no point":           {6, masked},
	} {
		share, err := Rebuild(w.record, c.x, c.masked)
		if !errors.Is(err, ErrMismatch) || share != nil {
			t.Errorf("%s: got %d bytes, %v", name, len(share), err)
		}
	}
	if _, err := Rebuild(w.record, 5, masked); err != nil {
		t.Fatal(err)
	}
}

// TestOfferRefuses tells who gets no offer of node 1.
func TestOfferRefuses(t *testing.T) {
	w := newWorld(t, randomBytes(40), 3, upTo(5))
	foreign, _ := deal(t, randomBytes(40), 3, []byte{2, 3, 4, 5}, 2)
	unnamed := *w.record
	unnamed.Holders = slices.Clone(unnamed.Holders)
	unnamed.Holders[4].Key = nil
	for name, c := range map[string]struct {
		caller byte
		record *record.Record
		x      byte
		want   error
	}{
		"another's share":     {4, w.record, 5, ErrNotHolder},
		"an outsider":         {0, w.record, 5, ErrNotHolder},
		"the helper's own":    {1, w.record, 1, ErrNotHolder},
		"point 0":             {5, w.record, 0, ErrNotHolder},
		"a point of nobody":   {5, w.record, 6, ErrNotHolder},
		"no key in it":        {5, &unnamed, 5, ErrNotHolder},
		"helper not named":    {5, foreign, 5, ErrNoShare},
		"nothing to complain": {5, w.record, 5, nil},
	} {
		if _, err := w.helpers[1].Offer(nodeKey(c.caller).PublicKey(), c.record, c.x); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	caller := nodeKey(5).PublicKey()
	for _, key := range [][]byte{nil, {}, caller[:31], append(bytes.Clone(caller), 0), make([]byte, 32)} {
		if _, err := w.helpers[1].Offer(key, &unnamed, 5); !errors.Is(err, ErrNotHolder) {
			t.Errorf("a caller's key of %d bytes: %v", len(key), err)
		}
	}
	if w.open(1) != 1 {
		t.Errorf("%d offers are open", w.open(1))
	}
}

// TestKDifferentNames: whoever is not the holder is refused under every name.
func TestKDifferentNames(t *testing.T) {
	w := newWorld(t, randomBytes(40), 3, upTo(5))
	offers := w.offers(t, 5, 1, 2, 3)
	for _, name := range []byte{0, 1, 2, 3, 4} {
		for _, i := range w.others(name, 5) {
			key := nodeKey(name).PublicKey()
			if _, err := w.helpers[i].Offer(key, w.record, 5); !errors.Is(err, ErrNotHolder) {
				t.Errorf("offer of %d to %d: %v", i, name, err)
			}
			if _, err := w.helpers[i].Contribute(key, w.record, w.shares[i], 5, offers); !errors.Is(err, ErrNotHolder) {
				t.Errorf("contribution of %d to %d: %v", i, name, err)
			}
		}
	}
	// None of it has used up an offer to the holder.
	if share, err := Rebuild(w.record, 5, w.contributions(t, 5, offers)); err != nil || !bytes.Equal(share, w.shares[5]) {
		t.Fatal("not the share", err)
	}
}

// TestContributeRefuses: node 1 is asked in the name of 5; its offer is offers[0].
func TestContributeRefuses(t *testing.T) {
	change := func(f func(*Offer)) func(*world, []Offer) []Offer {
		return func(_ *world, offers []Offer) []Offer {
			offers[1].Key, offers[1].Signature = bytes.Clone(offers[1].Key), bytes.Clone(offers[1].Signature)
			f(&offers[1])
			return offers
		}
	}
	for name, c := range map[string]struct {
		offers func(*world, []Offer) []Offer
		open   int // what is left of node 1's one offer
	}{
		"none":          {func(*world, []Offer) []Offer { return nil }, 1},
		"too few":       {func(_ *world, o []Offer) []Offer { return o[:2] }, 1},
		"too many":      {func(w *world, o []Offer) []Offer { return append(o, w.sign(4, 5, newKey())) }, 1},
		"one twice":     {func(_ *world, o []Offer) []Offer { return []Offer{o[0], o[1], o[1]} }, 1},
		"own twice":     {func(_ *world, o []Offer) []Offer { return []Offer{o[0], o[1], o[0]} }, 1},
		"two of one":    {func(w *world, o []Offer) []Offer { return []Offer{o[0], o[1], w.sign(2, 5, newKey())} }, 1},
		"own missing":   {func(w *world, o []Offer) []Offer { return []Offer{w.sign(4, 5, newKey()), o[1], o[2]} }, 1},
		"own not open":  {func(w *world, o []Offer) []Offer { return []Offer{w.sign(1, 5, newKey()), o[1], o[2]} }, 1},
		"one at x_j":    {func(w *world, o []Offer) []Offer { return []Offer{o[0], o[1], w.sign(5, 5, newKey())} }, 1},
		"toward other":  {func(w *world, o []Offer) []Offer { return []Offer{o[0], o[1], w.sign(3, 4, newKey())} }, 0},
		"low order":     {func(w *world, o []Offer) []Offer { return []Offer{o[0], o[1], w.sign(3, 5, make([]byte, 32))} }, 0},
		"no holder":     {change(func(o *Offer) { o.X = 6 }), 0},
		"another point": {change(func(o *Offer) { o.X = 4 }), 0},
		"point 0":       {change(func(o *Offer) { o.X = 0 }), 0},
		"key":           {change(func(o *Offer) { o.Key[0] ^= 1 }), 0},
		"short key":     {change(func(o *Offer) { o.Key = o.Key[:31] }), 0},
		"long key":      {change(func(o *Offer) { o.Key = append(o.Key, 0) }), 0},
		"no key":        {change(func(o *Offer) { o.Key = nil }), 0},
		"signature":     {change(func(o *Offer) { o.Signature[0] ^= 1 }), 0},
		"no signature":  {change(func(o *Offer) { o.Signature = nil }), 0},
		"long signature": {change(func(o *Offer) {
			o.Signature = append(o.Signature, 0)
		}), 0},
	} {
		w := newWorld(t, randomBytes(40), 3, upTo(5))
		offers := c.offers(w, w.offers(t, 5, 1, 2, 3))
		part, err := w.contribute(1, 5, offers)
		if !errors.Is(err, ErrOffers) || part != nil {
			t.Errorf("%s: got %d bytes, %v", name, len(part), err)
		}
		if w.open(1) != c.open {
			t.Errorf("%s: %d offers are open, want %d", name, w.open(1), c.open)
		}
	}
}

// TestHolderWithoutKey: a holder whom the record does not know cannot help.
func TestHolderWithoutKey(t *testing.T) {
	w := newWorld(t, randomBytes(40), 3, upTo(5))
	w.record.Holders[1].Key = nil
	offers := append(w.offers(t, 5, 1, 3), w.sign(2, 5, newKey()))
	if _, err := w.contribute(1, 5, offers); !errors.Is(err, ErrOffers) {
		t.Error(err)
	}
	if err := CheckOffer(w.record, 5, 2, offers[2]); !errors.Is(err, ErrOffers) {
		t.Error(err)
	}
}

// TestOwnShareIsChecked: what is not the record's goes into no sum.
func TestOwnShareIsChecked(t *testing.T) {
	flip := func(at int) func([]byte) []byte {
		return func(share []byte) []byte { share[at] ^= 1; return share }
	}
	for name, change := range map[string]func([]byte) []byte{
		"first byte": flip(1), "last byte": flip(40), "point": flip(0),
		"short": func(share []byte) []byte { return share[:40] },
		"long":  func(share []byte) []byte { return append(share, 0) },
		"none":  func([]byte) []byte { return nil },
	} {
		w := newWorld(t, randomBytes(40), 3, upTo(5))
		offers := w.offers(t, 5, 1, 2, 3)
		w.shares[1] = change(bytes.Clone(w.shares[1]))
		if part, err := w.contribute(1, 5, offers); !errors.Is(err, ErrNoShare) || part != nil {
			t.Errorf("%s: got %d bytes, %v", name, len(part), err)
		}
	}
}

func TestCheckOffer(t *testing.T) {
	w := newWorld(t, randomBytes(40), 3, upTo(5))
	other, _ := deal(t, randomBytes(40), 3, upTo(5), 2)
	good := w.offers(t, 5, 1)[0]
	with := func(f func(*Offer)) Offer {
		o := Offer{X: good.X, Key: bytes.Clone(good.Key), Signature: bytes.Clone(good.Signature)}
		f(&o)
		return o
	}
	for name, err := range map[string]error{
		"another helper":  CheckOffer(w.record, 5, 2, good),
		"another point":   CheckOffer(w.record, 4, 1, good),
		"another record":  CheckOffer(other, 5, 1, good),
		"one's own":       CheckOffer(w.record, 5, 5, w.sign(5, 5, newKey())),
		"moved":           CheckOffer(w.record, 5, 2, with(func(o *Offer) { o.X = 2 })),
		"key":             CheckOffer(w.record, 5, 1, with(func(o *Offer) { o.Key[31] ^= 1 })),
		"short key":       CheckOffer(w.record, 5, 1, with(func(o *Offer) { o.Key = o.Key[1:] })),
		"signature":       CheckOffer(w.record, 5, 1, with(func(o *Offer) { o.Signature[63] ^= 1 })),
		"short signature": CheckOffer(w.record, 5, 1, with(func(o *Offer) { o.Signature = o.Signature[1:] })),
		"nothing":         CheckOffer(w.record, 5, 0, Offer{}),
		"no holder":       CheckOffer(w.record, 5, 6, with(func(o *Offer) { o.X = 6 })),
	} {
		if !errors.Is(err, ErrOffers) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, key := range lowOrder {
		if err := CheckOffer(w.record, 5, 1, w.sign(1, 5, key)); !errors.Is(err, ErrOffers) {
			t.Errorf("the key %s: %v", name, err)
		}
	}
	if err := CheckOffer(w.record, 5, 1, good); err != nil {
		t.Error(err)
	}
}

// TestErrorsAreMute: no error holds a byte of a key or share in any usual form.
func TestErrorsAreMute(t *testing.T) {
	w := newWorld(t, bytes.Repeat([]byte("tell-nobody-"), 4), 3, upTo(5))
	offers := w.offers(t, 5, 1, 2, 3)
	_, errShare := w.helpers[1].Contribute(nodeKey(5).PublicKey(), w.record, w.shares[2], 5, offers)
	_, errSpent := w.contribute(1, 5, offers)
	offers[0].Key = offers[1].Key
	_, errSigned := w.contribute(2, 5, offers)
	_, errMismatch := Rebuild(w.record, 5, [][]byte{w.shares[1][1:], w.shares[2][1:], w.shares[3][1:]})
	for _, err := range []error{errShare, errSpent, errSigned, errMismatch} {
		if err == nil {
			t.Fatal("no error")
		}
		secrets := append(slices.Collect(maps.Values(w.shares)), w.secret, offers[0].Key, offers[1].Key, offers[2].Key)
		for _, secret := range secrets {
			if quotes(err.Error(), secret) {
				t.Errorf("quotes a secret: %v", err)
			}
		}
	}
}

// TestAnswersAreNoise: where all shares are zeros the answers are the masks
// alone. No K-1 of them add up to anything but noise, nor do those of two runs.
func TestAnswersAreNoise(t *testing.T) {
	const size, k = 64 << 10, 3
	w := newWorld(t, make([]byte, size), k, upTo(5))
	for i, holder := range w.record.Holders {
		clear(w.shares[holder.X][1:]) // the one polynomial that hides nothing
		w.record.Holders[i].SHA256 = sha256.Sum256(w.shares[holder.X])
	}
	first := w.contributions(t, 5, w.offers(t, 5, 1, 2, 3))
	second := w.contributions(t, 5, w.offers(t, 5, 1, 2, 3))
	for i := range k {
		noise(t, "an answer", first[i])
		noise(t, "two answers of one helper", sum(first[i], second[i]))
		noise(t, "all but one", sum(first[i], first[(i+1)%k]))
		noise(t, "all but one, of two runs", sum(first[i], first[(i+1)%k], second[i], second[(i+1)%k]))
	}
	if !bytes.Equal(sum(first...), sum(second...)) {
		t.Error("all together are not the share")
	}
}

// noise wants the bytes to be as often one value as another. Chi squared with
// 255 degrees of freedom is above 400 once in 10^8 times.
func noise(t *testing.T, what string, data []byte) {
	t.Helper()
	var count [256]int
	for _, b := range data {
		count[b]++
	}
	want, chi := float64(len(data))/256, 0.0
	for _, c := range count {
		chi += (float64(c) - want) * (float64(c) - want) / want
	}
	if chi > 400 {
		t.Errorf("%s: chi squared is %.0f", what, chi)
	}
}

func sum(parts ...[]byte) []byte {
	weights := bytes.Repeat([]byte{1}, len(parts))
	return shamir.WeightedSum(weights, parts)
}
