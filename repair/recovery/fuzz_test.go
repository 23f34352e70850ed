package recovery

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// FuzzContribute edits the offers that node 1 gets for x_j = 5, each edit being
// [kind][which][place][difference], and tells by itself which lists are good.
func FuzzContribute(f *testing.F) {
	f.Add(byte(5), []byte{})
	f.Add(byte(5), []byte{0, 1, 2, 1})
	f.Add(byte(5), []byte{1, 1, 3, 0, 1, 1, 0, 0})
	f.Add(byte(5), []byte{2, 2, 0, 0})
	f.Add(byte(5), []byte{3, 0, 2, 0})
	f.Add(byte(5), []byte{4, 1, 31, 128, 5, 2, 63, 1})
	f.Add(byte(5), []byte{6, 1, 40, 0, 7, 2, 0, 0})
	f.Add(byte(0), []byte{})
	f.Add(byte(1), []byte{0, 0, 0, 1})
	f.Add(byte(5), bytes.Repeat([]byte{1, 1, 3, 0}, 100))
	w := newWorld(f, bytes.Repeat([]byte("0123456789"), 4), 3, upTo(5))
	genuine := w.offers(f, 5, 1, 2, 3, 4)
	table := w.helpers[1].offers
	made := *table.open[0]
	f.Fuzz(func(t *testing.T, x byte, edits []byte) {
		again := made
		table.open = []*opened{&again}
		offers := edited(genuine, edits)
		part, err := w.helpers[1].Contribute(public(5), w.record, w.shares[1], x, offers)
		switch good := x == 5 && isGood(genuine, offers); {
		case good && (err != nil || len(part) != 40 || bytes.Equal(part, w.shares[1][1:])):
			t.Fatalf("a good list: %d bytes, %v", len(part), err)
		case !good && (part != nil || !errors.Is(err, ErrOffers) && !errors.Is(err, ErrNotHolder)):
			t.Fatalf("a bad list: %d bytes, %v", len(part), err)
		}
		if _, err := w.helpers[1].Contribute(public(5), w.record, w.shares[1], x, offers); err == nil {
			t.Fatal("redeemed twice")
		}
	})
}

// edited begins with the first three offers.
func edited(genuine []Offer, edits []byte) []Offer {
	offers := slices.Clone(genuine[:3])
	for ; len(edits) >= 4 && len(offers) > 0 && len(offers) < 300; edits = edits[4:] {
		which, place, by := int(edits[1])%len(offers), int(edits[2]), edits[3]
		o := &offers[which]
		switch edits[0] % 8 {
		case 0:
			o.X ^= by
		case 1:
			offers = append(offers, genuine[place%len(genuine)])
		case 2:
			offers = slices.Delete(offers, which, which+1)
		case 3:
			offers[which], offers[place%len(offers)] = offers[place%len(offers)], offers[which]
		case 4:
			o.Key = changed(o.Key, place, by)
		case 5:
			o.Signature = changed(o.Signature, place, by)
		case 6:
			o.Key = slices.Concat(o.Key, o.Key)[:place%(2*len(o.Key)+1)]
		case 7:
			o.Signature = o.Signature[:place%(len(o.Signature)+1)]
		}
	}
	return offers
}

func changed(data []byte, place int, by byte) []byte {
	data = bytes.Clone(data)
	if len(data) > 0 {
		data[place%len(data)] ^= by
	}
	return data
}

// isGood: three different ones of the genuine offers, the first among them.
func isGood(genuine, offers []Offer) bool {
	found := make(map[int]bool)
	for _, o := range offers {
		found[slices.IndexFunc(genuine, func(g Offer) bool {
			return g.X == o.X && bytes.Equal(g.Key, o.Key) && bytes.Equal(g.Signature, o.Signature)
		})] = true
	}
	return len(offers) == 3 && len(found) == 3 && found[0] && !found[-1]
}

// FuzzCheckOffer: nobody but the holder makes an offer.
func FuzzCheckOffer(f *testing.F) {
	w := newWorld(f, make([]byte, 40), 3, upTo(5))
	o := w.offers(f, 5, 1)[0]
	f.Add(byte(5), byte(1), o.X, o.Key, o.Signature)
	f.Add(byte(4), byte(1), o.X, o.Key, o.Signature)
	f.Add(byte(5), byte(2), byte(2), o.Key, o.Signature)
	f.Add(byte(0), byte(0), byte(0), []byte{}, []byte{})
	f.Add(byte(5), byte(1), byte(1), make([]byte, 32), make([]byte, 64))
	f.Add(byte(255), byte(254), byte(254), o.Key[:31], append(o.Signature, 0))
	f.Fuzz(func(t *testing.T, x, from, own byte, key, signature []byte) {
		// Ed25519 signatures are deterministic, so those of earlier runs are good
		// still, and of these there is one.
		same := x == 5 && from == 1 && own == 1 && bytes.Equal(key, o.Key) && bytes.Equal(signature, o.Signature)
		err := CheckOffer(w.record, x, from, Offer{X: own, Key: key, Signature: signature})
		if same != (err == nil) || err != nil && !errors.Is(err, ErrOffers) {
			t.Fatalf("the genuine one: %v, got %v", same, err)
		}
	})
}
