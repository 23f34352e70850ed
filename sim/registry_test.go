package sim

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/repair/round"
)

// registry is what all guardians share: a real one over a storage in memory.
// Each call of it is an event of the scheduler. A hostile one answers what it
// likes, now and then.
type registry struct {
	world *world
	real  *cluster.Bucket
	// hostile, until calm: once the storm is over it is honest.
	hostile, calm bool
	// emptied, once in the storm.
	emptied bool
	// past is what was ever read or written, by key.
	past map[string][]entry
	keys []string
	// committed are the sessions that it has ever listed so, aborted likewise.
	committed, aborted map[string]bool
}

type entry struct {
	data []byte
	rev  cluster.Revision
}

func newRegistry(w *world) *registry {
	return &registry{
		world: w, real: cluster.NewBucket(backendtest.NewMemory(), nil), past: map[string][]entry{},
		committed: map[string]bool{}, aborted: map[string]bool{},
	}
}

// registryAt is where the registry is, for partitions.
const registryAt = -2

// load is what is there, or what a hostile registry says is.
func (r *registry) load(key string) ([]byte, cluster.Revision, error) {
	data, rev, err := r.real.Load(context.Background(), key)
	if err != nil || !r.lies() {
		return data, rev, err
	}
	past := r.past[key]
	switch r.world.rng.IntN(4) {
	case 0:
		if len(past) > 0 {
			old := past[r.world.rng.IntN(len(past))]
			return slices.Clone(old.data), old.rev, nil
		}
	case 1:
		other := r.past[r.keys[r.world.rng.IntN(len(r.keys))]]
		return slices.Clone(other[0].data), rev, nil
	case 2:
		data[r.world.rng.IntN(len(data))] ^= 0x15
		return data, rev, nil
	case 3:
		return r.twist(data), rev, nil
	}
	return data, rev, nil
}

// twist says of the session that is voted on that it has ended.
func (r *registry) twist(data []byte) []byte {
	var said map[string]any
	if json.Unmarshal(data, &said) != nil || said["session"] == nil {
		return data
	}
	phase := [2]string{"committed", "aborted"}[r.world.rng.IntN(2)]
	ended, _ := said[phase].([]any)
	said["state"], said[phase] = phase, append(ended, map[string]any{"session": said["session"], "at_ns": time.Now().UnixNano()})
	delete(said, "bases")
	twisted, err := json.Marshal(said)
	if err != nil {
		return data
	}
	return twisted
}

func (r *registry) swap(key string, data []byte, rev cluster.Revision) (cluster.Revision, error) {
	if r.world.plant.ignoresTurns {
		_, rev, _ = r.real.Load(context.Background(), key)
	}
	if r.lies() && r.world.rng.IntN(4) == 0 {
		return rev, nil // it was not
	}
	now, err := r.real.Swap(context.Background(), key, data, rev)
	if err != nil {
		return now, err
	}
	if r.past[key] == nil {
		r.keys = append(r.keys, key)
	}
	r.past[key] = append(r.past[key], entry{slices.Clone(data), now})
	r.watch(key, data)
	if r.lies() && r.world.rng.IntN(4) == 0 {
		return cluster.Revision{}, cluster.ErrLost // it was swapped
	}
	return now, nil
}

// lies tells whether this answer is one.
func (r *registry) lies() bool {
	return r.hostile && !r.calm && len(r.keys) > 0 && r.world.rng.IntN(3) == 0
}

// watch notes what becomes of sessions. One that has ended one way has not ended
// the other way.
func (r *registry) watch(key string, data []byte) {
	if !strings.HasPrefix(key, "rounds/") {
		return
	}
	var state round.State
	if err := json.Unmarshal(data, &state); err != nil {
		r.world.broken("the registry is given %q: %v", data, err)
		return
	}
	for _, e := range state.Committed {
		r.committed[e.Session.String()] = true
	}
	for _, e := range state.Aborted {
		r.aborted[e.Session.String()] = true
	}
	for _, e := range slices.Concat(state.Committed, state.Aborted) {
		if r.committed[e.Session.String()] && r.aborted[e.Session.String()] && !r.hostile {
			r.world.broken("session %s is committed, and aborted", e.Session.Short())
		}
	}
}

// empty is an operator who loses what it had.
func (r *registry) empty() {
	r.world.note("the registry is emptied")
	r.real = cluster.NewBucket(backendtest.NewMemory(), nil)
	r.past, r.keys = map[string][]entry{}, nil
}

// isVoting tells whether any session is being voted on, whatever is said of it.
func (r *registry) isVoting() bool {
	for _, key := range r.keys {
		past := r.past[key]
		var state round.State
		if json.Unmarshal(past[len(past)-1].data, &state) == nil && state.Phase == round.Voting {
			return true
		}
	}
	return false
}

// registryOf is a process's way to the registry.
type registryOf struct{ p *process }

var _ round.Registry = (*registryOf)(nil)

// call is a request and its answer, which may be slow.
func (r *registryOf) call(ctx context.Context, kind kind, what string, apply func(*registry) error) error {
	w := r.p.world
	var answered error
	var slow time.Duration
	err := w.sched.step(ctx, &event{
		key: r.p.label + " " + what, kind: kind, by: r.p,
		apply: func(bool) {
			if w.cut(r.p.on.index, registryAt) {
				answered = errLost
				return
			}
			answered = apply(w.moves.registry)
			slow = w.sched.weather.delay(w.rng, false)
		},
	})
	if err != nil {
		return err
	}
	if slow > 0 {
		sleep(ctx, slow)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return answered
}

// Load implements [round.Registry].
func (r *registryOf) Load(ctx context.Context, key string) (data []byte, rev cluster.Revision, err error) {
	err = r.call(ctx, kindAsk, "load "+key, func(g *registry) (err error) {
		data, rev, err = g.load(key)
		return err
	})
	return data, rev, err
}

// Swap implements [round.Registry].
func (r *registryOf) Swap(ctx context.Context, key string, data []byte, rev cluster.Revision) (now cluster.Revision, err error) {
	data = slices.Clone(data)
	err = r.call(ctx, kindSwap, "swap "+key+" "+digest(data), func(g *registry) (err error) {
		before := len(g.committed)
		if now, err = g.swap(key, data, rev); len(g.committed) > before {
			r.p.world.strike(r.p)
		}
		return err
	})
	return now, err
}
