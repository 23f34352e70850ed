package client

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/api"
)

// past is the way back from versions that cannot be rebuilt.
type past struct {
	vault    *Vault
	identity string
	all      survey
	asked    map[uint64]bool // versions that guardians were asked for
	moving   map[uint64]bool // versions of which they were asked for other epochs
	retained map[int][]uint64
}

func (v *Vault) pastOf(identity string, all survey) *past {
	return &past{vault: v, identity: identity, all: all, moving: map[uint64]bool{}}
}

// choose prefers what is current. Where the newest version cannot be rebuilt it
// goes through older ones from the highest down, and asks for the one it takes
// as well where more shares would let the others be checked. No version is
// asked for twice.
func (p *past) choose(ctx context.Context) (candidate, bool) {
	k := p.vault.Threshold()
	best, ok := p.chooseMoving(ctx)
	if ok && (best.group.version == p.all.newest() || best.manifest != nil && p.all.settled(best.group.version, k)) {
		return best, true
	}
	for _, version := range p.versions(ctx) {
		if ctx.Err() != nil || ok && version < best.group.version {
			break
		}
		if p.asked[version] || ok && version == best.group.version && best.checkable(k) {
			continue
		}
		p.asked[version] = true
		p.vault.takeOlder(ctx, p.identity, version, p.all)
		best, ok = p.chooseMoving(ctx)
	}
	return best, ok
}

// chooseMoving prefers, to an older version, a higher one that some show at an
// epoch that the others are asked for. No version is gone into twice.
func (p *past) chooseMoving(ctx context.Context) (candidate, bool) {
	k := p.vault.Threshold()
	best, ok := p.all.choose(k)
	for _, version := range p.all.movingVersions() {
		if ok && best.group.version >= version || ctx.Err() != nil {
			break
		}
		if p.moving[version] {
			continue
		}
		p.moving[version] = true
		p.vault.takeEpochs(ctx, p.identity, version, p.all.movingEpochs(version, max(maxEpochs, k)), p.all)
		best, ok = p.all.choose(k)
	}
	return best, ok
}

// settled reports whether what guardians show above a version is with so few
// that nothing retained in between could be rebuilt.
func (s survey) settled(version uint64, vault int) bool {
	return len(s.beyond(version)) < s.leastThreshold(vault)
}

// versions returns what may be rebuilt below what is shown, by what guardians
// say of their history; they are asked once.
func (p *past) versions(ctx context.Context) []uint64 {
	if p.asked == nil {
		p.asked, p.retained = map[uint64]bool{}, p.histories(ctx)
	}
	return p.all.olderVersions(p.vault.Threshold(), p.retained)
}

// histories asks those that show a share which versions they retain. Who does
// not say is left out, and waited for as little as for a straggler.
func (p *past) histories(ctx context.Context) map[int][]uint64 {
	ctx, cancel := firstHalf(ctx)
	defer cancel()
	ctx, cancelSoon := context.WithTimeout(ctx, 2*longGrace)
	defer cancelSoon()
	retained := map[int][]uint64{}
	ask := slices.Sorted(maps.Keys(p.all.versions()))
	fanOut(ctx, ask, func(ctx context.Context, i int) ([]uint64, error) {
		response, err := p.vault.guardians[i].History(ctx, api.HistoryRequest{Identity: p.identity})
		var versions []uint64
		for _, info := range response.Versions[:min(len(response.Versions), maxRetained)] {
			versions = append(versions, info.Version)
		}
		return versions, err
	}, func(a answer[[]uint64]) time.Duration {
		if a.err == nil {
			retained[a.position] = a.value
		}
		return graceOnce(len(retained) >= p.vault.WriteQuorum())
	})
	return retained
}

// maxRetained bounds how many versions of one guardian are heeded: as many as
// one can be told to retain.
const maxRetained = 100
