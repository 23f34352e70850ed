package recovery

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"slices"
	"sync"
	"time"
)

const (
	// Lifetime is how long an offer can be redeemed.
	Lifetime = time.Minute
	// maxOffers bounds the open offers of a helper, at about 1 KiB each.
	maxOffers = 4096
	// maxOffersPerCaller bounds those to one node. One that repairs many secrets
	// asks more helpers than it needs, and comes back to some of them at once.
	maxOffersPerCaller = 256
)

// terms say what an offer can be redeemed for.
type terms struct {
	caller [ed25519.PublicKeySize]byte
	record [sha256.Size]byte
	toward byte
}

// opened is an offer that was made and not redeemed.
type opened struct {
	terms
	at      time.Time
	public  [keySize]byte
	private *ecdh.PrivateKey
}

// table holds a helper's open offers. It is safe for concurrent use.
type table struct {
	rules *rules
	now   func() time.Time
	mu    sync.Mutex
	open  []*opened // oldest first
	count map[[ed25519.PublicKeySize]byte]int
}

func newTable(rules *rules, now func() time.Time) *table {
	return &table{rules: rules, now: now, count: make(map[[ed25519.PublicKeySize]byte]int)}
}

// add keeps an offer. A caller who has too many loses its oldest; when all do
// together, whoever has most does, so that no few can keep the others out.
// Error: ErrBusy.
func (t *table) add(terms terms, private *ecdh.PrivateKey) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire()
	if err := t.makeRoom(terms.caller); err != nil {
		return err
	}
	t.count[terms.caller]++
	t.open = append(t.open, &opened{
		terms: terms, at: t.now(), private: private, public: [keySize]byte(private.PublicKey().Bytes()),
	})
	return nil
}

// take redeems the offer that is named, or returns nil.
func (t *table) take(named [keySize]byte, terms terms) *ecdh.PrivateKey {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire()
	o := t.rules.pick(t.open, named, terms)
	if o == nil {
		return nil
	}
	private := o.private
	t.rules.spend(t, o)
	return private
}

// pick returns the very offer that is named, if it was made on these terms.
func pick(open []*opened, named [keySize]byte, terms terms) *opened {
	for _, o := range open {
		if o.public == named && o.terms == terms {
			return o
		}
	}
	return nil
}

func (t *table) sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire()
}

// expire drops what is too old, and after a clock was set back what is from the
// future.
func (t *table) expire() {
	now := t.now()
	t.open = slices.DeleteFunc(t.open, func(o *opened) bool {
		if t.rules.alive(now.Sub(o.at)) {
			return false
		}
		t.forget(o)
		return true
	})
}

func (t *table) makeRoom(caller [ed25519.PublicKeySize]byte) error {
	if t.count[caller] >= maxOffersPerCaller {
		t.dropOldest(caller)
	} else if len(t.open) >= maxOffers {
		most := t.greediest()
		if t.count[most] < 2 {
			return ErrBusy
		}
		t.dropOldest(most)
	}
	return nil
}

// greediest returns the caller with the most offers.
func (t *table) greediest() (most [ed25519.PublicKeySize]byte) {
	for _, o := range t.open {
		if t.count[o.caller] > t.count[most] {
			most = o.caller
		}
	}
	return most
}

func (t *table) dropOldest(caller [ed25519.PublicKeySize]byte) {
	for _, o := range t.open {
		if o.caller == caller {
			t.drop(o)
			return
		}
	}
}

func (t *table) drop(o *opened) {
	if i := slices.Index(t.open, o); i >= 0 {
		t.open = slices.Delete(t.open, i, i+1)
		t.forget(o)
	}
}

// forget drops the private key of an offer that leaves the table. Package ecdh
// has no way to overwrite one: what was one becomes garbage, which the runtime
// clears when it hands it out again.
func (t *table) forget(o *opened) {
	o.private = nil
	if t.count[o.caller]--; t.count[o.caller] <= 0 {
		delete(t.count, o.caller)
	}
}
