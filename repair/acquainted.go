package repair

import (
	"crypto/ed25519"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/vault-guardian/guardian/guardian"
)

const (
	// slotsRemembered bounds of how many slots it is remembered who knows them,
	// acquaintances how many for each.
	slotsRemembered = 8192
	acquaintances   = 4
)

// acquainted remembers which guardians have told of a slot, so that no others
// need be told of it. It is a hint, and is safe for concurrent use.
type acquainted struct {
	mu    sync.Mutex
	slots *simplelru.LRU[guardian.Slot, []ed25519.PublicKey]
}

func newAcquainted() *acquainted {
	slots, _ := simplelru.NewLRU[guardian.Slot, []ed25519.PublicKey](slotsRemembered, nil) // refuses a size of 0 only
	return &acquainted{slots: slots}
}

// note remembers that a guardian knows a slot, and forgets who told of it first.
func (a *acquainted) note(slot guardian.Slot, key ed25519.PublicKey) {
	if len(key) != ed25519.PublicKeySize {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	known, _ := a.slots.Get(slot)
	if contains(known, key) {
		return
	}
	known = append(known[:len(known):len(known)], key)
	a.slots.Add(slot, known[max(0, len(known)-acquaintances):])
}

// with returns who is remembered to know a slot.
func (a *acquainted) with(slot guardian.Slot) []ed25519.PublicKey {
	a.mu.Lock()
	defer a.mu.Unlock()
	known, _ := a.slots.Get(slot)
	return append([]ed25519.PublicKey(nil), known...)
}
