package client

import (
	"context"
	"maps"
	"slices"

	"github.com/vault-guardian/guardian/manifest"
)

// ground is what a push is to go over.
type ground struct {
	all  survey
	next uint64 // the version to push
	// firm is true when what the push would displace can be rebuilt and bears
	// one more loss where N > K, or when there is nothing.
	firm bool
	// manifest is that of the highest version with one, nil when there is none.
	manifest *manifest.Manifest
}

// explore asks the guardians and adds what they show to the claims.
func (v *Vault) explore(ctx context.Context, identity string, claims map[int]uint64) (ground, error) {
	all := v.takeBeforeWriting(ctx, identity)
	if err := v.enoughFor("push", v.WriteQuorum(), all); err != nil {
		return ground{}, err
	}
	ctx, cancel := firstHalf(ctx)
	defer cancel()
	_, report, err := v.rebuild(ctx, identity, all)
	if err != nil {
		report = PullReport{}
	}
	for i, version := range all.versions() {
		claims[i] = max(claims[i], version)
	}
	latest := all.latest()
	known := report.Version
	if latest != nil {
		known = max(known, latest.Version)
	}
	next, err := nextVersion(known, slices.Collect(maps.Values(claims)), v.Threshold())
	if err != nil {
		return ground{}, err
	}
	enough := min(report.Threshold+1, len(v.guardians))
	firm := report.Version == all.newestBelow(next) && report.Used >= enough
	return ground{all, next, firm || len(all.versions()) == 0, latest}, nil
}

// same reports whether nobody was seen to write in between.
func (g ground) same(before ground) bool {
	return before.all != nil && g.next == before.next && maps.Equal(g.all.shown(), before.all.shown())
}

// unsettled is why nothing is pushed over the ground yet.
func (g ground) unsettled(v *Vault) error {
	closest, _ := g.all.closest(v.Threshold())
	return &QuorumError{Action: "push", Need: v.WriteQuorum(), Errs: v.sortErrors(g.all.errors(closest))}
}

// shown returns the group of each current share.
func (s survey) shown() map[int]group {
	groups := map[int]group{}
	for i, f := range s {
		if f.current != nil {
			groups[i] = f.current.group
		}
	}
	return groups
}

// newestBelow returns the highest version below next that a guardian showed,
// 0 when there is none.
func (s survey) newestBelow(next uint64) uint64 {
	var highest uint64
	for _, version := range s.versions() {
		if version < next {
			highest = max(highest, version)
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
