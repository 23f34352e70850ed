package repair

import (
	"crypto/ed25519"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/vault-guardian/guardian/guardian"
)

const (
	// noticesRemembered bounds how many hints are remembered.
	noticesRemembered = 16384
	noticeAgain       = time.Hour
)

// noticed remembers the hints that were given, those in this node's own log as
// told to itself. It is safe for concurrent use.
type noticed struct {
	mu    sync.Mutex
	given *simplelru.LRU[notice, time.Time]
}

// notice is a hint about a slot to who has the key.
type notice struct {
	slot guardian.Slot
	to   [ed25519.PublicKeySize]byte
}

func newNoticed() *noticed {
	given, _ := simplelru.NewLRU[notice, time.Time](noticesRemembered, nil) // refuses a size of 0 only
	return &noticed{given: given}
}

// first reports whether a hint was not given within the last hour, and takes it
// for given. A time in the future, of a clock that was set back, is long ago.
func (n *noticed) first(slot guardian.Slot, key ed25519.PublicKey, now time.Time) bool {
	if len(key) != ed25519.PublicKeySize {
		return false
	}
	this := notice{slot, [ed25519.PublicKeySize]byte(key)}
	n.mu.Lock()
	defer n.mu.Unlock()
	at, known := n.given.Get(this)
	if since := now.Sub(at); known && since >= 0 && since < noticeAgain {
		return false
	}
	n.given.Add(this, now)
	return true
}
