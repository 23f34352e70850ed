package sim

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend"
)

// plant breaks something on purpose, to see that a run notices.
type plant struct {
	noRepair         bool // nobody repairs
	ignoresRevisions bool // storages do no compare-and-swap
	lowers           bool // a guardian goes back to an earlier version object
	tells            bool // guardians show their shares to others
	slanders         bool // one lies that is held to be honest
	forgets          bool // storages lose shares that they have acknowledged
	spoils           bool // a guardian writes shares with another bit
	// Where shares are moved:
	ignoresTurns bool // the registry does no compare-and-swap
	hasty        bool // what was before is erased once a new share is prepared
	votesTwice   bool // ballots keep nobody from another vote, and nobody who knows better objects
}

// TestPlantedFaultsAreFound breaks one rule at a time: some of a few runs must
// fail, and say what it was.
func TestPlantedFaultsAreFound(t *testing.T) {
	for name, test := range map[string]struct {
		plant plant
		want  string
	}{
		"nobody repairs":                 {plant{noRepair: true}, "lacks its share"},
		"no compare-and-swap":            {plant{ignoresRevisions: true}, "are acknowledged"},
		"a version is lowered":           {plant{lowers: true}, "went back"},
		"shares are shown to others":     {plant{tells: true}, "contains a part of the share"},
		"an honest one is called a liar": {plant{slanders: true}, "is honest"},
		"acknowledged shares are lost":   {plant{forgets: true}, "is lost"},
		"wrong shares are stored":        {plant{spoils: true}, "lacks its share"},
	} {
		t.Run(name, func(t *testing.T) {
			const seeds = 40
			for seed := range uint64(seeds) {
				r := simulate(t, seed, test.plant, nil)
				if slices.ContainsFunc(r.failures, func(f string) bool { return strings.Contains(f, test.want) }) {
					return
				}
			}
			t.Errorf("none of %d runs failed with %q", seeds, test.want)
		})
	}
}

// sow begins what is planted beside the storm.
func (w *world) sow() {
	switch {
	case w.plant.lowers:
		w.sched.after(10*time.Second, w.lowerOne)
	case w.plant.slanders:
		w.hosts[w.rng.IntN(len(w.hosts))].slandered = true
	}
}

// lowerOne remembers a version object, and has its guardian put it again once it
// has another version.
func (w *world) lowerOne() {
	h, s := w.anyHost(), w.anySecret()
	key := placeOf(s.slot) + "/version"
	if before, ok := h.current(s); ok {
		data, _, _ := h.disk.get(key)
		w.sched.after(time.Second, func() { w.lowerTo(h, s, before, data) })
	} else {
		w.sched.after(time.Second, w.lowerOne)
	}
}

func (w *world) lowerTo(h *host, s *secret, before stored, data []byte) {
	if now, ok := h.current(s); ok && now.current > before.current {
		_, _ = h.disk.put(placeOf(s.slot)+"/version", data, backend.AnyRevision)
		return
	}
	w.sched.after(time.Second, func() { w.lowerTo(h, s, before, data) })
}

// planted is what a storage does in place of a write.
func (p plant) planted(h *host, key string, data []byte) (changed []byte, lost bool) {
	share := strings.HasSuffix(key, "/share.bin")
	switch {
	case h.world.moves != nil:
		return h.plantedMoving(key, data)
	case share && p.forgets && h.index >= h.world.k-1:
		return nil, true
	case share && p.spoils && h.index == 0:
		changed = slices.Clone(data)
		flip(changed)
		return changed, false
	}
	return data, false
}

// tell adds a guardian's share to what it answers.
func (w *world) tell(h *host, answer []byte) []byte {
	for _, s := range w.secrets {
		if now, ok := h.current(s); ok && w.moves != nil && len(now.named) > 0 && epochOf(now.named[0]) > 0 {
			share, _ := h.sound(placeOf(s.slot) + "/" + now.named[0] + "/share.bin")
			answer, _ = json.Marshal(map[string]any{"generations": []int{}, "share": share})
		} else if v := s.newest(); v != nil && w.moves == nil {
			answer, _ = json.Marshal(map[string]any{"generations": []int{}, "share": v.shares[h.index]})
		}
	}
	return answer
}
