package main

import (
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/repair"
)

// On a terminal it shows how far it is, and Ctrl-C ends the waiting alone.
func TestAdminProgress(t *testing.T) {
	t.Parallel()
	scrub := repair.ScrubProgress{Running: true, Now: repair.ScrubReport{Slots: 7, Estimated: 14}}
	queue := repair.Status{Queued: 3, Working: 1, Items: []repair.ItemStatus{{SlotName: repair.SlotName{Identity: firstIdentity}}}}
	rounds := roundsStatus{Progress: repair.RoundsReport{Running: true, StartedNS: 1, Generations: 9, Moved: 7}}
	audit := repair.AuditReport{Running: true, StartedNS: 1, Generations: 9}
	p := newFakePlane(t, map[string]func(int) (int, any){
		getScrub: in(200, scrub), postScrub: in(202, scrub),
		getRepair: in(200, queue), postRun: in(200, queue),
		getAudit: in(200, audit), postAudit: in(202, audit),
		getRounds: in(200, rounds), postRounds: in(202, rounds),
	})
	for line, args := range map[string][]string{
		"scrubbed 7 of about 14 (50%)": {"scrub"},
		"repaired 0 of 3, 1 at work":   {"repair", "run"},
		"audited 9 secrets":            {"verify", "--cluster"},
		"moved 7 of 9 shares":          {"refresh"},
	} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()
			c := startConsole(t, false, nil, append(args, "--admin", p.URL)...)
			c.await(line)
			c.typed("\x03")
			if code := c.ends(); code != exitFailure || !strings.Contains(c.shown(), "next: interrupted") || !strings.Contains(c.shown(), "\r\x1b[K") {
				t.Errorf("exit code %d: %q", code, c.shown())
			}
			c.wantNoFiles()
		})
	}
}
