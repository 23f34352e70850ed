package guardian

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/record"
)

// What the model knows of redistributions: a share is prepared, its certificate is
// obeyed, or the share is released for a record that gives it to others.

// prepare, obey and release are about version 1 of the content "A1".
func prepare(epoch uint64) op {
	return op{kind: "prepare", version: 1, bytes: "A", epoch: epoch}
}

func obey(epoch uint64) op {
	return op{kind: "obey", version: 1, bytes: "A", epoch: epoch}
}

func release(epoch uint64) op {
	return op{kind: "release", version: 1, bytes: "A", epoch: epoch}
}

func pullEpoch(version, epoch uint64) op {
	return op{kind: "pull", version: version, older: true, epoch: epoch}
}

func forked(o op) op {
	o.fork = true
	return o
}

func someRecords(t testing.TB) *recordCache {
	records, err := newRecordCache(64)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// erasing: the request drops what it replaces as one step, unless that is what
// the scenario is about.
func (w *world) erasing(actor int) bool {
	return !w.drops && slices.Contains([]string{"obey", "release", "prepare"}, w.doing[actor])
}

// learnRecords remembers by which record each named generation goes: that outlives
// its objects.
func (w *world) learnRecords(now *commit) {
	for _, g := range now.named() {
		if w.lines[g.String()] != nil {
			continue
		}
		sealed, ok := w.store.Objects()[modelSlot.checksumKey(g)]
		if !ok || !w.moves {
			continue
		}
		share, ok := w.store.Objects()[modelSlot.shareKey(g)]
		st, err := w.newer.OpenStatement(context.Background(), sealed, share)
		if err != nil || !ok {
			continue
		}
		w.lines[g.String()] = w.recordOf(st)
	}
}

func (w *world) recordOf(st integrity.Statement) *record.Record {
	chain := st.Manifest
	if st.Epoch > 0 {
		chain = st.Certificate
	}
	r, err := w.records.get(chain, record.Parse)
	if err != nil {
		return nil
	}
	return r
}

// observeMoves judges a step that redistributes what is named, and tells whether
// it was one.
func (w *world) observeMoves(before, now *commit) bool {
	if !w.moves || now.current != before.current {
		return false
	}
	if now.deleted() {
		return false
	}
	for _, was := range before.named() {
		is, named := now.find(was.version)
		switch {
		case !named || is == was:
		case is.epoch < was.epoch:
			w.wrong = fmt.Errorf("version %d went back from epoch %d to %d", was.version, was.epoch, is.epoch)
		case w.damaged[was.String()]:
		case is.epoch == was.epoch:
			w.wrong = fmt.Errorf("two shares were committed at epoch %d of version %d", is.epoch, is.version)
		case w.lines[was.String()] == nil || w.lines[is.String()] == nil || !w.lines[is.String()].Follows(w.lines[was.String()].Hash):
			w.wrong = fmt.Errorf("version %d was replaced by what does not follow it", was.version)
		}
	}
	switch {
	case before.deleted():
		w.wrong = errors.New("what was deleted is back")
	case before.moved != nil && now.live != nil && now.live.epoch <= before.moved.epoch:
		w.wrong = errors.New("what had moved away is back")
	case before.live != nil && now.moved != nil && now.moved.epoch <= before.live.epoch:
		w.wrong = errors.New("it moved away to an earlier epoch")
	case before.live != nil && now.moved != nil && !w.leftBy(now.moved).Follows(w.lines[before.live.String()].Hash):
		w.wrong = errors.New("it moved away by what does not follow it")
	}
	return true
}

// leftBy is the record by which somebody was asked to let go.
func (w *world) leftBy(by *departure) *record.Record {
	for _, o := range w.asked {
		if o.kind != "release" {
			continue
		}
		_, certified := w.moved(o)
		if r, err := w.records.get(certified.Chain, record.Parse); err == nil && r.Hash == by.record {
			return r
		}
	}
	return &record.Record{}
}

// judgeErased: who is told that a share is in place, or has left, is told that what
// was there when it was asked is erased.
func (w *world) judgeErased(e event) {
	if e.kind != "obey" && e.kind != "release" || e.err != nil || w.gated && w.crashed[e.actor] {
		return
	}
	for key := range w.store.Objects() {
		name, _, _ := strings.Cut(strings.TrimPrefix(key, modelSlot.prefix()), "/")
		g, err := parseGeneration(name)
		if err == nil && g.version == e.version && g.epoch < e.epoch && slices.Contains(w.namedAt[e.actor], g) {
			w.mu.Lock()
			w.wrong = fmt.Errorf("%v was acknowledged and %s is still there", e.op, g)
			w.mu.Unlock()
		}
	}
}

// judgeMoved: what was obeyed is there at its epoch or a later one.
func (w *world) judgeMoved(e event) error {
	if e.kind != "obey" || w.previous == nil {
		return nil
	}
	g, named := w.previous.find(e.version)
	switch {
	case named && g.epoch < e.epoch:
		return fmt.Errorf("%v was acknowledged and epoch %d is named", e.op, g.epoch)
	case !named && w.previous.current == e.version && w.previous.live == nil && !w.someDelete(e.version) && !w.someRelease(e.version):
		return fmt.Errorf("%v was acknowledged and is gone", e.op)
	}
	return nil
}

// someRelease: whether anybody was asked to let go of the version.
func (w *world) someRelease(version uint64) bool {
	return slices.ContainsFunc(w.asked, func(o op) bool { return o.kind == "release" && o.version == version })
}

// judgePrepared: what was prepared is there until something else has taken its
// place, and then it is gone. It adds to what is expected.
func (w *world) judgePrepared(n *Node, expected map[string]bool) error {
	if !w.moves || w.broken() {
		return nil
	}
	found, err := n.generations(context.Background(), modelSlot)
	if err != nil {
		return err
	}
	there := map[op]bool{}
	for _, g := range found.prepared() {
		share, err := n.prepared(context.Background(), modelSlot, g)
		if err == nil && w.previous.waitsFor(g) {
			there[op{version: g.version, epoch: g.epoch, bytes: string(share.Data)}] = true
		}
		if err == nil && w.previous.waitsFor(g) {
			expected[modelSlot.shareKey(g)], expected[modelSlot.checksumKey(g)] = true, true
		}
	}
	for _, e := range w.events {
		if e.kind != "prepare" || e.err != nil {
			continue
		}
		prepared, _ := w.moved(e.op)
		if w.previous.waitsFor(generation{version: e.version, epoch: e.epoch}) && !w.someRelease(e.version) &&
			!there[op{version: e.version, epoch: e.epoch, bytes: string(prepared.Data)}] {
			return fmt.Errorf("%v was acknowledged and is lost", e.op)
		}
	}
	return nil
}

// waitsFor: the version is here at an earlier epoch, or can still come.
func (c *commit) waitsFor(g generation) bool {
	if c == nil || g.version > c.current {
		return true
	}
	if c.departedAt(g.version) != nil {
		return c.moved.epoch < g.epoch
	}
	named, ok := c.find(g.version)
	if !ok && g.version >= c.standing.from && !c.deleted() {
		return len(c.older) == 0 || c.older[0].version < g.version // two are retained
	}
	return ok && named.epoch < g.epoch
}

// judgePullEpoch: a pull of an epoch that was prepared before finds it, unless somebody
// may have taken it away.
func (w *world) judgePullEpoch(pull event) error {
	if pull.kind != "pull" || pull.epoch == 0 || !errors.Is(pull.err, api.ErrNotFound) {
		return nil
	}
	for _, o := range w.asked {
		if o.kind == "delete" || o.kind == "release" || o.epoch > pull.epoch || o.kind == "push" && o.version > pull.version+1 {
			return nil
		}
	}
	for _, e := range w.events[:pull.start] {
		if (e.kind == "prepare" || e.kind == "obey") && e.err == nil && e.version == pull.version && e.epoch == pull.epoch {
			return fmt.Errorf("%v was acknowledged and not found", e.op)
		}
	}
	return nil
}

// judgeDelete: a delete of what was prepared before finds it, unless somebody may
// have taken it away.
func (w *world) judgeDelete(e event) error {
	if e.kind != "delete" || !errors.Is(e.err, api.ErrNotFound) {
		return nil
	}
	for _, o := range w.asked {
		if o != e.op && (o.kind == "delete" || o.kind == "release") && o.version >= e.version {
			return nil
		}
	}
	for _, before := range w.events[:e.start] {
		if before.kind == "prepare" && before.err == nil && before.version == e.version {
			return fmt.Errorf("%v was acknowledged, and its delete finds nothing", before.op)
		}
	}
	return nil
}
