package sim

import (
	"slices"
	"time"

	"github.com/vault-guardian/guardian/repair"
	"github.com/vault-guardian/guardian/repair/round"
)

// stormOfMoves is the storm of runs in which shares are moved. It is short.
func (w *world) stormOfMoves() {
	length := w.seconds(8, 25)
	w.sched.weather = stormsOfMoves(w.rng)
	for range 1 + w.rng.IntN(2) {
		w.sched.after(time.Duration(w.rng.Int64N(int64(length*2/3))), w.pressOrders)
	}
	if w.rng.IntN(2) == 0 {
		w.some(length, 2, func() { w.anySecret().pushNext(w.seconds(5, 20)) })
	}
	if w.rng.IntN(12) == 0 {
		w.some(length, 1, func() { w.anySecret().remove(w.seconds(5, 20)) })
	}
	w.some(length, 2, w.damage)
	w.some(length, 2, w.crashAny)
	w.some(length, 1, w.partition)
	w.some(length, 1, w.cutRegistry)
	w.some(length, 1, w.loseDisk)
	w.some(length, 1, func() { h := w.anyHost(); h.backup = h.snapshot() })
	w.skewClocks()
	if w.rng.IntN(4) == 0 || w.moves.replace > 0 {
		w.some(length, 1, w.die)
	}
	if w.rng.IntN(6) == 0 {
		w.some(length, 1, func() { // a second replica
			if h := w.anyHost(); !h.gone {
				h.start()
			}
		})
	}
	if w.moves.registry.emptied && !w.plant.votesTwice {
		w.some(length, 1, w.moves.registry.empty)
	}
	w.sow()
	end := time.Now().Add(length)
	w.sched.after(3*time.Second, func() { w.keepUp(end) })
	w.sched.after(2*time.Second, func() { w.lookOften(end) })
	w.run(length)
}

// mostSkew is more than a round is held for: then one is taken over that goes on.
const mostSkew = round.Lease + time.Minute

// skewClocks sets some wrong.
func (w *world) skewClocks() {
	if w.rng.IntN(2) == 0 && !w.plant.ignoresTurns {
		return
	}
	for _, h := range w.hosts {
		if w.rng.IntN(2) == 0 {
			h.skew.Store(w.rng.Int64N(int64(2*mostSkew)) - int64(mostSkew))
		}
	}
}

// strike is what happens of all times when a round was just committed, in some
// runs: its coordinator crashes, and the registry loses what it had, while
// somebody else wants the same to be moved.
func (w *world) strike(p *process) {
	m := w.moves
	if w.sched.weather == (weather{}) || w.rng.IntN(4) > 0 && !m.registry.emptied {
		return
	}
	w.sched.after(0, func() {
		w.crash(p)
		if m.registry.emptied {
			m.registry.empty()
		}
		w.orderAny(w.order())
	})
}

// lookOften wants the acknowledged secrets to be there at any time.
func (w *world) lookOften(end time.Time) {
	w.secureMoved()
	if time.Now().Before(end) {
		w.sched.after(2*time.Second, func() { w.lookOften(end) })
	}
}

// order draws what an operator wants to be moved.
func (w *world) order() repair.RoundOrder {
	var order repair.RoundOrder
	if w.rng.IntN(2) == 0 {
		return order
	}
	left := slices.DeleteFunc(slices.Clone(w.hosts), func(h *host) bool { return h.gone })
	spare := 1
	if w.liars() > 0 {
		spare = 2
	}
	least := w.k + spare
	if len(left) < least {
		return order
	}
	n := least + w.rng.IntN(len(left)-least+1)
	order.Members = []string{}
	for _, i := range w.rng.Perm(len(left))[:n] {
		order.Members = append(order.Members, left[i].id)
	}
	if w.rng.IntN(2) == 0 {
		order.Threshold = 2 + w.rng.IntN(n-spare-1)
	}
	return order
}

// pressOrders is operators who want shares moved at two guardians, the same or
// not, at once or while the first is at any step of its round.
func (w *world) pressOrders() {
	first := w.order()
	second := first
	if w.rng.IntN(3) == 0 {
		second = w.order()
	}
	w.orderAny(first)
	if w.rng.IntN(4) == 0 {
		return
	}
	var later time.Duration
	if w.rng.IntN(2) == 0 {
		later = time.Duration(w.rng.Int64N(int64([2]time.Duration{10 * time.Millisecond, 3 * time.Second}[w.rng.IntN(2)])))
	}
	w.sched.after(later, func() { w.orderAny(second) })
}

// orderAny gives an order to one that can carry it out.
func (w *world) orderAny(order repair.RoundOrder) {
	for _, at := range w.rng.Perm(len(w.hosts)) {
		h := w.hosts[at]
		if len(h.up) > 0 && h.keepsAny() && w.startRounds(h.up[0], order) {
			return
		}
	}
}

// keepsAny tells whether a guardian has a share that it can lead a round of.
func (h *host) keepsAny() bool {
	return slices.ContainsFunc(h.world.secrets, func(s *secret) bool {
		now, ok := h.current(s)
		return ok && len(now.named) > 0
	})
}

func (w *world) startRounds(p *process, order repair.RoundOrder) bool {
	now := p.ready.Load()
	if now == nil || now.repairer.StartRounds(order) != nil {
		return false
	}
	w.count.Orders++
	w.note("%s is ordered to move all to %v, K %d", p.label, order.Members, order.Threshold)
	if w.sched.weather != (weather{}) && w.rng.IntN(6) == 0 { // at any step of the round
		w.sched.after(time.Duration(w.rng.Int64N(int64(300*time.Millisecond))), func() { w.crash(p) })
	}
	return true
}

// cutRegistry cuts some off the registry for a while.
func (w *world) cutRegistry() {
	var group []int
	for i := range w.hosts {
		if w.rng.IntN(2) == 0 {
			group = append(group, i)
		}
	}
	w.note("cut off the registry: %v", group)
	change := func(by int) {
		for _, i := range group {
			w.apart[[2]int{i, registryAt}] += by
		}
	}
	change(1)
	w.sched.after(w.seconds(2, 20), func() { change(-1) })
}

// die is a guardian that never comes back.
func (w *world) die() {
	h := w.anyHost()
	if h.gone || !w.bearsLoss(h) {
		return
	}
	for len(h.up) > 0 {
		w.crash(h.up[0])
	}
	h.gone = true
	w.count.Gone++
	w.note("%s is gone for good", h.id)
	for _, s := range w.secrets {
		s.hit(h)
	}
}

func (w *world) bearsLoss(h *host) bool {
	return !slices.ContainsFunc(w.secrets, func(s *secret) bool { return !s.bears(h) })
}

// bearsMoved is bears where shares are moved: every record of which the guardian
// has a share, and that counts or may yet, must have K other honest holders, and
// so must one that counts.
func (s *secret) bearsMoved(without *host) bool {
	v := s.view()
	voting := s.world.moves.registry.isVoting()
	for _, f := range v.all {
		l := f.line
		mayCount := v.certified(l) || voting || s.world.moves.registry.hostile
		if f.on == without && mayCount && s.matters(l.of) && v.helpers(l, without) < l.record.Threshold {
			return false
		}
	}
	if s.acked == nil {
		return true
	}
	for _, of := range s.versions {
		for _, l := range v.rebuilds(of, without) {
			if of.number >= s.acked.number && v.helpers(l, without) >= l.record.Threshold {
				return true
			}
		}
	}
	return false
}

// matters tells whether a version may be the one that is to be there.
func (s *secret) matters(of *version) bool {
	going := of.op != nil && of.op.going
	return going || s.acked != nil && of.number >= s.acked.number
}

// helpers counts those that are honest and have a share of a record, but for one.
func (v view) helpers(l *link, without *host) (count int) {
	for _, h := range v.holders(l) {
		if h != without && !h.lies {
			count++
		}
	}
	return count
}
