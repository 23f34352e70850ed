package sim

import (
	"slices"
	"strings"
	"time"

	"github.com/vault-guardian/guardian/backend"
)

// storm is the part in which everything goes wrong that may.
func (w *world) storm() {
	length := time.Duration(10+w.rng.IntN(40)) * time.Second
	w.sched.weather = storms(w.rng)
	w.some(length, 4, func() { w.anySecret().pushNext(w.seconds(5, 30)) })
	if w.rng.IntN(4) == 0 {
		w.some(length, 1, func() { w.anySecret().remove(w.seconds(5, 30)) })
	}
	w.some(length, 6, w.damage)
	w.some(length, 3, w.crashAny)
	w.some(length, 2, w.partition)
	w.some(length, 2, w.press)
	w.some(length, 2, w.audit)
	w.some(length, 2, w.loseDisk)
	w.some(length, 3, func() { h := w.anyHost(); h.backup = h.snapshot() })
	for _, h := range w.hosts {
		if w.rng.IntN(3) == 0 {
			h.backup = h.snapshot()
		}
	}
	w.some(length, 3, func() { w.anyHost().skew.Store(w.rng.Int64N(int64(10*time.Minute)) - int64(5*time.Minute)) })
	if w.rng.IntN(4) == 0 {
		w.some(length, 2, func() { w.anyHost().start() }) // a second replica
	}
	w.sow()
	end := time.Now().Add(length)
	w.sched.after(3*time.Second, func() { w.keepUp(end) })
	w.run(length)
}

// some has something done up to so often at any time.
func (w *world) some(length time.Duration, most int, do func()) {
	for range w.rng.IntN(most + 1) {
		w.sched.after(time.Duration(w.rng.Int64N(int64(length))), do)
	}
}

func (w *world) seconds(least, most int) time.Duration {
	return time.Duration(least+w.rng.IntN(most-least)) * time.Second
}

func (w *world) anyHost() *host     { return w.hosts[w.rng.IntN(len(w.hosts))] }
func (w *world) anySecret() *secret { return w.secrets[w.rng.IntN(len(w.secrets))] }

// keepUp starts what has crashed, after a while.
func (w *world) keepUp(end time.Time) {
	for _, h := range w.hosts {
		if len(h.up) == 0 && !h.gone && w.rng.IntN(4) == 0 {
			h.start()
		}
	}
	if time.Now().Before(end) {
		w.sched.after(3*time.Second, func() { w.keepUp(end) })
	}
}

func (w *world) crashAny() {
	if h := w.anyHost(); len(h.up) > 0 {
		w.crash(h.up[w.rng.IntN(len(h.up))])
	}
}

// partition cuts a group off the others, in one direction or both, for a while.
func (w *world) partition() {
	w.count.Partitions++
	var group []int
	for i := range w.hosts {
		if w.rng.IntN(2) == 0 {
			group = append(group, i)
		}
	}
	oneWay, all := w.rng.IntN(4) == 0, w.rng.IntN(3) == 0
	w.note("partition: %v, one way %v, owners too %v", group, oneWay, all)
	change := func(by int) {
		for _, a := range group {
			for b := range w.hosts {
				if slices.Contains(group, b) {
					continue
				}
				w.apart[[2]int{a, b}] += by
				if !oneWay {
					w.apart[[2]int{b, a}] += by
				}
			}
			if all {
				w.apart[[2]int{outside, a}] += by
			}
		}
	}
	change(1)
	w.sched.after(w.seconds(3, 30), func() { change(-1) })
}

// damage changes or removes one object of a secret on one disk, as far as the
// design bears it.
func (w *world) damage() {
	h, s := w.anyHost(), w.anySecret()
	keys := h.objectsOf(s)
	// Without its canary a guardian starts only if its keys open something else.
	if _, canary := h.sound("integrity-canary"); !canary || len(keys) == 0 || !s.bears(h) {
		return
	}
	s.hit(h)
	w.count.Harms++
	if w.rng.IntN(6) == 0 { // all of it
		for _, key := range keys {
			h.wreck(key, nil)
		}
		return
	}
	key := keys[w.rng.IntN(len(keys))]
	// What is damaged twice, in its key id too, cannot be told from what was
	// sealed under a key that is not known yet, and stays as it is.
	if data, ok := h.sound(key); ok {
		h.wreck(key, w.spoil(data))
	}
}

// spoil is what becomes of an object: gone, cut off, or with another bit.
func (w *world) spoil(data []byte) []byte {
	how := w.rng.IntN(4)
	switch {
	case how == 0 || len(data) == 0:
		return nil
	case how == 1:
		return data[:w.rng.IntN(len(data))]
	}
	data[w.rng.IntN(len(data))] ^= 1 << w.rng.IntN(8)
	return data
}

func (h *host) objectsOf(s *secret) []string {
	var keys []string
	for key := range h.disk.mem.Objects() {
		if strings.HasPrefix(key, placeOf(s.slot)+"/") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func (h *host) wreck(key string, data []byte) {
	h.world.note("%s: %s is damaged", h.id, key)
	h.disk.wreck(key, data)
	h.wrecked[key+" "+string(data)] = true
}

// loseDisk puts a new disk in the place of one, or what was on it earlier.
func (w *world) loseDisk() {
	h := w.anyHost()
	if h.gone || !w.bearsLoss(h) {
		return
	}
	for len(h.up) > 0 {
		w.crash(h.up[0])
	}
	w.sched.forget(h)
	for _, s := range w.secrets {
		s.hit(h)
	}
	var objects map[string][]byte
	if h.backup != nil && w.rng.IntN(2) == 0 {
		objects, h.restored = h.backup, true
		w.count.Rollbacks++
	} else {
		w.count.DisksLost++
	}
	w.note("%s: another disk, with %d objects", h.id, len(objects))
	h.disk.replace(objects)
	w.sched.after(w.seconds(1, 20), func() {
		if len(h.up) == 0 && !h.gone {
			h.start()
		}
	})
}

// dropIntoInbox is an operator who leaves a file with identities.
func (w *world) dropIntoInbox(h *host) {
	var text strings.Builder
	for _, s := range w.secrets {
		text.WriteString(s.slot.Identity + " " + s.slot.Name + "\n")
	}
	_, _ = h.disk.put("queue/inbox/list.txt", []byte(text.String()), backend.AnyRevision)
}
