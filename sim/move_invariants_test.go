package sim

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/repair"
	"github.com/vault-guardian/guardian/shamir"
)

// What must hold where shares are moved, beside what always must:
//
//   - All shares of one record that are ever written lie on one polynomial of
//     degree K'-1, whose value at 0 is the payload (lines.see).
//   - No two records are ever committed as one epoch of what an owner has dealt
//     (lines.watchVersion). Where a registry was hostile that may be: see mayFork.
//   - At any time an acknowledged secret can be pulled: there are K shares of one
//     record, of the acknowledged version or a later one, that `version` objects
//     name, or that are prepared while somebody has the certificate.
//   - Once all is calm, all that can be reached follow the last record that was
//     committed of the version: those it names have its share, and nobody has an
//     older one. No certificate waits to be shown but to guardians that are gone,
//     and no ballot is left of a session that is committed.

// mayFork tells of registries under which two records may be committed in one
// place: those that say of a session that it was aborted when it was not. What is
// wanted there all the same is that acknowledged secrets can be pulled, that the
// shares of each record fit, and that versions and epochs never go back; not that
// rounds leave nothing behind, as what such a registry has kept may be for nobody
// to read, nor that guardians agree once there is a fork: they erase nothing more
// then. One that was only emptied is no such registry: ballots hold.
func (m *moves) mayFork() bool { return m.registry.hostile }

// secureMoved is secure where shares are moved.
func (w *world) secureMoved() {
	for _, s := range w.secrets {
		if s.acked == nil {
			continue
		}
		v := s.view()
		if of, all := v.recoverable(); of == nil {
			w.broken("version %d of %s was acknowledged, and is lost: %s", s.acked.number, s.slot.Short(), v)
		} else {
			for _, l := range all {
				v.rebuild(l)
			}
		}
	}
}

// recoverable is the newest version at or above the acknowledged one that can be
// rebuilt, and from which records.
func (v view) recoverable() (best *version, lines []*link) {
	for _, of := range v.of.versions {
		if of.number < v.of.acked.number {
			continue
		}
		better := best == nil || of.number > best.number || of.number == best.number && of.acked
		if all := v.rebuilds(of, nil); better && len(all) > 0 {
			best, lines = of, all
		}
	}
	return best, lines
}

func (v view) rebuild(l *link) {
	w, byPoint := v.of.world, map[byte][]byte{}
	for _, f := range v.all {
		if f.line == l && f.pullable {
			byPoint[f.share[0]] = f.share
		}
	}
	var shares [][]byte
	for _, share := range byPoint {
		shares = append(shares, share)
	}
	slices.SortFunc(shares, bytes.Compare)
	w.rng.Shuffle(len(shares), func(i, j int) { shares[i], shares[j] = shares[j], shares[i] })
	payload, err := shamir.Combine(shares[:l.record.Threshold])
	if err != nil || !bytes.Equal(payload, l.of.payload) {
		w.broken("epoch %d of version %d of %s is rebuilt to something else: %v", l.record.Epoch, l.of.number, v.of.slot.Short(), err)
	}
}

// String says who has what.
func (v view) String() string {
	var b strings.Builder
	for _, f := range v.all {
		how := "committed"
		if f.draft {
			how = "draft"
		} else if !f.named {
			how = "unnamed"
		}
		fmt.Fprintf(&b, "%s %s %s of %x K %d; ", f.on.id, f.generation, how, f.line.record.Hash[:3], f.line.record.Threshold)
	}
	return b.String()
}

// last is the record of a version that was committed last.
func (w *world) last(of *version) *link {
	var last *link
	for at, l := range w.moves.lines.committed {
		if at.of == of && (last == nil || at.epoch > last.record.Epoch) {
			last = l
		}
	}
	return last
}

// healMoves ends the faults, and wants all that can be reached to agree.
func (w *world) healMoves() {
	w.sched.weather = weather{}
	clear(w.apart)
	w.moves.registry.calm = true
	for _, h := range w.hosts {
		h.skew.Store(0)
	}
	w.note("the storm is over")
	w.run(longestDelay) // in which what had begun may still crash
	for _, h := range w.hosts {
		if len(h.up) == 0 && !h.gone {
			h.start()
		}
	}
	w.runUntil(time.Minute, w.idle)
	if w.rng.IntN(3) == 0 {
		w.finish()
	}
	if w.rng.IntN(2) == 0 {
		w.pressOrders()
	}
	w.secureMoved()
	// What was being voted on when its coordinator crashed is decided by whoever
	// takes the round over; a clock that was ahead puts that off.
	for again := 0; !w.getWhole(3*time.Minute) && again < 2; again++ {
		w.run(mostSkew)
		w.orderAll()
	}
	for _, wound := range w.moveWounds() {
		w.broken("after healing: %s", wound)
	}
	w.secureMoved()
}

// getWhole gives them time, and looks now and then.
func (w *world) getWhole(patience time.Duration) bool {
	if w.plant != (plant{}) {
		patience = time.Minute
	}
	for end := time.Now().Add(patience); time.Now().Before(end) && w.count.Events < maxEvents; {
		if len(w.moveWounds()) == 0 && !w.isMoving() {
			return true
		}
		w.run(5 * time.Second)
	}
	return false
}

// isMoving tells whether anybody carries out an order.
func (w *world) isMoving() bool {
	for _, h := range w.hosts {
		for _, p := range h.up {
			if now := p.ready.Load(); now != nil && now.repairer.RoundsProgress().Running {
				return true
			}
		}
	}
	return false
}

// orderAll has everybody who can lead rounds begin one.
func (w *world) orderAll() {
	for _, h := range w.hosts {
		if len(h.up) > 0 && h.keepsAny() {
			w.startRounds(h.up[0], repair.RoundOrder{})
			w.runUntil(5*time.Minute, func() bool { return !w.isMoving() })
		}
	}
}

// moveWounds are what is not whole yet.
func (w *world) moveWounds() (all []string) {
	w.count.Exempt, w.count.Hopeless, w.count.Waiting, w.count.Unreleased = 0, 0, 0, 0
	for _, s := range w.secrets {
		if s.acked == nil {
			continue
		}
		v := s.view()
		of, _ := v.recoverable()
		if of == nil {
			return []string{s.slot.Short() + " is lost"}
		}
		if !w.moves.lines.forked {
			all = append(all, v.wounds(of)...)
		}
	}
	for _, h := range w.hosts {
		if !h.gone {
			all = append(all, h.remains()...)
		}
	}
	return all
}

// wounds are what keeps guardians from agreeing on the last record of a version.
func (v view) wounds(of *version) (all []string) {
	w := v.of.world
	last := w.last(of)
	for _, h := range w.hosts {
		if h.gone {
			continue
		}
		if why := v.wound(h, of, last); why != "" {
			all = append(all, fmt.Sprintf("%s: %s", h.id, why))
		}
	}
	return all
}

func (v view) wound(h *host, of *version, last *link) string {
	w, names := v.of.world, slices.Contains(of.to, h)
	if last != nil {
		names = last.names(h)
	}
	has := false
	for _, f := range v.all {
		if f.on != h || f.line.of != of {
			continue
		}
		right := last == nil && f.line.record.Epoch == 0 || f.line == last
		switch {
		case f.named && right:
			has = true
		case last != nil && f.line.record.Epoch < last.record.Epoch && (!f.draft || f.line.named):
			if v.isUnfinishedPush(f) || !names && w.hasForgotten() {
				w.count.Unreleased++
				continue
			}
			return fmt.Sprintf("%s is left, and the last record is of epoch %d: %s", f.generation, last.record.Epoch, v)
		}
	}
	if has || !names || v.isPast(h, of) {
		return ""
	}
	if last == nil && !of.acked && v.of.helpers(of, h) < of.k { // some of them lie
		w.count.Hopeless++
		return ""
	}
	if h.waits(v.of, of) {
		w.count.Waiting++
		return ""
	}
	return fmt.Sprintf("it lacks its share of version %d, epoch %d; it has %+v: %s", of.number, last.epoch(), v.names[h], v)
}

func (l *link) epoch() uint64 {
	if l == nil {
		return 0
	}
	return l.record.Epoch
}

// isUnfinishedPush tells whether a guardian keeps the objects of a push whose
// outcome it does not know: they go a day later.
func (v view) isUnfinishedPush(f found) bool {
	return f.line.record.Epoch == 0 && !f.named && f.line.of.number > v.names[f.on].current
}

// hasForgotten tells whether those are gone, or have lost their disks, who may
// have had to tell a guardian that its share is another's now.
func (w *world) hasForgotten() bool {
	return w.count.DisksLost+w.count.Rollbacks+w.count.Gone+w.count.Harms > 0
}

// isPast tells whether a guardian has gone on to a later version that was not
// acknowledged, or has, or has given to others, that of another device.
func (v view) isPast(h *host, of *version) bool {
	now := v.names[h]
	for _, f := range v.all {
		twin := f.line.of != of && f.line.of.number == of.number
		if f.on == h && f.named && (f.line.of.number > of.number && now.current == f.line.of.number || twin) {
			v.of.world.count.Exempt++
			return true
		}
	}
	return now.current > of.number || v.hasMoved(h, of)
}

// hasMoved tells whether a guardian has given what another device pushed as the
// same version to others.
func (v view) hasMoved(h *host, of *version) bool {
	now := v.names[h]
	for at, l := range v.of.world.moves.lines.committed {
		twin := at.of != of && at.of.number == of.number && slices.Contains(v.of.versions, at.of)
		if twin && now.current == of.number && now.moved == at.epoch && !l.names(h) {
			v.of.world.count.Exempt++
			return true
		}
	}
	return false
}

func (l *link) names(h *host) bool {
	return slices.ContainsFunc(l.record.Holders, func(holder manifest.Holder) bool { return holder.Node == h.id })
}

// remains are what rounds leave behind when they are not through.
func (h *host) remains() (all []string) {
	w := h.world
	if w.moves.registry.hostile { // what it made of the rounds may be for nobody to read
		return nil
	}
	waiting := map[string]bool{}
	for _, of := range h.intents() {
		waiting[of.Session] = true
		if !w.waitsForGone(of) && !w.isDropped(of) {
			all = append(all, fmt.Sprintf("%s still has the certificates of %s", h.id, of.Session[:8]))
		}
	}
	if h.restored || w.hasDropped() {
		return all
	}
	for _, session := range h.ballots() {
		if w.moves.registry.committed[session] && !waiting[session] && !w.isOvertaken(session) {
			all = append(all, fmt.Sprintf("%s still has its ballot of %s, which is committed", h.id, session[:8]))
		}
	}
	return all
}

// isOvertaken tells whether the registry was emptied before anybody had followed a
// committed session, and all have followed another over one of its records: ballots
// then stay for the rest of them, for two weeks.
func (w *world) isOvertaken(session string) bool {
	if !w.moves.registry.emptied {
		return false
	}
	for _, l := range w.moves.lines.all {
		other := w.moves.lines.committed[place{l.of, l.record.Epoch}]
		if hex.EncodeToString(l.record.Seed[:]) == session && !l.named && other != nil && other != l {
			return true
		}
	}
	return false
}

// ballots are the sessions that a guardian has voted in.
func (h *host) ballots() (sessions []string) {
	data, ok := h.sound("queue/rounds/ballots")
	if !ok {
		return nil
	}
	var kept struct {
		Ballots []struct {
			Session string `json:"session"`
		} `json:"ballots"`
	}
	_, text, _ := bytes.Cut(data, []byte("\n"))
	if err := json.Unmarshal(text, &kept); err != nil {
		h.disk.broken("its ballots: %v", err)
	}
	for _, b := range kept.Ballots {
		sessions = append(sessions, b.Session)
	}
	return sessions
}

// isDropped tells whether a round has moved what its owner then deleted, or what
// too few have since: who lacks a share then never has it. So it is with one whose
// version object is damaged, and of a version that moved away: nobody proves to it
// what else was there.
func (w *world) isDropped(of intent) bool {
	return slices.ContainsFunc(of.Chains, func(chain []byte) bool {
		found, ok := w.moves.lines.parse(chain)
		return ok && slices.ContainsFunc(w.secrets, func(s *secret) bool {
			if !slices.Contains(s.versions, found.line.of) {
				return false
			}
			last := w.last(found.line.of)
			if slices.ContainsFunc(w.hosts, func(h *host) bool { return h.isDamaged(s) }) {
				return true
			}
			return found.line.of.number <= s.deleting || last != nil && s.view().count(last, nil) <= last.record.Threshold
		})
	})
}

func (w *world) hasDropped() bool {
	return slices.ContainsFunc(w.secrets, func(s *secret) bool { return s.deleting > 0 })
}

func (w *world) waitsForGone(of intent) bool {
	for _, f := range of.Followers {
		if h := w.hostOf(f.Node); h != nil && h.gone && !f.Follows {
			return true
		}
	}
	return false
}
