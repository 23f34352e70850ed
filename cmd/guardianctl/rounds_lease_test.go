package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/repair"
	"github.com/vault-guardian/guardian/repair/round"
)

// roundOf is a round of g1 that was opened and last heard of so long before it is
// asked for.
func roundOf(phase round.Phase, opened, heard time.Duration) func() repair.RoundGroup {
	return func() repair.RoundGroup {
		now := time.Now()
		return repair.RoundGroup{Group: strings.Repeat("ab", 32), State: round.State{
			Phase: phase, Serial: 12, Coordinator: "g1", OpenedNS: now.Add(-opened).UnixNano(), ChangedNS: now.Add(-heard).UnixNano(),
		}}
	}
}

func planeOf(t *testing.T, groups ...repair.RoundGroup) *fakePlane {
	t.Helper()
	return newFakePlane(t, map[string]func(int) (int, any){
		getRounds: in(200, roundsStatus{}), getRounds + "/groups": in(200, map[string]any{"groups": groups}),
	})
}

// Of a round that goes on both commands tell who leads it, since when and until
// when others wait; of one that has ended neither does.
func TestRoundsTellTheLease(t *testing.T) {
	t.Parallel()
	const waits, over = "abababab: g1 leads round 12 since ", "its lease is over: the next round of these holders takes its place"
	for name, test := range map[string]struct {
		group func() repair.RoundGroup
		want  string // "" for nothing
		held  bool
	}{
		"open":              {roundOf(round.Open, time.Minute, 30*time.Second), "(open); its lease runs until ", true},
		"voting":            {roundOf(round.Voting, time.Hour, round.Lease-time.Minute), "(voting); its lease runs until ", true},
		"of a clock ahead":  {roundOf(round.Open, 0, -time.Minute), "(open); its lease runs until ", true},
		"left lying":        {roundOf(round.Voting, time.Hour, round.Lease+time.Second), over, false},
		"of a clock far on": {roundOf(round.Open, 0, -round.Lease-time.Minute), over, false},
		"committed":         {roundOf(round.Committed, time.Minute, time.Minute), "", false},
		"aborted":           {roundOf(round.Aborted, time.Minute, time.Minute), "", false},
		"not known": {func() repair.RoundGroup {
			return repair.RoundGroup{Group: strings.Repeat("ab", 32), State: round.State{Phase: round.Open}, Error: "broken"}
		}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			group := test.group()
			p := planeOf(t, group)
			for _, command := range []string{"list", "show"} {
				out, _ := guardianctl(t, exitOK, "rounds", command, "--admin", p.URL)
				if test.want == "" {
					if strings.Contains(out, "leads round") {
						t.Errorf("%s tells of a lease:\n%s", command, out)
					}
					continue
				}
				since := time.Unix(0, group.State.OpenedNS).UTC().Format(time.RFC3339)
				wantText(t, out, waits+since, test.want)
				if strings.Contains(out, "wait: it goes on by itself") != test.held {
					t.Errorf("%s advises:\n%s", command, out)
				}
			}
			wantLease(t, p, group, test.want != "")
		})
	}
}

func wantLease(t *testing.T, p *fakePlane, of repair.RoundGroup, goesOn bool) {
	t.Helper()
	var until int64
	if goesOn {
		until = of.State.ChangedNS + int64(round.Lease)
	}
	var list struct{ Groups []shownGroup }
	out, _ := guardianctl(t, exitOK, "rounds", "list", "--json", "--admin", p.URL)
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Groups) != 1 || list.Groups[0].LeaseUntilNS != until {
		t.Errorf("list --json: %v\n%s", err, out)
	}
	var shown roundsShown
	out, _ = guardianctl(t, exitOK, "rounds", "show", "--json", "--admin", p.URL)
	if err := json.Unmarshal([]byte(out), &shown); err != nil || shown.RegistryError != "" || len(shown.Running) == 1 != goesOn {
		t.Errorf("show --json: %v\n%s", err, out)
	}
	if goesOn && (len(shown.Running) != 1 || shown.Running[0].LeaseUntilNS != until) {
		t.Errorf("show --json:\n%s", out)
	}
}

// What a guardian leads is told while the registry is away.
func TestRoundsShowWithoutARegistry(t *testing.T) {
	t.Parallel()
	p := newFakePlane(t, map[string]func(int) (int, any){
		getRounds:             in(200, roundsStatus{Progress: repair.RoundsReport{StartedNS: 5, FinishedNS: 6, Rounds: 1, Moved: 3}}),
		getRounds + "/groups": refusing(503, "registry_unavailable", "the registry\x1b"),
	})
	out, _ := guardianctl(t, exitOK, "rounds", "show", "--admin", p.URL)
	wantText(t, out, "1 rounds committed: 3 shares moved", `the rounds of others are not known: the guardian answered: "the registry\x1b"`)
	out, _ = guardianctl(t, exitOK, "rounds", "show", "--json", "--admin", p.URL)
	wantText(t, out, `"moved": 3`, `"running": [],`, `"registry_error": "the guardian answered`)
}
