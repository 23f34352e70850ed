package sim

import (
	"maps"
	"time"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/repair"
)

// press is operators who want the same at two guardians at once.
func (w *world) press() {
	w.count.Presses++
	for _, i := range w.rng.Perm(len(w.hosts))[:2] {
		h := w.hosts[i]
		if w.rng.IntN(3) == 0 {
			w.dropIntoInbox(h)
			continue
		}
		for _, p := range h.up {
			if now := p.ready.Load(); now != nil {
				go w.ask(p, now.repairer)
			}
		}
	}
}

// ask is one operator at one process: all is to be repaired and scrubbed, now.
func (w *world) ask(p *process, r *repair.Repairer) {
	var slots []guardian.Slot
	for _, s := range w.secrets {
		slots = append(slots, s.slot)
	}
	if err := r.Add(p.ctx, slots); err != nil {
		w.log.Warn("adding to the queue", "process", p.label, "error", err)
	}
	r.StartScrub()
	r.RunNow()
}

// audit has one guardian audit everything that it holds.
func (w *world) audit() {
	h := w.anyHost()
	if len(h.up) > 0 {
		w.auditAt(h.up[0])
	}
}

func (w *world) auditAt(p *process) {
	now := p.ready.Load()
	if now == nil || now.repairer.StartAudit(nil) != nil {
		return
	}
	w.count.Audits++
	w.sched.trace.add(p.label+" audits", delivered)
	w.follow(p, now.repairer)
}

// follow waits for the end of an audit, and wants nobody named who is honest.
func (w *world) follow(p *process, r *repair.Repairer) {
	if p.dead.Load() {
		return
	}
	report := r.AuditProgress()
	for _, g := range report.Groups {
		for id := range named(g) {
			if !w.hostOf(id).lies && w.bears(g) {
				w.broken("the audit of %s names %s, which is honest", p.label, id)
			}
		}
	}
	if report.Running {
		w.sched.after(time.Second, func() { w.follow(p, r) })
		return
	}
	all := map[string]bool{}
	for _, g := range report.Groups {
		maps.Copy(all, named(g))
	}
	w.count.Named += len(all)
	w.note("audit of %s: %d generations, %d sound, %d undecided, named %v %s",
		p.label, report.Generations, report.Sound, report.Undecided, all, report.Error)
}

// named are the guardians whose shares an audit found wrong.
func named(g repair.AuditGroup) map[string]bool {
	all := map[string]bool{}
	for _, h := range g.Holders {
		if h.Wrong > 0 || h.Cheated > 0 {
			all[h.Node] = true
		}
	}
	return all
}

// bears tells whether no more of those who answered lie than can be named among
// as many as answered for every generation of a group: beyond that an audit
// promises nothing.
func (w *world) bears(g repair.AuditGroup) bool {
	present, liars := 0, 0
	for _, h := range g.Holders {
		if h.Silent+h.Lacking == 0 {
			present++
		}
		if w.hostOf(h.Node).lies && h.Silent+h.Lacking < g.Generations {
			liars++
		}
	}
	return liars <= (present-g.K)/2
}

func (w *world) hostOf(id string) *host {
	for _, h := range w.hosts {
		if h.id == id {
			return h
		}
	}
	return nil
}

// finalAudit wants all who lie to be named, once everything is whole.
func (w *world) finalAudit() {
	if len(w.failures) > 0 || len(w.hosts) == w.k {
		return
	}
	for _, h := range w.hosts {
		if h.lies {
			continue
		}
		p := h.up[0]
		w.auditAt(p)
		w.runUntil(5*time.Minute, func() bool { return !p.ready.Load().repairer.AuditProgress().Running })
		w.judge(p)
		return
	}
}

func (w *world) judge(p *process) {
	report := p.ready.Load().repairer.AuditProgress()
	if report.Running || report.Error != "" {
		w.broken("the last audit did not come to its end: %+v", report)
		return
	}
	for _, g := range report.Groups {
		for _, holder := range g.Holders {
			if w.hostOf(holder.Node).lies && holder.Good > 0 && w.bears(g) {
				w.broken("the last audit does not name %s, which lies", holder.Node)
			}
		}
	}
}
