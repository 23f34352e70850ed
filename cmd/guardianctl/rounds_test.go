package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/repair"
	"github.com/vault-guardian/guardian/repair/round"
)

// movedTo is a plane whose rounds take two looks, and come to what is given.
func movedTo(t *testing.T, found repair.RoundsReport) *fakePlane {
	t.Helper()
	begun := roundsStatus{Progress: repair.RoundsReport{Running: true, StartedNS: 5}}
	return newFakePlane(t, map[string]func(int) (int, any){
		postRounds: in(202, begun), getRounds: in(200, begun, begun, roundsStatus{Progress: found}),
	})
}

func problem(text string) []repair.RoundProblem {
	return []repair.RoundProblem{{SlotName: repair.SlotName{Identity: firstIdentity, Name: "monday"}, Version: 7, Error: text}}
}

func TestRefreshCommand(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		found repair.RoundsReport
		code  int
		out   string
		want  string
	}{
		"all":     {repair.RoundsReport{Rounds: 2, Generations: 3, Moved: 3}, exitOK, "2 rounds committed: 3 shares moved, 0 refused, 0 failed", ""},
		"nothing": {repair.RoundsReport{}, exitNotFound, "0 rounds committed", "keeps nothing"},
		"refused by the owner": {
			repair.RoundsReport{Generations: 1, Refused: 1, Problems: problem("proposal not permitted: the owner permits no refresh")},
			exitFailure,
			firstIdentity + "/monday version 7: proposal not permitted: the owner permits no refresh", "1 were refused\nnext: see why above: owners permit it when they store",
		},
		"refused in part": {
			repair.RoundsReport{Rounds: 1, Generations: 2, Moved: 1, Refused: 1, Problems: problem("stored without a manifest")},
			exitOK,
			"1 shares moved, 1 refused", "",
		},
		"too few there": {
			repair.RoundsReport{Rounds: 1, Generations: 3, Moved: 1, Failed: 2, Problems: problem("a check needs more than K holders\x1b[2J")},
			exitQuorum,
			`a check needs more than K holders\x1b[2J`, "2 shares were not moved\nnext: see why above; bring the guardians up",
		},
		"failed and refused": {repair.RoundsReport{Generations: 2, Refused: 1, Failed: 1}, exitQuorum, "1 refused, 1 failed", "1 shares were not moved"},
		"broken off":         {repair.RoundsReport{Generations: 1, Moved: 1, Error: "storage\x1b"}, exitFailure, "1 shares moved", `broken off: "storage\x1b"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.found.StartedNS, test.found.FinishedNS = 5, 6
			for _, args := range [][]string{{"refresh"}, {"redistribute", "--threshold", "4"}, {"redistribute", "--members", "g1,g2,g3"}} {
				out, errs := guardianctl(t, test.code, append(args, "--admin", movedTo(t, test.found).URL)...)
				wantText(t, out, test.out)
				wantText(t, errs, test.want)
				out, _ = guardianctl(t, test.code, append(args, "--json", "--admin", movedTo(t, test.found).URL)...)
				var s roundsStatus
				if err := json.Unmarshal([]byte(out), &s); err != nil || s.Progress.Moved != test.found.Moved || s.Progress.FinishedNS != 6 {
					t.Errorf("%v: %s", err, out)
				}
				if strings.Contains(out, "\x1b") {
					t.Errorf("what a guardian says drives the terminal: %q", out)
				}
			}
		})
	}
}

func TestRoundsWithoutWaiting(t *testing.T) {
	t.Parallel()
	p := movedTo(t, repair.RoundsReport{})
	out, _ := guardianctl(t, exitOK, "refresh", "--no-wait", "--admin", p.URL)
	wantText(t, out, "rounds go on since 1970-01-01T00:00:00Z: 0 committed, 0 shares moved so far")
	out, _ = guardianctl(t, exitOK, "redistribute", "--threshold", "2", "--no-wait", "--json", "--admin", p.URL)
	wantText(t, out, `"running": true`)
	for _, said := range p.said() {
		if !strings.HasPrefix(said, postRounds+" ") {
			t.Errorf("it says %q", said)
		}
	}
}

func TestRoundsOrders(t *testing.T) {
	t.Parallel()
	whole, monday := `{"identity":"`+firstIdentity+`"}`, `{"identity":"`+nextIdentity+`","name":"monday"}`
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"all":           {[]string{"refresh"}, `{"slots":[],"threshold":0,"members":null}`},
		"some":          {[]string{"refresh", firstIdentity, nextIdentity + "/monday"}, `{"slots":[` + whole + `,` + monday + `],"threshold":0,"members":null}`},
		"one twice":     {[]string{"refresh", firstIdentity, strings.ToUpper(firstIdentity)}, `{"slots":[` + whole + `],"threshold":0,"members":null}`},
		"the least K":   {[]string{"redistribute", "--threshold", "2"}, `{"slots":[],"threshold":2,"members":null}`},
		"the largest K": {[]string{"redistribute", "--threshold", "255"}, `{"slots":[],"threshold":255,"members":null}`},
		"members":       {[]string{"redistribute", "--members", "g1,g-2", "--members", "g3"}, `{"slots":[],"threshold":0,"members":["g1","g-2","g3"]}`},
		"all of it":     {[]string{"redistribute", firstIdentity, "--members", "g1,g2,g3", "--threshold", "2"}, `{"slots":[` + whole + `],"threshold":2,"members":["g1","g2","g3"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := movedTo(t, repair.RoundsReport{StartedNS: 5, FinishedNS: 6, Generations: 1, Moved: 1})
			guardianctl(t, exitOK, append(test.args, "--admin", p.URL)...)
			if said := p.said()[0]; said != postRounds+" "+test.want {
				t.Errorf("it says %s, want %s", said, test.want)
			}
		})
	}
}

// What is wrong in itself is asked of nobody.
func TestRoundsRefuse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"half an identity":     {[]string{"refresh", firstIdentity, firstIdentity[:63]}, "identity must be exactly 64 hex"},
		"no hex":               {[]string{"refresh", firstIdentity[:63] + "g"}, "identity must be hex"},
		"an empty identity":    {[]string{"refresh", ""}, "identity"},
		"a name of Unicode":    {[]string{"redistribute", "--threshold", "3", firstIdentity + "/mön"}, "a name is 1 to 128"},
		"a path":               {[]string{"refresh", firstIdentity + "/../x"}, "a name is"},
		"a change of nothing":  {[]string{"redistribute", firstIdentity}, "next: pass --threshold, --members, or both"},
		"K of 0":               {[]string{"redistribute", "--threshold", "0", "--members", "g1,g2"}, "--threshold"},
		"K of 1":               {[]string{"redistribute", "--threshold", "1"}, "next: a threshold is 2 to 255"},
		"K of 256":             {[]string{"redistribute", "--threshold", "256"}, "next: a threshold is 2 to 255"},
		"K below 0":            {[]string{"redistribute", "--threshold", "-3"}, "next: a threshold is 2 to 255"},
		"no number":            {[]string{"redistribute", "--threshold", "three"}, "--threshold"},
		"a member twice":       {[]string{"redistribute", "--members", "g1,g2,g1"}, "g1 is named twice"},
		"an empty member":      {[]string{"redistribute", "--members", "g1,,g2"}, "an empty node id"},
		"no member":            {[]string{"redistribute", "--members", ""}, "--members names nobody"},
		"fewer members than K": {[]string{"redistribute", "--members", "g1,g2,g3", "--threshold", "3"}, "3 members cannot be more than 3"},
		"256 members":          {[]string{"redistribute", "--members", manyNodes(256)}, "at most 255"},
		"threshold of refresh": {[]string{"refresh", "--threshold", "3"}, "unknown flag"},
		"an argument too many": {[]string{"rounds", "show", "x"}, "accepts between 0 and 0 arg(s)"},
		"and another":          {[]string{"rounds", "list", "x"}, "accepts between 0 and 0 arg(s)"},
		"no such command":      {[]string{"rounds", "lsit"}, "did you mean guardianctl rounds list?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := movedTo(t, repair.RoundsReport{})
			args := test.args
			if args[0] != "rounds" {
				args = append(args, "--admin", p.URL)
			}
			_, errs := guardianctl(t, exitUsage, args...)
			wantText(t, errs, test.want)
			if said := p.said(); len(said) != 0 {
				t.Errorf("it says %q", said)
			}
		})
	}
}

func manyNodes(n int) string {
	var all []string
	for i := range n {
		all = append(all, nodeID(i))
	}
	return strings.Join(all, ",")
}

// What a guardian refuses comes with advice.
func TestRoundsRefused(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"no_cluster":        "next: give the guardian a GUARDIAN_REGISTRY",
		"running":           "next: wait for the one that runs",
		"invalid_slots":     "next: update whichever",
		"invalid_threshold": "next: update whichever",
		"invalid_members":   "next: update whichever",
	} {
		p := newFakePlane(t, map[string]func(int) (int, any){postRounds: refusing(409, code, "no\x1b")})
		for _, args := range [][]string{{"refresh"}, {"redistribute", "--threshold", "3"}} {
			_, errs := guardianctl(t, exitFailure, append(args, "--admin", p.URL)...)
			wantText(t, errs, want, `"no\x1b"`)
		}
	}
	for code, want := range map[string]string{
		"no_cluster":           "next: give the guardian a GUARDIAN_REGISTRY",
		"registry_unavailable": "next: bring the registry back",
	} {
		p := newFakePlane(t, map[string]func(int) (int, any){getRounds + "/groups": refusing(503, code, "no\x1b")})
		_, errs := guardianctl(t, exitFailure, "rounds", "list", "--admin", p.URL)
		wantText(t, errs, want, `"no\x1b"`)
	}
}

// What a guardian says of other rounds is no result.
func TestRoundsForgotten(t *testing.T) {
	t.Parallel()
	for name, now := range map[string]repair.RoundsReport{"started again": {}, "others": {StartedNS: 9, FinishedNS: 10, Generations: 1, Moved: 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, errs := guardianctl(t, exitFailure, "refresh", "--admin", movedTo(t, now).URL)
			wantText(t, errs, "has forgotten the rounds", "next: run it again")
		})
	}
}

func TestRoundsShow(t *testing.T) {
	t.Parallel()
	open := repair.OpenEpoch{Session: "0a0b0c0d", Generations: 3, Holders: []string{"g4", "g5\x1b"}, Committed: true}
	for name, test := range map[string]struct {
		status roundsStatus
		want   string
	}{
		"none yet":   {roundsStatus{}, "no rounds were begun at this guardian"},
		"at work":    {roundsStatus{Progress: repair.RoundsReport{Running: true, StartedNS: 5, Rounds: 1, Moved: 64}}, "rounds go on since 1970-01-01T00:00:00Z: 1 committed, 64 shares moved so far"},
		"through":    {roundsStatus{Progress: repair.RoundsReport{StartedNS: 5, FinishedNS: 6, Rounds: 1, Moved: 3}}, "1 rounds committed: 3 shares moved"},
		"open":       {roundsStatus{Open: []repair.OpenEpoch{open}}, "round 0a0b0c0d: 3 shares, not known to be erased by g4, \"g5\\x1b\""},
		"undecided":  {roundsStatus{Open: []repair.OpenEpoch{{Session: "0a0b0c0d", Holders: []string{}}}}, "the registry has not said yet that it is committed"},
		"not closed": {roundsStatus{Open: []repair.OpenEpoch{{Session: "0a0b0c0d", Holders: []string{}, Committed: true}}}, "not known to be erased by nobody"},
		"failed":     {roundsStatus{Progress: repair.RoundsReport{StartedNS: 5, FinishedNS: 6, Failed: 1, Problems: problem("a\x1bb")}}, `/monday version 7: "a\x1bb"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newFakePlane(t, map[string]func(int) (int, any){getRounds: in(200, test.status)})
			out, _ := guardianctl(t, exitOK, "rounds", "show", "--admin", p.URL)
			wantText(t, out, test.want)
			out, _ = guardianctl(t, exitOK, "rounds", "show", "--json", "--admin", p.URL)
			var s roundsStatus
			if err := json.Unmarshal([]byte(out), &s); err != nil || len(s.Open) != len(test.status.Open) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

func TestRoundsList(t *testing.T) {
	t.Parallel()
	groups := []repair.RoundGroup{
		{Group: strings.Repeat("ab", 32), State: round.State{
			Phase: round.Voting, Serial: 12, Coordinator: "g1\x1b", ChangedNS: 1e9,
			Proposal: round.Summary{FromThreshold: 3, ToThreshold: 4, ToHolders: 6, Generations: 64},
		}},
		{Group: strings.Repeat("cd", 32), Error: "the registry's record\x1b"},
	}
	p := newFakePlane(t, map[string]func(int) (int, any){getRounds + "/groups": in(200, map[string]any{"groups": groups})})
	out, _ := guardianctl(t, exitOK, "rounds", "list", "--admin", p.URL)
	wantText(t, out, "HOLDERS", "abababab", "12", "voting", `"g1\x1b"`, "1970-01-01T00:00:01Z", "cdcdcdcd", `"the registry's record\x1b"`)
	out, _ = guardianctl(t, exitOK, "rounds", "list", "--json", "--admin", p.URL)
	wantText(t, out, strings.Repeat("ab", 32), `"voting"`)
	p = newFakePlane(t, map[string]func(int) (int, any){getRounds + "/groups": in(200, map[string]any{"groups": []repair.RoundGroup{}})})
	out, _ = guardianctl(t, exitOK, "rounds", "list", "--admin", p.URL)
	wantText(t, out, "no rounds yet")
	out, _ = guardianctl(t, exitOK, "rounds")
	wantText(t, out, "guardianctl rounds list", "guardianctl rounds show")
}
