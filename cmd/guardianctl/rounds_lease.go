package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/vault-guardian/guardian/repair"
	"github.com/vault-guardian/guardian/repair/round"
)

// shownGroup is a group of the registry, with what follows from its state.
type shownGroup struct {
	repair.RoundGroup
	// LeaseUntilNS is until when the round that goes on keeps others from
	// beginning one, if its coordinator is not heard of again; 0 where none goes
	// on.
	LeaseUntilNS int64 `json:"lease_until_ns,omitempty"`
}

// groups asks for the rounds that the registry knows of.
func (f *adminFlags) groups(ctx context.Context) ([]shownGroup, error) {
	var answer struct {
		Groups []repair.RoundGroup `json:"groups"`
	}
	if err := f.get(ctx, roundsPath+"/groups", &answer); err != nil {
		return nil, err
	}
	groups := make([]shownGroup, len(answer.Groups))
	for i, g := range answer.Groups {
		groups[i].RoundGroup = g
		if groups[i].goesOn() {
			groups[i].LeaseUntilNS = time.Unix(0, g.State.ChangedNS).Add(round.Lease).UnixNano()
		}
	}
	return groups, nil
}

// goesOn tells whether the registry has a round as not ended, be its coordinator
// there or not.
func (g shownGroup) goesOn() bool {
	return g.Error == "" && (g.State.Phase == round.Open || g.State.Phase == round.Voting)
}

// holds tells whether nobody else can begin a round now. A time too far ahead is
// of a clock that was wrong, and holds up nobody.
func (g shownGroup) holds(now time.Time) bool {
	left := time.Unix(0, g.LeaseUntilNS).Sub(now)
	return left > 0 && left < 2*round.Lease
}

// lease says who leads the round that goes on, for how long others wait for it,
// and what to do.
func (g shownGroup) lease(now time.Time) string {
	s, until := g.State, time.Unix(0, g.LeaseUntilNS)
	leader := shown(orDash(s.Coordinator))
	text := fmt.Sprintf("%.8s: %s leads round %d since %s, last heard of at %s (%s)",
		g.Group, leader, s.Serial, timeText(s.OpenedNS), timeText(s.ChangedNS), shown(string(s.Phase)))
	if !g.holds(now) {
		return text + "; its lease is over: the next round of these holders takes its place, as by guardianctl refresh"
	}
	return text + fmt.Sprintf("; its lease runs until %s, %s more\n  wait: it goes on by itself while that process of %s runs. If that has ended, start %s again, which\n  holds a share, and begin another round when the lease is over: no other process goes on with this one",
		until.UTC().Format(time.RFC3339), until.Sub(now).Round(time.Second), leader, leader)
}

func timeText(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339) }

// printLeases prints what is known of the rounds that go on.
func printLeases(out io.Writer, groups []shownGroup) (err error) {
	for _, g := range groups {
		if g.goesOn() {
			_, err = fmt.Fprintln(out, g.lease(time.Now()))
		}
	}
	return err
}
