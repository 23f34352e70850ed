package client

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/manifest"
)

// ground is what a push is to go over.
type ground struct {
	all  survey
	next uint64 // the version to push
	// known is the highest version that was rebuilt or bears a manifest, shown
	// what guardians show that counts.
	known uint64
	shown map[int]group
	// firm is true when what the push would displace can be rebuilt and bears
	// one more loss where N > K, or when there is nothing.
	firm bool
	// manifest is that of the highest version with one, nil when there is none.
	manifest *manifest.Manifest
	// rebuilt is what can be rebuilt, and need its K.
	rebuilt candidate
	need    int
	// keepers may hold it below their current version, and would drop it for
	// another. holders have it as their current version, or showed that they retain
	// it. Of the keepers untold did not say.
	keepers, holders, untold map[int]bool
}

// leastLook is the time in which guardians say what they retain, or are taken for
// those that do not say.
const leastLook = longGrace

// explore asks the guardians and adds what they show to the claims.
func (v *Vault) explore(ctx context.Context, identity string, claims map[int]uint64) (ground, error) {
	all := v.takeBeforeWriting(ctx, identity)
	if err := v.enoughFor("push", v.WriteQuorum(), all); err != nil {
		return ground{}, err
	}
	start := time.Now()
	look, cancel := firstHalf(ctx)
	defer cancel()
	result, report, err := v.rebuild(look, identity, all)
	cutShort := look.Err() != nil && time.Since(start) < leastLook
	if err != nil {
		report = PullReport{}
	}
	clear(result.secret)
	for i, version := range all.versions() {
		claims[i] = max(claims[i], version)
	}
	now := ground{all: all, rebuilt: result.right, known: report.Version, shown: v.counting(all), manifest: all.latest()}
	if now.manifest != nil {
		now.known = max(now.known, now.manifest.Version)
	}
	if now.next, err = nextVersion(now.known, slices.Collect(maps.Values(claims)), v.Threshold()); err != nil {
		return ground{}, err
	}
	enough := min(report.Threshold+1, len(v.guardians))
	now.keep(v.Threshold())
	now.firm = len(all.versions()) == 0 || report.Version == highest(now.shown, now.next) && report.Used-now.prepared() >= enough
	if cutShort && !now.firm {
		return ground{}, fmt.Errorf("there was too little time to ask guardians what they retain: %w", now.unsettled(v))
	}
	return now, nil
}

// keep notes who has what was rebuilt.
func (g *ground) keep(vault int) {
	c := g.rebuilt
	g.keepers, g.holders, g.untold = map[int]bool{}, map[int]bool{}, map[int]bool{}
	if len(c.members) == 0 {
		return
	}
	for _, m := range c.members {
		g.holders[m.position] = true
	}
	for _, i := range g.all.beyond(c.group.version) {
		g.keepers[i] = true
		if !g.holders[i] && !slices.Contains(g.all[i].denied, c.group.version) {
			g.untold[i] = true
		}
	}
	for i := range g.holders {
		if g.all[i].current == nil {
			g.keepers[i] = true
		}
	}
	g.need = c.k(vault)
}

// prepared counts the members that have prepared their share and have no other:
// they would not retain it beside a new version.
func (g *ground) prepared() int {
	count := 0
	for _, m := range g.rebuilt.members {
		if g.all[m.position].current == nil {
			count++
		}
	}
	return count
}

// spare returns how many of the keepers left may be sent a share. All, once K
// guardians have acknowledged the new version. One, when that one makes it K:
// either it takes its share or it goes on keeping. Else those that do not have
// the old version, which come first, and as many more as leave K that showed it.
func (g *ground) spare(t *tally, left []int, k int) int {
	switch acked := len(t.acked); {
	case acked >= k:
		return len(left)
	case acked == k-1:
		return 1
	}
	without := 0
	for _, i := range left {
		if !g.mayHold(i) {
			without++
		}
	}
	return without + max(0, g.held(t, left)-g.need)
}

// mayHold reports a guardian that showed the old version, or did not say that it
// does not have it.
func (g *ground) mayHold(i int) bool { return g.holders[i] || g.untold[i] }

// inOrder returns the keepers, those first that do not have the old version.
func (g *ground) inOrder() []int {
	order := slices.Sorted(maps.Keys(g.keepers))
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case g.mayHold(a) == g.mayHold(b):
			return 0
		case g.mayHold(b):
			return -1
		}
		return 1
	})
	return order
}

// passable reports whether a push that everybody accepts reaches K guardians
// without ever leaving fewer than K with what can be rebuilt.
func (g *ground) passable(k, n int) bool {
	all := &tally{acked: map[int]bool{}}
	for i := range n {
		if !g.keepers[i] {
			all.acked[i] = true
		}
	}
	left := g.inOrder()
	for len(left) > 0 && len(all.acked) < k {
		some := min(len(left), g.spare(all, left, k))
		if some <= 0 {
			return false
		}
		for _, i := range left[:some] {
			all.acked[i] = true
		}
		left = left[some:]
	}
	return true
}

// held counts the guardians that still have what can be rebuilt: those that
// showed it and retain it now beside the version they accepted, and of the
// keepers those left.
func (g *ground) held(t *tally, left []int) int {
	count := 0
	for i := range g.holders {
		if t.acked[i] && !g.keepers[i] || slices.Contains(left, i) {
			count++
		}
	}
	return count
}

// first draws a guardian that said what it holds and drops nothing of use.
func (g *ground) first(made *batch) (int, bool) {
	able := slices.DeleteFunc(g.all.answering(), func(i int) bool { return g.keepers[i] || made.unnamed[i] != nil })
	if len(able) == 0 {
		return 0, false
	}
	return able[rand.N(len(able))], true //nolint:gosec // a liar gains nothing by guessing it
}

// same reports whether nobody was seen to write in between.
func (g ground) same(before ground) bool {
	return before.all != nil && g.known == before.known && maps.Equal(g.shown, before.shown)
}

// unsettled is why nothing is pushed over the ground yet.
func (g ground) unsettled(v *Vault) error {
	closest, _ := g.all.closest(v.Threshold())
	return &QuorumError{Action: "push", Need: v.WriteQuorum(), Errs: v.sortErrors(g.all.errors(closest))}
}

// counting returns the group of each current share that counts. To an owner it
// is those with a manifest, and of the others those that K guardians show
// alike: a bare claim moves nothing.
func (v *Vault) counting(all survey) map[int]group {
	groups, alike, known := map[int]group{}, map[group]int{}, all.charters()
	for _, f := range all {
		if f.current != nil {
			alike[f.current.group]++
		}
	}
	for i, f := range all {
		if f.current == nil {
			continue
		}
		by := known[f.current.edition()]
		signed := f.current.charteredBy(by) != nil && f.current.judge(by) == nil
		if v.owner == nil || signed || alike[f.current.group] >= v.Threshold() {
			groups[i] = f.current.asPushed()
		}
	}
	return groups
}

// highest returns the highest version below next, 0 when there is none.
func highest(shown map[int]group, next uint64) uint64 {
	var highest uint64
	for _, g := range shown {
		if g.version < next {
			highest = max(highest, g.version)
		}
	}
	return highest
}

// answering returns the positions of the guardians that said what they hold.
func (s survey) answering() []int {
	var positions []int
	for i, f := range s {
		if f.definite() {
			positions = append(positions, i)
		}
	}
	return positions
}

// enoughFor refuses what is known to fail: fewer guardians are there than
// must acknowledge it.
func (v *Vault) enoughFor(action string, need int, all survey) error {
	if all.answers() >= need {
		return nil
	}
	errs := map[int]error{}
	for i, f := range all {
		if !f.definite() {
			errs[i] = f.err
		}
	}
	return &QuorumError{Action: action, Need: need, Got: all.answers(), Errs: v.sortErrors(errs)}
}
