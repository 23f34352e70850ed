package recovery

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestOfferIsRedeemedOnce(t *testing.T) {
	w := newWorld(t, randomBytes(40), 3, upTo(5))
	offers := w.offers(t, 5, 1, 2, 3)
	if _, err := w.contribute(1, 5, offers); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := w.contribute(1, 5, offers); !errors.Is(err, ErrOffers) {
			t.Errorf("redeemed again: %v", err)
		}
	}
	other := append(w.offers(t, 5, 4), offers[0], offers[1])
	if _, err := w.contribute(1, 5, other); !errors.Is(err, ErrOffers) {
		t.Errorf("redeemed in another set: %v", err)
	}
}

// TestOneWinner: of many who redeem an offer at once one gets something.
func TestOneWinner(t *testing.T) {
	w := newWorld(t, randomBytes(40), 3, upTo(5))
	for range 20 {
		offers := w.offers(t, 5, 1, 2, 3)
		var won atomic.Int32
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				if _, err := w.contribute(1, 5, offers); err == nil {
					won.Add(1)
				}
			})
		}
		group.Wait()
		if won.Load() != 1 {
			t.Fatalf("redeemed %d times", won.Load())
		}
	}
}

// TestManyAtOnce has every node recover its share from three others, all at the
// same time and several times.
func TestManyAtOnce(t *testing.T) {
	w := newWorld(t, randomBytes(40), 3, upTo(6))
	var group sync.WaitGroup
	for _, x := range w.points() {
		for turn := range 3 {
			group.Go(func() {
				helpers := w.others(x)
				share, err := w.tryRecovery(x, helpers[turn:turn+3])
				if err != nil || !bytes.Equal(share, w.shares[x]) {
					t.Errorf("recovering %d: %v", x, err)
				}
			})
		}
	}
	group.Wait()
}

func (w *world) tryRecovery(x byte, helpers []byte) ([]byte, error) {
	var offers []Offer
	for _, i := range helpers {
		o, err := w.helpers[i].Offer(public(x), w.record, x)
		if err != nil {
			return nil, err
		}
		offers = append(offers, o)
	}
	var masked [][]byte
	for _, i := range helpers {
		part, err := w.contribute(i, x, offers)
		if err != nil {
			return nil, err
		}
		masked = append(masked, part)
	}
	return Rebuild(w.record, x, masked)
}

func TestOfferExpires(t *testing.T) {
	for after, want := range map[time.Duration]error{
		0:                          nil,
		Lifetime - time.Nanosecond: nil,
		Lifetime:                   ErrOffers,
		24 * time.Hour:             ErrOffers,
		-time.Nanosecond:           ErrOffers, // a clock that was set back says nothing of the age
	} {
		w := newWorld(t, randomBytes(40), 3, upTo(5))
		offers := w.offers(t, 5, 1, 2, 3)
		w.clock.move(after)
		if _, err := w.contribute(1, 5, offers); !errors.Is(err, want) {
			t.Errorf("after %v: %v", after, err)
		}
		if w.open(1) != 0 {
			t.Errorf("after %v: a spent or expired offer is kept", after)
		}
	}
}

// TestExpiredKeysAreDropped: by each call, whatever it asks for, and by Expire.
func TestExpiredKeysAreDropped(t *testing.T) {
	for name, call := range map[string]func(*world){
		"Expire":     func(w *world) { w.helpers[1].Expire() },
		"Offer":      func(w *world) { _, _ = w.helpers[1].Offer(public(4), w.record, 4) },
		"Contribute": func(w *world) { _, _ = w.contribute(1, 4, []Offer{{X: 1}, {X: 2}, {X: 3}}) },
	} {
		w := newWorld(t, randomBytes(40), 3, upTo(5))
		w.offers(t, 5, 1, 1, 1)
		kept := append([]*opened(nil), w.helpers[1].offers.open...)
		w.clock.move(Lifetime)
		call(w)
		for _, o := range kept {
			if o.private != nil {
				t.Errorf("%s leaves a private key", name)
			}
		}
	}
}

// TestTerms: an offer is good for the caller, record and point it was made for.
func TestTerms(t *testing.T) {
	w := newWorld(t, randomBytes(40), 3, upTo(5))
	other, shares := deal(t, randomBytes(40), 3, upTo(5), 2)
	offers := w.offers(t, 5, 1, 2, 3)
	// Each of these has right signatures for what it claims, but for node 1's.
	forPoint := []Offer{offers[0], w.sign(2, 4, newKey()), w.sign(3, 4, newKey())}
	if _, err := w.contribute(1, 4, forPoint); !errors.Is(err, ErrOffers) {
		t.Errorf("for another point: %v", err)
	}
	_, err := w.helpers[1].Contribute(public(5), other, shares[1], 5, offers)
	if !errors.Is(err, ErrOffers) {
		t.Errorf("for another record: %v", err)
	}
	if w.open(1) != 1 {
		t.Fatal("others have used up the offer")
	}
	if _, err := w.contribute(1, 5, offers); err != nil {
		t.Fatal(err)
	}
}

// TestOffersAreBounded: a caller with too many loses the oldest of its own.
func TestOffersAreBounded(t *testing.T) {
	w := newWorld(t, randomBytes(40), 3, upTo(5))
	first, others := w.offers(t, 5, 1)[0], w.offers(t, 5, 2, 3)
	fourth := w.offers(t, 4, 1, 2, 3)
	for range maxOffersPerCaller - 1 {
		w.offers(t, 5, 1)
	}
	if w.open(1) != maxOffersPerCaller+1 {
		t.Fatalf("%d offers are open", w.open(1))
	}
	last := w.offers(t, 5, 1)[0]
	if w.open(1) != maxOffersPerCaller+1 {
		t.Fatalf("%d offers are open after one more", w.open(1))
	}
	if _, err := w.contribute(1, 5, append(others, first)); !errors.Is(err, ErrOffers) {
		t.Errorf("the oldest: %v", err)
	}
	if _, err := w.contribute(1, 5, append(others, last)); err != nil {
		t.Errorf("the newest: %v", err)
	}
	if _, err := w.contribute(1, 4, fourth); err != nil {
		t.Errorf("that of another caller: %v", err)
	}
}

// TestNothingIsLeft: what was counted of a caller goes with its last offer.
func TestNothingIsLeft(t *testing.T) {
	w := newWorld(t, randomBytes(40), 3, upTo(5))
	table := w.helpers[1].offers
	offers := w.offers(t, 5, 1, 2, 3)
	w.offers(t, 4, 1, 1)
	if table.count[[32]byte(public(5))] != 1 || table.count[[32]byte(public(4))] != 2 {
		t.Fatalf("counted %v", table.count)
	}
	if _, err := w.contribute(1, 5, offers); err != nil {
		t.Fatal(err)
	}
	w.clock.move(Lifetime)
	w.helpers[1].Expire()
	if len(table.count) != 0 || len(table.open) != 0 {
		t.Errorf("%d callers and %d offers are left", len(table.count), len(table.open))
	}
}

// TestFewCannotKeepOutTheOthers: in a full table, who has most makes room.
func TestFewCannotKeepOutTheOthers(t *testing.T) {
	h := NewHelper(nodeKey(1), time.Now)
	key, err := drawKey()
	if err != nil {
		t.Fatal(err)
	}
	add := func(caller int) error {
		return h.offers.add(terms{caller: [32]byte{byte(caller), byte(caller >> 8)}}, key)
	}
	const modest = 1000 // have one offer each, older than all others
	greedy := maxOffers/maxOffersPerCaller - 1
	for i := range maxOffers {
		caller := i
		if i >= modest {
			caller = modest + i%greedy
		}
		if err := add(caller); err != nil {
			t.Fatal(err)
		}
	}
	for i := modest + greedy; i < maxOffers; i++ {
		if err := add(i); err != nil || len(h.offers.open) != maxOffers {
			t.Fatalf("caller %d: %d offers, %v", i, len(h.offers.open), err)
		}
	}
	count := make(map[[32]byte]int)
	for _, o := range h.offers.open {
		count[o.caller]++
	}
	if len(count) != maxOffers {
		t.Fatalf("%d callers have offers, want %d", len(count), maxOffers)
	}
	if err := add(maxOffers); !errors.Is(err, ErrBusy) {
		t.Errorf("one too many: %v", err)
	}
	if err := add(0); !errors.Is(err, ErrBusy) {
		t.Errorf("a second one in a full table: %v", err)
	}
}
