package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"testing"

	"github.com/vault-guardian/guardian/repair"
)

// scrubbing is a plane whose scrub takes two looks, and finds what is given.
func scrubbing(t *testing.T, before, found repair.ScrubReport) *fakePlane {
	t.Helper()
	now := repair.ScrubReport{Slots: 7, Estimated: 14}
	return newFakePlane(t, map[string]func(int) (int, any){
		getScrub: in(200,
			repair.ScrubProgress{Last: before},
			repair.ScrubProgress{Running: true, Here: true, Now: now, Last: before},
			repair.ScrubProgress{Last: found, Exchange: repair.ExchangeReport{LastNS: found.FinishedNS + 1}},
		),
		postScrub: in(202, repair.ScrubProgress{Running: true, Now: now, Last: before}),
	})
}

func TestScrubCommand(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before, found repair.ScrubReport
		code          int
		want          string // in what is said of it
	}{
		"sound":                     {found: repair.ScrubReport{FinishedNS: 5, Good: 9, Moved: 3, Orphaned: 2, Alone: 1, WithoutManifest: 1}},
		"nothing there":             {found: repair.ScrubReport{FinishedNS: 5}},
		"corrupt":                   {found: repair.ScrubReport{FinishedNS: 5, Corrupt: 2}, code: exitVerification, want: "2 are not as they should be\nnext: they are queued"},
		"missing":                   {found: repair.ScrubReport{FinishedNS: 5, Missing: 1}, code: exitVerification, want: "1 are not as"},
		"stale":                     {found: repair.ScrubReport{FinishedNS: 5, Stale: 1}, code: exitVerification, want: "1 are not as"},
		"lacking":                   {found: repair.ScrubReport{FinishedNS: 5, Lacking: 1}, code: exitVerification, want: "1 are not as"},
		"unreadable":                {found: repair.ScrubReport{FinishedNS: 5, Unreadable: 3}, code: exitVerification, want: "3 could not be read"},
		"what was wrong before":     {before: repair.ScrubReport{FinishedNS: 4, Corrupt: 1}, found: repair.ScrubReport{FinishedNS: 5}},
		"a clock that was put back": {before: repair.ScrubReport{FinishedNS: 9}, found: repair.ScrubReport{FinishedNS: 5}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, errs := guardianctl(t, test.code, "scrub", "--admin", scrubbing(t, test.before, test.found).URL)
			wantText(t, out, "finished", "good", "unreadable", "1970-01-01T00:00:00Z")
			if row := fmt.Sprintf(`moved +%d +other guardians hold these now`, test.found.Moved); !regexp.MustCompile(row).MatchString(out) {
				t.Errorf("it does not tell what has moved:\n%s", out)
			}
			wantText(t, errs, test.want)
			out, _ = guardianctl(t, test.code, "scrub", "--json", "--admin", scrubbing(t, test.before, test.found).URL)
			var p repair.ScrubProgress
			if err := json.Unmarshal([]byte(out), &p); err != nil || p.Last != test.found {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

func TestScrubWithoutWaiting(t *testing.T) {
	t.Parallel()
	p := scrubbing(t, repair.ScrubReport{FinishedNS: 4, Corrupt: 1}, repair.ScrubReport{})
	out, _ := guardianctl(t, exitOK, "scrub", "--no-wait", "--admin", p.URL)
	wantText(t, out, "guardianctl scrub --no-start")
	out, _ = guardianctl(t, exitOK, "scrub", "--no-wait", "--json", "--admin", p.URL)
	wantText(t, out, `"slots": 7`)

	p = scrubbing(t, repair.ScrubReport{FinishedNS: 4, Corrupt: 1}, repair.ScrubReport{})
	guardianctl(t, exitVerification, "scrub", "--no-start", "--admin", p.URL)
	out, _ = guardianctl(t, exitVerification, "scrub", "--no-start", "--admin", p.URL)
	wantText(t, out, "scrubbed 7 of about 14 (50%), and going on", "corrupt", "compared", "never")
	for _, said := range p.said() {
		if said != getScrub+" " {
			t.Errorf("it says %q", said)
		}
	}
	p = newFakePlane(t, map[string]func(int) (int, any){getScrub: in(200, repair.ScrubProgress{})})
	out, _ = guardianctl(t, exitOK, "scrub", "--no-start", "--admin", p.URL)
	wantText(t, out, "no scrub was finished yet")
	_, errs := guardianctl(t, exitUsage, "scrub", "--no-start", "--no-wait", "--admin", p.URL)
	wantText(t, errs, "are both given")
	guardianctl(t, exitUsage, "scrub", "g1", "--admin", p.URL)
}

func TestScrubLine(t *testing.T) {
	t.Parallel()
	for want, report := range map[string]repair.ScrubReport{
		"scrubbed 0":                     {},
		"scrubbed 5":                     {Slots: 5},
		"scrubbed 5 of about 10 (50%)":   {Slots: 5, Estimated: 10},
		"scrubbed 20 of about 10 (100%)": {Slots: 20, Estimated: 10},
	} {
		if got := scrubLine(report); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
