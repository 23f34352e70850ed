package peer

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// keptEach bounds the connections to one member that are kept for Conns to
// come. A handshake costs more than most calls.
const keptEach = 4

// kept are connections that no Conn uses, each for clientIdleTimeout. It is safe
// for concurrent use.
type kept struct {
	mu      sync.Mutex
	closed  bool
	waiting []*waiting // the one used last is the last
}

type waiting struct {
	conn  *http.ClientConn
	timer *time.Timer
}

// take returns a connection that was sound a moment ago, or nil.
func (k *kept) take() *http.ClientConn {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dropBroken()
	if len(k.waiting) == 0 {
		return nil
	}
	last := k.waiting[len(k.waiting)-1]
	k.waiting = k.waiting[:len(k.waiting)-1]
	last.timer.Stop()
	return last.conn
}

// put keeps a connection without a call on it, or closes it.
func (k *kept) put(conn *http.ClientConn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dropBroken()
	if k.closed || len(k.waiting) >= keptEach || conn.Available() == 0 {
		_ = conn.Close()
		return
	}
	entry := &waiting{conn: conn}
	entry.timer = time.AfterFunc(clientIdleTimeout, func() { k.expire(entry) })
	k.waiting = append(k.waiting, entry)
}

// expire does nothing to one that was taken just now.
func (k *kept) expire(entry *waiting) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if i := slices.Index(k.waiting, entry); i >= 0 {
		k.waiting = slices.Delete(k.waiting, i, i+1)
		_ = entry.conn.Close()
	}
}

// dropBroken forgets those that the member has closed.
func (k *kept) dropBroken() {
	k.waiting = slices.DeleteFunc(k.waiting, func(w *waiting) bool {
		broken := w.conn.Err() != nil
		if broken {
			w.timer.Stop()
		}
		return broken
	})
}

// close closes them all, and what is put later.
func (k *kept) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	for _, w := range k.waiting {
		w.timer.Stop()
		_ = w.conn.Close()
	}
	k.waiting = nil
}
