package round

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/cluster"
)

const (
	// keyIndex is the record that names the groups: the registry cannot list
	// its records. It is a help for people and no more: nothing is decided by
	// it, and a group is missing when it could not be written.
	keyIndex = "rounds-index"
	// maxIndexed is how many groups it names, the last to be opened first.
	maxIndexed = 1024
	// indexAge is how much older than the group's last round its line may be.
	indexAge = time.Hour
	// indexTries bounds what is done for it.
	indexTries = 3
)

type index struct {
	Groups []indexLine `json:"groups"`
}

type indexLine struct {
	Group Group `json:"group"`
	AtNS  int64 `json:"at_ns"`
}

// Listed is the state of a group that the index names, or why it is not known.
type Listed struct {
	Group Group
	State State
	Err   error
}

// List returns the groups that had rounds, those of the latest first. At most
// 1024 are known, and one may be missing whose coordinator could not reach the
// registry twice: [Rounds.Look] is the truth about a group. Errors are
// ErrMalformed, for the list as a whole, and the registry's.
func (r *Rounds) List(ctx context.Context) ([]Listed, error) {
	found, _, err := r.loadIndex(ctx)
	if err != nil {
		return nil, err
	}
	var all []Listed
	for _, line := range found.Groups {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, err := r.Look(ctx, line.Group)
		all = append(all, Listed{Group: line.Group, State: s, Err: err})
	}
	return all, nil
}

func (r *Rounds) loadIndex(ctx context.Context) (index, cluster.Revision, error) {
	data, rev, err := r.registry.Load(ctx, keyIndex)
	if errors.Is(err, cluster.ErrNoRecord) {
		return index{}, cluster.Revision{}, nil
	}
	if err != nil {
		return index{}, rev, fmt.Errorf("reading the list of rounds: %w", err)
	}
	found, err := parseIndex(data)
	return found, rev, err
}

func parseIndex(data []byte) (index, error) {
	found := index{}
	if err := json.Unmarshal(data, &found); err != nil || len(found.Groups) > maxIndexed {
		return index{}, fmt.Errorf("%w: %s", ErrMalformed, keyIndex)
	}
	seen := map[Group]bool{}
	for _, line := range found.Groups {
		if seen[line.Group] {
			return index{}, fmt.Errorf("%w: %s has a group twice", ErrMalformed, keyIndex)
		}
		seen[line.Group] = true
	}
	return found, nil
}

// note has the index name a group, if it can be done at once. A broken index is
// begun anew.
func (r *Rounds) note(ctx context.Context, group Group) {
	for range indexTries {
		found, rev, err := r.loadIndex(ctx)
		if err != nil && !errors.Is(err, ErrMalformed) {
			return
		}
		next, differs := found.with(group, r.now())
		if !differs {
			return
		}
		data, err := json.Marshal(next)
		if err != nil {
			return
		}
		if _, err := r.registry.Swap(ctx, keyIndex, data, rev); !errors.Is(err, cluster.ErrLost) {
			return
		}
	}
}

// with returns the index with the group first, unless its line is young.
func (i index) with(group Group, now time.Time) (index, bool) {
	at := slices.IndexFunc(i.Groups, func(line indexLine) bool { return line.Group == group })
	if at >= 0 && now.Sub(time.Unix(0, i.Groups[at].AtNS)).Abs() < indexAge {
		return i, false
	}
	groups := []indexLine{{group, now.UnixNano()}}
	for _, line := range i.Groups {
		if line.Group != group && len(groups) < maxIndexed {
			groups = append(groups, line)
		}
	}
	return index{groups}, true
}
